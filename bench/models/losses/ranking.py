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
    if schema.grouped:
        return None
    return "the card names no group, whose rows would be ranked against each other"


class RankingConfig(Config):
    """Options of a loss that ranks."""

    weight: float = Field(0.5, ge=0, lt=1)
    """Weight of the ranking term; the log loss has the rest."""


class Ranking(Loss):
    """(1 - weight) times the log loss plus weight times a loss of the order within groups."""

    needs_groups = True
    config: RankingConfig

    def forward(self, logits: Tensor, labels: Tensor, counted: Tensor, context: Context) -> Tensor:
        """The weighted sum of log loss and ranking loss of each sample (B, T)."""
        log = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        if not len(logits):
            return log
        if context.group is None:
            group = torch.zeros_like(labels, dtype=torch.int64)
        else:
            group = context.group[:, None].expand_as(labels)
        ranking = self.ranked(logits, labels, counted, group, context.scores)
        return (1 - self.config.weight) * log + self.config.weight * ranking

    @abstractmethod
    def ranked(
        self, logits: Tensor, labels: Tensor, counted: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """The ranking loss of each sample (B, T); arguments as of `forward`, with groups (B, T)."""


def log_shares(scores: Tensor, counted: Tensor, group: Tensor) -> Tensor:
    """Logarithm of each sample's share of the sum of exp(score) over the counted samples of its
    group, all (B, T).
    """
    scores = torch.where(counted, scores, NOWHERE)
    with torch.no_grad():
        highest = torch.full_like(scores, NOWHERE).scatter_reduce(0, group, scores, "amax")
        top = highest.gather(0, group)
    sums = torch.zeros_like(scores).scatter_add(0, group, (scores - top).exp())
    return scores - top - sums.gather(0, group).log()


class Listwise(Ranking):
    """Softmax cross-entropy over a group: minus the logarithm of each positive's share among the
    group's samples.

    A group counts by its positives, so the loss is a mean over samples like the log loss, and about
    as large for a rare task.
    """

    def ranked(
        self, logits: Tensor, labels: Tensor, counted: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """Minus the logarithm of each positive's share, 0 for negatives (B, T)."""
        return -labels * log_shares(logits, counted, group)


class JRC(Ranking):
    """Joint optimisation of ranking and calibration: two scores of each sample, for positive and
    for negative.

    Their difference is the logit of the log loss. Each sample is also ranked in its group by the
    score of its label: a positive by the positive scores, a negative by the negative ones. The
    negative score has an extra tower, used only in training.
    """

    needs_scores = True

    def ranked(
        self, logits: Tensor, labels: Tensor, counted: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """Minus the logarithm of each sample's share by the score of its label (B, T)."""
        assert scores is not None
        positive = log_shares(logits + scores, counted, group)
        negative = log_shares(scores, counted, group)
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
        self, logits: Tensor, labels: Tensor, counted: Tensor, group: Tensor, scores: Tensor | None
    ) -> Tensor:
        """Mean loss of each positive's pairs, 0 for other samples (B, T)."""
        positive = counted & (labels > 0)
        order, place = _negatives_first(positive, counted, group)
        ones = counted.long()
        zeros = torch.zeros_like(group)
        negatives_by_group = zeros.scatter_add(0, group, ones - positive.long())
        sizes_by_group = zeros.scatter_add(0, group, ones)
        first = (sizes_by_group.cumsum(0) - sizes_by_group).gather(0, group)
        negatives = negatives_by_group.gather(0, group)
        number = place - first - negatives  # of a positive in its group
        has_pairs = positive & (negatives > 0)
        losses = torch.zeros_like(logits)
        for k in range(self.config.pairs):
            place_of_negative = first + (number + k) % negatives.clamp(min=1)
            negative = order.gather(0, torch.where(has_pairs, place_of_negative, 0))
            losses = losses + F.softplus(logits.gather(0, negative) - logits)
        return torch.where(has_pairs, losses / self.config.pairs, 0)


def _negatives_first(positive: Tensor, counted: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Samples in order, and each sample's place in it, both (B, T): by group, a group's negatives
    first, samples that do not count last.
    """
    keys = torch.where(counted, 2 * group + positive, 2 * len(group))
    order = keys.argsort(stable=True, dim=0)
    places = torch.arange(len(order), device=order.device)[:, None].expand_as(order)
    return order, torch.empty_like(order).scatter_(0, order, places)
