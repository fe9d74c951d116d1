"""The contract of a sharing kind: how tasks share a representation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from torch import Tensor, nn


class Sharing(nn.Module, ABC):
    """Turns the input into one representation per task.

    Built as `Sharing(inputs: int, tasks: int, config)`: `inputs` is the width of one input set.

    Attributes:
        outputs: H, the width of a task's representation.
        shares_nothing: whether tasks are separate models side by side, so that each may stop at its own best.
    """

    outputs: int
    shares_nothing: bool = False

    @classmethod
    def input_sets(cls, tasks: int) -> int:
        """How many embeddings of each id the sharing needs: 1, or one per task for models that share nothing."""
        return 1

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs), I = input_sets(tasks) -> representations (T, B, H); (1, B, H) if it is one for all."""

    @abstractmethod
    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters on whose every slice more than one task's loss depends (all of them where there is one task).

        Gradient aggregation combines task gradients on these. Every other parameter, or slice of a stacked one,
        must belong to exactly one task; it receives that task's own gradient.
        """
