"""One block of attention over a history."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.core.registry import NoOptions
from bench.models.contracts import Drawn, Sequence
from bench.models.layers import BatchedLinear

FAR = 1e30
"""Subtracted from the scores of padding."""


class Places(Drawn):
    """A learned vector for each position; `weight` is (I, L, dim)."""

    def __init__(self, sets: int, length: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(sets, length, dim))
        self.reset_parameters()

    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws them like embeddings."""
        nn.init.normal_(self.weight, std=0.01, generator=source)


class Attention(Sequence):
    """Pools a history by one block of attention, after Kang & McAuley, ICDM 2018.

    The query is the row's own value; keys and values are the history's values, each plus a vector of its position. A
    residual connection and a feed-forward layer follow.
    """

    def __init__(self, dim: int, length: int, sets: int, config: NoOptions) -> None:
        super().__init__(dim, length, sets)
        self.places = Places(sets, length, dim)
        self.query, self.key, self.value = (BatchedLinear(sets, dim, dim, bias=False) for _ in range(3))
        self.hidden = BatchedLinear(sets, dim, dim, nn.init.calculate_gain("relu"))
        self.out = BatchedLinear(sets, dim, dim)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """See `Sequence.forward`."""
        past = x[:, :, 1:] + self.places.weight.unsqueeze(1)
        asked = torch.bmm(self.query(x[:, :, 0]), self.key.weight)  # (I, B, dim): q K, which saves computing keys
        scores = torch.einsum("ibd,ibld->ibl", asked, past) / math.sqrt(self.outputs)
        shares = torch.softmax(scores + (there.to(scores.dtype) - 1) * FAR, dim=2)
        attended = self.value(torch.einsum("ibl,ibld->ibd", shares, past))
        attended = attended + self.out(F.relu(self.hidden(attended)))
        some = there.sum(1, keepdim=True).clamp(max=1)  # an empty history gives zeros
        pooled: Tensor = attended * some
        return pooled
