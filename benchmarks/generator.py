"""The very random numbers that simulations use, as a stream of bytes for a battery of tests.

    .venv/bin/python -m benchmarks.generator | dieharder -a -g 200
    .venv/bin/python -m benchmarks.generator --order across | RNG_test stdin64

Order ``along`` gives all words of a therapist's first patients, then those of the next therapist; order
``across`` the same word of one therapist after another, which shows what neighbouring streams share; order
``seeds`` the same word with one seed after another.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ter.kernels._jit import JIT
from ter.kernels.patients import STREAM_PATIENT, WORDS
from ter.kernels.rng import bits, stream_key

ORDERS = ("along", "across", "seeds")
#: Words a piece, and patients of a therapist in order "along".
PIECE, PATIENTS = 1 << 20, 64
_WORD = np.uint64(3)


@njit(**JIT)
def fill_along(seed: np.uint64, first: int, patients: int, out: NDArray[np.uint64]) -> None:
    """All words of `patients` patients of each therapist, therapists from `first` on."""
    own = patients * WORDS
    for j in range(out.size // own):
        start, step = stream_key(seed, np.uint64(STREAM_PATIENT), np.uint64(first + j))
        for k in range(own):
            out[j * own + k] = bits(start, step, np.uint64(k))


@njit(**JIT)
def fill_across(seed: np.uint64, first: int, out: NDArray[np.uint64]) -> None:
    """One word of each therapist, therapists from `first` on."""
    for j in range(out.size):
        start, step = stream_key(seed, np.uint64(STREAM_PATIENT), np.uint64(first + j))
        out[j] = bits(start, step, _WORD)


@njit(**JIT)
def fill_seeds(first: np.uint64, out: NDArray[np.uint64]) -> None:
    """One word of the first therapist with each seed, seeds from `first` on."""
    for k in range(out.size):
        start, step = stream_key(first + np.uint64(k), np.uint64(STREAM_PATIENT), np.uint64(0))
        out[k] = bits(start, step, _WORD)


def piece(order: str, seed: int, number: int, size: int = PIECE) -> NDArray[np.uint64]:
    """Give piece `number` of the stream: `size` words."""
    out = np.empty(size, np.uint64)
    if order == "along":
        fill_along(np.uint64(seed), number * (size // (PATIENTS * WORDS)), PATIENTS, out)
    elif order == "across":
        fill_across(np.uint64(seed), number * size, out)
    else:
        fill_seeds(np.uint64(seed + number * size), out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--order", choices=ORDERS, default="along")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pieces", type=int, default=0, help="of 8 MiB each; 0: without end")
    asked = parser.parse_args()
    number = 0
    try:
        while not asked.pieces or number < asked.pieces:
            sys.stdout.buffer.write(piece(asked.order, asked.seed, number).tobytes())
            number += 1
    except BrokenPipeError:
        sys.stderr.close()  # whoever reads has had enough


if __name__ == "__main__":
    main()
