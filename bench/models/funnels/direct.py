"""Trains the joint label of each chain as a task of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.models.contracts import RAREST, Probabilities
from bench.models.funnels.independent import Independent
from bench.models.losses.base import Context


class Direct(Independent):
    """A binary task's logit is of 'it and all its ancestors happened', trained on all samples by
    itself.

    A joint probability above its parent's is reduced to the parent's, and the conditional is their
    quotient. Regressions are trained as in `independent`.
    """

    conditional = False

    def start(self, means: Tensor) -> Tensor:
        """See `Funnel.start`: the logits of products of the means."""
        links, conditional = self.links, means.double()
        rates = torch.where(
            links.regression, conditional, conditional.nan_to_num(nan=0.5).clamp(RAREST, 1 - RAREST)
        )
        joint = links.product(rates.unsqueeze(0)).squeeze(0)
        return torch.where(links.regression, joint, torch.logit(joint)).nan_to_num(nan=0.0)

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """See `Funnel.losses`; a child whose parent is known not to have happened needs no
        label.
        """
        return self.loss.forward(logits, self.links.joint_targets(labels), weights, context)

    def probabilities(self, logits: Tensor) -> Probabilities:
        """See `Funnel.probabilities`."""
        links, joint = self.links, logits
        for _ in range(links.depth):
            joint = torch.where(links.tied, torch.minimum(logits, links.of_parent(joint)), logits)
        # A quotient by logarithms, which exists also for probabilities that underflow to 0.
        logs = F.logsigmoid(joint)
        conditional = torch.where(links.tied, logs - links.of_parent(logs), logs).exp()
        return Probabilities(
            torch.where(links.regression, logits, conditional),
            torch.where(links.regression, logits, joint.sigmoid()),
        )
