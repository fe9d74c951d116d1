"""Compiled passes over activations on the CPU, stored as float32, float64 or bfloat16.

Between two matrix products a step has elementwise work: bias, ReLU, mixing of experts, and their
gradients. As tensor operations each is a pass over memory; here they are one, which also writes the
layout of the next product.

Arrays: G inputs, E experts, B samples, O outputs of a layer, H inputs of the output; K gates over M
experts each. Kernels called by `in_parts` process the experts, or blocks of samples, from `first`
to before `last`.
"""

# mypy: allow-untyped-defs
# numba and llvmlite decide the types of compiled functions.
from __future__ import annotations

import numpy as np
import torch

from bench.core.system.intrinsics import AHEAD, LINE, prefetch
from bench.models.compiling import exp, inlined, jit, narrow, widen

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
"""Types of the activations that the kernels take."""


@jit
def look_up(first, last, table, ids, e):
    """e (N, W) = the rows of a table (R, W) that ids (N,) name, prefetched."""
    for n in range(first, last):
        i = np.uint64(n)
        coming = np.uint64(ids[min(i + AHEAD, np.uint64(last - 1))])
        for k in range(0, table.shape[1], LINE):
            prefetch(table, coming, k)
        row = np.uint64(ids[i])
        for k in range(table.shape[1]):
            e[i, k] = narrow(table[row, k], e[i, k])


