"""What a row's position adds to its logits, in training alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.core.schema import Schema

SCALE = 30.0
"""Makes the steps of weights larger than those of other parameters: an effect may be 3 in log odds, and must be found
before others learn it in its place."""


class PositionTower(nn.Module):
    """A weight for each position and task, added to the logits.

    It is the shallow tower of Zhao et al., RecSys 2019 (section 4.2), with the position as its only input. The mean of
    the weights over train is subtracted: evaluation and serving add 0, which is the average position. A share of
    training rows has 0, too, so the rest of the model learns to predict without a position.

    Attributes:
        weight: (T, V), from 0, of which the tower adds `SCALE` times as much; column 0 stands for unknown positions.
        shares: (V,), of train's rows that each position has; see `bench.training.loop`.
    """

    shares: Tensor

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        at = [field.name for field in schema.fields].index(str(schema.position))
        self.slot, self.first = sum(field.slots for field in schema.fields[:at]), schema.offsets[at]
        many = schema.fields[at].cardinality
        self.dropout = schema.position_dropout
        self.weight = nn.Parameter(torch.zeros(len(schema.tasks), many))
        self.register_buffer("shares", torch.full((many,), 1 / many))

    def codes(self, ids: Tensor) -> Tensor:
        """ids (B, S') -> the position of each row (B,), 0 where it is unknown."""
        return (ids[:, self.slot].long() - self.first).clamp(min=0)

    def hidden(self, ids: Tensor) -> Tensor:
        """ids (B, S') without the position, as the rest of the model sees them."""
        known = ids.clone()
        known[:, self.slot] = 0
        return known

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, S') -> what is added to the tasks' logits (B, T)."""
        codes = self.codes(ids)
        centred = SCALE * (self.weight - (self.weight @ self.shares).unsqueeze(1))
        kept = (codes > 0) & (torch.rand(codes.shape, device=ids.device) >= self.dropout)
        return torch.where(kept.unsqueeze(1), centred.index_select(1, codes).t(), 0.0)
