"""Gradient aggregation: the tasks' gradients, their Gramian, and their weighted sum or another
combination.

Gradients are combined at the embedding output and at the dense parameters that tasks share. The
towers need one backward pass for all tasks: the graph is cut at their input, where tasks' gradients
can be told apart, and from there down each task has its own backward pass.

Products and sums are bound by memory. On the CPU compiled loops read each gradient once for all its
products, and once for the sum; elsewhere torch does it. One call takes all parts, by their
addresses, because for a bias calls cost more than its numbers. Gradients may be bfloat16, products
and sums are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.arrays import Ints, Mask
from bench.models.assembly import MultiTaskModel
from bench.models.balancing.base import Balancer, GradientCombination
from bench.models.compiling import array, jit, memory, widen
from bench.models.fused import among, of_one_task

_BLOCK = 4096
"""Numbers of each gradient that stay in the cache while all pairs of tasks are processed."""
TowerGradients = Callable[[Tensor], Sequence[Tensor]]
"""Weights (T,) -> gradients of the towers' parameters, for the tasks' losses with these weights."""

Parts = Sequence[Sequence[Tensor]]
"""P parts of T vectors, one for each task."""


class Located(NamedTuple):
    """Where parts are: addresses (P, T), lengths (P,), and whether they are bfloat16 (P,)."""

    addresses: NDArray[np.uint64]
    lengths: Ints
    narrow: Mask


class Aggregation:
    """Fills gradients with each task's own on its own parameters, and with sum_i w_i g_i on shared
    ones.

    The balancer gives w; if they are also for a task's own parameters (`Balancer.weighs_own`), they
    multiply them there. With T tasks: one backward pass through the towers (two if a funnel ties
    losses, T if it transfers hidden units between towers), and T through the parts below. If a
    funnel ties tasks, parameters of one task get the sum of all losses' gradients.
    """

    def __init__(self, model: MultiTaskModel, balancer: Balancer) -> None:
        self.balancer = balancer
        self.tied = model.ties_logits
        self.transfers = model.towers.transfer is not None
        self.pools = model.pooling.pools
        self.outputs = len(model.outputs)
        self.towers = list(model.towers.parameters())
        if model.position:
            self.towers += model.position.parameters()
        self.shared = list(model.shared_parameters())
        towers_and_shared = set(map(id, self.towers + self.shared))
        dense = model.dense_parameters()
        self.task_specific = [p for p in dense if id(p) not in towers_and_shared]
        self._below = self._above = self._pooled = torch.empty(0)
        if isinstance(balancer, GradientCombination):
            balancer.prepare(self.shared)
        model.towers.register_forward_pre_hook(self._cut)
        model.by_sets.register_forward_pre_hook(self._keep)

    def backward(self, e: Tensor, logits: Tensor, losses: Tensor) -> None:
        """Fills `.grad` of `e` (B, S, W), the embedding output and a leaf, and of the model's dense
        parameters.

        The losses (T,) were computed from the logits (B, O).
        """
        # Without pooling only a cast lies between e and the products: gradients are combined before
        # it.
        output = e if self.pools else self._pooled
        inputs = [output, *self.shared, *self.task_specific]
        at_representation, tower_gradients = self._through_towers(logits, losses)
        gradients = []  # of each task, at each of the inputs
        for task, above in enumerate(at_representation):
            last = task == len(losses) - 1
            gradients.append(gradients_of_task(self._below, inputs, above, retain_graph=not last))

        shared = 1 + len(self.shared)
        combined, weights = self.combine([gradient[:shared] for gradient in gradients])
        if not self.balancer.weighs_own:
            weights = torch.ones_like(weights)
        for parameter, gradient in zip(self.towers, tower_gradients(weights), strict=True):
            parameter.grad = gradient
        self._below = self._above = self._pooled = torch.empty(0)
        # A task's gradient is zero at slices of other tasks, so the sum keeps each task's.
        if self.task_specific:
            combined += weighted_sum([gradient[shared:] for gradient in gradients], weights)
        for tensor, gradient in zip([e, *inputs[1:]], combined, strict=True):
            tensor.grad = gradient

    def combine(self, gradients: list[tuple[Tensor, ...]]) -> tuple[list[Tensor], Tensor]:
        """Combines the gradients of shared parameters of T tasks, in float32 parts; also returns
        their weights (T,).

        Those of a `GradientCombination` are 1.
        """
        if isinstance(self.balancer, GradientCombination):
            singles = [list(map(Tensor.float, gradient)) for gradient in gradients]
            parts: list[Tensor] = self.balancer(singles)
            return parts, torch.ones(len(gradients), device=parts[0].device)
        weights: Tensor = self.balancer(gramian(gradients))
        return weighted_sum(gradients, weights), weights

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Records the pooled fields (B, F, W), in the precision of the products."""
        if torch.is_grad_enabled():
            (self._pooled,) = inputs

    def _cut(
        self,
        module: nn.Module,
        inputs: tuple[Tensor, ...],
    ) -> tuple[Tensor] | None:
        """Replaces the towers' input, the representation (1 or O, B, H), by a leaf with a slice for
        each tower.
        """
        if not torch.is_grad_enabled():
            return None
        (below,) = inputs
        self._below = below
        self._above = below.detach().expand(self.outputs, -1, -1).requires_grad_()
        return (self._above,)

    def _through_towers(
        self,
        logits: Tensor,
        losses: Tensor,
    ) -> tuple[list[Tensor], TowerGradients]:
        """Returns each task's gradient at the representation, and a function for the towers'
        gradients.
        """
        if not self.tied:
            return self._through_untied_towers(losses)
        if self.transfers:
            at_representation = [_gradient(loss, self._above) for loss in losses]
            tower_gradients = partial(_of_weighted_losses, losses, self.towers)
        else:
            # A sample's logit k depends only on its slice k, so the chain rule needs one product.
            at_logits = [_gradient(loss, logits) for loss in losses]  # T x (B, O)
            slope = _gradient(logits.sum(), self._above)  # (O, B, H)
            at_representation = []
            for gradient in at_logits:
                by_output = gradient.t().unsqueeze(2)
                at_representation.append(slope * by_output.to(slope.dtype))
            tower_gradients = partial(_of_weighted_logits, logits, at_logits, self.towers)

        if self._below.shape[0] == 1:
            at_representation = [part.sum(0, keepdim=True) for part in at_representation]
        return at_representation, tower_gradients

    def _through_untied_towers(self, losses: Tensor) -> tuple[list[Tensor], TowerGradients]:
        """As `_through_towers`, where a loss depends only on its own logit, so only on its own
        slice of the towers' input.
        """
        at_input, *at_towers = torch.autograd.grad(losses.sum(), [self._above, *self.towers])
        at_representation = []
        for task in range(len(losses)):
            own_slice = slice(task, task + 1)
            gradient = at_input[own_slice]
            if self._below.shape[0] > 1:
                gradient = among(gradient, own_slice, len(losses))
            at_representation.append(gradient)
        return at_representation, partial(_times_weights, at_towers)


