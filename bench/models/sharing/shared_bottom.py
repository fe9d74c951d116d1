"""One bottom for all tasks."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP
from bench.models.model_options import HiddenConfig


class SharedBottom(Sharing, lower_precision=True):
    """Hard parameter sharing: h = f(x) for every task (Caruana, Machine Learning 1997)."""

    def __init__(self, inputs: int, tasks: int, config: HiddenConfig) -> None:
        super().__init__()
        self.bottom = BatchedMLP.of(config, 1, inputs)
        self.outputs = self.bottom.outputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (1, B, H)."""
        return self.bottom.forward(x)

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The whole bottom."""
        return self.parameters()
