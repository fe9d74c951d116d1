"""One update on one batch: forward, backward under either kind of balancer, and both optimizers.

The embedding output `e` is a leaf: its gradient goes to the touched-row optimizer, and the table itself never takes
part in autograd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.balancing.base import Balancer, GradientAggregation, GradientCombination, LossWeighting
from bench.errors import TrainingError
from bench.models.assembly import MultiTaskModel
from bench.schema import Task
from bench.training.combination import aggregation
from bench.training.dense import DenseAdamW
from bench.training.optimizers import RowOptimizer
from bench.training.randomness import random_state, replayed


class Step:
    """Does one training step on a batch.

    Args:
        dense: optimizes the model's dense parameters and the balancer's.
        rows: optimizes the table.
        clip: the gradient of the model's dense parameters, all of them as one vector, is scaled down to this length
            where it is longer (Pascanu et al., ICML 2013); 0 leaves it alone. Under gradient aggregation it is the
            combined gradient that is clipped. Embedding rows and the balancer's parameters take no part.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        balancer: Balancer,
        dense: DenseAdamW,
        rows: RowOptimizer,
        clip: float = 0.0,
    ) -> None:
        if not isinstance(balancer, LossWeighting | GradientAggregation | GradientCombination):
            raise TypeError(f"expected one of the three kinds of balancer, found {type(balancer).__name__}")
        self.model, self.balancer, self.dense, self.rows, self.clip = model, balancer, dense, rows, clip
        self.aggregation = aggregation(model, balancer)
        self._clipped = list(model.dense_parameters())
        self._dense_rate, self._row_rate, self._factor = dense.lr, rows.lr, 1.0

    def __call__(self, ids: Tensor, dense: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """The tasks' losses before the update (T,), detached.

        ids (B, S) int32, dense (B, D), labels (B, T), weights (B, 1 or 2) or None, as in `Batch`.
        """
        again = "second forward" in self.balancer.needs
        random = random_state(ids.device) if again else {}
        ids = self.model.rows(ids)
        e = self.embed(ids)
        logits, losses = self.forward(e, ids, dense, labels, weights)
        self.model.follow(logits, labels, weights)
        self.dense.zero_grad()
        self.backward(e, logits, losses)
        self.update_dense()
        self.update_rows(ids, e)
        if again:
            with replayed(random, ids.device):
                self.look_again(ids, dense, labels, weights)
        return losses.detach()

    def scale_rates(self, factor: float) -> None:
        """Sets every learning rate to its base times `factor`."""
        if factor == self._factor:
            return
        self._factor = factor
        self.dense.lr = self._dense_rate * factor
        self.rows.lr = self._row_rate * factor

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, S) -> e (B, S, W), a leaf."""
        return self.model.embed(ids).requires_grad_()

    def forward(
        self, e: Tensor, ids: Tensor, dense: Tensor, labels: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """-> logits (B, O), losses (T,)."""
        logits = self.model.logits(e, ids, dense)
        return logits, self.model.losses(logits, labels, weights)

    def backward(self, e: Tensor, logits: Tensor, losses: Tensor) -> None:
        """Fills `.grad` of `e`, of the model's dense parameters and of the balancer's."""
        if "losses" in self.balancer.needs:
            self.balancer.observe(losses.detach())
        if self.aggregation is not None:
            self.aggregation.backward(e, logits, losses)
        else:
            self.weigh(losses).backward()  # type: ignore[no-untyped-call]
        penalty = self.model.penalty()
        if penalty is not None:
            penalty.backward()  # type: ignore[no-untyped-call]  # adds to what is there

    @torch.no_grad()
    def look_again(self, ids: Tensor, dense: Tensor, labels: Tensor, weights: Tensor | None = None) -> None:
        """Shows the balancer the batch's losses after the update, which alone sets them apart from those before."""
        _, losses = self.forward(self.embed(ids), ids, dense, labels, weights)
        self.balancer.after(losses)

    def weigh(self, losses: Tensor) -> Tensor:
        """One loss of many: losses (T,) -> scalar."""
        loss: Tensor = self.balancer(losses)
        return loss

    def update_dense(self) -> None:
        """Clips the dense gradient and steps along it."""
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self._clipped, self.clip)
        self.dense.step()

    def update_rows(self, ids: Tensor, e: Tensor) -> None:
        """Steps the rows that the batch touched."""
        assert e.grad is not None
        self.rows.step(ids, e.grad)


def check_finite(losses: Tensor, samples: int, tasks: Sequence[Task]) -> None:
    """Raises FloatingPointError, naming the task, where a loss is NaN or infinite."""
    for task, loss in zip(tasks, losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise TrainingError(f"the loss of task '{task.name}' became {loss} within {samples} samples")
