"""What the compiler is told about look-ups."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit

from ter.kernels import memory
from ter.kernels._jit import BARE

AVX2 = "+avx,+avx2,-avx512f,+fma"


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch):
    """Let the processor have some features, and let nobody have chosen another one to compile for."""

    def have(features: str) -> None:
        monkeypatch.setattr(memory, "get_host_cpu_features", lambda: features)

    monkeypatch.setattr(config, "CPU_NAME", None)
    monkeypatch.setattr(config, "CPU_FEATURES", None)
    return have


def test_look_ups_are_gathered_where_there_is_avx2_alone(processor):
    processor(AVX2)
    assert memory._gathering() == f'"target-features"="{AVX2},+fast-gather"'


@pytest.mark.parametrize("features", ["+avx,+avx2,+avx512f", "+avx,-avx2,-avx512f", "+neon", ""])
def test_other_processors_are_left_to_the_compiler(processor, features):
    processor(features)
    assert memory._gathering() is None


@pytest.mark.parametrize("chosen", ["CPU_NAME", "CPU_FEATURES"])
def test_a_processor_that_somebody_chose_is_kept(processor, monkeypatch, chosen):
    processor(AVX2)
    monkeypatch.setattr(config, chosen, "generic")
    assert memory._gathering() is None


@pytest.mark.skipif(memory.NO_JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    "put, gathers", [(memory.put, memory._gathering() is not None), (memory.put_found, False)]
)
def test_loops_that_only_look_up_are_left_to_the_compiler(put, gathers):
    fetch = memory.fetch

    @njit(**BARE | {"cache": False})
    def look_up(table, places, out):
        for k in range(places.size):
            put(out, np.uint64(k), fetch(table, places[np.uint64(k)]))

    table, places = np.arange(100, dtype=np.uint32) * np.uint32(7), np.arange(99, -1, -1, dtype=np.int32)
    out = np.empty(100, np.uint32)
    look_up(table, places, out)
    assert np.array_equal(out, table[::-1])
    (compiled,) = look_up.inspect_llvm().values()
    assert ("+fast-gather" in compiled) == gathers
