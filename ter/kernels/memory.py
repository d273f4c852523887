"""Reads of tables and writes of results that the compiler may reorder.

A loop that looks numbers up in one array and stores into another is compiled one patient at a time, because
the arrays might overlap. What is read by `fetch` is never written by `put`: told so, the compiler takes
several patients at once. Both check nothing; indices are unsigned. Without the JIT they are plain indexing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

#: Whether kernels run as plain Python (``NUMBA_DISABLE_JIT=1``), where intrinsics cannot be called.
NO_JIT: Final[bool] = bool(config.DISABLE_JIT)  # type: ignore[attr-defined]
# LLVM takes half of the vector registers' width where the processor once ran slower with all of it.
_WIDE = '"prefer-vector-width"="512"'
_TABLES = "tables"


def _gathering() -> str | None:
    """Give the attribute by which LLVM takes several patients at once that look up, where it is needed.

    Of most processors with AVX2 alone LLVM thinks that they are slow at looking several numbers up at once.
    It then compiles a loop that looks up and computes one patient at a time, which takes half as long again.
    The numbers themselves are loaded one by one all the same, as what calls the loop has no such attribute:
    such processors' own instruction for it is no faster.
    """
    if config.CPU_NAME or config.CPU_FEATURES:  # type: ignore[attr-defined]
        return None  # somebody chose for what to compile
    features: str = get_host_cpu_features()  # type: ignore[no-untyped-call]
    has = set(features.split(","))
    only_avx2 = "+avx2" in has and "+avx512f" not in has
    return f'"target-features"="{features},+fast-gather"' if only_avx2 else None


#: Stores of one function that are told apart: by their numbers, which begin anew after the last.
_MOST_PUTS = 24


def _scopes(builder: Any, *names: str) -> Any:
    """Give a list of alias scopes (LLVM language reference, "noalias"): what is read lies in one of them."""
    domain = builder.module.add_metadata(["ter"])
    return builder.module.add_metadata([builder.module.add_metadata([name, domain]) for name in names])


def _own_scope(builder: Any) -> str:
    return f"read in {builder.function.name}"


def _number_of_put(builder: Any) -> int:
    """Number the stores of a function, from 0 in the order in which it is compiled."""
    function = builder.function
    number: int = getattr(function, "ter_puts", 0)
    function.ter_puts = number + 1
    return number


def _element(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def _fetch(typing_context: Any, array: Any, index: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_element(context, builder, signature.args[0], *arguments))
        value.set_metadata("alias.scope", _scopes(builder, _TABLES))
        return value

    return array.dtype(array, index), compiled


@intrinsic
def _read(typing_context: Any, array: Any, index: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_element(context, builder, signature.args[0], *arguments))
        value.set_metadata("alias.scope", _scopes(builder, _own_scope(builder)))
        return value

    return array.dtype(array, index), compiled


def _putting(*attributes: str | None) -> Any:
    """Give the store whose functions LLVM compiles with these attributes."""

    @intrinsic
    def put(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
        def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            for attribute in filter(None, attributes):
                set.add(builder.function.attributes, attribute)
            element = _element(context, builder, signature.args[0], *arguments[:2])
            cast = context.cast(builder, arguments[2], signature.args[2], signature.args[0].dtype)
            stores = [f"stored {k} in {builder.function.name}" for k in range(_MOST_PUTS)]
            own = stores.pop(_number_of_put(builder) % _MOST_PUTS)
            store = builder.store(cast, element)
            store.set_metadata("alias.scope", _scopes(builder, own))
            store.set_metadata("noalias", _scopes(builder, _TABLES, _own_scope(builder), *stores))
            return context.get_dummy_value()

        return types.void(array, index, value), compiled

    return put


@intrinsic
def _put_past(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = _element(context, builder, signature.args[0], *arguments[:2])
        cast = context.cast(builder, arguments[2], signature.args[2], signature.args[0].dtype)
        once = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        builder.store(cast, element).set_metadata("nontemporal", once)
        return context.get_dummy_value()

    return types.void(array, index, value), compiled


@intrinsic
def _put_eight(typing_context: Any, array: Any, index: Any, word: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = _element(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], builder.bitcast(element, ir.IntType(64).as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, index, word), compiled


def _of_32_bits(operation: str) -> Any:
    """Give LLVM's operation on two uint32, whose result is one."""

    @intrinsic
    def operate(typing_context: Any, a: Any, b: Any) -> Any:
        def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(*arguments)

        return types.uint32(types.uint32, types.uint32), compiled

    return operate


