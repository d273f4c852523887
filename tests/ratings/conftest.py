"""A fit with normal posteriors, whose ratings are known in closed form."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from ter.models.posterior import Posterior
from ter.models.records import FitSettings, Record
from ter.models.units import CaseMixMeans, Deciles, Months, Units

#: The posterior of each TER, percent, is normal with mean 50 + 20 times that of the effect.
TER_PER_UNIT = 20.0


@dataclass(frozen=True)
class NormalFit:
    """What ratings read of a fit."""

    units: Units
    months: Months | None
    deciles: Deciles
    case_mix_means: CaseMixMeans
    posterior: Posterior | None
    groups: pd.DataFrame
    record: Record
    settings: FitSettings
    fingerprint: str


def _months(rng, n_completed, n, observed):
    """Spread each therapist's treatments over months, so that they sum to the totals."""
    rows = []
    for j, completed in enumerate(n_completed):
        outcomes = [1.0] * int(observed[j]) + [0.0] * int(n[j] - observed[j])
        outcomes += [np.nan] * (completed - len(outcomes))
        of = rng.integers(0, 14, completed)
        for month in np.unique(of):
            y = np.array([outcome for outcome, m in zip(outcomes, of, strict=True) if m == month])
            modelled = (~np.isnan(y)).sum()
            rows.append((j, 12 * 2025 + 6 + month, len(y), modelled, np.nansum(y), 0.5 * modelled))
    unit, month, completed, modelled, recovered, expected = np.array(rows).T
    return Months(
        unit=unit.astype(int), month=month.astype(int), n_completed=completed.astype(int), n=modelled,
        observed=recovered, expected=expected,
    )  # fmt: skip


@pytest.fixture
def make_fit():
    """Make a fit of therapists with so many completed treatments, three services and two variables."""

    def make(n_completed, n=None, seed=0, converged=True):
        rng = np.random.default_rng(seed)
        n_completed = np.asarray(n_completed)
        J = len(n_completed)
        n = np.asarray(0.9 * n_completed if n is None else n).astype(int).astype(float)
        observed = rng.binomial(n.astype(int), 0.5).astype(float)
        mean, sd = rng.normal(0, 0.4, J), rng.uniform(0.15, 0.4, J)
        rate = np.where(n > 0, rng.uniform(0.4, 0.6, J), np.nan)
        z = np.linspace(-6.5, 6.5, 201)
        u_grid = mean[:, None] + sd[:, None] * z
        cdf = np.broadcast_to(norm.cdf(z), u_grid.shape)
        posterior = Posterior(
            weights=np.full(4, 0.25), beta=np.zeros((4, 1)), v=np.zeros((4, 0)), sd=np.full((4, 1), 0.4),
            u_mean=mean, u_sd=sd, u_grid=u_grid, u_cdf=cdf,
            given_mean=np.repeat(mean[:, None], 4, 1).astype(np.float32),
            given_sd=np.repeat(sd[:, None], 4, 1).astype(np.float32),
            given_skewness=np.zeros((J, 4), np.float32), given_ter=np.full((J, 4), 0.5, np.float32),
            given_expected=np.full((J, 4), 0.5, np.float32), units=np.arange(J), seed=seed,
            reliability=1 - sd**2 / 0.5**2,
            ter_mean=50 + TER_PER_UNIT * mean, ter_grid=50 + TER_PER_UNIT * u_grid, ter_cdf=cdf,
            expected_mean=rate, expected_sd=np.full(J, 0.02), predicted_mean=rate + 0.2 * mean,
        )  # fmt: skip
        share = rng.dirichlet(np.ones(10), J)
        shifts = np.where(n[:, None] > 0, rng.normal(0, 0.02, (J, 2)), np.nan)
        means = np.column_stack([rng.normal(15, 2, J), share[:, 0], 1 - share[:, 0]])
        ids = tuple(f"t{j:03d}" for j in range(J))
        return NormalFit(
            units=Units(
                ids=ids, service=tuple(f"s{j % 3}" for j in range(J)), n_episodes=n_completed + 2,
                n_completed=n_completed, n_at_caseness=n.astype(int), n=n, observed=observed,
            ),
            months=_months(rng, n_completed, n, observed),
            deciles=Deciles(
                edges=np.linspace(0, 1, 11), n=np.round(n[:, None] * share),
                observed=np.round(n[:, None] * share) // 2, expected=n[:, None] * share / 2,
            ),
            case_mix_means=CaseMixMeans(
                labels=(("phq9_first", ""), ("gender", "f"), ("gender", "m")),
                units=np.where(n[:, None] > 0, means, np.nan), network=means.mean(axis=0),
                level_shift=np.where(n[:, None] > 0, 0.1 * means, np.nan),
                variables=("phq9_first", "gender"), shift=shifts,
            ),
            posterior=posterior,
            groups=pd.DataFrame({"sd": [0.4]}, index=["therapist"]),
            record=Record(
                converged=converged, iterations=5, gradient_norm=1e-9, log_likelihood=-100.0,
                certificate=None, draws=512, singular=False,
                n_rows=int(n_completed.sum()) + 2 * J, n_modelled=int(n.sum()),
                left_out=(("treatment not completed", 2 * J),), service_effect="included", notes=("A note.",),
                versions=(("ter", "0"),),
            ),
            settings=FitSettings("fast", "recovered", None, "therapist_id", "service_id", 11, 1),
            fingerprint="f" * 64,
        )  # fmt: skip

    return make


@pytest.fixture
def without_posterior():
    """Take the posterior from a fit, as engine "ml" has none."""
    return lambda fit: replace(fit, posterior=None, settings=replace(fit.settings, engine="ml"))
