"""What MoCo and DB-MTL have in common: a moving average of every task's gradient."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.balancing.base import GradientCombination, TaskGradients
from bench.balancing.parts import at_output, dense, products, split, weighted, zeros


class RememberingCombination(GradientCombination):
    """Averages the gradients of shared dense parameters; at the embedding output, this step's stand as they are.

    Rows of that output belong to samples, which come once: there is nothing to average. An average begins with a task's
    first gradient, where the papers begin with 0 and so with short steps. A task without samples in the batch keeps
    its average, which the step leaves out.
    """

    average: Tensor  # (T, N): of the gradients of shared dense parameters
    count: Tensor  # (T,): how many gradients each has seen

    def prepare(self, parameters: Sequence[Tensor]) -> None:
        """Makes the averages."""
        self.register_buffer("average", zeros(len(self.tasks), parameters))
        self.register_buffer("count", torch.zeros(len(self.tasks), device=self.average.device))

    @abstractmethod
    def share(self, count: Tensor) -> Tensor:
        """Of a task's new gradient in its average, count (T,) being how many it has seen, this one included."""

    def remember(self, gradients: TaskGradients, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Takes in this step's gradients, task i's times scales_i.

        Returns:
            The products (T, T) float64 of what is then to be combined, and which tasks are heard (T,).
        """
        output, new = at_output(gradients), dense(gradients) * scales[:, None]
        heard = (output != 0).any(1) | (new != 0).any(1)
        self.count += heard
        share = torch.where(self.count == 1, 1.0, self.share(self.count.clamp(min=1))) * heard
        self.average += share[:, None] * (new - self.average)
        scales = scales.double()
        return products(output) * torch.outer(scales, scales) + products(self.average), heard

    def combine(self, gradients: TaskGradients, scales: Tensor, weights: Tensor) -> list[Tensor]:
        """sum_i w_i (scales_i g_i at the embedding output, the average elsewhere); weights (T,) float64."""
        first = weighted([of_task[:1] for of_task in gradients], weights * scales)
        return [*first, *split(weights.to(self.average) @ self.average, gradients[0][1:])]
