"""MaskNet: hidden layers on the inputs, under masks computed from each sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.core.errors import UserError
from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.config import Width
from bench.models.contracts import Interaction, Layout
from bench.models.layers import EPS, BatchedLinear, BatchedMLP, BatchedNorm


class MaskNetConfig(Config):
    """Options of `masknet`."""

    blocks: int = Field(2, ge=1, le=64)
    """Mask blocks side by side."""
    width: Width = 64
    """Hidden units of each block."""
    reduction: float = Field(1.0, gt=0, le=16)
    """Hidden units of the mask's network, as a multiple of the inputs."""


def has_embeddings(schema: Schema) -> str | None:
    """The `unfit` of `masknet`."""
    return None if schema.fields else "it has no categorical field, whose embeddings are what is masked"


class FieldNorm(nn.Module):
    """Layer normalisation of each token; dense columns stay unchanged."""

    def __init__(self, layout: Layout, sets: int) -> None:
        super().__init__()
        self.tokens, self.dim = len(layout.names), layout.dim
        self.scale = nn.Parameter(torch.ones(sets, layout.embedded))
        self.shift = nn.Parameter(torch.zeros(sets, layout.embedded))

    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> the same shape and precision."""
        embedded = self.scale.shape[1]
        if not embedded:
            return x
        wide = x[..., :embedded].to(torch.promote_types(x.dtype, torch.float32))
        each = wide.reshape(*x.shape[:2], self.tokens, self.dim)
        y = F.layer_norm(each, (self.dim,), eps=EPS).flatten(2) * self.scale.unsqueeze(1) + self.shift.unsqueeze(1)
        return torch.cat([y.to(x.dtype), x[..., embedded:]], dim=2)


class MaskNet(Interaction):
    """Appends the outputs of mask blocks side by side, the parallel MaskNet (Wang et al., DLP-KDD 2021).

    A block gives relu(LN(W (mask * LN(x)))), mask = W2 relu(W1 x + b1) + b2, the first normalisation field by field.
    The paper keeps only the blocks' outputs; here the inputs stay beside them.
    """

    def __init__(self, layout: Layout, sets: int, config: MaskNetConfig) -> None:
        super().__init__()
        if layout.dim < 2:  # layer normalisation of a single number is always zero
            raise UserError(f"interaction.masknet: expected embedding.dim of at least 2, found {layout.dim}")
        inputs, self.blocks = layout.inputs, config.blocks
        count, hidden = sets * config.blocks, max(1, round(config.reduction * inputs))
        self.outputs = inputs + config.blocks * config.width
        self.norm_fields = FieldNorm(layout, sets)
        self.guide = BatchedMLP(count, inputs, (hidden,))
        self.mask = BatchedLinear(count, hidden, inputs)
        self.linear = BatchedLinear(count, inputs, config.width, gain=nn.init.calculate_gain("relu"), bias=False)
        self.norm = BatchedNorm(count, config.width, "layer")

    def forward(self, x: Tensor) -> Tensor:
        """See `Interaction.forward`."""
        mask: Tensor = self.mask(self.guide(x))  # (I blocks, B, inputs)
        masked = mask * self.norm_fields(x).repeat_interleave(self.blocks, dim=0)
        hidden: Tensor = self.norm(self.linear(masked)).relu()
        of_set = hidden.view(len(x), self.blocks, *hidden.shape[1:]).transpose(1, 2).flatten(2)
        return torch.cat([x, of_set], dim=2)
