"""Simulated networks: the model, the rules, the counts, and independence of threads and subsets."""

import datetime
import math

import numba
import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from scipy import stats

from ter.errors import OptionError
from ter.kernels import patients
from ter.measures import OUTCOME_COLUMNS, add_outcomes
from ter.schema import validate_episodes, validate_sessions, validate_therapists
from ter.simulation import Scenario, caseloads, count_outcomes, room, simulate
from ter.simulation.population import Problem
from ter.simulation.tables import score_shares
from ter.sources import episodes_from_sessions

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
LAST_SEED = MASK

ENGLAND = Scenario.preset("england_2024_25", n_therapists=300, n_services=12, mean_caseload=40)
# Every optional dependence at work: slopes on severity, much that is not recorded, many specific measures.
RICH = ENGLAND.replace(
    severity_slope_sd=0.3,
    imd_unrecorded=0.2,
    wsas_unrecorded=0.3,
    missing_last=0.2,
    problems=tuple(
        Problem(f"p{k}", 0.25, effect, 14.0, 6.5, 12.5, 5.5, measure, 0.7 if measure else 0.0)
        for k, (effect, measure) in enumerate([(0.0, ""), (-0.5, "pcl5"), (0.3, "pswq"), (0.1, "oci")])
    ),
)


@pytest.fixture(scope="module")
def england():
    return simulate(ENGLAND, 1, sessions=True)


@pytest.fixture(scope="module")
def rich():
    return simulate(RICH, 5, sessions=True)


@pytest.fixture(scope="module")
def large():
    return simulate(ENGLAND.replace(n_therapists=1500, n_services=60, mean_caseload=100), 11)


# --- an independent implementation of the draws, in Python's own integers ---


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def drawn_word(seed, stream, therapist, counter):
    start = mix((seed + GOLDEN) & MASK)
    start = mix((start + (stream + 1) * GOLDEN) & MASK)
    start = mix((start + (therapist + 1) * GOLDEN) & MASK)
    step = mix((start + GOLDEN) & MASK) | 1
    if bin(step ^ (step >> 1)).count("1") < 24:
        step ^= 0xAAAAAAAAAAAAAAAA
    return mix((start + step * counter) & MASK)


def true_log_odds(sim):
    """The model of recovery, from the columns of the table and the scenario's coefficients."""
    scenario, episodes = sim.scenario, sim.episodes
    effects, terms = scenario.effects, scenario.coefficients()
    eta = np.full(len(episodes), terms["intercept"])
    for column in ("phq9_first", "gad7_first", "age", "prior_episodes", "wait_days"):
        eta += terms[column] * episodes[column].to_numpy(float)
    for column, stand_in, missing in (
        ("wsas_first", 18, effects.wsas_missing),
        ("imd_decile", 5, effects.imd_missing),
    ):
        known = episodes[column].to_numpy(float, na_value=np.nan)
        eta += terms[column] * np.where(np.isnan(known), stand_in, known) + np.where(
            np.isnan(known), missing, 0
        )
    for column in ("problem", *(factor.column for factor in scenario.population.factors)):
        for level in episodes[column].fillna("missing").unique():
            eta += (
                terms.get(f"{column}[{level}]", 0.0)
                * (episodes[column].fillna("missing") == level).to_numpy()
            )
    therapists, services = sim.therapists.set_index("therapist_id"), sim.services.set_index("service_id")
    eta += therapists["effect"].reindex(episodes["therapist_id"]).to_numpy()
    slope = therapists["severity_slope"].reindex(episodes["therapist_id"]).to_numpy()
    eta += slope * (episodes["phq9_first"].to_numpy(float) - 14) / 6
    return eta + services["effect"].reindex(episodes["service_id"]).to_numpy()


@pytest.mark.parametrize("which", ["england", "rich"])
def test_probability_is_the_model_exactly(which, request):
    sim = request.getfixturevalue(which)
    # Rounding alone: some thirty terms of size 1. What is drawn holds it to 1e-6 (tests of the kernels).
    exact = 1 / (1 + np.exp(-true_log_odds(sim)))
    assert np.abs(sim.probability - exact).max() < 1e-13


