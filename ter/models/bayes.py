"""Engine "nuts": the same model in PyMC, sampled by the No-U-Turn Sampler. The reference.

The only module that loads PyMC, and that only when it is asked for draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ter.errors import OptionError
from ter.features.design import Design, FloatArray, Grouping
from ter.models.diagnostics import Diagnostics
from ter.models.effects_fast import log_likelihood_at, mean_scales
from ter.models.effects_marginal import EffectsDraws, condition, marginalise_effects, rate_draws
from ter.models.effects_posterior import EffectsPosterior, Scales
from ter.models.fast import marginal_log_likelihood
from ter.models.grid import ConditionalPosterior
from ter.models.layout import Layout
from ter.models.marginal import conditionals, marginalise
from ter.models.posterior import Posterior, joint_draws
from ter.models.priors import Priors
from ter.models.proposal import Draws
from ter.models.quadrature import QuadratureLikelihood
from ter.models.records import NutsOptions
from ter.models.slope import Sigma
from ter.models.structure import has_more_effects

#: Above PyMC's default of 0.8: where an SD nears zero the posterior narrows, and long steps diverge.
TARGET_ACCEPT: Final = 0.9
#: The word for each factor's effects.
EFFECTS: Final = {"therapist": "u", "service": "v", "further": "f"}
#: What a severity slope adds: the therapists' slopes, their SD, and their correlation with the effects.
SLOPES: Final = ("w", "sd_slope", "correlation")


@dataclass(frozen=True, eq=False)
class Chains:
    """What the sampler returned: C chains of n draws after tuning.

    Attributes
    ----------
    beta : ndarray, shape (C, n, P)
    v : ndarray, shape (C, n, S)
        S is 0 without a service effect.
    sd : ndarray, shape (C, n, F)
    u : ndarray, shape (C, n, J)
    energy : ndarray, shape (C, n)
    diverging : ndarray of bool, shape (C, n)
    sampler : str
        The library that sampled.
    f : ndarray, shape (C, n, R), or None
        With a third factor, whose SD then stands last in `sd`.
    w : ndarray, shape (C, n, J), or None
        With a severity slope.
    slope : ndarray, shape (C, n, 2), or None
        SD and correlation of the slopes.
    """

    beta: FloatArray
    v: FloatArray
    sd: FloatArray
    u: FloatArray
    energy: FloatArray
    diverging: NDArray[np.bool_]
    sampler: str
    f: FloatArray | None = None
    w: FloatArray | None = None
    slope: FloatArray | None = None

    @property
    def b(self) -> FloatArray:
        """Fixed effects and those of all factors but the therapists: shape (C, n, B)."""
        parts = (self.beta, self.v, self.f)
        return np.concatenate([x for x in parts if x is not None], axis=-1)


@dataclass(frozen=True, eq=False)
class NutsResult:
    """What the engine found.

    Attributes
    ----------
    posterior : Posterior
        Of equally weighted draws, chain after chain.
    row_expected : ndarray, shape (N,)
        Posterior mean of each sorted row's expected rate.
    log_likelihood : float
        Marginal, at the posterior means of beta and of the SDs, without binomial constants.
    diagnostics : Diagnostics
    """

    posterior: Posterior
    row_expected: FloatArray
    log_likelihood: float
    diagnostics: Diagnostics


def build_model(design: Design, priors: Priors = Priors()) -> Any:  # noqa: B008 - frozen
    """The model of a design, with the priors of engine "fast".

    The effects are non-centred, sd * z with z ~ N(0, 1). What is sampled in place of the intercept is the
    level, intercept plus mean effect: the data know it well, while intercept and effects trade off against
    each other along a ridge. The posterior of (beta, sd, u, v) is the same. With a severity slope w =
    sd_slope z_slope and u = sd (rho z_slope + sqrt(1 - rho^2) z); LKJ(2) of a single correlation says that
    (1 + rho) / 2 ~ Beta(2, 2).

    Parameters
    ----------
    design : Design
    priors : Priors

    Returns
    -------
    pymc.Model
        With coords ``term``, ``therapist``, ``service``, ``further`` and ``obs``; ``beta``, ``sd_therapist``,
        ``u``, ``sd_service``, ``v``, ``sd_further``, ``f``, ``w``, ``sd_slope`` and ``correlation``.

    Raises
    ------
    OptionError
        If PyMC is not installed.
    """
    pm = _pymc()
    factors = [g for g in (design.therapist, design.service, design.further) if g is not None]
    coords = {"term": design.columns, "obs": design.rows, **{g.name: g.levels for g in factors}}
    intercept = np.zeros(len(design.columns))
    intercept[0] = 1.0
    with pm.Model(coords=coords) as model:
        mean_effect: Any = 0.0
        effects: Any = 0.0

        def add(effect: Any, g: Grouping, along: FloatArray) -> None:
            nonlocal mean_effect, effects
            share = np.bincount(g.index, design.trials * along, len(g.levels)) / design.trials.sum()
            mean_effect += pm.math.dot(share, effect)
            effects += effect[g.index] * along

        for g in factors:
            sd = pm.HalfNormal(f"sd_{g.name}", getattr(priors, g.name))
            z = pm.Normal(f"z_{g.name}", dims=g.name)
            if g is design.therapist and design.severity is not None:
                rho = pm.Deterministic("correlation", 2.0 * pm.Beta("half_rho", 2.0, 2.0) - 1.0)
                z_slope = pm.Normal("z_slope", dims=g.name)
                w = pm.Deterministic("w", pm.HalfNormal("sd_slope", priors.slope) * z_slope, dims=g.name)
                add(w, g, design.severity.values)
                z = rho * z_slope + pm.math.sqrt(1.0 - rho**2) * z
            add(pm.Deterministic(EFFECTS[g.name], sd * z, dims=g.name), g, np.ones(len(design.trials)))
        level = pm.Normal("level", mean_effect * intercept, priors.beta, dims="term")
        pm.Deterministic("beta", level - mean_effect * intercept, dims="term")
        eta = pm.math.dot(design.X, level) - mean_effect + effects
        successes = design.successes.astype(np.int64)
        if (design.trials == 1.0).all():
            pm.Bernoulli("y", logit_p=eta, observed=successes, dims="obs")
        else:
            trials = design.trials.astype(np.int64)
            pm.Binomial("y", n=trials, logit_p=eta, observed=successes, dims="obs")
    return model


def sample(design: Design, options: NutsOptions, seed: int, priors: Priors = Priors()) -> Chains:  # noqa: B008
    """Sample the model of a design: with nutpie where it is installed, else with PyMC itself.

    Parameters
    ----------
    design : Design
    options : NutsOptions
    seed : int

    Raises
    ------
    OptionError
        If PyMC is not installed.
    """
    model = build_model(design, priors)
    sampler = "pymc" if find_spec("nutpie") is None else "nutpie"
    # Both take 32 bits.
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
    sizes = {"draws": options.draws, "tune": options.tune, "chains": options.chains}
    if sampler == "nutpie":
        import nutpie

        trace = nutpie.sample(
            nutpie.compile_pymc_model(model),
            **sizes, target_accept=TARGET_ACCEPT, seed=state, progress_bar=False,
        )  # fmt: skip
    else:
        # One process: forking one that has run threads may hang it.
        trace = _pymc().sample(
            **sizes, model=model, target_accept=TARGET_ACCEPT, random_seed=state, cores=1,
            progressbar=False, compute_convergence_checks=False, nuts_sampler="pymc",
        )  # fmt: skip
    draws = {name: np.asarray(values) for name, values in trace.posterior.items()}
    beta = draws["beta"]
    return Chains(
        beta=beta,
        v=draws.get("v", np.zeros((*beta.shape[:2], 0))),
        sd=np.stack([draws[f"sd_{name}"] for name in EFFECTS if f"sd_{name}" in draws], axis=-1),
        u=draws["u"],
        energy=np.asarray(trace.sample_stats["energy"], dtype=np.float64),
        diverging=np.asarray(trace.sample_stats["diverging"], dtype=np.bool_),
        sampler=sampler,
        f=draws.get("f"),
        w=draws.get("w"),
        slope=np.stack([draws[name] for name in SLOPES[1:]], axis=-1) if "w" in draws else None,
    )


def diagnose(chains: Chains) -> Diagnostics:
    """Whether the chains agree, and how much they know, over beta, the SDs and all effects.

    R-hat and effective sample sizes are rank-normalised (Vehtari et al. 2021, "Rank-normalization, folding,
    and localization: an improved R-hat"); E-BFMI is of Betancourt (2016, "Diagnosing suboptimal cotangent
    disintegrations in Hamiltonian Monte Carlo").
    """
    import arviz as az
    import xarray as xr

    parts = (chains.b, chains.sd, chains.u, chains.w, chains.slope)
    quantities = np.concatenate([x for x in parts if x is not None], axis=-1)
    data = xr.Dataset({"x": (("chain", "draw", "quantity"), quantities)})
    steps = (np.diff(chains.energy, axis=1) ** 2).mean(axis=1)
    return Diagnostics(
        r_hat=float(az.rhat(data)["x"].max(skipna=False)),
        ess_bulk=float(az.ess(data)["x"].min(skipna=False)),
        ess_tail=float(az.ess(data, method="tail")["x"].min(skipna=False)),
        divergences=int(chains.diverging.sum()),
        e_bfmi=float((steps / chains.energy.var(axis=1)).min()),
        draws=chains.diverging.size,
        sampler=chains.sampler,
    )


def fit_nuts(
    design: Design,
    layout: Layout,
    nodes: int,
    options: NutsOptions,
    seed: int,
    priors: Priors = Priors(),  # noqa: B008 - frozen
) -> NutsResult:
    """Fit the model of a design.

    The sampler's own draws of u serve the diagnostics alone: given each draw of (beta, v, SDs) u is
    integrated out (Rao-Blackwell), as with engine "fast", so that ratings come from the same code.

    Parameters
    ----------
    design : Design
    layout : Layout
        Of this design; the inner factor is the therapist, and with a slope or a third factor the only one.
    nodes : int
        Quadrature nodes for each therapist.
    options : NutsOptions
    seed : int
        Of the sampler and of the joint draws.
    priors : Priors

    Raises
    ------
    OptionError
        If PyMC is not installed, or if services and levels of a third factor are too many.
    """
    integrate = _integrate_more if has_more_effects(design) else _integrate
    return integrate(design, layout, nodes, options, seed, priors)


def _integrate(
    design: Design, layout: Layout, nodes: int, options: NutsOptions, seed: int, priors: Priors
) -> NutsResult:
    """With one effect a therapist and one a service."""
    chains = sample(design, options, seed, priors)
    sd, b = _kept(chains.sd, layout, options), _kept(chains.b, layout, options)
    likelihood = QuadratureLikelihood(layout, nodes)
    draws = Draws(sd, b)
    posterior, row_expected = marginalise(
        likelihood, draws, conditionals(likelihood, draws), np.full(len(sd), 1.0 / len(sd)), seed
    )
    return NutsResult(
        posterior=posterior,
        row_expected=row_expected,
        log_likelihood=marginal_log_likelihood(
            ConditionalPosterior(likelihood), posterior.beta.mean(axis=0), posterior.sd.mean(axis=0)
        ),
        diagnostics=diagnose(chains),
    )


def _integrate_more(
    design: Design, layout: Layout, nodes: int, options: NutsOptions, seed: int, priors: Priors
) -> NutsResult:
    """With a severity slope, a third factor, or both."""
    like = EffectsPosterior(design, layout, nodes, priors)
    chains = sample(design, options, seed, priors)
    sd, b = _kept(chains.sd, layout, options), _kept(chains.b, layout, options)
    D = len(sd)
    slope = np.zeros((D, 2)) if chains.slope is None else _kept(chains.slope, layout, options)
    scales = tuple(
        Scales(Sigma(float(sds[0]), float(w), float(rho)), sds)
        for sds, (w, rho) in zip(sd, slope, strict=True)
    )
    draws = EffectsDraws(np.zeros((D, 0)), b, np.zeros((D, 0)), scales, np.zeros(D))
    weights = np.full(D, 1.0 / D)
    given = condition(like, draws)
    rated = rate_draws(like, draws, given, weights)
    mean = b.mean(axis=0)[: like.n_beta]
    return NutsResult(
        posterior=marginalise_effects(like, design, draws, given, rated, weights, seed),
        row_expected=rated.row_expected,
        log_likelihood=log_likelihood_at(like, mean, mean_scales(draws, weights)),
        diagnostics=diagnose(chains),
    )


def _kept(values: FloatArray, layout: Layout, options: NutsOptions) -> FloatArray:
    """Every how-manieth draw, chain after chain: no more than there are joint draws of the effects."""
    step = thinning(options.draws, joint_draws(layout.n_inner) // options.chains)
    return values[:, ::step].reshape(-1, values.shape[-1])


def thinning(n: int, keep: int) -> int:
    """Every how-manieth of n draws leaves at most `keep`."""
    return -(-n // keep)


def _pymc() -> Any:
    """PyMC, or an error that says how to get it."""
    try:
        import pymc
    except ModuleNotFoundError as error:
        raise OptionError(
            f'engine "nuts" needs PyMC, and this environment has no {error.name}: pip install "ter[bayes]".'
        ) from error
    return pymc
