"""One block of self-attention over a history."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.contracts import Drawn, Sequence
from bench.models.layers import BatchedLinear
from bench.registry import NoOptions

FAR = 1e30
"""By so much the score of a place that is padding is lower."""


class Places(Drawn):
    """A learned vector for each place.

    Attributes:
        weight: (I, L, dim).
    """

    def __init__(self, sets: int, length: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(sets, length, dim))
        self.reset_parameters()

    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws them as embeddings are drawn."""
        nn.init.normal_(self.weight, std=0.01, generator=source)


class Attention(Sequence):
    """Pools a history by attention from the row's own value, after one block of self-attention.

    After Kang & McAuley, ICDM 2018.

    The row's own value asks; the values of the history, each with a vector of its place, answer. A residual connection
    and a feed-forward layer follow. Keys and values of one block are linear in the values, so a single query suffices.
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
        asked = torch.bmm(self.query(x[:, :, 0]), self.key.weight)  # (I, B, dim): q K, so that no key is computed
        scores = torch.einsum("ibd,ibld->ibl", asked, past) / math.sqrt(self.outputs)
        shares = torch.softmax(scores + (there.to(scores.dtype) - 1) * FAR, dim=2)
        found = self.value(torch.einsum("ibl,ibld->ibd", shares, past))
        found = found + self.out(F.relu(self.hidden(found)))
        some = there.sum(1, keepdim=True).clamp(max=1)  # an empty history says nothing
        answer: Tensor = found * some
        return answer
