"""Products and weighted sums of the tasks' gradients: passes over a few megabytes, bound by memory.

On the CPU compiled loops read each gradient once for all its products, and once for the sum; elsewhere torch does it.
Gradients may be bfloat16; products and sums are float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from bench.models.kernels import array
from bench.models.kernels.numbers import jit, widen

_BLOCK = 4096  # numbers of each gradient that stay in the cache while all pairs of tasks are gone through


def gramian(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    """g_i . g_j of T gradients, each in the same parts -> (T, T) float32."""
    parts = [_flat(tensors) for tensors in zip(*gradients, strict=True)]
    if not all(_compiled(vectors) for vectors in parts):
        matrices = [torch.stack(vectors).float() for vectors in parts]
        return torch.stack([matrix @ matrix.T for matrix in matrices]).sum(0)
    products = np.zeros((len(gradients), len(gradients)))
    for vectors in parts:
        _add_products(tuple(array(vector) for vector in vectors), products)
    return torch.from_numpy(products).float()


def weighted_sum(gradients: Sequence[Tensor], weights: Tensor) -> Tensor:
    """sum_i weights_i gradients_i as float32, in the memory layout that the gradients have."""
    first, vectors = gradients[0], _flat(gradients)
    if _compiled(vectors):
        total = torch.empty_like(vectors[0], dtype=torch.float32)
        _add_up(tuple(array(vector) for vector in vectors), array(weights.float()), array(total))
        order = _order(first)
        return total.view([first.shape[axis] for axis in order]).permute([order.index(a) for a in range(first.dim())])
    total = first.float() * weights[0]
    for gradient, weight in zip(gradients[1:], weights[1:], strict=True):
        total.addcmul_(gradient.float(), weight)
    return total


def _order(tensor: Tensor) -> list[int]:
    """Its axes in the order of memory, the outermost first."""
    return sorted(range(tensor.dim()), key=tensor.stride, reverse=True)


def _flat(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one layout as vectors of one order: that of memory, which needs no copy where they are dense."""
    order = _order(tensors[0])
    return [tensor.detach().permute(order).reshape(-1) for tensor in tensors]


def _compiled(vectors: Sequence[Tensor]) -> bool:
    return all(vector.device.type == "cpu" and vector.dtype in (torch.float32, torch.bfloat16) for vector in vectors)


@jit
def _add_products(vectors, products):  # type: ignore[no-untyped-def]
    """Adds the products of all pairs; float32 within a block, float64 over blocks."""
    for start in range(0, len(vectors[0]), _BLOCK):
        end = min(start + _BLOCK, len(vectors[0]))
        for i in range(len(vectors)):
            x = vectors[i][start:end]
            for j in range(i + 1):
                y = vectors[j][start:end]
                total = np.float32(0)
                for k in range(len(x)):
                    total += widen(x[k]) * widen(y[k])
                products[i, j] += total
                if j < i:
                    products[j, i] += total


@jit
def _add_up(vectors, weights, total):  # type: ignore[no-untyped-def]
    for start in range(0, len(total), _BLOCK):
        end = min(start + _BLOCK, len(total))
        to = total[start:end]
        x, weight = vectors[0][start:end], weights[0]
        for k in range(len(to)):
            to[k] = weight * widen(x[k])
        for i in range(1, len(vectors)):
            x, weight = vectors[i][start:end], weights[i]
            for k in range(len(to)):
                to[k] += weight * widen(x[k])
