"""Cross layers: explicit products of inputs, whose degree grows with the layers."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.models.contracts import Interaction, Layout
from bench.models.layers import BatchedLinear


class DCNv2Config(Config):
    """Options of `dcn_v2`."""

    layers: int = Field(2, ge=1, le=16)
    """Cross layers; the highest degree is one more."""
    rank: int = Field(0, ge=0, le=65536)
    """Rank of every layer's matrix, a product of two; 0 uses one matrix of full rank."""


class DCNv2(Interaction, lower_precision=True):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, or with W = U V (Wang et al., WWW 2021).

    The paper's stacked structure: the rest of the model sees only the last x, in which each input
    keeps its place.
    """

    def __init__(self, layout: Layout, sets: int, config: DCNv2Config) -> None:
        super().__init__()
        self.outputs = width = layout.inputs
        self.layers = nn.ModuleList()
        for _ in range(config.layers):
            if config.rank:
                parts = [
                    BatchedLinear(sets, width, config.rank, bias=False),
                    BatchedLinear(sets, config.rank, width),
                ]
            else:
                parts = [BatchedLinear(sets, width, width)]
            self.layers.append(nn.Sequential(*parts))

    def forward(self, x: Tensor) -> Tensor:
        """See `Interaction.forward`."""
        first = x
        for layer in self.layers:
            x = first * layer(x) + x
        return x