@pytest.mark.parametrize("which", ["england", "rich"])
def test_rules_recover_the_drawn_outcome_from_the_scores(which, request):
    sim = request.getfixturevalue(which)
    episodes = sim.episodes
    number = episodes["episode_id"].str.extract(r"^E(\d+)-(\d+)$").astype(int) - 1
    words = np.array(
        [
            drawn_word(sim.seed, patients.STREAM_PATIENT, j, patients.WORDS * i + patients.WORD_START_OUTCOME)
            for j, i in zip(number[0], number[1], strict=True)
        ]
    )
    u = (words % 2**32 + 0.5) / 2.0**32
    # The kernel's exponential is exact to 3e-7: next to the probability it may decide otherwise.
    sure = np.abs(u - sim.probability) > 1e-6
    assert sure.mean() > 0.999
    drawn = u < sim.probability
    counted = (episodes["completed"] & episodes["at_caseness"]).to_numpy()
    assert counted.sum() > 5000
    assert np.array_equal(episodes["recovered"].to_numpy(bool)[sure], (drawn & counted)[sure])


def test_no_last_score_counts_as_not_recovered(rich):
    completed = rich.episodes[rich.episodes["completed"]]
    missing = completed["phq9_last"].isna()
    # 20% of those who did not recover and have no specific measure.
    candidates = completed[~completed["recovered"].astype(bool) & completed["anxiety_measure"].isna()]
    rate = missing.sum() / len(candidates)
    assert abs(rate - 0.2) < 4 * math.sqrt(0.2 * 0.8 / len(candidates))
    assert not completed.loc[missing, "recovered"].any()
    excluded = add_outcomes(rich.episodes, missing_outcome="exclude").loc[completed.index, "recovered"]
    assert excluded.isna().sum() == (missing & completed["at_caseness"]).sum()


@pytest.mark.parametrize("which", ["england", "rich"])
def test_tables_are_valid_and_canonical(which, request):
    sim = request.getfixturevalue(which)
    raw = sim.episodes.drop(columns=list(OUTCOME_COLUMNS))
    assert_frame_equal(validate_episodes(raw), raw)
    assert_frame_equal(validate_sessions(sim.sessions), sim.sessions)
    assert_frame_equal(validate_therapists(sim.therapists), sim.therapists)
    assert_frame_equal(add_outcomes(raw), sim.episodes)


@pytest.mark.parametrize("which", ["england", "rich"])
def test_sessions_tell_the_same_as_episodes(which, request):
    sim = request.getfixturevalue(which)
    # The derivation of episodes from sessions knows nothing of the simulation.
    assert_frame_equal(episodes_from_sessions(sim.episodes, sim.sessions)[sim.episodes.columns], sim.episodes)


def test_sessions_lie_between_start_and_end(england):
    plan = ENGLAND.network
    by_episode = england.sessions.groupby("episode_id")["date"].agg(["min", "max"])
    episodes = england.episodes.set_index("episode_id")
    assert (by_episode["min"] == episodes["start_date"]).all()
    ended = episodes["end_date"].notna()
    assert (by_episode["max"] == episodes["end_date"])[ended].all()
    assert by_episode["max"].max() <= pd.Timestamp(plan.end)
    assert england.sessions["date"].dt.day_of_week.max() <= 4
    assert not england.sessions["session_id"].duplicated().any()


def test_in_treatment_at_the_end(england):
    episodes = england.episodes
    open_still = episodes["end_date"].isna()
    assert 0.02 < open_still.mean() < 0.2
    assert episodes.loc[open_still, "end_reason"].isna().all()
    assert not episodes.loc[open_still, "completed"].any()
    # A course of one session was never completed, and has no last score: no change can be seen.
    once = episodes["n_sessions"] == 1
    assert (episodes.loc[once & ~open_still, "end_reason"] == "dropped_out").all()
    assert episodes.loc[once, ["phq9_last", "gad7_last", "anxiety_last"]].isna().all(axis=None)


def test_nothing_in_the_episodes_tells_the_truth(england):
    assert not {"probability", "effect", "severity"} & set(england.episodes.columns)


