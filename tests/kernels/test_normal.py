"""Normal numbers: against SciPy's quantiles, and as functions of the uniform ones."""

import numpy as np
from scipy.special import ndtri

from ter.kernels.normal import normal_quantile, normal_quantiles


def test_quantiles():
    small = np.geomspace(2.0**-53, 0.5, 2_000)
    p = np.concatenate([small, np.linspace(0.001, 0.999, 2_001), 1 - np.geomspace(1e-12, 0.5, 500)])
    ours = np.array([normal_quantile(x) for x in p])
    # Both are good to some units in the last place; near p = 1 the argument itself is no better.
    np.testing.assert_allclose(ours, ndtri(p), rtol=4e-15, atol=1e-16)
    assert normal_quantile(0.5) == 0.0
    edges = np.array([0.075, 0.925, np.exp(-25.0)])  # where one rational function takes over from another
    steps = np.array([normal_quantile(x * (1 + 1e-9)) - normal_quantile(x * (1 - 1e-9)) for x in edges])
    np.testing.assert_allclose(steps, ndtri(edges * (1 + 1e-9)) - ndtri(edges * (1 - 1e-9)), rtol=1e-5)


def test_quantiles_of_several():
    # Written twice where the outer functions serve: at the first and the last places, too.
    outer = np.array([1e-300, 0.5, 0.925, 0.9250001, 0.9, 0.01])
    p = np.concatenate([outer, np.random.default_rng(1).random(1_000), outer])
    assert np.array_equal(normal_quantiles(p), [normal_quantile(x) for x in p])
