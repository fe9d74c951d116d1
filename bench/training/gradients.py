"""Products and weighted sums of the tasks' gradients: passes over a few megabytes, bound by memory.

On the CPU compiled loops read each gradient once for all its products, and once for the sum; elsewhere torch does it.
One call takes all parts, by their addresses: for a bias, calls cost more than its numbers. Gradients may be bfloat16,
products and sums are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.models.kernels import array, jit, memory, widen

_BLOCK = 4096  # numbers of each gradient that stay in the cache while all pairs of tasks are gone through


def gramian(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    """g_i . g_j of T gradients, each in the same parts -> (T, T) float32."""
    parts = [_flat(tensors) for tensors in zip(*gradients, strict=True)]
    if not all(_compiled(vectors) for vectors in parts):
        matrices = [torch.stack(vectors).float() for vectors in parts]
        return torch.stack([matrix @ matrix.T for matrix in matrices]).sum(0)
    products = np.zeros((len(gradients), len(gradients)))
    _add_products(*_located(parts), products)
    return torch.from_numpy(products).float()


def weighted_sum(gradients: Sequence[Sequence[Tensor]], weights: Tensor) -> list[Tensor]:
    """sum_i weights_i g_i of T gradients -> its parts, float32, in the memory layout that the gradients' have."""
    tensors = list(zip(*gradients, strict=True))
    parts = [_flat(of_part) for of_part in tensors]
    if not all(_compiled(vectors) for vectors in parts):
        return [_sum_by_torch(of_part, weights) for of_part in tensors]
    totals = [torch.empty_like(vectors[0], dtype=torch.float32) for vectors in parts]
    to = np.array([total.data_ptr() for total in totals], np.uint64)
    _add_up(*_located(parts), array(weights.float()), to)
    return [_laid_out(total, of_part[0]) for total, of_part in zip(totals, tensors, strict=True)]


def _sum_by_torch(gradients: Sequence[Tensor], weights: Tensor) -> Tensor:
    total = gradients[0].float() * weights[0]
    for gradient, weight in zip(gradients[1:], weights[1:], strict=True):
        total.addcmul_(gradient.float(), weight)
    return total


def _order(tensor: Tensor) -> list[int]:
    """Its axes in the order of memory, the outermost first."""
    return sorted(range(tensor.dim()), key=tensor.stride, reverse=True)


def _flat(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of one layout as vectors of one order: that of memory, which needs no copy where they are dense."""
    if all(tensor.is_contiguous() for tensor in tensors):
        return [tensor.detach().view(-1) for tensor in tensors]
    order = _order(tensors[0])
    return [tensor.detach().permute(order).reshape(-1) for tensor in tensors]


def _laid_out(vector: Tensor, like: Tensor) -> Tensor:
    """A vector of `_flat` as the tensor that it was made of."""
    if like.is_contiguous():
        return vector.view(like.shape)
    order = _order(like)
    return vector.view([like.shape[axis] for axis in order]).permute([order.index(axis) for axis in range(like.dim())])


def _compiled(vectors: Sequence[Tensor]) -> bool:
    first = vectors[0].dtype
    return first in (torch.float32, torch.bfloat16) and all(v.is_cpu and v.dtype == first for v in vectors)


def _located(parts: Sequence[Sequence[Tensor]]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of P parts of T vectors each: addresses (P, T), lengths (P,), and whether they are bfloat16 (P,)."""
    addresses = np.array([[vector.data_ptr() for vector in vectors] for vectors in parts], np.uint64)
    lengths = np.array([len(vectors[0]) for vectors in parts], np.int64)
    return addresses, lengths, np.array([vectors[0].dtype == torch.bfloat16 for vectors in parts], np.bool_)


@jit
def _add_products(addresses, lengths, narrow, products):  # type: ignore[no-untyped-def]
    """Adds the products of all pairs; float32 within a block, float64 over blocks."""
    for part in range(len(lengths)):
        if narrow[part]:
            _products_of(addresses[part], lengths[part], np.uint16(0), products)
        else:
            _products_of(addresses[part], lengths[part], np.float32(0), products)


@jit
def _products_of(addresses, length, like, products):  # type: ignore[no-untyped-def]
    for start in range(0, length, _BLOCK):
        end = min(start + _BLOCK, length)
        for i in range(len(addresses)):
            x = memory(addresses[i], length, like)[start:end]
            for j in range(i + 1):
                y = memory(addresses[j], length, like)[start:end]
                total = np.float32(0)
                for k in range(len(x)):
                    total += widen(x[k]) * widen(y[k])
                products[i, j] += total
                if j < i:
                    products[j, i] += total


@jit
def _add_up(addresses, lengths, narrow, weights, totals):  # type: ignore[no-untyped-def]
    for part in range(len(lengths)):
        if narrow[part]:
            _sum_of(addresses[part], lengths[part], np.uint16(0), weights, totals[part])
        else:
            _sum_of(addresses[part], lengths[part], np.float32(0), weights, totals[part])


@jit
def _sum_of(addresses, length, like, weights, total):  # type: ignore[no-untyped-def]
    for start in range(0, length, _BLOCK):
        end = min(start + _BLOCK, length)
        to = memory(total, length, np.float32(0))[start:end]
        x, weight = memory(addresses[0], length, like)[start:end], weights[0]
        for k in range(len(to)):
            to[k] = weight * widen(x[k])
        for i in range(1, len(addresses)):
            x, weight = memory(addresses[i], length, like)[start:end], weights[i]
            for k in range(len(to)):
                to[k] += weight * widen(x[k])