@intrinsic
def _high_product(typing_context: Any, a: Any, b: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.IntType(32)
        multiply = builder.module.declare_intrinsic(
            "llvm.umul.fix", [whole], ir.FunctionType(whole, [whole, whole, whole])
        )
        return builder.call(multiply, [*arguments, ir.Constant(whole, 32)])

    return types.uint32(types.uint32, types.uint32), compiled


@intrinsic
def _lowest_bit(typing_context: Any, word: Any) -> Any:
    def compiled(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole, flag = ir.IntType(64), ir.IntType(1)
        count = builder.module.declare_intrinsic("llvm.cttz", [whole], ir.FunctionType(whole, [whole, flag]))
        return builder.call(count, [*arguments, ir.Constant(flag, 1)])

    return types.uint64(types.uint64), compiled


def _plain_lowest_bit(word: Any) -> Any:
    return np.uint64((int(word) & -int(word)).bit_length() - 1)


def _plain_low_product(a: Any, b: Any) -> Any:
    return np.uint32(int(a) * int(b) & 0xFFFFFFFF)


def _plain_high_product(a: Any, b: Any) -> Any:
    return np.uint32(int(a) * int(b) >> 32)


def _plain_low_sum(a: Any, b: Any) -> Any:
    return np.uint32(int(a) + int(b) & 0xFFFFFFFF)


def _plain_shifted(a: Any, by: Any) -> Any:
    return np.uint32(int(a) >> int(by))


def _plain_fetch(array: Any, index: Any) -> Any:
    return array[index]


def _plain_put(array: Any, index: Any, value: Any) -> None:
    array[index] = value


def _plain_put_eight(array: Any, index: Any, word: Any) -> None:
    for k in range(8):
        array[int(index) + k] = (int(word) >> (8 * k)) & 0xFF


#: ``fetch(array, index)``: an element of an array that nobody writes meanwhile.
fetch: Callable[..., Any] = _plain_fetch if NO_JIT else _fetch
#: ``read(array, index)``: an element that is not written by the function that reads it.
read: Callable[..., Any] = _plain_fetch if NO_JIT else _read
#: ``put(array, index, value)``: store an element that is neither fetched by anybody meanwhile, nor read by
#: the same function, nor stored by another ``put`` of it.
put: Callable[..., Any] = _plain_put if NO_JIT else _putting(_WIDE, _gathering())
#: ``put_found(array, index, value)``: the same, for loops that do nothing but look up: left to itself, LLVM
#: loads their numbers one by one where there is AVX2 alone, and they take half of the time.
put_found: Callable[..., Any] = _plain_put if NO_JIT else _putting(_WIDE)
#: ``put_past(array, index, value)``: store an element past the caches, one after the other: of an array that
#: is too large for them nothing need be read before it is written.
put_past: Callable[..., Any] = _plain_put if NO_JIT else _put_past
#: ``high_product(a, b)``: the high 32 bits of the product of two uint32. Said as a product of fixed-point
#: numbers it takes LLVM fewer steps than as one of 64 bits.
high_product: Callable[..., Any] = _plain_high_product if NO_JIT else _high_product
#: ``low_product(a, b)``: the low 32 bits of the product of two uint32. numba would widen it to 64 bits, and
#: sums and shifts, too; where LLVM cannot narrow them again, half as many patients go into a step.
low_product: Callable[..., Any] = _plain_low_product if NO_JIT else _of_32_bits("mul")
#: ``low_sum(a, b)``: the low 32 bits of the sum of two uint32.
low_sum: Callable[..., Any] = _plain_low_sum if NO_JIT else _of_32_bits("add")
#: ``shifted(a, by)``: a uint32, shifted to the right by fewer than 32 places.
shifted: Callable[..., Any] = _plain_shifted if NO_JIT else _of_32_bits("lshr")
#: ``put_eight(array, index, word)``: store the eight bytes of a uint64, the lowest first, into an array of
#: uint8.
put_eight: Callable[..., Any] = _plain_put_eight if NO_JIT else _put_eight
#: ``lowest_bit(word)``: the place of the lowest bit that is set in a uint64 other than 0.
lowest_bit: Callable[..., Any] = _plain_lowest_bit if NO_JIT else _lowest_bit
