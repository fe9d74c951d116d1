"""Losses that rank the samples of a group, each beside a log loss that keeps probabilities calibrated.

The ranking term does not change if all logits of a group move by the same amount. So the log loss alone decides the
mean prediction, and at its optimum PCOC is 1 on train.

A funnel decides which probability is ranked, on which samples: the conditional one among samples where the parent
happened (`independent`), or the joint one among all. Of a group of one sample, or without positives, nothing is ranked.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.models.losses.base import Context, Loss
from bench.registry import Config
from bench.schema import Schema

NOWHERE = -1e30
"""The logit of a sample that is in no group: its share is 0 in float32."""


def has_groups(schema: Schema) -> str | None:
    """The `unfit` of losses that rank."""
    return None if schema.grouped else "the card names no group, whose rows would be ranked against each other"


class RankingConfig(Config):
    """Options of a loss that ranks."""

    weight: float = Field(0.5, ge=0, lt=1)
    """Of the ranking term; the log loss has the rest."""


class Ranking(Loss):
    """(1 - weight) times the log loss, and weight times what the order within groups costs."""

    needs_groups = True

    def __init__(self, config: RankingConfig) -> None:
        super().__init__(config)
        self.weight = config.weight

    def forward(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """See `Loss.forward`."""
        group = torch.zeros_like(labels[:, :1], dtype=torch.int64) if context.group is None else context.group[:, None]
        log = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        if not len(logits):
            return log
        ranking = self.ranked(logits, labels, known, Context(group.expand_as(labels), context.scores))
        return (1 - self.weight) * log + self.weight * ranking

    @abstractmethod
    def ranked(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """What each sample's place in its group costs (B, T); arguments as of `forward`, with groups (B, T)."""


def shares(scores: Tensor, known: Tensor, group: Tensor) -> Tensor:
    """Logarithm of each sample's share of the sum of exp(score) over the known samples of its group, all (B, T)."""
    scores = torch.where(known, scores, NOWHERE)
    with torch.no_grad():
        top = torch.full_like(scores, NOWHERE).scatter_reduce(0, group, scores, "amax").gather(0, group)
    sums = torch.zeros_like(scores).scatter_add(0, group, (scores - top).exp())
    return scores - top - sums.gather(0, group).log()


class Listwise(Ranking):
    """Softmax cross-entropy over a group: of each positive, the logarithm of its share among the group's samples.

    A group counts by its positives, so that the loss is a mean over samples as the log loss is, and about as large for
    a rare task.
    """

    def ranked(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """See `Ranking.ranked`."""
        assert context.group is not None
        return -labels * shares(logits, known, context.group)


class JRC(Ranking):
    """Joint optimisation of ranking and calibration: two scores of each sample, of a positive and of a negative.

    Their difference is the logit of the log loss. Each sample is then one of its group under its label's score: of a
    positive the logarithm of its share by the positive scores counts, of a negative that by the negative ones. The
    negative score has a tower of its own, which is trained alone and is not served.
    """

    needs_scores = True

    def ranked(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """See `Ranking.ranked`."""
        assert context.group is not None
        assert context.scores is not None
        positive = shares(logits + context.scores, known, context.group)
        negative = shares(context.scores, known, context.group)
        return -torch.where(labels > 0, positive, negative)


class BPRConfig(RankingConfig):
    """Options of `bpr`."""

    pairs: int = Field(8, ge=1, le=256)
    """Negatives of its group that each positive is compared with; where there are fewer, each as often as others."""


class BPR(Ranking):
    """Of each positive the mean of -log sigmoid(difference) from negatives of its group.

    The negatives are those that follow in the batch's order, which each pass draws.
    """

    def __init__(self, config: BPRConfig) -> None:
        super().__init__(config)
        self.pairs = config.pairs

    def ranked(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """See `Ranking.ranked`."""
        assert context.group is not None
        group, positive = context.group, known & (labels > 0)
        ones = known.long()
        negatives = torch.zeros_like(group).scatter_add(0, group, ones - positive.long())
        many = torch.zeros_like(group).scatter_add(0, group, ones)
        # By group, its negatives first; what is not known at the end.
        order = torch.where(known, 2 * group + positive, 2 * len(group)).argsort(stable=True, dim=0)
        place = torch.empty_like(order).scatter_(
            0, order, torch.arange(len(order), device=order.device)[:, None].expand_as(order)
        )
        first = (many.cumsum(0) - many).gather(0, group)
        count = negatives.gather(0, group)
        number = place - first - count  # of a positive in its group
        ranked, found = positive & (count > 0), torch.zeros_like(logits)
        for k in range(self.pairs):
            other = order.gather(0, torch.where(ranked, first + (number + k) % count.clamp(min=1), 0))
            found = found + F.softplus(logits.gather(0, other) - logits)
        return torch.where(ranked, found / self.pairs, 0)
