import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ter.features.collinear import redundant


def _names(P):
    return tuple(f"x{j}" for j in range(P))


def test_names_what_a_column_is_made_of():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 50))
    X = np.column_stack([np.ones(50), a, b, np.full(50, 3.0), 2 * a - b + 1, rng.normal(size=50)])
    assert redundant(X, _names(6)) == (
        ("x3", "the same in every modelled row"),
        ("x4", "an exact combination of x0, x1, x2"),
    )


def test_the_first_of_two_equal_columns_stays():
    a = np.random.default_rng(2).normal(size=30)
    assert redundant(np.column_stack([np.ones(30), a, a]), _names(3)) == (
        ("x2", "an exact combination of x1"),
    )


def test_almost_collinear_columns_stay():
    rng = np.random.default_rng(3)
    a = rng.normal(size=200)
    X = np.column_stack([np.ones(200), a, a + 1e-5 * rng.normal(size=200)])
    assert redundant(X, _names(3)) == ()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 5))
def test_keeps_as_many_columns_as_the_rank_and_goes_from_left_to_right(seed, P, rank):
    rng = np.random.default_rng(seed)
    # Small whole numbers, so that the rank is exact.
    X = rng.integers(-3, 4, (12, rank)) @ rng.integers(-2, 3, (rank, P))
    X = np.column_stack([np.ones(12), X]).astype(float)
    names = _names(P + 1)
    dropped = {name for name, _ in redundant(X, names)}
    # Brute force: a column is redundant if it does not raise the rank of those before it.
    for j, name in enumerate(names):
        adds = np.linalg.matrix_rank(X[:, : j + 1]) > (np.linalg.matrix_rank(X[:, :j]) if j else 0)
        assert (name in dropped) == (not adds)
