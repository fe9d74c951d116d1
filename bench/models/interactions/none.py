"""No interaction."""

from __future__ import annotations

from torch import Tensor

from bench.core.registry import NoOptions
from bench.models.contracts import Interaction, Layout


class NoInteraction(Interaction, lower_precision=True):
    """Passes inputs on unchanged."""

    def __init__(self, layout: Layout, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.outputs = layout.inputs

    def forward(self, x: Tensor) -> Tensor:
        """x, unchanged."""
        return x
