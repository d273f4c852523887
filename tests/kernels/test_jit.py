"""What the jit flags promise."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numba import config, njit

from ter.kernels._jit import FAST, LEAN


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
@pytest.mark.parametrize("flags", [FAST, LEAN], ids=["FAST", "LEAN"])
def test_what_a_kernel_calls_is_compiled_into_it(flags):
    """Two copies may add up in two orders: a result would depend on which of them a process loaded first."""

    # So long that the compiler would leave it beside.
    @njit(**flags | {"cache": False})
    def sum_of_roots(values):
        total = 0.0
        for k in range(values.size):
            total += np.sqrt(values[k])
        for k in range(values.size):
            total += np.sqrt(values[k]) / (2.0 + values[k]) - np.sqrt(values[k]) / (2.0 + values[k])
        for k in range(1, values.size):
            total += np.sqrt(values[k]) * values[k - 1] - values[k - 1] * np.sqrt(values[k])
        return total

    @njit(**flags | {"cache": False})
    def both(values):
        return sum_of_roots(values) + sum_of_roots(values[1:])

    assert both(np.array([1.0, 4.0, 9.0])) == 11.0
    (assembly,) = both.inspect_asm().values()
    functions = re.findall(r"^(\w+):", assembly, flags=re.MULTILINE)
    assert any("both" in name for name in functions)
    assert not any("sum_of_roots" in name for name in functions)
