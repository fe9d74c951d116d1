"""ExcessMTL: more weight to tasks that are far from their optimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.balancing.base import GradientCombination, Need, TaskGradients, dense, norms, weighted, zeros
from bench.core.registry import Config


class ExcessMTLConfig(Config):
    """Options of ExcessMTL."""

    lr: float = Field(0.01, gt=0, le=10)
    """Step size of the weights' logarithms."""


class ExcessMTL(GradientCombination):
    """sum_i w_i g_i with w = T softmax of sums of lr e_i / e_i(0), e_i = sum_k g_ik^2 / h_ik the excess risk of task i.

    He et al., ICML 2024: h is the root of the sum of squared gradients so far, a diagonal Hessian estimate. e_i(0) is
    the excess risk at the task's first gradient, as in the authors' code. Risks use the shared dense parameters only:
    rows of the embedding output belong to samples, which have no history. Without such parameters all weights are 1.
    The weights also multiply the towers' gradients. A task without samples keeps its weight and does not affect the
    others'.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients", "gradient state"})
    weighs_own = True
    square: Tensor  # (T, N): sums of squared gradients
    log_weight: Tensor  # (T,): of w / T
    unit: Tensor  # (T,): the first excess risk; 0 before

    def __init__(self, tasks: Sequence[str], config: ExcessMTLConfig) -> None:
        super().__init__(tasks)
        self.lr = config.lr
        for name in ("log_weight", "unit"):
            self.register_buffer(name, torch.zeros(len(self.tasks), dtype=torch.float64))

    def prepare(self, parameters: Sequence[Tensor]) -> None:
        """Allocates the sums of squares (T, N)."""
        self.register_buffer("square", zeros(len(self.tasks), parameters))

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """See `GradientCombination.forward`."""
        heard = norms(gradients).amax(1) > 0
        risk = self._risk(dense(gradients))
        begun = self.unit > 0
        self.log_weight += torch.where(begun, self.lr * risk / torch.where(begun, self.unit, 1.0), 0.0)
        self.unit.copy_(torch.where(begun, self.unit, risk))
        among = self.log_weight.masked_fill(~heard, -torch.inf)
        self.weights = torch.where(heard.any(), heard.sum() * torch.softmax(among, 0), 0.0).nan_to_num(nan=0.0)
        return weighted(gradients, self.weights)

    def _risk(self, gradients: Tensor) -> Tensor:
        """Adds gradients (T, N) to the sums of squares, then returns the excess risks e (T,)."""
        self.square += gradients.square()
        root = self.square.sqrt()
        terms = torch.where(root > 0, gradients.square() / torch.where(root > 0, root, 1.0), 0.0)
        return terms.double().sum(1)
