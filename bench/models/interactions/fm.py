"""Products of every two fields, as in a factorization machine."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.core.registry import NoOptions
from bench.core.schema import Schema
from bench.models.contracts import Interaction, Layout


def has_pairs(schema: Schema) -> str | None:
    """The `unfit` of `fm`."""
    fields = len(schema.fields)
    return None if fields > 1 else f"products of two categorical fields need two of them, and it has {fields}"


class FM(Interaction):
    """Appends sum_{i < j} v_i * v_j, by coordinate, over the fields' embeddings v (He & Chua, SIGIR 2017).

    Its sum over coordinates is the second-order term of a factorization machine (Rendle, ICDM 2010). Computed as half
    of (sum v)^2 - sum v^2, in at least float32. Dense columns, which have no embedding, take no part. Narrower
    embeddings are padded with zeros.
    """

    places: Tensor

    def __init__(self, layout: Layout, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.shape, self.embedded = (len(layout.widths), layout.dim), layout.embedded
        self.ragged, self.outputs = layout.is_ragged, layout.inputs + layout.dim
        zero = layout.embedded  # index of the zero column that `forward` appends
        spread = [[*layout.columns(at), *[zero] * (layout.dim - width)] for at, width in enumerate(layout.widths)]
        self.register_buffer("places", torch.tensor(spread, dtype=torch.int64).flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """See `Interaction.forward`."""
        v = x[..., : self.embedded]
        if self.ragged:
            v = F.pad(v, (0, 1)).index_select(2, self.places)
        v = v.reshape(*x.shape[:2], *self.shape).to(torch.promote_types(x.dtype, torch.float32))
        pairs = (v.sum(2).square() - v.square().sum(2)) / 2
        return torch.cat([x, pairs.to(x.dtype)], dim=2)
