"""Members that share all weights except small vectors: an ensemble at little more than the parameters of one model.

TabM-mini (Gorishniy et al., ICLR 2025; after BatchEnsemble, Wen et al., ICLR 2020): each member scales the inputs by a
vector of its own, all go through the same layers, and each has an output of its own. Every member is trained by its own
loss; what they predict is averaged. Members are rows of the batch, so that every way of sharing takes them as it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models.contracts import Drawn, Layout


class MemberInputs(Drawn):
    """The inputs of k members, scaled by -1 or 1 to begin with: one sign for all coordinates of a field.

    Attributes:
        weight: (I, k, inputs).
        outputs: as wide as the inputs.
    """

    def __init__(self, layout: Layout, sets: int, members: int) -> None:
        super().__init__()
        self.outputs = layout.inputs
        fields = [column for field in range(len(layout.widths)) for column in [field] * layout.widths[field]]
        others = range(len(layout.widths), len(layout.widths) + layout.inputs - layout.embedded)
        self._chunks = [*fields, *others]  # of each column, the number of the sign that it has
        self.weight = nn.Parameter(torch.empty(sets, members, layout.inputs))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws the signs."""
        sets, members, _ = self.weight.shape
        many = max(self._chunks, default=-1) + 1
        signs = torch.randint(2, (sets, members, many), generator=source).to(self.weight) * 2 - 1
        self.weight.copy_(signs[:, :, self._chunks])

    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> (I, k B, inputs), member by member."""
        scales = self.weight.to(x.dtype).unsqueeze(2).unbind(1)  # k of (I, 1, inputs)
        return torch.cat([x * scale for scale in scales], dim=1)


def mean_logits(logits: Tensor) -> Tensor:
    """Members' logits (k, ..) -> the logit of their mean probability (..)."""
    return torch.logsumexp(F.logsigmoid(logits), 0) - torch.logsumexp(F.logsigmoid(-logits), 0)
