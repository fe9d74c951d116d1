"""The contract of an interaction: what inputs go through before they are shared."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Interaction(nn.Module, ABC):
    """Built as `Interaction(layout: Layout, sets: int, config)`: one stack of parameters for each of the input sets.

    Every parameter is stacked by input set, in their order, and a set's output depends on its own alone. One without
    parameters takes any number of sets.

    Attributes:
        outputs: width of what it gives, at least that of the layout. The first columns are still where the layout has
            them, a field's among a field's; new ones follow.
    """

    outputs: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> (I, B, outputs), as precise as x."""
