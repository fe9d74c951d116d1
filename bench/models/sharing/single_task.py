"""No sharing: the baseline."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from bench.models.contracts import Sharing
from bench.models.layers import BatchedMLP
from bench.models.model_options import HiddenConfig


class SingleTask(Sharing, lower_precision=True):
    """A whole model for each task, embeddings included, trained side by side."""

    shares_nothing = True

    def __init__(self, inputs: int, tasks: int, config: HiddenConfig) -> None:
        super().__init__()
        self.bottoms = BatchedMLP.of(config, tasks, inputs)
        self.outputs = self.bottoms.outputs

    @classmethod
    def input_sets(cls, tasks: int) -> int:
        """An embedding of each id for every task."""
        return tasks

    @classmethod
    def common_sets(cls, tasks: int) -> int:
        """None, unless there is one task."""
        return int(tasks == 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (T, B, inputs) -> (T, B, H)."""
        return self.bottoms.forward(x)

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """None."""
        return iter(())