def test_therapists_join_during_the_period(large):
    therapists = large.therapists
    plan = large.scenario.network
    joined = therapists["joined_date"] > pd.Timestamp(plan.start)
    n = len(therapists)
    assert abs(joined.mean() - plan.joining) < 4 * math.sqrt(plan.joining * (1 - plan.joining) / n)
    first = large.episodes.groupby("therapist_id")["start_date"].min()
    since = therapists.set_index("therapist_id")["joined_date"].reindex(first.index)
    assert (first >= since).all()
    # Joiners are there for half of the period on average, and have half as many patients; so it is with
    # leavers.
    left = therapists["left_date"].notna()
    assert abs(left.mean() - plan.leaving) < 4 * math.sqrt(plan.leaving * (1 - plan.leaving) / n)
    stayed = therapists["n_episodes"][~joined & ~left].mean()
    assert abs(therapists["n_episodes"][joined & ~left].mean() / stayed - 0.5) < 0.08
    assert abs(therapists["n_episodes"][~joined & left].mean() / stayed - 0.5) < 0.08
    last = large.episodes.groupby("therapist_id")["start_date"].max()
    until = therapists.set_index("therapist_id")["left_date"].reindex(last.index)
    assert (last <= until)[until.notna()].all()
    assert (therapists["left_date"] >= therapists["joined_date"])[left].all()
    assert abs(therapists["n_episodes"].mean() / plan.mean_caseload - 1) < 4 * 0.75 / math.sqrt(n)


def test_starts_follow_the_season():
    plan = ENGLAND.network
    season = (1.5, 1, 1, 1, 1, 1, 1, 0.5, 1, 1, 1, 0.8)
    sim = simulate(ENGLAND.replace(season=season, joining=0, leaving=0, n_therapists=2000), 8)
    days = pd.bdate_range(plan.start, plan.last_start)
    weights = pd.Series(np.array(season)[days.month - 1], days)
    counts = sim.episodes["start_date"].value_counts().reindex(days, fill_value=0)
    assert counts.sum() == len(sim.episodes)  # never on a weekend
    expected = weights / weights.sum() * len(sim.episodes)
    assert stats.chisquare(counts, expected).pvalue > 1e-4


# --- the model, statistically; fixed seeds, |z| below 4 (a right program fails 1 in 16,000) ---


def z_of_sum(recovered, probability):
    return (recovered - probability).sum() / math.sqrt((probability * (1 - probability)).sum())


def test_outcomes_follow_their_probabilities(large):
    counted = (large.episodes["completed"] & large.episodes["at_caseness"]).to_numpy()
    y = large.episodes["recovered"].to_numpy(float)[counted]
    p = large.probability[counted]
    assert abs(z_of_sum(y, p)) < 4
    for column in ("phq9_first", "age", "imd_decile", "wait_days", "n_sessions"):
        groups = pd.qcut(large.episodes[column].to_numpy(float, na_value=5)[counted], 10, duplicates="drop")
        for _, rows in pd.Series(np.arange(y.size)).groupby(groups, observed=True):
            assert abs(z_of_sum(y[rows], p[rows])) < 4
    # Each therapist's z has mean 0 and SD 1; the SD of that SD is 1 / sqrt(2 n).
    therapist = large.episodes["therapist_id"].to_numpy()[counted]
    frame = pd.DataFrame({"d": y - p, "v": p * (1 - p)}).groupby(therapist).sum()
    z = (frame["d"] / np.sqrt(frame["v"]))[frame["v"] > 3]
    assert abs(z.std() - 1) < 4 / math.sqrt(2 * len(z))
    assert abs(z.mean()) < 4 / math.sqrt(len(z))


def test_effects_have_the_spread_of_the_scenario():
    sim = simulate(ENGLAND.replace(n_therapists=20_000, n_services=5_000, mean_caseload=0), 3)
    for values, sd in (
        (sim.therapists["effect"], 0.416),
        (sim.services["effect"], 0.15),
        (sim.therapists["severity_shift"], 0.25),
        (sim.services["severity_shift"], 0.1),
        (sim.services["deprivation_tilt"], 0.12),
    ):
        assert stats.kstest(values / sd, "norm").pvalue > 1e-4
    pairs = sim.therapists[["effect", "severity_shift"]].corr().to_numpy()[0, 1]
    assert abs(pairs) * math.sqrt(20_000) < 4


def test_harder_and_easier_caseloads(large):
    """Therapists and services differ in whom they see, as their shift says: there is something to adjust."""
    scores = large.episodes[["therapist_id", "phq9_first"]].astype({"phq9_first": float})
    mean = scores.groupby("therapist_id")["phq9_first"].agg(["mean", "size"])
    shift = large.therapists.set_index("therapist_id")["severity_shift"].reindex(mean.index)
    enough = mean["size"] > 30
    slope, _, r, _, error = stats.linregress(shift[enough], mean["mean"][enough])
    assert r > 0.6
    # What the tables of scores say of a shift from -0.25 to 0.25, about the mean shift of 0.
    population = large.scenario.population
    by_severity = np.einsum(
        "k,kspg,p->s", [p.share for p in population.problems], score_shares(population), np.arange(28)
    )
    expected = (by_severity[22] - by_severity[18]) / 0.5
    assert abs(slope - expected) < 4 * error + 0.1  # the line bends a little


