"""Interactions: none, products of every two fields, and cross layers."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config, NoOptions
from bench.core.schema import Schema
from bench.models.contracts import Interaction, Layout
from bench.models.layers import BatchedLinear


class NoInteraction(Interaction, lower_precision=True):
    """Passes inputs on unchanged."""

    def __init__(self, layout: Layout, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.outputs = layout.inputs

    def forward(self, x: Tensor) -> Tensor:
        """x, unchanged."""
        return x


def has_pairs(schema: Schema) -> str | None:
    """The `unfit` of `fm`."""
    fields = len(schema.fields)
    if fields > 1:
        return None
    return f"products of two categorical fields need two of them, and it has {fields}"


class FM(Interaction, lower_precision=True):
    """Appends sum_{i < j} v_i * v_j, by coordinate, over the fields' embeddings v (He & Chua, SIGIR
    2017).

    Its sum over coordinates is the second-order term of a factorization machine (Rendle, ICDM
    2010). Computed as half of (sum v)^2 - sum v^2, in at least float32. Dense columns, which have
    no embedding, take no part.
    """

    def __init__(self, layout: Layout, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.tokens, self.dim, self.embedded = len(layout.names), layout.dim, layout.embedded
        self.outputs = layout.inputs + layout.dim

    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> (I, B, inputs + dim): the inputs, then the sum of products."""
        v = x[..., : self.embedded].reshape(*x.shape[:2], self.tokens, self.dim)
        v = v.to(torch.promote_types(x.dtype, torch.float32))
        products = (v.sum(2).square() - v.square().sum(2)) / 2
        return torch.cat([x, products.to(x.dtype)], dim=2)


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
            layer = nn.Sequential()
            if config.rank:
                layer.append(BatchedLinear(sets, width, config.rank, bias=False))
                layer.append(BatchedLinear(sets, config.rank, width))
            else:
                layer.append(BatchedLinear(sets, width, width))
            self.layers.append(layer)

    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> the last x, of the same shape."""
        first = x
        for layer in self.layers:
            x = first * layer(x) + x
        return x
