"""Compiles passes on the CPU, and prefetches rows: these passes wait for memory more than they
compute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

AHEAD = np.uint64(32)
"""Iterations between asking for a row and using it; measured flat from 16 to 64."""
LINE = 16  # float32 in a cache line


def jit(*fastmath: str) -> Callable[[Callable[..., Any]], Any]:
    """Compiles a function on its first call, to run without the interpreter's lock.

    The machine code is cached beside the source, or in the user's cache folder where that is
    read-only; where neither can be written, each process compiles again.

    Args:
        fastmath: relaxations of floating-point arithmetic, by LLVM's names. Data and metrics use
            none. Updates of rows may fuse a product and a sum; passes over activations may also
            reorder sums, to run in vectors.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath), "error_model": "numpy"}

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return numba.njit(**options)(function)

    return decorate


def _asking(to_write: bool) -> Any:
    def prefetch(context, array, row, column):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            view = context.make_array(signature.args[0])(context, builder, arguments[0])
            row, column = (
                context.cast(builder, argument, kind, types.int64)
                for argument, kind in zip(arguments[1:], signature.args[1:], strict=True)
            )
            offset = builder.add(
                builder.mul(row, builder.extract_value(view.strides, 0)),
                builder.mul(column, view.itemsize),
            )
            start = builder.ptrtoint(view.data, cgutils.intp_t)
            address = builder.inttoptr(builder.add(start, offset), cgutils.voidptr_t)
            i32 = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
            name = "llvm.prefetch.p0"
            function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
            keep_near, data = i32(3), i32(1)
            builder.call(function, [address, i32(int(to_write)), keep_near, data])
            return context.get_dummy_value()

        return types.void(array, row, column), generate

    compiled: Any = intrinsic(prefetch)
    return compiled


prefetch = _asking(to_write=True)
"""`prefetch(array, row, column)` prefetches a cache line of an array of one or two axes; any
address is safe.
"""
prefetch_to_read = _asking(to_write=False)
"""The same for memory that several processes read, which does not invalidate the others' cache
lines.
"""