def test_population_shares(large):
    episodes, population = large.episodes, large.scenario.population
    n = len(episodes)

    def agrees(observed, share, spread=1.0):
        # `spread` widens the binomial SD where therapists or services differ in whom they see.
        assert abs(observed - share) < 4 * spread * math.sqrt(share * (1 - share) / n) + 1e-9

    for problem in population.problems:
        agrees((episodes["problem"].fillna("") == problem.name).mean(), problem.share)
    for factor in population.factors:
        for level in factor.levels:
            agrees((episodes[factor.column].fillna("") == level.name).mean(), level.share, 3)
    for k, share in enumerate(population.prior_episodes):
        agrees((episodes["prior_episodes"] == k).mean(), share)
    for band in population.ages:
        agrees(episodes["age"].between(band.low, band.high).mean(), band.share)
    for band in population.waits:
        agrees(episodes["wait_days"].between(band.low, band.high).mean(), band.share)
    agrees(episodes["imd_decile"].isna().mean(), population.imd_unrecorded)
    agrees(episodes["wsas_first"].isna().mean(), population.wsas_unrecorded)
    home = (
        large.therapists.set_index("therapist_id")["service_id"].reindex(episodes["therapist_id"]).to_numpy()
    )
    agrees((episodes["service_id"] != home).mean(), large.scenario.network.crossing)


def test_completion_follows_its_model():
    scenario = ENGLAND.replace(
        n_therapists=500, mean_caseload=200, completion_therapist_sd=0, imd_unrecorded=0
    )
    # Followed until every course has ended.
    plan = scenario.network
    scenario = scenario.replace(end=plan.end.replace(year=plan.end.year + 3))
    episodes = simulate(scenario, 9).episodes
    assert episodes["end_date"].notna().all()
    c = scenario.courses
    eta = math.log(c.completion / (1 - c.completion)) + c.completion_by_age * (episodes["age"] - 40) / 10
    eta += c.completion_by_imd * (episodes["imd_decile"].astype(float) - 5)
    eta += c.completion_by_phq9 * (episodes["phq9_first"].astype(float) - 14)
    p = 1 / (1 + np.exp(-eta.to_numpy()))
    done = episodes["completed"].to_numpy(float)
    assert abs(z_of_sum(done, p)) < 4
    for _, rows in pd.Series(np.arange(p.size)).groupby(pd.qcut(p, 10), observed=True):
        assert abs(z_of_sum(done[rows], p[rows])) < 4
    sessions = episodes.loc[episodes["completed"], "n_sessions"].to_numpy(float)
    assert abs(sessions.mean() - c.sessions_mean) < 4 * sessions.std() / math.sqrt(sessions.size)
    for column, mean in (("n_dna", c.dna_mean), ("n_cancelled", c.cancelled_mean)):
        assert abs(episodes[column].mean() - mean) < 4 * math.sqrt(mean / len(episodes))


# --- the same bits ---


def assert_same(one, other):
    for name in ("episodes", "sessions", "therapists", "services"):
        assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert np.array_equal(one.probability, other.probability)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="numba was started with one thread only")
def test_threads_change_nothing(rich):
    before = numba.get_num_threads()
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            assert_same(simulate(RICH, 5, sessions=True), rich)
    finally:
        numba.set_num_threads(before)


def test_a_subset_of_therapists_gets_the_rows_of_the_whole(rich):
    numbers = [250, 3, 77]
    some = simulate(RICH, 5, sessions=True, therapists=numbers)
    ids = [f"T{number + 1:03d}" for number in numbers]
    assert some.therapists["therapist_id"].tolist() == ids
    for name in ("episodes", "sessions", "therapists"):
        whole, part = getattr(rich, name), getattr(some, name)
        expected = pd.concat([whole[whole["therapist_id"] == id_] for id_ in ids], ignore_index=True)
        assert_frame_equal(part, expected, check_exact=True)
    assert_frame_equal(some.services, rich.services, check_exact=True)
    counts = count_outcomes(RICH, 5).set_index("therapist_id").loc[ids].reset_index()
    assert_frame_equal(count_outcomes(RICH, 5, therapists=numbers), counts)


