"""ESMM's tie: conditional probabilities are trained through their product, on all impressions."""

from __future__ import annotations

from torch import Tensor

from bench.models.funnels.independent import Independent
from bench.models.losses.base import Context


class EntireSpace(Independent):
    """The entire-space product of ESMM (Ma et al., SIGIR 2018), for chains of any length.

    A binary task with a parent predicts that it and all its ancestors happened, the product of
    probabilities along its chain, and its loss is over all samples. So no conditional is trained on
    selected samples only, and a child's loss has a gradient at its ancestors' logits. Roots and
    regressions are trained as in `independent`.
    """

    ties_tasks = True

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
        targets = self.links.joint_targets(labels)
        return self.loss.forward(self.links.joint_logits(logits), targets, weights, context)
