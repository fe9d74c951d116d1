"""Compiled passes over activations on the CPU, stored as float32, float64 or bfloat16.

Between two matrix products a step has elementwise work to do: bias, ReLU, mixing of experts, and their gradients. As
separate tensor operations each is a pass over memory of its own; here each is one pass, with the change of layout that
the next product wants thrown in. Arithmetic is in float32 (float64 for float64) whatever is stored.

Arrays: G inputs, E experts, B samples, O outputs of a layer, H inputs of the output; K gates over M experts each.
Kernels that `in_parts` calls do the experts, or blocks of samples, from `first` to before `last`.
"""

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
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray
from torch import Tensor

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
"""Of the activations that the kernels take."""

# Sums may be reordered, so that they run in vectors. NaN and infinity keep their meaning: a diverged loss must show.
jit = numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
inlined = numba.njit(inline="always")  # passing arrays to a function costs as much as a row's work

_intrinsic: Any = intrinsic
_overload: Any = overload
_carray: Any = carray


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The type of sums over numbers stored as `dtype`."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def array(tensor: Tensor) -> NDArray[Any]:
    """The memory of a CPU tensor as an array; bfloat16, which NumPy has not, as its bits in uint16."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


AHEAD = np.uint64(32)  # iterations between asking for a row and using it; measured flat from 16 to 64
LINE = 16  # float32 in a cache line
WORTH_SHARING = 1 << 18
"""Numbers that a pass reads from which on several threads share it: it then takes .1 ms or more."""


def in_parts(kernel: Callable[..., None], count: int, numbers: int, *arrays: Any) -> None:
    """Calls `kernel(first, last, *arrays)` for parts of `count`, on as many threads as torch has where that pays."""
    threads = min(torch.get_num_threads(), count) if numbers >= WORTH_SHARING else 1
    if threads < 2:
        kernel(0, count, *arrays)
        return
    ends = [count * part // threads for part in range(threads + 1)]
    (first, last), *others = pairwise(ends)
    futures = [_pool(threads - 1).submit(kernel, *part, *arrays) for part in others]
    kernel(first, last, *arrays)
    for future in futures:
        future.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads)


def _prefetch(context, array, row, column):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        row, column = (
            context.cast(builder, argument, kind, types.int64)
            for argument, kind in zip(arguments[1:], signature.args[1:], strict=True)
        )
        offset = builder.add(
            builder.mul(row, builder.extract_value(view.strides, 0)), builder.mul(column, view.itemsize)
        )
        address = builder.inttoptr(builder.add(builder.ptrtoint(view.data, cgutils.intp_t), offset), cgutils.voidptr_t)
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, i32, i32, i32])
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        to_write, keep_near, data = i32(1), i32(3), i32(1)
        builder.call(function, [address, to_write, keep_near, data])
        return context.get_dummy_value()

    return types.void(array, row, column), generate


prefetch: Any = _intrinsic(_prefetch)
"""`prefetch(array, row, column)` asks for a cache line of a row of an array of one or two axes; any address will do."""


@_intrinsic
def widen(context, value):  # type: ignore[no-untyped-def]
    """A stored number as it is computed with."""
    if value != types.uint16:
        return value(value), lambda context, builder, signature, args: args[0]

    def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        return builder.bitcast(builder.shl(builder.zext(args[0], word), word(16)), ir.FloatType())

    return types.float32(types.uint16), build


@_intrinsic
def narrow(context, value, like):  # type: ignore[no-untyped-def]
    """A computed number as it is stored where `like` stands: bfloat16 to nearest, ties to even."""
    if like != types.uint16:
        return like(like, like), lambda context, builder, signature, args: args[0]

    def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        bits = builder.bitcast(args[0], word)
        odd = builder.and_(builder.lshr(bits, word(16)), word(1))
        rounded = builder.add(builder.add(bits, word(0x7FFF)), odd)
        return builder.trunc(builder.lshr(rounded, word(16)), ir.IntType(16))

    return types.uint16(types.float32, types.uint16), build


@_intrinsic
def _pointer(context, address, like):  # type: ignore[no-untyped-def]
    """An address, uint64, as a pointer to numbers stored as `like` is."""
    to = types.CPointer(like)  # type: ignore[no-untyped-call]

    def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], context.get_value_type(to))

    return to(types.uint64, like), build


@jit
def memory(address, count, like):  # type: ignore[no-untyped-def]
    """`count` numbers from an address on, stored as `like` is: for kernels of any number of tensors."""
    return _carray(_pointer(address, like), (count,))


@_intrinsic
def _power_of_two(context, exponent):  # type: ignore[no-untyped-def]
    """2 ** exponent as float32, for an int32 in [-126, 127]."""

    def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        return builder.bitcast(builder.shl(builder.add(args[0], word(127)), word(23)), ir.FloatType())

    return types.float32(types.int32), build


def exp(x: Any) -> Any:
    """exp(x) for x <= 0."""


@_overload(exp)
def _exp_of(x):  # type: ignore[no-untyped-def]
    if x != types.float32:
        return lambda x: np.exp(x)
    f = np.float32
    log2e, ln2, rest, least = f(1.44269504), f(0.693359375), f(-2.12194440e-4), f(-87)
    c2, c3, c4, c5, c6 = f(1 / 2), f(1 / 6), f(1 / 24), f(1 / 120), f(1 / 720)

    def series(x):  # type: ignore[no-untyped-def]
        # The library's exp takes one number at a time; this runs in vectors, to about 2e-7 of the value.
        x = least if x < least else x
        n = np.int32(x * log2e - np.float32(0.5))  # truncated: nearest, x being negative
        r = x - np.float32(n) * ln2 - np.float32(n) * rest  # |r| <= ln(2) / 2
        return _power_of_two(n) * (1 + r * (1 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * c6))))))

    return series


@jit
def look_up(first, last, table, ids, e):  # type: ignore[no-untyped-def]
    """e (N, W) = the rows of a table (R, W) that ids (N,) name, asked for before they are needed."""
    for i in range(first, last):
        at, coming = np.uint64(i), np.uint64(ids[min(np.uint64(i) + AHEAD, np.uint64(last - 1))])
        for k in range(0, table.shape[1], LINE):
            prefetch(table, coming, k)
        row = np.uint64(ids[at])
        for k in range(table.shape[1]):
            e[at, k] = narrow(table[row, k], e[at, k])


@jit
def rectify(first, last, z, column, bias, out):  # type: ignore[no-untyped-def]
    """Takes one hidden layer out of a wide product: out (E, B, O) = relu(z + bias).

    z (G, B, columns) holds the experts of a group side by side, from `column` on.
    """
    each, width, zero = len(out) // len(z), out.shape[2], bias.dtype.type(0)
    for g in range(first // each, -(-last // each)):
        for b in range(out.shape[1]):  # z is read in one run
            for e in range(max(first, g * each), min(last, (g + 1) * each)):
                start = column + e % each * width
                row, shift, to = z[g, b, start : start + width], bias[e], out[e, b]
                for k in range(width):
                    y = widen(row[k]) + shift[k]
                    to[k] = narrow(zero if y < 0 else y, to[k])  # NaN stays


@jit
def rectify_in_place(first, last, z, bias):  # type: ignore[no-untyped-def]
    """`rectify` of an only layer with an input for each expert, whose z is (E, B, O) already.

    Were input and output of `rectify` the same memory, its loops would not run in vectors.
    """
    zero = bias.dtype.type(0)
    for e in range(first, last):
        shift = bias[e]
        for b in range(z.shape[1]):
            row = z[e, b]
            for k in range(z.shape[2]):
                y = widen(row[k]) + shift[k]
                row[k] = narrow(zero if y < 0 else y, row[k])


@jit
def unrectify(first, last, gradient, out, column, dz, dbias):  # type: ignore[no-untyped-def]
    """The gradient of `rectify`: fills dz (G, B, columns) from `column` on, and adds to dbias (E, O)."""
    each, zero = len(out) // len(dz), dbias.dtype.type(0)
    for e in range(first, last):
        start, total = column + e % each * out.shape[2], dbias[e]
        for b in range(out.shape[1]):
            row, above, y = dz[e // each, b, start : start + out.shape[2]], gradient[e, b], out[e, b]
            for k in range(out.shape[2]):
                d = widen(above[k])
                d = zero if widen(y[k]) <= 0 else d
                total[k] += d
                row[k] = narrow(d, row[k])


@jit
def is_live(gradient, live):  # type: ignore[no-untyped-def]
    """live (E): whether gradient (E, B, O) of each has a number that is not zero; mostly the first row tells."""
    for e in range(len(live)):
        live[e] = False
        for b in range(gradient.shape[1]):
            row, found = gradient[e, b], 0
            for k in range(len(row)):
                found |= widen(row[k]) != 0
            if found:
                live[e] = True
                break


@jit
def spread(z, column, out):  # type: ignore[no-untyped-def]
    """`rectify` without bias and ReLU: out (E, B, O) as it stands in z."""
    each = len(out) // len(z)
    for e in range(len(out)):
        start = column + e % each * out.shape[2]
        for b in range(out.shape[1]):
            for k in range(out.shape[2]):
                out[e, b, k] = z[e // each, b, start + k]


@jit
def unspread(gradient, column, dz):  # type: ignore[no-untyped-def]
    """The gradient of `spread`."""
    each = len(gradient) // len(dz)
    for e in range(len(gradient)):
        start = column + e % each * gradient.shape[2]
        for b in range(gradient.shape[1]):
            for k in range(gradient.shape[2]):
                dz[e // each, b, start + k] = gradient[e, b, k]


@jit
def head(h, weight, bias, y):  # type: ignore[no-untyped-def]
    """Linear outputs: y (B, E) = h (E, B, H) . weight (E, 1, H) + bias (E, 1)."""
    for e in range(h.shape[0]):
        w = weight[e, 0]
        for b in range(h.shape[1]):
            row = h[e, b]
            total = bias[e, 0]
            for k in range(h.shape[2]):
                total += widen(row[k]) * w[k]
            y[b, e] = total


@jit
def unhead(above, h, weight, dh, dweight):  # type: ignore[no-untyped-def]
    """The gradient of `head` from the one at its outputs, (B, E): fills dh, and adds to dweight."""
    for e in range(h.shape[0]):
        w, total = weight[e, 0], dweight[e, 0]
        for b in range(h.shape[1]):
            d, row, to = above[b, e], h[e, b], dh[e, b]
            for k in range(h.shape[2]):
                total[k] += d * widen(row[k])
                to[k] = narrow(d * w[k], to[k])


@jit
def add_up(parts, total):  # type: ignore[no-untyped-def]
    """total (O, I) = the sum of parts (C, O, I)."""
    for o in range(total.shape[0]):
        to = total[o]
        to[:] = 0
        for c in range(len(parts)):
            part = parts[c, o]
            for i in range(len(to)):
                to[i] += widen(part[i])


BLOCK = 64  # samples that are mixed together, expert by expert: memory is read in long runs


@jit
def _softmax(scores, start, end, weights):  # type: ignore[no-untyped-def]
    """weights (M, B) from scores (B, M), for the samples of a block: vectors run over samples, as M is small."""
    for b in range(start, end):
        for i in range(len(weights)):
            weights[i, b] = widen(scores[b, i])
    top = weights[0, start:end].copy()
    for i in range(1, len(weights)):
        w = weights[i, start:end]
        for b in range(end - start):
            top[b] = w[b] if w[b] > top[b] else top[b]
    total = np.zeros_like(top)
    for i in range(len(weights)):
        w = weights[i, start:end]
        for b in range(end - start):
            w[b] = exp(w[b] - top[b])
            total[b] += w[b]
    for i in range(len(weights)):
        w = weights[i, start:end]
        for b in range(end - start):
            w[b] /= total[b]


@jit
def _unsoftmax(weights, dweights, start, end, dscores):  # type: ignore[no-untyped-def]
    """dscores (B, M) from weights (M, B) and the block's dweights (M, BLOCK), which is overwritten."""
    mean = np.zeros(end - start, dtype=weights.dtype)
    for i in range(len(weights)):
        w = weights[i, start:end]
        d = dweights[i]
        for b in range(end - start):
            mean[b] += w[b] * d[b]
    for i in range(len(weights)):
        w = weights[i, start:end]
        d = dweights[i]
        for b in range(end - start):
            d[b] = w[b] * (d[b] - mean[b])
    for b in range(end - start):
        to = dscores[start + b]
        for i in range(len(weights)):
            to[i] = narrow(dweights[i, b], to[i])


