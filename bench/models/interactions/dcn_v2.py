"""Cross layers: explicit products of inputs, of a degree that grows with the layers."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from bench.models.contracts import Interaction, Layout
from bench.models.layers import BatchedLinear
from bench.registry import Config


class DCNv2Config(Config):
    """Options of `dcn_v2`."""

    layers: int = Field(2, ge=1, le=16)
    """Cross layers, and so the highest degree less one."""
    rank: int = Field(0, ge=0, le=65536)
    """Of every layer's matrix, as the product of two; 0: one matrix of full rank."""


class DCNv2(Interaction):
    """x_{l+1} = x_0 * (W_l x_l + b_l) + x_l, or with W = U V (Wang et al., WWW 2021).

    The stacked structure of the paper: what follows sees the last x alone, in which each input stands where it stood,
    with its products added.
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