def test_more_therapists_leave_the_others_as_they_were(rich):
    # The number of therapists is in no draw; ids have the same width up to 999.
    more = simulate(RICH.replace(n_therapists=301), 5)
    first = more.episodes["therapist_id"] != "T301"
    assert_frame_equal(more.episodes[first], rich.episodes, check_exact=True)


def test_another_seed_is_another_network(england):
    other = simulate(ENGLAND, 2)
    assert not np.intersect1d(other.therapists["effect"], england.therapists["effect"]).size
    assert abs(np.corrcoef(other.therapists["effect"], england.therapists["effect"])[0, 1]) < 4 / math.sqrt(
        300
    )


def counts_of(sim):
    """Counts of the table, by pandas alone."""
    episodes = sim.episodes
    counted = episodes["completed"] & episodes["at_caseness"]
    columns = pd.DataFrame(
        {
            "n_episodes": 1,
            "n_completed": episodes["completed"].astype(int),
            "n_at_caseness": counted.astype(int),
            "n_recovered": episodes["recovered"].astype(int),
        }
    )
    by_therapist = columns.groupby(episodes["therapist_id"]).sum()
    return by_therapist.reindex(sim.therapists["therapist_id"], fill_value=0)


@pytest.mark.parametrize("seed", [0, 1, 123, 2**63, LAST_SEED])
@pytest.mark.parametrize(
    "scenario",
    [
        ENGLAND.replace(n_therapists=50),
        RICH.replace(n_therapists=50),
        RICH.replace(n_therapists=2, mean_caseload=2500),  # caseloads of several blocks
        RICH.replace(n_therapists=1500, mean_caseload=1),  # hundreds of caseloads in a block
    ],
)
def test_counts_are_those_of_the_table(scenario, seed):
    counts = count_outcomes(scenario, seed).set_index("therapist_id")
    expected = counts_of(simulate(scenario, seed))
    assert np.array_equal(counts.to_numpy(), expected.to_numpy())
    assert counts.columns.tolist() == expected.columns.tolist()
    assert counts.index.tolist() == expected.index.tolist()
    assert counts["n_recovered"].sum() > 100


# --- the edges ---


def test_zero_patients():
    sim = simulate(ENGLAND.replace(mean_caseload=0), 1, sessions=True)
    assert len(sim.episodes) == len(sim.sessions) == 0
    assert len(sim.therapists) == 300
    full = simulate(ENGLAND.replace(n_therapists=3), 1, sessions=True)
    assert (sim.episodes.dtypes == full.episodes.dtypes).all()
    assert (sim.sessions.dtypes == full.sessions.dtypes).all()
    counts = count_outcomes(ENGLAND.replace(mean_caseload=0), 1)
    assert (counts.drop(columns="therapist_id") == 0).all(axis=None)


def test_some_therapists_without_patients():
    sim = simulate(ENGLAND.replace(mean_caseload=1.0), 4)
    counts = count_outcomes(ENGLAND.replace(mean_caseload=1.0), 4)
    assert (counts["n_episodes"] == 0).any()
    assert counts["n_episodes"].sum() == len(sim.episodes) > 0
    assert len(counts) == 300


def test_one_therapist_in_one_service():
    sim = simulate(ENGLAND.replace(n_therapists=1, n_services=1), 1)
    assert sim.episodes["therapist_id"].unique().tolist() == ["T001"]
    assert sim.episodes["service_id"].unique().tolist() == ["S01"]


def test_no_therapist_asked_for():
    assert len(simulate(ENGLAND, 1, therapists=[]).episodes) == 0


def test_a_population_without_factors():
    sim = simulate(ENGLAND.replace(factors=(), n_therapists=10), 1, sessions=True)
    assert "step" not in sim.episodes and "modality" not in sim.sessions
    assert len(validate_episodes(sim.episodes)) == len(sim.episodes) > 0


def test_everyone_the_same_number_and_everyone_completes():
    scenario = ENGLAND.replace(caseload_cv=0, joining=0, leaving=0, mean_caseload=20, completion=1.0)
    sim = simulate(scenario, 1)
    assert (sim.therapists["n_episodes"] == 20).all()
    assert (sim.episodes["end_date"].isna() | sim.episodes["completed"]).all()
    nobody = simulate(scenario.replace(completion=0.0), 1)
    assert not nobody.episodes["completed"].any()


