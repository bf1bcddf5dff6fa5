"""Vectors of 64 bytes within numba: explicit lanes, so that a sum has one order whatever the compiler and processor.

A vector is a value of LLVM's own kind, `<16 x float>` or `<8 x double>`, of the dtype of the array that it is loaded
from. Where a processor has shorter registers LLVM takes several of them, and where it has no fused multiply-add its
library computes one: the bits stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from .memory import INT32, function

__all__ = [
    "Vector", "add", "broadcast", "divide", "first", "fma", "halved", "lanes", "load", "load_some", "multiply", "splat",
    "spread", "spread_out", "square_root", "store", "store_totals", "subtract", "total",
]  # fmt: skip


class Vector(types.Type):
    """16 numbers of float32, or 8 of float64."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype, self.lanes = dtype, 512 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype})")

    @property
    def ir(self) -> ir.VectorType:
        """LLVM's type of it."""
        return ir.VectorType(ir.FloatType() if self.dtype.bitwidth == 32 else ir.DoubleType(), self.lanes)

    @property
    def suffix(self) -> str:
        """As the names of LLVM's functions end for it."""
        return f"v{self.lanes}f{self.dtype.bitwidth}"


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, kind.ir)


def of_memory(memory: types.CPointer) -> Vector:
    return Vector(memory.dtype)


def splat(builder: Any, kind: ir.VectorType, scalar: Any) -> Any:
    """The number in every lane."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, INT32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INT32, kind.count), [0] * kind.count))


def first(builder: Any, kind: Vector, count: Any) -> Any:
    """Which lanes are among the first `count`."""
    wide = ir.VectorType(INT32, kind.lanes)
    limit = splat(builder, wide, builder.trunc(count, INT32))
    return builder.icmp_signed("<", ir.Constant(wide, list(range(kind.lanes))), limit)


def spread_out(builder: Any, kind: Vector, scalar: Any) -> Any:
    """A number in every lane, rounded to their dtype."""
    element = kind.ir.element
    return splat(builder, kind.ir, scalar if scalar.type == element else builder.fptrunc(scalar, element))


@intrinsic
def lanes(typing: Any, memory: Any) -> Any:
    """How many numbers of the dtype of this array a vector holds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_constant(types.intp, of_memory(signature.args[0]).lanes)

    return types.intp(memory), generate


@intrinsic
def load(typing: Any, memory: Any, i: Any) -> Any:
    """The vector that begins at element i of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = of_memory(signature.args[0])
        at = builder.gep(arguments[0], [arguments[1]])
        return builder.load(builder.bitcast(at, kind.ir.as_pointer()), align=kind.dtype.bitwidth // 8)

    return of_memory(memory)(memory, types.intp), generate


@intrinsic
def load_some(typing: Any, memory: Any, i: Any, count: Any) -> Any:
    """The first `count` lanes from element i on, zeros in the others; memory behind them is not touched."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = of_memory(signature.args[0])
        at = builder.gep(arguments[0], [arguments[1]])
        pointer = builder.bitcast(at, kind.ir.as_pointer())
        mask = first(builder, kind, arguments[2])
        called = function(
            builder, f"llvm.masked.load.{kind.suffix}.p0", kind.ir, [pointer.type, INT32, mask.type, kind.ir]
        )
        align = INT32(kind.dtype.bitwidth // 8)
        return builder.call(called, [pointer, align, mask, ir.Constant(kind.ir, [0.0] * kind.lanes)])

    return of_memory(memory)(memory, types.intp, types.intp), generate


@intrinsic
def store(typing: Any, memory: Any, i: Any, vector: Any) -> Any:
    """Write the vector from element i on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[2]
        at = builder.gep(arguments[0], [arguments[1]])
        builder.store(arguments[2], builder.bitcast(at, kind.ir.as_pointer()), align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(memory, types.intp, vector), generate


@intrinsic
def broadcast(typing: Any, memory: Any, i: Any) -> Any:
    """Element i of the array in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        scalar = builder.load(builder.gep(arguments[0], [arguments[1]]))
        return splat(builder, of_memory(signature.args[0]).ir, scalar)

    return of_memory(memory)(memory, types.intp), generate


@intrinsic
def spread(typing: Any, memory: Any, scalar: Any) -> Any:
    """A number in every lane, rounded to the dtype of this array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return spread_out(builder, of_memory(signature.args[0]), arguments[1])

    return of_memory(memory)(memory, types.float64), generate


def _binary(name: str) -> Any:
    @intrinsic
    def operation(typing: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return x(x, x), generate

    return operation


add, subtract, multiply, divide = _binary("fadd"), _binary("fsub"), _binary("fmul"), _binary("fdiv")


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        return builder.call(function(builder, f"llvm.fma.{kind.suffix}", kind.ir, [kind.ir] * 3), arguments)

    return x(x, x, x), generate


@intrinsic
def square_root(typing: Any, x: Any) -> Any:
    """√x in each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        return builder.call(function(builder, f"llvm.sqrt.{kind.suffix}", kind.ir, [kind.ir]), arguments)

    return x(x), generate


@intrinsic
def total(typing: Any, x: Any) -> Any:
    """The sum of the lanes: halves are added until one number is left."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return halved(builder, arguments[0], signature.args[0].lanes, builder.fadd)

    return x.dtype(x), generate


def halved(builder: Any, value: Any, n: int, together: Callable[[Any, Any], Any]) -> Any:
    """One number of the n lanes: the halves are put together until it is left."""
    while n > 1:
        n //= 2
        halves = (ir.Constant(ir.VectorType(INT32, n), list(range(i, i + n))) for i in (0, n))
        value = together(*(builder.shuffle_vector(value, value, lanes) for lanes in halves))
    return builder.extract_element(value, INT32(0))


@intrinsic
def store_totals(
    typing: Any, memory: Any, i: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any
) -> Any:
    """Write the sums of the lanes of eight vectors from element i on, each in the order of `total`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors, n = list(arguments[2:]), signature.args[2].lanes
        part = n  # lanes that hold what belongs to one of the eight
        while len(vectors) > 1:
            part //= 2
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [_folded(builder, x, y, range(0, 2 * n, 2 * part), part) for x, y in pairs]
        (value,) = vectors
        while part > 1:
            part //= 2
            value = _folded(builder, value, value, range(0, 16 * part, 2 * part), part)
        at = builder.gep(arguments[0], [arguments[1]])
        builder.store(value, builder.bitcast(at, value.type.as_pointer()), align=signature.args[2].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(memory, types.intp, *[a] * 8), generate


def _folded(builder: Any, x: Any, y: Any, starts: Sequence[int], part: int) -> Any:
    """Of both vectors, one after the other: `part` lanes from each start on plus the `part` lanes behind them."""
    low, high = (
        builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes))
        for lanes in ([i + k + shift for i in starts for k in range(part)] for shift in (0, part))
    )
    return builder.fadd(low, high)
