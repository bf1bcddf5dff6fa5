"""Functions of vectors, lane by lane: comparisons, the exponential of x ≤ 0 and log(1 + x) of x in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .memory import function
from .vectors import Vector, first, halved, spread_out

__all__ = ["absolute", "add_to", "exp_negative", "first_lanes", "log1p_unit", "peak", "where_less"]

# By the bits of a float: those of its fraction, the bias of its exponent, the logarithm of its smallest normal number,
# and how many terms of each series reach its last bit.
FORMAT = {32: (23, 127, -87.33654, 7, 9), 64: (52, 1023, -708.396418, 13, 18)}
LN2 = Fraction("0.6931471805599453094172321214581765680755")


@intrinsic
def absolute(typing: Any, x: Any) -> Any:
    """|x|."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _absolute(builder, signature.args[0], arguments[0])

    return x(x), generate


@intrinsic
def where_less(typing: Any, x: Any, y: Any, yes: Any, no: Any) -> Any:
    """`yes` where x < y, `no` elsewhere, so where one of the two is NaN too."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, y, yes, no = arguments
        return builder.select(builder.fcmp_ordered("<", x, y), yes, no)

    return x(x, x, x, x), generate


@intrinsic
def first_lanes(typing: Any, x: Any, count: Any, other: Any) -> Any:
    """x in the first `count` lanes, a number in those behind."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind, (value, count, other) = signature.args[0], arguments
        return builder.select(first(builder, kind, count), value, spread_out(builder, kind, other))

    return x(x, types.intp, types.float64), generate


@intrinsic
def peak(typing: Any, x: Any) -> Any:
    """The largest lane, some number where one is NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def larger(low: Any, high: Any) -> Any:
            return builder.select(builder.fcmp_ordered("<", low, high), high, low)

        return halved(builder, arguments[0], signature.args[0].lanes, larger)

    return x.dtype(x), generate


@intrinsic
def add_to(typing: Any, sums: Any, i: Any, x: Any) -> Any:
    """sums += x from element i on, the sums in float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.VectorType(ir.DoubleType(), signature.args[2].lanes)
        at = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), wide.as_pointer())
        x = arguments[2]
        x = x if x.type == wide else builder.fpext(x, wide)
        builder.store(builder.fadd(builder.load(at, align=8), x), at, align=8)
        return context.get_dummy_value()

    return types.void(sums, types.intp, x), generate


@intrinsic
def exp_negative(typing: Any, x: Any) -> Any:
    """exp(x) for x ≤ 0, to an ulp; 0 where it is below the smallest normal number, NaN of NaN.

    x = k ln 2 + r with |r| ≤ ln(2)/2: the series of exp(r), times 2^k.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, kind = arguments[0], signature.args[0]
        fraction, bias, lowest, terms, _ = FORMAT[kind.dtype.bitwidth]
        # Added to 1.5 2^fraction a number is rounded to a whole one, which then lies in the last bits.
        shift = _constant(kind, 1.5 * 2.0**fraction)
        shifted = _fma(builder, kind, x, _constant(kind, 1.0 / math.log(2.0)), shift)
        k = builder.fsub(shifted, shift)
        high, low = _halves(fraction)
        r = _fma(builder, kind, k, _constant(kind, -high), x)
        r = _fma(builder, kind, k, _constant(kind, -low), r)
        series = [1.0 / math.factorial(n) for n in range(terms, -1, -1)]
        value = builder.fmul(_horner(builder, kind, r, series), _power(builder, kind, shifted, fraction, bias))
        tiny = builder.fcmp_ordered("<", x, _constant(kind, lowest))
        return builder.select(tiny, _constant(kind, 0.0), value)

    return x(x), generate


@intrinsic
def log1p_unit(typing: Any, x: Any) -> Any:
    """log(1 + x) for 0 ≤ x ≤ 1, to two ulps: 2 artanh(s) with s = x / (2 + x) ≤ 1/3, by its series."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, kind = arguments[0], signature.args[0]
        terms = FORMAT[kind.dtype.bitwidth][4]
        s = builder.fdiv(x, builder.fadd(x, _constant(kind, 2.0)))
        square, twice = builder.fmul(s, s), builder.fadd(s, s)
        series = [1.0 / (2 * n + 1) for n in range(terms, 0, -1)]
        rest = builder.fmul(_horner(builder, kind, square, series), square)
        return _fma(builder, kind, twice, rest, twice)

    return x(x), generate


def _constant(kind: Vector, number: float) -> Any:
    return ir.Constant(kind.ir, [number] * kind.lanes)


def _fma(builder: Any, kind: Vector, x: Any, y: Any, z: Any) -> Any:
    return builder.call(function(builder, f"llvm.fma.{kind.suffix}", kind.ir, [kind.ir] * 3), [x, y, z])


def _absolute(builder: Any, kind: Vector, x: Any) -> Any:
    return builder.call(function(builder, f"llvm.fabs.{kind.suffix}", kind.ir, [kind.ir]), [x])


def _horner(builder: Any, kind: Vector, x: Any, coefficients: Sequence[float]) -> Any:
    """A polynomial, the coefficient of the highest power first."""
    value = _constant(kind, coefficients[0])
    for coefficient in coefficients[1:]:
        value = _fma(builder, kind, value, x, _constant(kind, coefficient))
    return value


def _halves(fraction: int) -> tuple[float, float]:
    """ln 2 as a number with few bits, whose product with any k is exact, and the rest."""
    bits = fraction - 10
    high = round(LN2 * 2**bits) / 2**bits
    return float(high), float(LN2 - Fraction(high))


def _power(builder: Any, kind: Vector, shifted: Any, fraction: int, bias: int) -> Any:
    """2^k from the last bits of a number: moved to the place of the exponent."""
    wide = ir.VectorType(ir.IntType(kind.dtype.bitwidth), kind.lanes)
    exponent = builder.add(builder.bitcast(shifted, wide), ir.Constant(wide, [bias] * kind.lanes))
    return builder.bitcast(builder.shl(exponent, ir.Constant(wide, [fraction] * kind.lanes)), kind.ir)
