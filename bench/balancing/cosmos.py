"""COSMOS: a weighted sum that rewards losses in proportion to the preference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.balancing.base import LossWeighting
from bench.core.registry import Config


class COSMOSConfig(Config):
    """Options of COSMOS."""

    penalty: float = Field(0.05, ge=0, allow_inf_nan=False)
    """Factor of the cosine, in units of loss; 0 gives static weights. The paper uses 0.01 to 8."""
    weight: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Preference for each task by name, 1 where missing; only their ratios count."""


class COSMOS(LossWeighting):
    """T (sum_i r_i L_i - penalty cos(r, L)), with preference r summing to 1.

    T times the loss of Ruchte & Grabocka, ICDM 2021. The paper draws a new r each step and conditions the model on it,
    so one model covers a front. Here r is fixed: one training gives one point, and a search over r gives the front. The
    cosine pulls the losses towards the proportions of r, so the weight of a task with a small loss can be negative.
    Sums and T cover the tasks with samples in the batch; a batch without any gives 0. Raises UserError if a preference
    is given for a task that is not trained.
    """

    preferred: Tensor  # (T,)

    def __init__(self, tasks: Sequence[str], config: COSMOSConfig) -> None:
        super().__init__(tasks)
        self.penalty = config.penalty
        self.register_buffer("preferred", self.preference(config.weight, "cosmos.weight"))

    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,) -> scalar."""
        present = losses != 0
        if not present.any():
            return losses.sum()
        r, present_losses = self.preferred[present], losses[present]
        r = r * len(r) / r.sum()
        # Divided by the largest loss, whose square could overflow or underflow.
        cosine = cosine_similarity(r, present_losses / present_losses.detach().abs().max(), dim=0)
        return (r * present_losses).sum() - len(r) * self.penalty * cosine