@inlined
def _add_scaled(factor, row, total):  # type: ignore[no-untyped-def]
    for h in range(len(total)):
        total[h] += factor * widen(row[h])


@jit
def mix(first, last, scores, own, shared, weights, out):  # type: ignore[no-untyped-def]
    """Gate k's softmax over its own experts, then the shared ones, and its weighted sum of them.

    scores (K, B, M), own (K * (M - S), B, H), shared (S, B, H) -> weights (K, M, B), out (K, B, H).
    """
    gates, batch, count = scores.shape
    each = count - len(shared)
    sums = np.empty((BLOCK, out.shape[2]), dtype=weights.dtype)
    for block in range(first, last):
        start, end = block * BLOCK, min((block + 1) * BLOCK, batch)
        for k in range(gates):
            _softmax(scores[k], start, end, weights[k])
            sums[:] = 0
            for i in range(count):
                for b in range(start, end):
                    row = own[k * each + i, b] if i < each else shared[i - each, b]
                    _add_scaled(weights[k, i, b], row, sums[b - start])
            for b in range(start, end):
                total, to = sums[b - start], out[k, b]
                for h in range(len(total)):
                    to[h] = narrow(total[h], to[h])


@inlined
def _through(weight, row, above, total):  # type: ignore[no-untyped-def]
    """Adds the gradient at an expert to `total`; returns the one at its weight."""
    dot = weight * 0
    for h in range(len(total)):
        dot += widen(row[h]) * above[h]
        total[h] += weight * above[h]
    return dot


