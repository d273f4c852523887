"""`ter.fit`: from a table to a fitted model."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.special import gammaln
from threadpoolctl import threadpool_limits

from ter.errors import DataError, OptionError
from ter.features import CaseMix, Design, LearnedCaseMix, build_design
from ter.features.columns import TableView
from ter.features.design import Severity
from ter.kernels.parallel import begin, map_partitions
from ter.measures import DENOMINATORS, add_outcomes
from ter.models.case_mix_means import summarise_case_mix
from ter.models.priors import Priors
from ter.models.rates import largest_predictor
from ter.models.records import FitSettings, NutsOptions, Record, library_versions
from ter.models.result import Columns, Fit, Services
from ter.models.slope_result import SeverityScale
from ter.models.solve import Solution, solve
from ter.models.start import from_earlier
from ter.models.structure import structure_of
from ter.models.summaries import summarise_deciles, summarise_months, summarise_units
from ter.options import ENGINES, Engine
from ter.sources import fingerprint, last_date

MAX_NODES: Final = 200
DEFAULT_NODES: Final = 11
#: Fewer events than this for each coefficient bias a logistic model (Peduzzi et al. 1996, J. Clin. Epi. 49).
EVENTS_A_COLUMN: Final = 10
MANY_DROPPED: Final = 3
#: The fewest nodes of engine "fast".
MIN_NODES: Final = 7
#: Linear predictors beyond this say that a covariate splits the outcomes exactly.
SEPARATED: Final = 15.0


def fit(
    table: pd.DataFrame,
    *,
    case_mix: CaseMix | LearnedCaseMix | None = CaseMix.default(),  # noqa: B008 - frozen
    outcome: str = "recovered",
    trials: str | None = None,
    completed: str | None = None,
    therapist: str = "therapist_id",
    service: str | None = "service_id",
    severity_slope: str | None = None,
    further: str | None = None,
    engine: Engine = "fast",
    nodes: int | None = None,
    seed: int = 1,
    nuts: NutsOptions | None = None,
    priors: Priors | None = None,
    start: Fit | None = None,
) -> Fit:
    """Fit the case-mix-adjusted multilevel model of recovery.

    Parameters
    ----------
    table : DataFrame
        Episodes, a row each; or any table of units, a row being a patient or, with `trials`, a group of
        patients.
    case_mix : CaseMix, LearnedCaseMix or None
        What to adjust for; None for nothing. A learned one is used as it is.
    outcome : str
        A column of 0/1 (false/true), or, with `trials`, of counts.
    trials : str, optional
        A column of counts: how many patients a row stands for.
    completed : str, optional
        The column of completed treatments, true/false or counts, which the gate looks at. By default
        ``completed`` where the table has it; else every modelled patient counts.
    therapist : str
        The column of therapists' ids, or of whatever units stand in their place.
    service : str or None
        The column of services' ids; None for no service effect. With a single service the effect is left out,
        and the record says so.
    severity_slope : str, optional
        A column of numbers, such as ``"phq9_first"``, that therapist effects may grow with: each therapist
        has a slope on it beside the effect at its mean. Put it into the case mix as well.
    further : str, optional
        The column of a third random factor beside therapists and services, such as a department or region.
    engine : {"fast", "ml", "nuts"}
        ``"fast"``: the posterior, by quadrature over each therapist. ``"ml"``: maximum likelihood.
        ``"nuts"``: the same posterior as "fast", by the No-U-Turn Sampler: the reference. It takes minutes
        and the extra ``ter[bayes]``.
    nodes : int, optional
        Quadrature nodes for each therapist: 11 unless asked otherwise. With engine "ml" 1 is the Laplace
        approximation, and the default.
    seed : int
        Of the draws of engines "fast" and "nuts".
    nuts : NutsOptions, optional
        How long engine "nuts" samples.
    priors : Priors, optional
        Of engines "fast" and "nuts", by default those of the notes below. `Fit.prior_sensitivity` tells how
        much they matter.
    start : Fit, optional
        An earlier fit of the same kind of data, such as last month's: engines "fast" and "ml" begin where it
        ended, columns and levels matched by name, and need fewer iterations for the same answer.

    Returns
    -------
    Fit

    Raises
    ------
    OptionError
        If an argument is not one that this takes, or engine "nuts" is not installed.
    DataError
        If the table cannot carry the model: a column is absent or of the wrong kind, all outcomes are equal,
        there is a single therapist.

    Notes
    -----
    The model: y ~ Binomial(n, p), logit p = x'beta + v_service + u_therapist, u ~ N(0, sigma_u^2), v ~ N(0,
    sigma_v^2); with engines "fast" and "nuts" the priors are beta ~ N(0, 2.5^2) on standardised columns
    (dummies 0/1) and half-normal(1) on each sigma.
    """
    if nodes is None:
        nodes = 1 if engine == "ml" else DEFAULT_NODES
    _check_options(engine, nodes, seed, nuts)
    if not isinstance(case_mix, CaseMix | LearnedCaseMix | None):
        raise OptionError(
            f"case_mix must be a ter.CaseMix or None, not {case_mix!r}: ter.CaseMix([...]) makes one."
        )
    if engine == "nuts" and nuts is None:
        nuts = NutsOptions()
    if engine == "ml" and priors is not None:
        raise OptionError('priors are for engines "fast" and "nuts": engine "ml" has none.')
    if not isinstance(priors, Priors | None):
        raise OptionError(f"priors must be a ter.Priors or None, not {priors!r}.")
    if not isinstance(start, Fit | None):
        raise OptionError(f"start must be an earlier fit or None, not {type(start).__name__}.")
    settings = FitSettings(
        engine,
        outcome,
        trials,
        therapist,
        service,
        nodes,
        seed,
        nuts,
        priors or Priors(),
        severity_slope,
        further,
    )
    # One thread for the linear algebra: its sums would otherwise depend on how many there are.
    with threadpool_limits(limits=1):
        return _fit(table, settings, case_mix, completed, start)


def _fit(
    table: pd.DataFrame,
    settings: FitSettings,
    case_mix: CaseMix | LearnedCaseMix | None,
    completed: str | None,
    start: Fit | None,
) -> Fit:
    """Fit with options that were checked."""
    outcome, trials, therapist, service = (
        settings.outcome,
        settings.trials,
        settings.therapist,
        settings.service,
    )
    table = with_outcome(table, outcome, trials)
    if completed is None and "completed" in table:
        completed = "completed"
    # What does not depend on the fit is made beside it.
    print_of_table = begin(lambda: fingerprint(table))
    view = TableView(table)
    # Ids are coded here, where threads can share them; they are read again and again.
    ids = [column for column in (therapist, service, settings.further) if column is not None]
    map_partitions(view.of_table, [column for column in ids if column in view.columns])
    service_effect = "not asked for"
    effect_column = service
    if service is not None:
        service_effect, effect_column = _service_effect(view, service)
    design = build_design(
        view, case_mix=case_mix, outcome=outcome, trials=trials, therapist=therapist, service=effect_column,
        severity=settings.severity_slope, further=settings.further, by_content=True, each=map_partitions,
    )  # fmt: skip
    units = begin(lambda: summarise_units(view, design, outcome, completed))
    learned = design.case_mix
    solution = solve(
        design,
        settings.engine,
        settings.nodes,
        settings.seed,
        settings.nuts,
        settings.priors,
        None if start is None else from_earlier(start, design),
    )
    services = Services((), np.zeros(0, np.int64))
    if design.service is not None:
        patients = np.bincount(design.service.index, design.trials, len(design.service.levels))
        services = Services(design.service.levels, patients.astype(np.int64))
    months = begin(lambda: summarise_months(view, design, completed, solution.row_expected))
    deciles = begin(lambda: summarise_deciles(design, solution.row_expected))
    return Fit(
        settings=settings,
        record=_record(design, learned, service_effect, solution),
        columns=Columns(design.columns, design.centre, design.scale),
        case_mix=learned,
        posterior=solution.posterior,
        estimates=solution.estimates,
        units=units(),
        services=services,
        months=months(),
        deciles=deciles(),
        case_mix_means=summarise_case_mix(view, design, solution.beta, solution.row_expected),
        fingerprint=print_of_table(),
        known_until=last_date(table),
        severity=severity_scale(design),
        further=None if design.further is None else Services(
            design.further.levels,
            np.bincount(design.further.index, design.trials, len(design.further.levels)).astype(np.int64),
        ),
    )  # fmt: skip


def severity_scale(design: Design) -> SeverityScale | None:
    """How severity was standardised, and its usual range; None without a slope."""
    if design.severity is None:
        return None
    s = design.severity
    low, high = s.centre + s.scale * np.quantile(s.values, (0.01, 0.99))
    return SeverityScale(s.column, s.centre, s.scale, float(low), float(high))


def with_outcome(table: pd.DataFrame, outcome: str, trials: str | None) -> pd.DataFrame:
    """The table, with clinical outcomes where it lacks the one that is asked for."""
    if outcome in DENOMINATORS and outcome not in table and trials is None:
        return add_outcomes(table)
    return table


def _record(
    design: Design, learned: LearnedCaseMix | None, service_effect: str, solution: Solution
) -> Record:
    """What the fit says of itself."""
    notes = [] if learned is None else list(learned.notes)
    if design.severity is not None:
        notes += _notes_on_severity(design.severity, learned)
    if learned is not None:
        notes += _dropped(learned)
    recovered = design.successes.sum()
    few = min(recovered, design.trials.sum() - recovered) / len(design.columns)
    if few < EVENTS_A_COLUMN:
        notes.append(
            f"The data are small for the case mix: its {len(design.columns)} columns have {few:.1f} "
            f"recoveries (or failures) each, where {EVENTS_A_COLUMN} are wanted. Effects and their spread "
            "come out too large; use fewer terms, or more months."
        )
    if largest_predictor(design.X, solution.beta) > SEPARATED:
        notes.append(
            "A covariate may split the outcomes exactly (separation): some are predicted beyond doubt."
        )
    y, n = design.successes, design.trials
    several = n > 1.0
    y, n = y[several], n[several]
    constants = float((gammaln(n + 1.0) - gammaln(y + 1.0) - gammaln(n - y + 1.0)).sum())
    return Record(
        converged=solution.converged,
        iterations=solution.iterations,
        gradient_norm=solution.gradient_norm,
        log_likelihood=solution.log_likelihood + constants,
        certificate=solution.certificate,
        draws=0 if solution.posterior is None else solution.posterior.weights.size,
        singular=solution.singular,
        n_rows=design.n_rows,
        n_modelled=len(design.rows),
        left_out=design.left_out,
        service_effect=service_effect,
        notes=(*notes, *solution.notes),
        versions=library_versions(None if solution.diagnostics is None else solution.diagnostics.sampler),
        diagnostics=solution.diagnostics,
        structure=structure_of(design).value,
    )


def _notes_on_severity(severity: Severity, learned: LearnedCaseMix | None) -> list[str]:
    """What is to be known of the severity slope."""
    notes = []
    if learned is None or severity.column not in learned.reads:
        notes.append(
            f"The case mix has no term of {severity.column}: the slopes vary around zero, not around the "
            "network's own slope. Put it into the case mix."
        )
    if severity.missing:
        notes.append(f"{severity.column} is missing in {severity.missing} modelled rows: taken for its mean.")
    return notes


def _dropped(learned: LearnedCaseMix) -> list[str]:
    """Columns that carry nothing of their own: in a line if they are many."""
    if len(learned.dropped) > MANY_DROPPED:
        names = ", ".join(column for column, _ in learned.dropped)
        return [f"Left out of the case mix, as constant or a combination of other columns: {names}."]
    return [f"Left out of the case mix: {column} ({reason})." for column, reason in learned.dropped]


def _service_effect(view: TableView, service: str) -> tuple[str, str | None]:
    """Whether the table carries a service effect: what the record says, and the column if it does."""
    if service not in view.columns:
        raise DataError(
            f'The table has no column "{service}": name the column of services, or use service=None.'
        )
    codes, levels = view.of_table(service)
    if len(levels) == 1 and (codes == 0).all():
        return "left out, because the data have a single service", None
    return "included", service


def _check_options(engine: str, nodes: int, seed: int, nuts: NutsOptions | None) -> None:
    """Refuse arguments that this does not take."""
    if engine not in ENGINES:
        raise OptionError(f'engine must be one of {", ".join(ENGINES)}, not "{engine}".')
    if not isinstance(nodes, int) or isinstance(nodes, bool) or not 1 <= nodes <= MAX_NODES:
        raise OptionError(f"nodes must be a whole number from 1 to {MAX_NODES}, not {nodes!r}.")
    if engine != "ml" and nodes < MIN_NODES:
        raise OptionError(
            f'engine "{engine}" needs at least {MIN_NODES} nodes, not {nodes}: fewer break down at extremes.'
        )
    if nuts is not None and engine != "nuts":
        raise OptionError(f'nuts is for engine "nuts", not for engine "{engine}".')
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise OptionError(f"seed must be a whole number from 0 to 2^64 - 1, not {seed!r}.")
