"""Unaligned loads and stores at an address: several symbols in one instruction.

Numba indexes arrays by element only, and counts the references to an array handed to a helper,
which takes longer than the work of a symbol. So fast kernels take the address of each array once
and work with numbers. Nothing here checks a bound: the kernel does, once for each round of its
loop, and ends with an exact loop that goes byte by byte.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


def _load(bits: int, result: Any) -> Any:
    def typed(_context: Any, _address: Any) -> tuple[Any, Any]:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            loaded = builder.load(pointer)
            loaded.align = 1
            return builder.zext(loaded, ir.IntType(64)) if bits < 64 else loaded

        return result(types.int64), generate

    return intrinsic(typed)


def _store(bits: int) -> Any:
    def typed(_context: Any, _address: Any, _value: Any) -> tuple[Any, Any]:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer())
            value = arguments[1]
            if bits < 64:
                value = builder.trunc(value, ir.IntType(bits))
            builder.store(value, pointer).align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.uint64), generate

    return intrinsic(typed)


def _high_product(_context: Any, _a: Any, _b: Any) -> tuple[Any, Any]:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


#: load64(address) -> uint64, little-endian; the others fill up with zeros.
load64: Any = _load(64, types.uint64)
load32: Any = _load(32, types.uint64)
load16: Any = _load(16, types.uint64)
load8: Any = _load(8, types.uint64)

#: store64(address, uint64), little-endian; store32 and store8 take the low bits.
store64: Any = _store(64)
store32: Any = _store(32)
store8: Any = _store(8)

#: high_product(a, b) -> the upper 64 bits of the product of two uint64.
high_product: Any = intrinsic(_high_product)
