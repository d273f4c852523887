"""Small networks with known truth, as designs and as tables."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ter.features.design import Design, Grouping


@dataclass(frozen=True)
class Truth:
    beta: np.ndarray
    sd: np.ndarray
    u: np.ndarray
    v: np.ndarray


def grouping(name, index, n):
    return Grouping(name, f"{name}_id", tuple(f"{name[0].upper()}{k:05d}" for k in range(n)), index)


def network(
    seed, *, therapists=20, services=0, caseload=15, columns=2, sd=(0.5, 0.3), intercept=0.2, trials=None
):
    """A design drawn from the model itself."""
    rng = np.random.default_rng(seed)
    counts = np.full(therapists, caseload) if np.isscalar(caseload) else np.asarray(caseload)
    n = int(counts.sum())
    therapist = np.repeat(np.arange(therapists), counts)
    home = rng.integers(0, max(services, 1), therapists)
    service = np.where(rng.random(n) < 0.8, home[therapist], rng.integers(0, max(services, 1), n))
    X = np.column_stack([np.ones(n), rng.standard_normal((n, columns))])
    beta = np.concatenate([[intercept], 0.4 * (-1.0) ** np.arange(columns)])
    u = sd[0] * rng.standard_normal(therapists)
    v = sd[1] * rng.standard_normal(services) if services else np.zeros(1)
    eta = X @ beta + u[therapist] + v[service if services else np.zeros(n, int)]
    size = np.ones(n) if trials is None else np.full(n, float(trials))
    y = rng.binomial(size.astype(int), 1 / (1 + np.exp(-eta))).astype(float)
    P = columns + 1
    design = Design(
        X=X,
        columns=("intercept", *(f"x{k}" for k in range(columns))),
        centre=np.zeros(P),
        scale=np.ones(P),
        successes=y,
        trials=size,
        therapist=grouping("therapist", therapist.astype(np.int64), therapists),
        service=grouping("service", service.astype(np.int64), services) if services else None,
        rows=np.arange(n),
        n_rows=n,
        left_out=(),
    )
    return design, Truth(beta, np.array(sd[: 1 + bool(services)]), u, v)


def table_of(design):
    """The design as a table for `ter.fit`, with `outcome="y"`."""
    columns = {name: design.X[:, k] for k, name in enumerate(design.columns) if k}
    ids = {
        g.column: np.array(g.levels, dtype=object)[g.index]
        for g in (design.therapist, design.service)
        if g is not None
    }
    return pd.DataFrame({**ids, **columns, "y": design.successes.astype(int), "n": design.trials.astype(int)})