def _gradient(output: Tensor, point: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(output, point, retain_graph=True)
    return gradient


def _of_weighted_losses(
    losses: Tensor,
    towers: Sequence[Tensor],
    weights: Tensor,
) -> Sequence[Tensor]:
    return torch.autograd.grad(weights.to(losses) @ losses, towers)


def _of_weighted_logits(
    logits: Tensor,
    at_logits: list[Tensor],
    towers: Sequence[Tensor],
    weights: Tensor,
) -> Sequence[Tensor]:
    total = torch.tensordot(weights.to(logits), torch.stack(at_logits), 1)
    return torch.autograd.grad(logits, towers, total)


def _times_weights(gradients: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """Multiplies gradients (T, ..) by the tasks' weights (T,)."""
    weighted = []
    for gradient in gradients:
        axes = [1] * (gradient.dim() - 1)
        weighted.append(gradient * weights.to(gradient).view(-1, *axes))
    return weighted


def gradients_of_task(
    output: Tensor,
    inputs: Sequence[Tensor],
    above: Tensor | None = None,
    retain_graph: bool = True,
) -> tuple[Tensor, ...]:
    """One task's gradients at `inputs`, zero where they do not affect `output`; `above` is that at
    `output`.
    """
    with of_one_task():
        return torch.autograd.grad(
            output,
            inputs,
            above,
            retain_graph=retain_graph,
            allow_unused=True,
            materialize_grads=True,
        )


def gramian(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    """g_i . g_j of T gradients, each in the same parts -> (T, T) float32."""
    parts = [_flat(tensors) for tensors in zip(*gradients, strict=True)]
    if not _are_compiled(parts):
        matrices = [torch.stack(vectors).float() for vectors in parts]
        return torch.stack([matrix @ matrix.T for matrix in matrices]).sum(0)
    products = np.zeros((len(gradients), len(gradients)))
    _add_products(*_located(parts), products)
    return torch.from_numpy(products).float()


def weighted_sum(gradients: Sequence[Sequence[Tensor]], weights: Tensor) -> list[Tensor]:
    """sum_i weights_i g_i of T gradients -> its parts, float32, in the gradients' memory layout."""
    tensors_by_part = list(zip(*gradients, strict=True))
    parts = [_flat(tensors) for tensors in tensors_by_part]
    if not _are_compiled(parts):
        return [_sum_by_torch(tensors, weights) for tensors in tensors_by_part]
    totals = [torch.empty_like(vectors[0], dtype=torch.float32) for vectors in parts]
    addresses = np.array(list(map(Tensor.data_ptr, totals)), np.uint64)
    _add_up(*_located(parts), array(weights.float()), addresses)
    for part, tensors in enumerate(tensors_by_part):
        totals[part] = _laid_out(totals[part], tensors[0])
    return totals


def _sum_by_torch(gradients: Sequence[Tensor], weights: Tensor) -> Tensor:
    total = gradients[0].float() * weights[0]
    for gradient, weight in zip(gradients[1:], weights[1:], strict=True):
        total.addcmul_(gradient.float(), weight)
    return total


def _order(tensor: Tensor) -> list[int]:
    """Axes in the order of memory, the outermost first."""
    return sorted(range(tensor.dim()), key=tensor.stride, reverse=True)


def _flat(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Flattens tensors of one layout in memory order, without a copy if they are dense."""
    if all(tensor.is_contiguous() for tensor in tensors):
        return [tensor.detach().view(-1) for tensor in tensors]
    order = _order(tensors[0])
    return [tensor.detach().permute(order).reshape(-1) for tensor in tensors]


def _laid_out(vector: Tensor, like: Tensor) -> Tensor:
    """Inverse of `_flat` for one vector."""
    if like.is_contiguous():
        return vector.view(like.shape)
    order = _order(like)
    shape = [like.shape[axis] for axis in order]
    inverse = [order.index(axis) for axis in range(like.dim())]
    return vector.view(shape).permute(inverse)


def _are_compiled(parts: Parts) -> bool:
    for vectors in parts:
        first = vectors[0].dtype
        if first not in (torch.float32, torch.bfloat16):
            return False
        if not all(vector.is_cpu and vector.dtype == first for vector in vectors):
            return False
    return True


def _located(parts: Parts) -> Located:
    addresses, lengths, narrow = [], [], []
    for vectors in parts:
        addresses.append(list(map(Tensor.data_ptr, vectors)))
        lengths.append(len(vectors[0]))
        narrow.append(vectors[0].dtype == torch.bfloat16)
    return Located(
        np.array(addresses, np.uint64), np.array(lengths, np.int64), np.array(narrow, np.bool_)
    )


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
        block = memory(total, length, np.float32(0))[start:end]
        x, weight = memory(addresses[0], length, like)[start:end], weights[0]
        for k in range(len(block)):
            block[k] = weight * widen(x[k])
        for i in range(1, len(addresses)):
            x, weight = memory(addresses[i], length, like)[start:end], weights[i]
            for k in range(len(block)):
                block[k] += weight * widen(x[k])
