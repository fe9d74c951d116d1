"""Products of every two fields, as in a factorization machine."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.models.interactions.base import Interaction
from bench.models.sharing.base import Layout
from bench.registry import NoOptions
from bench.schema import Schema


def has_pairs(schema: Schema) -> str | None:
    """The `unfit` of `fm`."""
    found = len(schema.fields)
    return None if found > 1 else f"products of two categorical fields need two of them, and it has {found}"


class FM(Interaction):
    """Appends sum_{i < j} v_i * v_j, by coordinate, over the fields' embeddings v (He & Chua, SIGIR 2017, Eq. 3).

    The sum over its coordinates is the second-order term of a factorization machine (Rendle, ICDM 2010). It is half of
    (sum v)^2 - sum v^2, taken in float32 at the least. Dense columns, which have no embedding, take no part.
    """

    def __init__(self, layout: Layout, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.fields, self.dim = len(layout.schema.fields), layout.dim
        self.outputs = layout.inputs + layout.dim

    def forward(self, x: Tensor) -> Tensor:
        """See `Interaction.forward`."""
        v = x[..., : self.fields * self.dim].reshape(*x.shape[:2], self.fields, self.dim)
        v = v.to(torch.promote_types(x.dtype, torch.float32))
        pairs = (v.sum(2).square() - v.square().sum(2)) / 2
        return torch.cat([x, pairs.to(x.dtype)], dim=2)
