"""Combines tasks' gradients where weights from their Gramian are not enough, by a balancer's kind and `needs`."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.balancing.base import Balancer, GradientAggregation, GradientCombination
from bench.models.assembly import MultiTaskModel
from bench.models.live import of_one_task
from bench.training.aggregation import Aggregation, OfTowers
from bench.training.gradients import gramian


class Combination(Aggregation):
    """Gives shared parameters the gradient that a `GradientCombination` makes of the tasks' gradients."""

    def __init__(self, model: MultiTaskModel, balancer: GradientCombination) -> None:
        super().__init__(model, balancer)
        balancer.prepare(self.shared)

    def combine(self, gradients: list[tuple[Tensor, ...]]) -> tuple[list[Tensor], Tensor]:
        """See `Aggregation.combine`; of one that has no weights for what is a task's own, ones."""
        parts: list[Tensor] = self.balancer([[part.float() for part in of_task] for of_task in gradients])
        if not isinstance(self.balancer, GradientCombination) or not self.balancer.weighs_own:
            return parts, torch.ones(len(gradients), device=parts[0].device)
        return parts, self.balancer.weights


class Halves(Aggregation):
    """Computes weights from the products of two halves of the batch, in gradients of shared dense parameters.

    At the embedding output samples of two halves never meet. Costs T further passes through what is below the towers.
    """

    def _through_towers(self, logits: Tensor, losses: Tensor) -> tuple[list[Tensor], OfTowers]:
        """As its base, and keeps the gradients of the first half's samples."""
        tasks, of_towers = super()._through_towers(logits, losses)
        half = len(logits) // 2
        self._first = []
        for task in tasks:
            above = task.clone()
            above[:, half:] = 0
            with of_one_task():
                self._first.append(
                    torch.autograd.grad(
                        self._below, self.shared, above, retain_graph=True, allow_unused=True, materialize_grads=True
                    )
                    if self.shared
                    else ()
                )
        return tasks, of_towers

    def weigh(self, gradients: list[tuple[Tensor, ...]]) -> Tensor:
        """The weights (T,)."""
        first, self._first = self._first, []
        if not self.shared:
            products = torch.zeros(len(gradients), len(gradients), device=gradients[0][0].device)
        else:
            second = [
                [g - f for g, f in zip(of[1:], part, strict=True)] for of, part in zip(gradients, first, strict=True)
            ]
            products = 4 * gramian([*first, *second])[: len(first), len(first) :]
        weights: Tensor = self.balancer(products)
        return weights


def aggregation(model: MultiTaskModel, balancer: Balancer) -> Aggregation | None:
    """What fills a step's gradients under this balancer; None where one backward pass does."""
    if isinstance(balancer, GradientCombination):
        return Combination(model, balancer)
    if not isinstance(balancer, GradientAggregation):
        return None
    return (Halves if "half batches" in balancer.needs else Aggregation)(model, balancer)
