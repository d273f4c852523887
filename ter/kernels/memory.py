"""Reads of tables and writes of results that the compiler may reorder.

A loop that looks numbers up in one array and stores into another is compiled one patient at a time, because
the arrays might overlap. What is read by `fetch` is never written by `put`: told so, the compiler takes
several patients at once. Both check nothing; indices are unsigned. Without the JIT they are plain indexing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

#: Whether kernels run as plain Python (``NUMBA_DISABLE_JIT=1``), where intrinsics cannot be called.
NO_JIT: Final[bool] = bool(config.DISABLE_JIT)  # type: ignore[attr-defined]
# LLVM takes half of the vector registers' width where the processor once ran slower with all of it.
_WIDE = '"prefer-vector-width"="512"'


def _scope(module: Any) -> Any:
    """Give the list of one alias scope: "what `fetch` reads" (LLVM language reference, "noalias")."""
    scope = module.add_metadata(["ter: tables", module.add_metadata(["ter"])])
    return module.add_metadata([scope])


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def _fetch(typing_context: Any, array: Any, index: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_element(context, builder, signature.args[0], *arguments))
        value.set_metadata("alias.scope", _scope(builder.module))
        return value

    return array.dtype(array, index), compiled


@intrinsic
def _put(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        set.add(builder.function.attributes, _WIDE)
        element = _element(context, builder, signature.args[0], *arguments[:2])
        cast = context.cast(builder, arguments[2], signature.args[2], signature.args[0].dtype)
        builder.store(cast, element).set_metadata("noalias", _scope(builder.module))
        return context.get_dummy_value()

    return types.void(array, index, value), compiled


@intrinsic
def _put_eight(typing_context: Any, array: Any, index: Any, word: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = _element(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], builder.bitcast(element, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, index, word), compiled


def _plain_fetch(array: Any, index: Any) -> Any:
    return array[index]


def _plain_put(array: Any, index: Any, value: Any) -> None:
    array[index] = value


def _plain_put_eight(array: Any, index: Any, word: Any) -> None:
    for k in range(8):
        array[int(index) + k] = (int(word) >> (8 * k)) & 0xFF


#: ``fetch(array, index)``: an element of an array that nobody writes meanwhile.
fetch: Callable[..., Any] = _plain_fetch if NO_JIT else _fetch
#: ``put(array, index, value)``: store an element of an array that nobody fetches from meanwhile.
put: Callable[..., Any] = _plain_put if NO_JIT else _put
#: ``put_eight(array, index, word)``: store the eight bytes of a uint64, the lowest first, into an array of
#: uint8.
put_eight: Callable[..., Any] = _plain_put_eight if NO_JIT else _put_eight
