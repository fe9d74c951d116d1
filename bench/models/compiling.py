"""Building blocks of compiled passes on the CPU: types, stored numbers, work shared among threads.

Arithmetic is in float32 (float64 for float64) whatever the storage type.
"""

# mypy: allow-untyped-defs
# numba and llvmlite decide the types of compiled functions.
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic, overload
from numpy.typing import NDArray
from torch import Tensor

from bench.core.system import intrinsics

# Sums may be reordered, so that they run in vectors. NaN and infinity are preserved: a diverged
# loss must show.
jit = intrinsics.jit("contract", "reassoc", "nsz")
inlined = numba.njit(inline="always")  # passing arrays to a function costs as much as a row's work

_intrinsic: Any = intrinsic
_overload: Any = overload
_carray: Any = carray


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The type of sums over numbers stored as `dtype`."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def array(tensor: Tensor) -> NDArray[np.generic]:
    """A NumPy view of a CPU tensor; bfloat16 as its bits in uint16."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    return tensor.numpy()


WORTH_SHARING = 1 << 18
"""Numbers that a pass must read for several threads to pay: it then takes .1 ms or more."""


def in_parts(kernel: Callable[..., None], count: int, numbers: int, *arrays: Any) -> None:
    """Calls `kernel(first, last, *arrays)` on parts of `count`, on as many threads as torch has if
    that pays.
    """
    threads = min(torch.get_num_threads(), count)
    if threads < 2 or numbers < WORTH_SHARING:
        kernel(0, count, *arrays)
        return
    pool = _pool(threads - 1)
    ends = [count * part // threads for part in range(threads + 1)]
    own_part, *parts_of_pool = pairwise(ends)
    futures = [pool.submit(kernel, *part, *arrays) for part in parts_of_pool]
    kernel(*own_part, *arrays)
    for future in futures:
        future.result()


_pool = cache(ThreadPoolExecutor)


@_intrinsic
def widen(context, value):
    """Converts a stored number to the type of computation."""
    if value != types.uint16:
        return value(value), lambda context, builder, signature, args: args[0]

    def build(context, builder, signature, args):
        word = ir.IntType(32)
        bits = builder.shl(builder.zext(args[0], word), word(16))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.uint16), build


@_intrinsic
def narrow(context, value, like):
    """Converts a computed number to the type of `like`; to bfloat16 by rounding to nearest, ties to
    even.
    """
    if like != types.uint16:
        return like(like, like), lambda context, builder, signature, args: args[0]

    def build(context, builder, signature, args):
        word = ir.IntType(32)
        bits = builder.bitcast(args[0], word)
        odd = builder.and_(builder.lshr(bits, word(16)), word(1))
        rounded = builder.add(builder.add(bits, word(0x7FFF)), odd)
        return builder.trunc(builder.lshr(rounded, word(16)), ir.IntType(16))

    return types.uint16(types.float32, types.uint16), build


@_intrinsic
def _pointer(context, address, like):
    """An address, uint64, as a pointer to numbers of the type of `like`."""
    pointer = types.CPointer(like)  # type: ignore[no-untyped-call]

    def build(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(pointer))

    return pointer(types.uint64, like), build


@jit
def memory(address, count, like):
    """`count` numbers at an address, of the type of `like`: for kernels of any number of
    tensors.
    """
    return _carray(_pointer(address, like), (count,))


@_intrinsic
def _power_of_two(context, exponent):
    """2 ** exponent as float32, for an int32 in [-126, 127]."""

    def build(context, builder, signature, args):
        word = ir.IntType(32)
        biased = builder.add(args[0], word(127))
        return builder.bitcast(builder.shl(biased, word(23)), ir.FloatType())

    return types.float32(types.int32), build


def exp(x: Any) -> Any:
    """exp(x) for x <= 0."""


@_overload(exp)
def _exp_of(x):
    if x != types.float32:
        return lambda x: np.exp(x)
    f = np.float32
    log2e = f(1.44269504)
    ln2, ln2_rest = f(0.693359375), f(-2.12194440e-4)  # their sum is ln(2)
    smallest = f(-87)
    c2, c3, c4, c5, c6 = f(1 / 2), f(1 / 6), f(1 / 24), f(1 / 120), f(1 / 720)

    def series(x):
        # The library's exp takes one number at a time; this runs in vectors, with a relative error
        # of 2e-7.
        x = smallest if x < smallest else x
        n = np.int32(x * log2e - np.float32(0.5))  # truncated: nearest, x being negative
        r = x - np.float32(n) * ln2 - np.float32(n) * ln2_rest  # |r| <= ln(2) / 2
        return _power_of_two(n) * (1 + r * (1 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * c6))))))

    return series
