"""The contract of a balancer. A balancer sees losses or a Gramian, never a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Balancer(nn.Module):
    """Built as `Balancer(tasks: Sequence[str], config)`.

    A balancer's parameters (learned weights) are trained with the model's; its other state must live in buffers, so
    that `state_dict` holds all of it. Random draws come from torch's default generator, which the loop seeds.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)


class LossWeighting(Balancer, ABC):
    """Makes one loss of many, before the backward pass."""

    @abstractmethod
    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), with gradient -> scalar to minimise. Called once a step."""


class GradientAggregation(Balancer, ABC):
    """Weights the tasks' gradients, after one backward pass each."""

    @abstractmethod
    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T), entry (i, j) = g_i . g_j over what is shared -> weights (T,): the step is sum_i w_i g_i.

        Finite for any Gramian, zero ones included; scaled so that, where all gradients agree, the step is near
        their sum (weights near 1), as with equal static weights.
        """
