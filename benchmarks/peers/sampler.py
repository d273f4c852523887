"""nutpie's sampling of the same posterior, where PyMC and nutpie are importable, beside engine "fast"."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from time import perf_counter

import numba
import numpy as np

import ter
from benchmarks.problems import FloatArray, Network
from ter.features import build_design
from ter.models.bayes import build_model

#: As short as anybody samples: four chains of 500 draws, after as many that tune.
CHAINS, DRAWS, TUNE = 4, 500, 500
#: What posterior means may differ by beside three standard errors of nutpie's, in posterior SDs: the notes'
#: tolerances of coefficients and SDs.
BETA, INTERCEPT, SD = 0.03, 0.08, 0.07


@dataclass(frozen=True, eq=False)
class Sampled:
    """Posterior means and what they cost.

    Attributes
    ----------
    beta, beta_sd : ndarray, shape (P,)
        Means and SDs, on the scale of the columns.
    sd, sd_sd : ndarray, shape (2,)
        The same of the SDs: therapists, services.
    wall, cpu : float
        Seconds by the clock; processor seconds of all threads and child processes.
    ess : ndarray or None, shape (P + 2,)
        Effective draws of beta and the SDs, of a sampler.
    """

    beta: FloatArray
    beta_sd: FloatArray
    sd: FloatArray
    sd_sd: FloatArray
    wall: float
    cpu: float
    ess: FloatArray | None = None


def available() -> bool:
    """Whether this environment has PyMC and nutpie."""
    return all(find_spec(name) is not None for name in ("pymc", "nutpie", "arviz"))


def processor_time() -> float:
    """Seconds of this process with all its threads, and of its children that have ended."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def timed(work: Callable[[], object]) -> tuple[object, float, float]:
    """Do it; wall and processor seconds."""
    wall, cpu = perf_counter(), processor_time()
    out = work()
    return out, perf_counter() - wall, processor_time() - cpu


def rate_all(network: Network) -> tuple[ter.models.result.Fit, object]:
    """The whole posterior and all ratings, from the table."""
    fit = ter.fit(network.table, case_mix=network.case_mix, outcome="y")
    return fit, ter.rate(fit).to_frame()


def run_ours(network: Network, rounds: int, threads: int) -> Sampled:
    """Engine "fast" and ratings, warm: the least times over the rounds."""
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        rate_all(network)
        times = [timed(lambda: rate_all(network)) for _ in range(rounds)]
    finally:
        numba.set_num_threads(before)
    fit = times[0][0][0]
    p = fit.posterior
    mean = p.weights @ p.sd
    return Sampled(
        beta=fit.fixed["mean"].to_numpy(),
        beta_sd=fit.fixed["sd"].to_numpy(),
        sd=mean,
        sd_sd=np.sqrt(p.weights @ (p.sd - mean) ** 2),
        wall=min(wall for _, wall, _ in times),
        cpu=min(cpu for _, _, cpu in times),
    )


def run_nutpie(network: Network, seed: int = 1) -> Sampled:
    """Sample the model of engine "nuts" with nutpie: its sampling alone, without compiling."""
    import arviz
    import nutpie

    design = build_design(
        network.table, case_mix=network.case_mix.learn(network.table), outcome="y", trials=None,
        therapist="therapist_id", service="service_id",
    )  # fmt: skip
    model = nutpie.compile_pymc_model(build_model(design))

    def sample() -> object:
        return nutpie.sample(model, draws=DRAWS, tune=TUNE, chains=CHAINS, seed=seed, progress_bar=False)

    trace, wall, cpu = timed(sample)
    draws = trace.posterior
    beta = (
        np.asarray(draws["beta"])
        @ ter.models.result.Columns(design.columns, design.centre, design.scale).to_raw.T
    )
    sd = np.stack([np.asarray(draws["sd_therapist"]), np.asarray(draws["sd_service"])], axis=-1)
    both = np.concatenate([beta, sd], axis=-1)
    flat = both.reshape(-1, both.shape[-1])
    P = beta.shape[-1]
    return Sampled(
        beta=flat.mean(axis=0)[:P],
        beta_sd=flat.std(axis=0)[:P],
        sd=flat.mean(axis=0)[P:],
        sd_sd=flat.std(axis=0)[P:],
        wall=wall,
        cpu=cpu,
        ess=np.array([float(arviz.ess(both[..., k])) for k in range(both.shape[-1])]),
    )


def shifts(ours: Sampled, theirs: Sampled) -> tuple[FloatArray, FloatArray]:
    """By how much the means of (beta, SDs) differ, in posterior SDs, and what may be: shapes (P + 2,)."""
    moved = np.concatenate(
        [np.abs(ours.beta - theirs.beta) / theirs.beta_sd, np.abs(ours.sd - theirs.sd) / theirs.sd_sd]
    )
    allowed = np.concatenate([[INTERCEPT], np.full(ours.beta.size - 1, BETA), np.full(ours.sd.size, SD)])
    if theirs.ess is not None:
        allowed = allowed + 3.0 / np.sqrt(theirs.ess)
    return moved, allowed


def compare(network: Network, rounds: int, threads: int) -> bool:
    """Print both costs and how far the answers differ; whether they agree."""
    ours, theirs = run_ours(network, rounds, threads), run_nutpie(network)
    moved, allowed = shifts(ours, theirs)
    P = ours.beta.size
    print(
        "| peer | sampling, s of processor | by the clock | least effective draws | posterior and ratings, s "
        "| by the clock | ratio | largest beta shift, SD | shift of SDs, SD |\n" + "| --- " * 9 + "|"
    )
    print(
        f"| nutpie {version('nutpie')}, {CHAINS} x ({TUNE} + {DRAWS}) | {theirs.cpu:.1f} | {theirs.wall:.1f} "
        f"| {theirs.ess.min():.0f} | {ours.cpu:.3f} | {ours.wall:.3f} | {theirs.cpu / ours.cpu:,.0f} | "
        f"{moved[:P].max():.3f} | {' and '.join(f'{x:.3f}' for x in moved[P:])} |",
        flush=True,
    )
    print(f"SDs: ours {ours.sd.round(4)}, nutpie's {theirs.sd.round(4)}", flush=True)
    return bool((moved < allowed).all())
