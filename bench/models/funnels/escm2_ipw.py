"""ESCM2 by inverse propensities: observed conversions are weighted by 1 / P(observed)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.models.funnels.entire_space import EntireSpace
from bench.models.losses.base import Context, mean


class ESCM2Config(Config):
    """Options of `escm2_ipw`."""

    cvr_weight: float = Field(1.0, ge=0, le=1000)
    """Weight of the conditional's counterfactual risk in its task's loss."""
    ctcvr_weight: float = Field(1.0, ge=0, le=1000)
    """Weight of the joint probability's loss, that of `entire_space`."""
    clip: float = Field(15.0, ge=1, le=1000)
    """Largest weight 1 / p of a sample; PaddleRec uses 15."""


class ESCM2IPW(EntireSpace):
    """ESCM2-IPW (Wang et al., SIGIR 2022), for chains of any length.

    A binary task with a parent has the loss of `entire_space` plus the conditional's risk over all
    samples. This is estimated where the parent happened, as the mean over all samples of o e / p. o
    is 1 where the parent and all its ancestors happened, else 0; e is the log loss of the
    conditional, for any loss of the joint probability; p is the model's own probability of o,
    without a gradient. 1 / p is clipped. The weights o / p are not normalised.
    """

    config: ESCM2Config

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """See `Funnel.losses`."""
        links, config = self.links, self.config
        of_tasks = logits[:, : len(self.schema.tasks)]
        whole = super().losses(of_tasks, labels, weights, context)
        joint = links.joint_labels(labels)
        known = ~joint.isnan()
        happened = known & (links.of_parent(joint) == 1)
        p = links.of_parent(links.joint_logits(of_tasks)).detach().sigmoid()
        errors = F.binary_cross_entropy_with_logits(
            of_tasks, torch.where(happened, labels, 0).to(logits.dtype), reduction="none"
        )
        seen = torch.where(happened, (1 / p).clamp(max=config.clip), 0)
        risk = self.risk(logits, errors, seen, known, weights)
        return torch.where(
            links.tied, config.ctcvr_weight * whole + config.cvr_weight * risk, whole
        )

    def risk(
        self,
        logits: Tensor,
        errors: Tensor,
        seen: Tensor,
        known: Tensor,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The estimated risk of each conditional, (T,); values of tasks that are not tied are
        ignored.

        Args:
            logits: (B, O).
            errors: (B, T), e; valid where `seen` is not 0.
            seen: (B, T), o / p.
            known: (B, T), whether o is known, and e where o is 1.
            weights: of the samples, as of `losses`.
        """
        return mean(seen * errors, known, weights)
