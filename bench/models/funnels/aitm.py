"""AITM: hidden units of a task's tower are transferred along the chain to the tasks that follow
it.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.funnels.direct import Direct
from bench.models.layers import BatchedLinear, BatchedMLP
from bench.models.losses.base import Context, mean


class AITMConfig(Config):
    """Options of `aitm`."""

    calibrator: float = Field(0.6, ge=0, le=1000)
    """Weight of the calibrator, which penalises a child more likely than its parent."""


class Transfer(nn.Module):
    """One adaptive information transfer module for each of L links.

    The parent's units go through a ReLU layer; a softmax over <W1 u, W2 u> / sqrt(width) weights
    these and the child's own, and W3 u is summed.
    """

    def __init__(self, links: int, width: int) -> None:
        super().__init__()
        self.information = BatchedMLP(links, width, (width,))
        self.query, self.key, self.value = (
            BatchedLinear(links, width, width, bias=False) for _ in range(3)
        )

    def forward(self, parents: Tensor, own: Tensor) -> Tensor:
        """(L, B, width) of the links' parents and of their children -> the children's new units."""
        both = torch.stack([self.information(parents), own])  # (2, L, B, width)
        query, key, value = (
            torch.stack([linear(u) for u in both]) for linear in (self.query, self.key, self.value)
        )
        precise = torch.promote_types(own.dtype, torch.float32)
        scores = (query * key).sum(3, keepdim=True, dtype=precise) / math.sqrt(own.shape[2])
        return (scores.softmax(0).to(value.dtype) * value).sum(0)


class AlongChains(nn.Module):
    """A `Transfer` for each depth, from the roots down, with all links of that depth."""

    def __init__(self, schema: Schema, width: int) -> None:
        super().__init__()
        chains = [schema.chain(task) for task in range(len(schema.tasks))]
        depths = range(2, max(map(len, chains)) + 1)
        self.rounds = [[chain[-2:] for chain in chains if len(chain) == depth] for depth in depths]
        self.transfers = nn.ModuleList(Transfer(len(links), width) for links in self.rounds)

    def forward(self, h: Tensor) -> Tensor:
        """h (T, B, width) -> the same shape; roots are unchanged."""
        of_task = list(h.unbind())
        for links, transfer in zip(self.rounds, self.transfers, strict=True):
            parents, own = (torch.stack([of_task[link[end]] for link in links]) for end in (0, 1))
            for (_, child), units in zip(links, transfer(parents, own), strict=True):
                of_task[child] = units
        return torch.stack(of_task)


class AITM(Direct, lower_precision=True):
    """Adaptive information transfer (Xi et al., KDD 2021), for chains of any length and trees.

    Logits and labels are joint, as in `direct`. Hidden units of a task's tower receive their
    parent's before the linear output, and the mean of max(p_child - p_parent, 0), the calibrator,
    is added to the child's loss. A child's loss propagates to all inputs of its ancestors' logits.
    """

    ties_tasks = True
    config: AITMConfig

    def transfer(self, width: int) -> nn.Module | None:
        """See `Funnel.transfer`."""
        return AlongChains(self.schema, width) if self.links.depth else None

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """See `Funnel.losses`; the calibrator's mean is over the samples of the child's loss."""
        links, p = self.links, logits.sigmoid()
        counted = ~links.joint_targets(labels).isnan() & links.tied
        above = mean((p - links.of_parent(p)).relu(), counted, weights)
        return super().losses(logits, labels, weights, context) + self.config.calibrator * above
