"""Corrects training for thinned negatives, towards the probabilities of all rows.

Negatives of a root task s were kept at a rate r; all other rows are complete. On the remaining
rows, the odds of s are 1 / r times as large (King & Zeng, Political Analysis 2001), so its loss is
taken at the logit minus log r. The logit is then that of all rows. Rows where s happened are
complete, so the tasks below s, and every product along the chain, are right with that logit. Other
tasks would need to know how their label depends on that of s, so there a negative of s has the
weight 1 / r.

The weights would be right for s, too, but with fewer positives than negatives their variance is
larger (Wang, ICML 2020). They are used where r differs from row to row, since a column may hold it
for negatives only. They are also used where logits are of joint probabilities: those of tasks below
s do not shift by a constant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.models.contracts import Funnel


class Thinning(NamedTuple):
    """Which negatives were left out; `rate` is the share that was kept, None if it differs from row
    to row.
    """

    task: str
    rate: float | None


class Thinned(nn.Module):
    """The correction: `offset` (1, O) is added to each logit before its loss; `exact` (1, T) marks
    tasks that need no weights.
    """

    def __init__(self, funnel: Funnel, thinning: Thinning) -> None:
        super().__init__()
        schema = funnel.schema
        exact = [False] * len(schema.tasks)
        offset = [0.0] * len(funnel.outputs)
        if funnel.conditional and thinning.rate is not None:
            for number, task in enumerate(schema.tasks):
                root = schema.tasks[schema.chain(number)[0]]
                exact[number] = root.name == thinning.task
                if task.name == root.name == thinning.task:
                    offset[number] = -math.log(thinning.rate)
        self.offset = nn.Buffer(torch.tensor([offset]), persistent=False)
        self.exact = nn.Buffer(torch.tensor([exact]), persistent=False)

    def there(self, means: Sequence[float]) -> list[float]:
        """Mean labels (T,) of all rows -> those of the remaining rows, which the losses see."""
        remaining = []
        for mean, offset in zip(means, self.offset[0].tolist(), strict=False):
            odds_ratio = math.exp(offset)
            if odds_ratio != 1:
                mean = mean * odds_ratio / (1 - mean + mean * odds_ratio)
            remaining.append(mean)
        return remaining

    def weights(self, weights: Tensor) -> Tensor:
        """(B, 2), a row's weight and the rows that a thinned negative stands for -> weights of each
        task (B, T).
        """
        return weights[:, :1] * torch.where(self.exact, 1, weights[:, 1:])