@jit
def unmix(  # type: ignore[no-untyped-def]
    first, last, weights, above, all_weights, all_above, own, shared, live, dscores, all_dscores, down, dshared
):
    """The gradient of `mix` by tasks' gates and by one gate over all experts (`all_`; of length 0 where there is none).

    above (K, B, H) and all_above (0 or 1, B, H) are the gradients at the sums; live (K + 0 or 1) tells where they are
    not zero; the last four arrays are filled.
    """
    gates, count, batch = weights.shape
    each, experts, width = count - len(shared), len(own) + len(shared), above.shape[2]
    extra = len(all_weights)
    wide = np.empty((gates + extra, BLOCK, width), dtype=weights.dtype)
    dweights = np.empty((gates + extra, max(count, experts), BLOCK), dtype=weights.dtype)
    total = np.empty(width, dtype=weights.dtype)
    for block in range(first, last):
        start, end = block * BLOCK, min((block + 1) * BLOCK, batch)
        for k in range(gates + extra):
            for b in range(start, end):
                row, to = above[k, b] if k < gates else all_above[k - gates, b], wide[k, b - start]
                for h in range(width):
                    to[h] = widen(row[h])
        for n in range(experts):
            gate, behind, i = 0, gates, each + n - len(own)
            if n < len(own):
                gate, behind, i = n // each, n // each + 1, n % each
            for b in range(start, end):
                at = b - start
                row = own[n, b] if n < len(own) else shared[n - len(own), b]
                total[:] = 0
                for k in range(gate, behind):
                    if live[k]:
                        dweights[k, i, at] = _through(weights[k, i, b], row, wide[k, at], total)
                for k in range(extra):
                    if live[gates + k]:
                        dweights[gates + k, n, at] = _through(all_weights[k, n, b], row, wide[gates + k, at], total)
                to = down[n, b] if n < len(own) else dshared[n - len(own), b]
                for h in range(width):
                    to[h] = narrow(total[h], to[h])
        for k in range(gates):
            if live[k]:
                _unsoftmax(weights[k], dweights[k], start, end, dscores[k])
            else:
                dscores[k, start:end] = 0
        for k in range(extra):
            if live[gates + k]:
                _unsoftmax(all_weights[k], dweights[gates + k], start, end, all_dscores[k])
            else:
                all_dscores[k, start:end] = 0
