"""Plain pointers within numba: elements read and written where they lie, for other threads too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["INT32", "address", "behind", "function", "get", "prefetch", "publish", "published", "put"]

INT32 = ir.IntType(32)


def function(builder: Any, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    """One of LLVM's own by its name."""
    known = builder.module.globals
    return known[name] if name in known else ir.Function(builder.module, ir.FunctionType(result, arguments), name)


@intrinsic
def address(typing: Any, array: Any) -> Any:
    """Where the elements of a contiguous array lie: a plain pointer, which nobody counts the references to."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def get(typing: Any, memory: Any, i: Any) -> Any:
    """Element i."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(arguments[0], [arguments[1]]))

    return memory.dtype(memory, types.intp), generate


@intrinsic
def behind(typing: Any, memory: Any, i: Any) -> Any:
    """Where element i lies."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.gep(arguments[0], [arguments[1]])

    return memory(memory, types.intp), generate


@intrinsic
def publish(typing: Any, memory: Any, i: Any, value: Any) -> Any:
    """Write integer i for another thread to see."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[2], builder.gep(arguments[0], [arguments[1]]), "monotonic", 8)
        return context.get_dummy_value()

    return types.void(memory, types.intp, memory.dtype), generate


@intrinsic
def published(typing: Any, memory: Any, i: Any) -> Any:
    """Integer i as another thread wrote it last."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(builder.gep(arguments[0], [arguments[1]]), "monotonic", 8)

    return memory.dtype(memory, types.intp), generate


@intrinsic
def put(typing: Any, memory: Any, i: Any, value: Any) -> Any:
    """Write element i, rounded to the dtype of the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[2], signature.args[2], signature.args[0].dtype)
        builder.store(number, builder.gep(arguments[0], [arguments[1]]))
        return context.get_dummy_value()

    return types.void(memory, types.intp, value), generate


@intrinsic
def prefetch(typing: Any, memory: Any, i: Any) -> Any:
    """Ask for the cache line of element i, which may lie anywhere: it is a hint."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        at = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), byte)
        called = function(builder, "llvm.prefetch.p0", ir.VoidType(), [byte, INT32, INT32, INT32])
        builder.call(called, [at, INT32(0), INT32(3), INT32(1)])
        return context.get_dummy_value()

    return types.void(memory, types.intp), generate