@jit
def rectify(first, last, z, column, bias, out):
    """Extracts one hidden layer from a wide product: out (E, B, O) = relu(z + bias).

    z (G, B, columns) holds the experts of a group side by side, from `column` on.
    """
    group_size = len(out) // len(z)  # experts
    width = out.shape[2]
    zero = bias.dtype.type(0)
    for g in range(first // group_size, -(-last // group_size)):
        for b in range(out.shape[1]):  # reads z sequentially
            for e in range(max(first, g * group_size), min(last, (g + 1) * group_size)):
                start = column + e % group_size * width
                row = z[g, b, start : start + width]
                shift = bias[e]
                target = out[e, b]
                for k in range(width):
                    y = widen(row[k]) + shift[k]
                    target[k] = narrow(zero if y < 0 else y, target[k])  # NaN stays


@jit
def rectify_in_place(first, last, z, bias):
    """`rectify` of a single layer with an input for each expert, whose z is already (E, B, O).

    A separate kernel: with the same memory as input and output, the loops of `rectify` would not
    run in vectors.
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
def unrectify(first, last, gradient, out, column, dz, dbias):
    """Gradient of `rectify`: fills dz (G, B, columns) from `column` on, and adds to dbias (E,
    O).
    """
    group_size = len(out) // len(dz)  # experts
    width = out.shape[2]
    zero = dbias.dtype.type(0)
    for e in range(first, last):
        start = column + e % group_size * width
        total = dbias[e]
        for b in range(out.shape[1]):
            row = dz[e // group_size, b, start : start + width]
            above = gradient[e, b]
            y = out[e, b]
            for k in range(width):
                d = widen(above[k])
                d = zero if widen(y[k]) <= 0 else d
                total[k] += d
                row[k] = narrow(d, row[k])


@jit
def is_live(gradient, live):
    """live (E): whether each expert's gradient (E, B, O) has a non-zero number.

    Mostly the first row decides.
    """
    for e in range(len(live)):
        live[e] = False
        for b in range(gradient.shape[1]):
            row = gradient[e, b]
            nonzero = 0
            for k in range(len(row)):
                nonzero |= widen(row[k]) != 0
            if nonzero:
                live[e] = True
                break


@jit
def head(h, weight, bias, y):
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
def unhead(above, h, weight, dh, dweight):
    """Gradient of `head` from that at its outputs, (B, E): fills dh, and adds to dweight."""
    for e in range(h.shape[0]):
        w = weight[e, 0]
        total = dweight[e, 0]
        for b in range(h.shape[1]):
            d = above[b, e]
            row = h[e, b]
            target = dh[e, b]
            for k in range(h.shape[2]):
                total[k] += d * widen(row[k])
                target[k] = narrow(d * w[k], target[k])


@jit
def add_up(parts, total):
    """total (O, I) = the sum of parts (C, O, I)."""
    for o in range(total.shape[0]):
        row = total[o]
        row[:] = 0
        for c in range(len(parts)):
            part = parts[c, o]
            for i in range(len(row)):
                row[i] += widen(part[i])


BLOCK = 64  # samples mixed together, expert by expert, so that memory is read in long runs


@jit
def _softmax(scores, start, end, weights):
    """weights (M, B) from scores (B, M), for the samples of a block.

    Vectorised over samples, as M is small.
    """
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
def _unsoftmax(weights, dweights, start, end, dscores):
    """dscores (B, M) from weights (M, B) and the block's dweights (M, BLOCK), which it
    overwrites.
    """
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
        row = dscores[start + b]
        for i in range(len(weights)):
            row[i] = narrow(dweights[i, b], row[i])


@inlined
def _add_scaled(factor, row, total):
    for h in range(len(total)):
        total[h] += factor * widen(row[h])


@jit
def mix(first, last, scores, own_experts, shared, weights, out):
    """Gate k's softmax over its own experts, then the shared ones, and its weighted sum of them.

    scores (K, B, M), own_experts (K * (M - S), B, H), gate by gate, shared (S, B, H) -> weights (K,
    M, B), out (K, B, H).
    """
    gates, batch, count = scores.shape
    per_gate = count - len(shared)  # experts in `own_experts`
    sums = np.empty((BLOCK, out.shape[2]), dtype=weights.dtype)
    for block in range(first, last):
        start = block * BLOCK
        end = min(start + BLOCK, batch)
        for k in range(gates):
            _softmax(scores[k], start, end, weights[k])
            sums[:] = 0
            for i in range(count):
                for b in range(start, end):
                    if i < per_gate:
                        row = own_experts[k * per_gate + i, b]
                    else:
                        row = shared[i - per_gate, b]
                    _add_scaled(weights[k, i, b], row, sums[b - start])
            for b in range(start, end):
                total = sums[b - start]
                target = out[k, b]
                for h in range(len(total)):
                    target[h] = narrow(total[h], target[h])


@inlined
def _through(weight, row, above, total):
    """Adds the gradient at an expert to `total`; returns that at its weight."""
    dot = weight * 0
    for h in range(len(total)):
        dot += widen(row[h]) * above[h]
        total[h] += weight * above[h]
    return dot


@jit
def unmix(
    first,
    last,
    weights,
    above,
    all_weights,
    all_above,
    own_experts,
    shared,
    live,
    dscores,
    all_dscores,
    d_own_experts,
    dshared,
):
    """Gradient of `mix` by tasks' gates and by one gate over all experts (`all_`; of length 0 if
    there is none).

    above (K, B, H) and all_above (0 or 1, B, H) are the gradients at the sums; live (K + 0 or 1)
    marks those that are not zero; the last four arrays are filled.
    """
    gates, count, batch = weights.shape
    per_gate = count - len(shared)  # experts in `own_experts`
    own_count = len(own_experts)
    experts = own_count + len(shared)
    width = above.shape[2]
    extra = len(all_weights)
    wide = np.empty((gates + extra, BLOCK, width), dtype=weights.dtype)
    dweights = np.empty((gates + extra, max(count, experts), BLOCK), dtype=weights.dtype)
    total = np.empty(width, dtype=weights.dtype)
    for block in range(first, last):
        start = block * BLOCK
        end = min(start + BLOCK, batch)
        for k in range(gates + extra):
            for b in range(start, end):
                row = above[k, b] if k < gates else all_above[k - gates, b]
                wide_row = wide[k, b - start]
                for h in range(width):
                    wide_row[h] = widen(row[h])
        for n in range(experts):
            # The gates that weight expert n, and its index among their experts.
            if n < own_count:
                first_gate = n // per_gate
                end_gate = first_gate + 1
                i = n % per_gate
            else:
                first_gate = 0
                end_gate = gates
                i = per_gate + n - own_count
            for b in range(start, end):
                place = b - start
                if n < own_count:
                    row = own_experts[n, b]
                    target = d_own_experts[n, b]
                else:
                    row = shared[n - own_count, b]
                    target = dshared[n - own_count, b]
                total[:] = 0
                for k in range(first_gate, end_gate):
                    if live[k]:
                        dweights[k, i, place] = _through(
                            weights[k, i, b], row, wide[k, place], total
                        )
                for k in range(extra):
                    if live[gates + k]:
                        dweights[gates + k, n, place] = _through(
                            all_weights[k, n, b], row, wide[gates + k, place], total
                        )
                for h in range(width):
                    target[h] = narrow(total[h], target[h])
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
