"""Shared experts beside each task's own."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.sharing.ple import CGCConfig, Level


class CGC(Sharing, lower_precision=True):
    """Customized gate control: the single, last level of `ple` (Tang et al., RecSys 2020)."""

    def __init__(self, inputs: int, tasks: int, config: CGCConfig) -> None:
        super().__init__()
        self.level = Level(inputs, tasks, config, last=True)
        self.outputs = self.level.outputs

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        return self.level.forward(x, x)[0]

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The shared experts; gates and own experts belong to their task."""
        return self.level.shared.parameters()
