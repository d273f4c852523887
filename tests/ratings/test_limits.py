"""Funnel limits against R's answers, FunnelPlotR, and definitions computed by brute force."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, poisson

from ter.errors import DataError, OptionError
from ter.ratings.funnel import FunnelOptions, funnel, funnel_adjusted, funnel_ratio
from ter.ratings.limits import exact_binomial, overdispersion, step_binomial, step_poisson, winsorise

TAILS = {"l95": (0, "lower"), "u95": (0, "upper"), "l998": (1, "lower"), "u998": (1, "upper")}
PROPORTIONS = {"medpar_died": "funnel", "nhs_tt_2324_recovery": "nhs_tt/funnel"}
#: R's answers are printed with 15 digits; z-scores of the large NHS providers lose some in subtraction.
TOLERANCE = 1e-9


@pytest.fixture(params=PROPORTIONS)
def proportions(request, reference_data):
    folder = reference_data / PROPORTIONS[request.param]
    units = pd.read_csv(folder / f"{request.param}_units.csv")
    answers = json.loads((folder / f"{request.param}.json").read_text())
    return units, answers, pd.read_csv(folder / f"{request.param}_grid.csv")


def _same(result, limits, column):
    for tail, (level, side) in TAILS.items():
        np.testing.assert_allclose(
            getattr(result, side)[level], limits[f"{column}_{tail}"], rtol=0, atol=TOLERANCE
        )


@pytest.mark.reference
@pytest.mark.parametrize("limits", ["exact", "step", "normal"])
def test_limits_by_chance_alone_are_those_of_r(proportions, limits):
    units, answers, _ = proportions
    result = funnel(units["r"], units["n"], FunnelOptions(limits=limits))
    assert result.target == pytest.approx(answers["target"], abs=TOLERANCE)
    np.testing.assert_allclose(result.values, units["p"], rtol=1e-14)
    _same(result, units, limits)
    if limits == "exact":
        for level, name in enumerate(("exact95", "exact998")):
            below, above = (int((result.outside[level] == side).sum()) for side in (-1, 1))
            assert [below, above] == answers["outside"][name]


@pytest.mark.reference
def test_curves_are_those_of_r(proportions):
    units, _, grid = proportions
    for limits in ("exact", "step"):
        lower, upper = funnel(units["r"], units["n"], FunnelOptions(limits=limits)).curve(grid["n"])
        for tail, (level, side) in TAILS.items():
            got = {"lower": lower, "upper": upper}[side][level]
            np.testing.assert_allclose(got, grid[f"{limits}_{tail}"], rtol=0, atol=TOLERANCE)


@pytest.mark.reference
@pytest.mark.parametrize("scale", ["identity", "arcsine", "logit"])
def test_overdispersed_limits_are_those_of_r(proportions, scale):
    units, answers, _ = proportions
    result = funnel(units["r"], units["n"], FunnelOptions(overdispersion="additive", scale=scale))
    expected = answers["overdispersion"][scale]
    assert result.phi == pytest.approx(expected["phi"], abs=TOLERANCE)
    assert result.tau2 == pytest.approx(expected["tau2"], abs=TOLERANCE)
    np.testing.assert_allclose(result.z, units[f"z_{scale}"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(result.z_adjusted, units[f"zod_{scale}"], rtol=0, atol=TOLERANCE)
    _same(result, units, f"od_{scale}")
    for level, name in enumerate((f"od_{scale}95", f"od_{scale}998")):
        if name in answers["outside"]:
            below, above = (int((result.outside[level] == side).sum()) for side in (-1, 1))
            assert [below, above] == answers["outside"][name]


@pytest.mark.reference
def test_without_winsorising_the_overdispersion_is_that_of_r(proportions):
    units, answers, _ = proportions
    result = funnel(units["r"], units["n"], FunnelOptions(scale="identity", trim=0))
    assert result.phi == pytest.approx(answers["identity_unwinsorised"]["phi"], abs=TOLERANCE)
    assert result.tau2 == pytest.approx(answers["identity_unwinsorised"]["tau2"], abs=TOLERANCE)


@pytest.mark.reference
@pytest.mark.parametrize("name", ["medpar_smr", "medpar_los_sr"])
def test_ratios_are_those_of_r(name, reference_data):
    units = pd.read_csv(reference_data / "funnel" / f"{name}_units.csv")
    answers = json.loads((reference_data / "funnel" / f"{name}.json").read_text())["overdispersion"]
    _same(funnel_ratio(units["O"], units["E"]), units, "poisson")
    for scale in ("sqrt", "log"):
        result = funnel_ratio(units["O"], units["E"], FunnelOptions(overdispersion="additive", scale=scale))
        assert result.phi == pytest.approx(answers[scale]["phi"], abs=TOLERANCE)
        assert result.tau2 == pytest.approx(answers[scale]["tau2"], abs=TOLERANCE)
        np.testing.assert_allclose(result.z, units[f"z_{scale}"], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(result.z_adjusted, units[f"zod_{scale}"], rtol=0, atol=TOLERANCE)


@pytest.mark.reference
def test_funnelplotr_says_the_same(reference_data):
    folder = reference_data / "funnel"
    answers = json.loads((folder / "FunnelPlotR_crosscheck.json").read_text())
    died = pd.read_csv(folder / "medpar_died_units.csv")
    options = FunnelOptions(overdispersion="additive", scale="arcsine")
    ours, theirs = funnel(died["r"], died["n"], options), answers["medpar_died_PR"]
    assert (ours.target, ours.phi, ours.tau2) == pytest.approx(
        (theirs["target"], theirs["phi"], theirs["tau2"]), abs=TOLERANCE
    )
    lines = pd.read_csv(folder / "FunnelPlotR_medpar_died_PR_limits.csv")
    lower, upper = ours.curve(lines["number_seq"])
    # It writes the normal points with six decimals, which moves a limit by some 1e-8. Its limits at the
    # smallest sizes are wrong where the arcsine leaves its range: there they turn back inside.
    more = lines["number_seq"] >= 10
    for level, tail in enumerate(("95", "998")):
        np.testing.assert_allclose(lower[level][more], lines[f"odll{tail}"][more], atol=1e-7)
        np.testing.assert_allclose(upper[level][more], lines[f"odul{tail}"][more], atol=1e-7)

    los = pd.read_csv(folder / "medpar_los_sr_units.csv")
    root = funnel_ratio(los["O"], los["E"], FunnelOptions(overdispersion="additive", scale="sqrt"))
    theirs = answers["medpar_los_SR_CQC"]
    assert (root.phi, root.tau2) == pytest.approx((theirs["phi"], theirs["tau2"]), abs=TOLERANCE)


def _brute_quantile(cdf, p):
    r = 0
    while cdf(r) < p:
        r += 1
    return r


@pytest.mark.parametrize("p", [0.001, 0.025, 0.975, 0.999])
def test_exact_limits_by_their_definition(p):
    n = np.array([1.0, 5.0, 17.0, 60.0])
    for target in (0.05, 0.5, 0.73):
        steps, exact = step_binomial(target, n, p), exact_binomial(target, n, p)
        for i, size in enumerate(n):
            # Sums of the probabilities themselves.
            below = np.cumsum(binom.pmf(np.arange(size + 1), size, target))
            r = _brute_quantile(lambda k, below=below: below[k] + 1e-15, p)
            before = below[r - 1] if r else 0.0
            share = (below[r] - p) / (below[r] - before)
            assert steps[i] == r / size
            assert exact[i] == pytest.approx(np.clip((r - share) / size, 0, 1), abs=1e-12)


@pytest.mark.parametrize("p", [0.001, 0.025, 0.975, 0.999])
def test_plain_poisson_limits_by_their_definition(p):
    for expected in (0.7, 3.2, 41.0):
        r = _brute_quantile(lambda k, e=expected: poisson.pmf(np.arange(k + 1), e).sum(), p)
        assert step_poisson(np.array([expected]), p)[0] == pytest.approx(r / expected, rel=1e-14)


def test_95_percent_means_95_percent():
    # Units on target, half of them small: 95% limits hold 95% of them, whatever else is drawn.
    rng = np.random.default_rng(3)
    n = rng.integers(150, 900, 40_000).astype(float)
    r = rng.binomial(n.astype(int), 0.5)
    for options in (FunnelOptions(), FunnelOptions(levels=(0.998, 0.95)), FunnelOptions(levels=(0.95,))):
        result = funnel(r, n, options, target=0.5)
        outside = np.abs(result.outside).mean(axis=1)
        for level, share in zip(options.levels, outside, strict=True):
            # Counts are whole, so that the share is that of the level to within one count's probability at
            # the limit (about .006 at 95%, n = 150, less for others); four standard errors of 40,000 units.
            assert share == pytest.approx(1 - level, abs=0.004 + 4 * np.sqrt(level * (1 - level) / 40_000))


def test_a_drawing_never_changes_a_number():
    r, n = np.array([10, 30, 55]), np.array([40, 60, 90])
    result = funnel(r, n, FunnelOptions(levels=(0.9, 0.95)))
    other = funnel(r, n, FunnelOptions(levels=(0.95,)))
    assert (result.lower[1] == other.lower[0]).all()
    assert (result.phi, result.tau2) == (other.phi, other.tau2)
    before = result.to_frame().copy()
    result.curve(np.arange(1, 200))
    pd.testing.assert_frame_equal(result.to_frame(), before)
    lower, upper = result.curve(n)
    assert (lower == result.lower).all()
    assert (upper == result.upper).all()


def test_the_multiplicative_factor_is_that_of_a_quasi_likelihood():
    # Without winsorising, phi J / (J - 1) is Pearson's dispersion of a binomial model with one mean.
    import statsmodels.api as sm

    rng = np.random.default_rng(5)
    n = rng.integers(30, 200, 80)
    r = rng.binomial(n, np.clip(rng.normal(0.5, 0.08, 80), 0.1, 0.9))
    model = sm.GLM(np.column_stack([r, n - r]), np.ones((80, 1)), family=sm.families.Binomial()).fit()
    result = funnel(r, n, FunnelOptions(overdispersion="multiplicative", scale="identity", trim=0.0))
    assert result.phi * 80 / 79 == pytest.approx(model.pearson_chi2 / model.df_resid, rel=1e-10)
    half = 1.959963984540054 * np.sqrt(result.phi * result.target * (1 - result.target) / n)
    np.testing.assert_allclose(result.upper[0], np.minimum(result.target + half, 1), atol=1e-12)
    np.testing.assert_allclose(result.lower[0], np.maximum(result.target - half, 0), atol=1e-12)
    np.testing.assert_allclose(result.z_adjusted, result.z / np.sqrt(result.phi), rtol=1e-12)


def test_limits_are_never_narrower_than_chance():
    n = np.full(20, 100)
    result = funnel(np.full(20, 50), n, FunnelOptions(overdispersion="multiplicative", scale="identity"))
    assert result.phi == 0
    np.testing.assert_allclose(result.upper[0], 0.5 + 1.959963984540054 * 0.05)


def test_additive_overdispersion_finds_the_variance_that_was_put_in():
    rng = np.random.default_rng(9)
    sd = rng.uniform(0.02, 0.2, 20_000)
    z = rng.normal(0, np.sqrt(sd**2 + 0.1**2)) / sd
    phi, tau2 = overdispersion(z, sd, 0.0)
    # The moment estimate's own error at 20,000 units is some 1%; four of these.
    assert tau2 == pytest.approx(0.01, rel=0.05)
    assert phi == pytest.approx(np.mean(1 + 0.01 / sd**2), rel=0.05)


def test_winsorising_by_hand():
    z = np.array([-9.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 50.0, 60.0])
    # Eleven values: the 10% and 90% quantiles of type 7 are the second and the tenth.
    assert winsorise(z, 0.1).tolist() == [-1, -1, 0, 1, 2, 3, 4, 5, 6, 50, 50]


def test_winsorising_makes_phi_small_where_chance_alone_is_at_work():
    # E z^2 of a normal z cut off at its 10% and 90% points: .8 - 2 c phi(c) + .2 c^2, c = 1.2816.
    c = 1.2815515655446004
    exact = 0.8 - 2 * c * np.exp(-(c**2) / 2) / np.sqrt(2 * np.pi) + 0.2 * c**2
    assert exact == pytest.approx(0.68, abs=0.005)
    z = np.random.default_rng(1).normal(size=200_000)
    # The standard error of the mean is some .002.
    assert overdispersion(z, np.ones(z.size), 0.1)[0] == pytest.approx(exact, abs=0.01)


def test_a_unit_alone_has_no_overdispersion():
    assert funnel([7], [20]).tau2 == 0


def test_adjusted_proportions_of_an_average_case_mix_are_the_plain_ones():
    r, n = np.array([10, 30, 55]), np.array([40, 60, 90])
    for scale in ("identity", "arcsine", "logit"):
        options = FunnelOptions(overdispersion="additive", scale=scale)
        plain = funnel(r, n, options)
        adjusted = funnel_adjusted(r, plain.target * n, n, options)
        for name in ("values", "z", "z_adjusted", "lower", "upper"):
            np.testing.assert_allclose(getattr(adjusted, name), getattr(plain, name), atol=1e-12)
    # Ten points below what was expected is ten points below the target.
    assert funnel_adjusted([20, 25], [24, 20], [40, 40], target=0.5).values == pytest.approx([0.4, 0.625])


def test_adjusted_proportions_of_units_on_target_lie_within():
    # Patients whose chances differ within and between units, outcomes by chance alone.
    rng = np.random.default_rng(12)
    J, n = 6000, 60
    p = rng.beta(6, 6, (J, n)) * 0.8 + rng.uniform(0, 0.2, (J, 1))
    observed = (rng.random((J, n)) < p).sum(axis=1)
    result = funnel_adjusted(observed, p.sum(axis=1), np.full(J, n))
    # The limits are a little wide: mean p (1 - p) is some .23 here, and not the target's .25.
    assert 0.02 < np.abs(result.outside[0]).mean() < 0.055
    assert result.z.std() == pytest.approx(np.sqrt((p * (1 - p)).mean() / 0.25), abs=0.03)
    # Unadjusted, the case mix puts more outside.
    unadjusted = funnel(observed, np.full(J, n))
    assert np.abs(unadjusted.outside[0]).mean() > 1.5 * np.abs(result.outside[0]).mean()


def test_adjusted_values_beyond_0_and_1_have_limits_and_scores():
    for scale in ("arcsine", "logit", "identity"):
        result = funnel_adjusted([20, 0], [4.5, 17.2], [20, 20], FunnelOptions(scale=scale))
        assert result.values[0] > 1
        assert result.values[1] < 0
        assert np.isfinite(result.z).all()
        assert result.outside[0].tolist() == [1, -1]


@pytest.mark.parametrize(
    ("events", "n", "words"),
    [
        ([], [], "at least 1"),
        ([1, 2], [3], "one length"),
        ([5], [3], "whole counts"),
        ([1.5], [3], "whole counts"),
        ([1, 0], [3, 0], r"1 units \(first: 1\)"),
        ([np.nan], [3], "missing"),
        ([0, 0], [3, 4], "nothing to compare with"),
    ],
)
def test_counts_that_cannot_be(events, n, words):
    with pytest.raises(DataError, match=words):
        funnel(events, n)


def test_options_that_cannot_be():
    for bad in (
        {"limits": "exactly"}, {"overdispersion": "yes"}, {"scale": "cube"}, {"trim": 0.5}, {"levels": (95,)},
        {"levels": ()},
    ):  # fmt: skip
        with pytest.raises(OptionError):
            FunnelOptions(**bad)
    with pytest.raises(OptionError, match="does not suit a ratio"):
        funnel_ratio([3], [2.5], FunnelOptions(scale="logit"))
    with pytest.raises(OptionError, match="does not suit a proportion"):
        funnel([3], [5], FunnelOptions(scale="log"))
    with pytest.raises(OptionError, match="target"):
        funnel([3], [5], target=45)
    with pytest.raises(DataError, match="whole"):
        funnel_ratio([3.5], [2.5])


def test_the_summary_counts_who_is_outside():
    result = funnel([10, 30, 12], [40, 60, 25], FunnelOptions(levels=(0.95,)))
    assert result.target == 52 / 125
    assert result.summary().endswith("Outside 95%: 1 below, 0 above.")
    assert "3 units, target 0.416" in repr(result)
    assert "<table" in result._repr_html_()


def test_the_frame_names_its_levels():
    frame = funnel([3, 9], [10, 20]).to_frame(["a", "b"])
    assert list(frame) == [
        "size", "value", "z", "z_adjusted",
        "lower_95", "upper_95", "outside_95", "lower_99.8", "upper_99.8", "outside_99.8",
    ]  # fmt: skip
    assert frame.index.tolist() == ["a", "b"]
