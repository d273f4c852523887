"""The one home of the jit flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from numba.extending import register_jitable

#: For kernels whose bits are promised: counter-based random numbers, sorting, bookkeeping.
#: None is called by its address from C, and so none is compiled for that, too.
JIT: Final[dict[str, Any]] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

#: For floating-point loops over patients. Sums may be reordered when the code is compiled, so that they
#: vectorise; the compiled order is fixed, so that results repeat. NaN and infinity keep their meaning.
#: Kernels that call one of these hold a copy of it inside, and not beside: of copies beside, each compiled in
#: an order of its own, a process takes the one that it happened to load first.
FAST: Final[dict[str, Any]] = {
    **JIT,
    "fastmath": {"contract", "reassoc", "arcp", "nsz"},
    "forceinline": True,
}

#: For functions that pass many arrays on and allocate nothing: numba would count references to each array at
#: every call, which costs ten times what they compute. The option is private to numba; without it results are
#: the same.
BARE: Final[dict[str, Any]] = {**JIT, "_nrt": False}

#: Both: loops over patients that allocate nothing and cut many pieces out of arrays.
LEAN: Final[dict[str, Any]] = {**FAST, "_nrt": False}


def inner(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile what only kernels call, as `BARE`; from Python it is called as it stands.

    numba makes every function that is compiled by itself callable from Python, too. To take a block of
    patients out of Python objects is more code than most stages are, and took half of the time of compiling.
    """
    kernel: Callable[..., Any] = register_jitable(**BARE)(function)
    return kernel
