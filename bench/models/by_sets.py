"""Stacks of parameters for several input sets: those that serve all tasks, and those that serve one each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn


class BySets(nn.Module):
    """A module for all input sets, with those that serve all tasks apart from those that serve one each.

    Args:
        make: makes a module for n sets, with `outputs`, the width of its output. Each of its parameters is stacked
            by set, and a set's output depends on its own alone. One without parameters takes any number of sets.
        common: how many sets, the first ones, serve all tasks.
        sets: how many there are.
    """

    def __init__(self, make: Callable[[int], nn.Module], common: int, sets: int) -> None:
        super().__init__()
        self.common = common
        self.counts = [count for count in (common, sets - common) if count]
        self.parts = nn.ModuleList(make(count) for count in self.counts)
        self.outputs: int = self.parts[0].outputs  # type: ignore[assignment]
        self.whole = len(self.parts) == 1 or next(self.parameters(), None) is None

    def forward(self, x: Tensor, *common: Tensor) -> Tensor:
        """x (I, B, inputs), and what all sets have in common -> (I, B, outputs)."""
        if self.whole:
            y: Tensor = self.parts[0](x, *common)
            return y
        split = torch.split(x, self.counts)
        return torch.cat([part(some, *common) for part, some in zip(self.parts, split, strict=True)])

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Those on whose every slice the losses of all tasks depend."""
        return self.parts[0].parameters() if self.common else iter(())
