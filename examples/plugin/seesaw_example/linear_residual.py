"""A shared bottom with a linear residual for each task."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.models.layers import BatchedLinear, BatchedMLP
from bench.models.model_options import HiddenConfig
from bench.models.sharing import Sharing


class LinearResidualConfig(HiddenConfig):
    """The bottom's hidden layers."""


class LinearResidual(Sharing, lower_precision=True):
    """h_t = f(x) + A_t x: what tasks have in common is deep, what is a task's own is linear."""

    def __init__(self, inputs: int, tasks: int, config: LinearResidualConfig) -> None:
        super().__init__()
        self.tasks = tasks
        self.bottom = BatchedMLP.of(config, 1, inputs)
        self.outputs = self.bottom.outputs
        self.own = BatchedLinear(tasks, inputs, self.outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        h: Tensor = self.bottom(x) + self.own(x)
        return h

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The bottom; where there is one task, everything."""
        return self.parameters() if self.tasks == 1 else self.bottom.parameters()