def test_one_day():
    day = ENGLAND.network.start
    sim = simulate(ENGLAND.replace(last_start=day, end=day, n_therapists=20), 1, sessions=True)
    assert (sim.episodes["start_date"] == pd.Timestamp(day)).all()
    assert (sim.episodes["n_sessions"] == 1).all()


def test_a_weekend_alone_has_starts_on_its_days():
    saturday = datetime.date(2025, 3, 1)
    weekend = ENGLAND.replace(
        start=saturday,
        last_start=saturday + datetime.timedelta(days=1),
        joining=0,
        leaving=0,
        n_therapists=20,
    )
    assert set(simulate(weekend, 1).episodes["start_date"].dt.day_name()) == {"Saturday", "Sunday"}


def test_with_no_last_scores_those_with_a_specific_measure_have_theirs():
    # As `Courses.missing_last` says: 91% of those who complete and do not recover.
    episodes = simulate(ENGLAND.replace(n_services=60, mean_caseload=200, missing_last=1.0), 1).episodes
    left = episodes[episodes["completed"] & ~episodes["recovered"].astype(bool)]
    assert np.array_equal(left["phq9_last"].isna(), left["anxiety_measure"].isna())
    assert np.array_equal(left["gad7_last"].isna(), left["anxiety_measure"].isna())
    assert left["phq9_last"].isna().mean() == pytest.approx(0.91, abs=0.01)


def test_wide_networks_have_wide_ids():
    sim = simulate(ENGLAND.replace(n_therapists=1000, n_services=100, mean_caseload=0.2), 1)
    assert sim.therapists["therapist_id"].iloc[[0, -1]].tolist() == ["T0001", "T1000"]
    assert sim.services["service_id"].iloc[[0, -1]].tolist() == ["S001", "S100"]


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(OptionError, match="seed must be a whole number from 0 to 18446744073709551615"):
        simulate(ENGLAND, seed)
    with pytest.raises(OptionError, match="seed"):
        count_outcomes(ENGLAND, seed)


@pytest.mark.parametrize(
    "numbers",
    [[-1], [300], [1, 1], ["T01"], "T01", 3, [1.5], [True], [[1]], [[1], [2, 3]], [2**63], [10**400]],
)
def test_bad_therapists_are_refused(numbers):
    with pytest.raises(OptionError, match=r"different numbers from 0 to 299, such as range\(10\), not "):
        simulate(ENGLAND, 1, therapists=numbers)


@pytest.mark.parametrize("scenario", ["england_2024_25", None, {}])
@pytest.mark.parametrize("work", [simulate, count_outcomes])
def test_what_is_no_scenario_is_refused(work, scenario):
    with pytest.raises(OptionError, match=r"must be a ter.Scenario, not .*ter.Scenario.preset\(name\)"):
        work(scenario, 1)


def test_a_network_that_does_not_fit_in_memory_is_refused(monkeypatch):
    def refuse(size):
        raise MemoryError

    n = int(count_outcomes(ENGLAND, 1)["n_episodes"].sum())
    monkeypatch.setattr(room, "lend", refuse)
    with pytest.raises(
        OptionError, match=f"memory for {n:,} episodes .* GB. .*stream_simulation, or --stream"
    ):
        simulate(ENGLAND, 1)


def test_a_network_larger_than_the_machine_is_refused_before_the_system_ends_the_process(monkeypatch):
    n = int(count_outcomes(ENGLAND, 1)["n_episodes"].sum())
    # Room for the episodes, and not for their appointments.
    monkeypatch.setattr(caseloads, "memory_of_machine", lambda: 400.0 * n)
    assert len(simulate(ENGLAND, 1).episodes) == n
    with pytest.raises(
        OptionError, match=f"memory for {n:,} episodes with their appointments at once, .* GB"
    ):
        simulate(ENGLAND, 1, sessions=True)


def test_no_network_with_appointments_is_refused_that_would_fit():
    sessions = simulate(ENGLAND, 1, sessions=True).sessions
    held = sessions.memory_usage(deep=True).sum() / len(sessions)
    # Beside the table, what it is made of: eight numbers of four bytes, and words before they are one column.
    # pandas before its third version holds more.
    assert 2 * held > caseloads.BYTES_AN_APPOINTMENT
