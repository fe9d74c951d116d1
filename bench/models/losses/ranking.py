"""Losses that rank the samples of a group, beside a log loss that keeps probabilities calibrated.

The ranking term does not change if all logits of a group move by the same amount. So only the log
loss determines the mean prediction, and at its optimum PCOC is 1 on train. The funnel decides which
probability is ranked, on which samples: the conditional one where the parent happened
(`independent`), or the joint one among all. Groups of one sample, or without positives, have no
ranking loss.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.losses.base import Context, Loss

NOWHERE = -1e30
"""Logit of a sample outside all groups: its share is 0 in float32."""


def has_groups(schema: Schema) -> str | None:
    """The `unfit` of losses that rank."""
    return (
        None
        if schema.grouped
        else "the card names no group, whose rows would be ranked against each other"
    )


class RankingConfig(Config):
    """Options of a loss that ranks."""

    weight: float = Field(0.5, ge=0, lt=1)
    """Weight of the ranking term; the log loss has the rest."""


class Ranking(Loss):
    """(1 - weight) times the log loss plus weight times a loss of the order within groups."""

    needs_groups = True
    config: RankingConfig

    def forward(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """See `Loss.forward`."""
        group = (
            torch.zeros_like(labels[:, :1], dtype=torch.int64)
            if context.group is None
            else context.group[:, None]
        )
        log = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        if not len(logits):
            return log
        ranking = self.ranked(logits, labels, known, group.expand_as(labels), context.scores)
        return (1 - self.config.weight) * log + self.config.weight * ranking

    @abstractmethod
    def ranked(
        self, logits: Tensor, labels: Tensor, known: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """The ranking loss of each sample (B, T); arguments as of `forward`, with groups (B, T)."""


def shares(scores: Tensor, known: Tensor, group: Tensor) -> Tensor:
    """Logarithm of each sample's share of the sum of exp(score) over the known samples of its
    group, all (B, T).
    """
    scores = torch.where(known, scores, NOWHERE)
    with torch.no_grad():
        top = (
            torch.full_like(scores, NOWHERE)
            .scatter_reduce(0, group, scores, "amax")
            .gather(0, group)
        )
    sums = torch.zeros_like(scores).scatter_add(0, group, (scores - top).exp())
    return scores - top - sums.gather(0, group).log()


class Listwise(Ranking):
    """Softmax cross-entropy over a group: minus the logarithm of each positive's share among the
    group's samples.

    A group counts by its positives, so the loss is a mean over samples like the log loss, and about
    as large for a rare task.
    """

    def ranked(
        self, logits: Tensor, labels: Tensor, known: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """See `Ranking.ranked`."""
        return -labels * shares(logits, known, group)


class JRC(Ranking):
    """Joint optimisation of ranking and calibration: two scores of each sample, for positive and
    for negative.

    Their difference is the logit of the log loss. Each sample is also ranked in its group by the
    score of its label: a positive by the positive scores, a negative by the negative ones. The
    negative score has an extra tower, used only in training.
    """

    needs_scores = True

    def ranked(
        self, logits: Tensor, labels: Tensor, known: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """See `Ranking.ranked`."""
        assert scores is not None
        positive = shares(logits + scores, known, group)
        negative = shares(scores, known, group)
        return -torch.where(labels > 0, positive, negative)


class BPRConfig(RankingConfig):
    """Options of `bpr`."""

    pairs: int = Field(8, ge=1, le=256)
    """Number of negatives of its group that each positive is compared with; fewer are reused
    evenly.
    """


class BPR(Ranking):
    """Mean of -log sigmoid(difference) between each positive and negatives of its group.

    The negatives are those that follow in the batch, whose order is drawn in each pass.
    """

    config: BPRConfig

    def ranked(
        self, logits: Tensor, labels: Tensor, known: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """See `Ranking.ranked`."""
        positive = known & (labels > 0)
        ones = known.long()
        negatives = torch.zeros_like(group).scatter_add(0, group, ones - positive.long())
        many = torch.zeros_like(group).scatter_add(0, group, ones)
        # By group, negatives first; unknown samples last.
        order = torch.where(known, 2 * group + positive, 2 * len(group)).argsort(stable=True, dim=0)
        place = torch.empty_like(order).scatter_(
            0, order, torch.arange(len(order), device=order.device)[:, None].expand_as(order)
        )
        first = (many.cumsum(0) - many).gather(0, group)
        count = negatives.gather(0, group)
        number = place - first - count  # of a positive in its group
        ranked, losses = positive & (count > 0), torch.zeros_like(logits)
        for k in range(self.config.pairs):
            other = order.gather(
                0, torch.where(ranked, first + (number + k) % count.clamp(min=1), 0)
            )
            losses = losses + F.softplus(logits.gather(0, other) - logits)
        return torch.where(ranked, losses / self.config.pairs, 0)
