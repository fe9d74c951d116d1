"""Products of every two fields, as in a factorization machine."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.registry import NoOptions
from bench.core.schema import Schema
from bench.models.contracts import Interaction, Layout


def has_pairs(schema: Schema) -> str | None:
    """The `unfit` of `fm`."""
    fields = len(schema.fields)
    return (
        None
        if fields > 1
        else f"products of two categorical fields need two of them, and it has {fields}"
    )


class FM(Interaction, lower_precision=True):
    """Appends sum_{i < j} v_i * v_j, by coordinate, over the fields' embeddings v (He & Chua, SIGIR
    2017).

    Its sum over coordinates is the second-order term of a factorization machine (Rendle, ICDM
    2010). Computed as half of (sum v)^2 - sum v^2, in at least float32. Dense columns, which have
    no embedding, take no part.
    """

    def __init__(self, layout: Layout, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.shape, self.embedded = (len(layout.names), layout.dim), layout.embedded
        self.outputs = layout.inputs + layout.dim

    def forward(self, x: Tensor) -> Tensor:
        """See `Interaction.forward`."""
        v = (
            x[..., : self.embedded]
            .reshape(*x.shape[:2], *self.shape)
            .to(torch.promote_types(x.dtype, torch.float32))
        )
        pairs = (v.sum(2).square() - v.square().sum(2)) / 2
        return torch.cat([x, pairs.to(x.dtype)], dim=2)
