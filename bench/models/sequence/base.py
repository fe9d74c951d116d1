"""The contract of a sequence kind: how a row's history becomes one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Sequence(nn.Module, ABC):
    """Built as `Sequence(dim: int, length: int, sets: int, config)` for one history.

    What `bench.models.by_sets.BySets` says of parameters holds.

    Attributes:
        outputs: width of what it gives, `dim`.
    """

    def __init__(self, dim: int, length: int, sets: int) -> None:
        super().__init__()
        self.outputs, self.length = dim, length

    @abstractmethod
    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """One vector of each row's history.

        Args:
            x: (I, B, 1 + L, dim), the embedding of the row's own value, then those of its history, newest first.
            there: (B, L) bool, which places of the history are no padding.

        Returns:
            (I, B, dim), zero where the history is empty.
        """
