"""Softmax gates and the sums of experts that they weight. Arrays: K gates over M experts each, B samples, width H."""

from __future__ import annotations

import numpy as np

from bench.models.kernels.numbers import exp, inlined, jit, narrow, widen

_BLOCK = 64  # samples whose gates are worked on together


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
def mix(scores, own, shared, weights, out):  # type: ignore[no-untyped-def]
    """Gate k's softmax over its own experts, then the shared ones, and its weighted sum of them.

    scores (K, B, M), own (K * (M - S), B, H), shared (S, B, H) -> weights (K, M, B), out (K, B, H).
    """
    gates, batch, count = scores.shape
    each = count - len(shared)
    total = np.empty(out.shape[2], dtype=weights.dtype)
    for start in range(0, batch, _BLOCK):
        end = min(start + _BLOCK, batch)
        for k in range(gates):
            _softmax(scores[k], start, end, weights[k])
        for b in range(start, end):
            for k in range(gates):
                total[:] = 0
                for i in range(each):
                    _add_scaled(weights[k, i, b], own[k * each + i, b], total)
                for i in range(len(shared)):
                    _add_scaled(weights[k, each + i, b], shared[i, b], total)
                to = out[k, b]
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
    weights, above, all_weights, all_above, own, shared, live, dscores, all_dscores, down, dshared
):
    """The gradient of `mix` by tasks' gates and by one gate over all experts (`all_`; of length 0 where there is none).

    above (K, B, H) and all_above (0 or 1, B, H) are the gradients at the sums; live (K + 0 or 1) tells where they are
    not zero; the last four arrays are filled.
    """
    gates, count, batch = weights.shape
    each, experts, width = count - len(shared), len(own) + len(shared), above.shape[2]
    extra = len(all_weights)
    wide = np.empty((gates + extra, width), dtype=weights.dtype)
    dweights = np.empty((gates + extra, max(count, experts), _BLOCK), dtype=weights.dtype)
    total = np.empty(width, dtype=weights.dtype)
    for start in range(0, batch, _BLOCK):
        end = min(start + _BLOCK, batch)
        for b in range(start, end):
            at = b - start
            for k in range(gates + extra):
                row = above[k, b] if k < gates else all_above[k - gates, b]
                to = wide[k]
                for h in range(width):
                    to[h] = widen(row[h])
            for n in range(experts):
                row = own[n, b] if n < len(own) else shared[n - len(own), b]
                total[:] = 0
                first, last, i = 0, gates, each + n - len(own)
                if n < len(own):
                    first, last, i = n // each, n // each + 1, n % each
                for k in range(first, last):
                    if live[k]:
                        dweights[k, i, at] = _through(weights[k, i, b], row, wide[k], total)
                for k in range(extra):
                    if live[gates + k]:
                        dweights[gates + k, n, at] = _through(all_weights[k, n, b], row, wide[gates + k], total)
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
