"""COSMOS: a weighted sum that rewards losses in the proportions of the preference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.balancing.base import LossWeighting
from bench.registry import Config


class COSMOSConfig(Config):
    """Options of COSMOS."""

    penalty: float = Field(0.05, ge=0, allow_inf_nan=False)
    """How much one of cosine is worth, in units of loss; 0 is static weights. The paper takes 0.01 to 8."""
    weight: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """Preference for each task by name, 1 where missing; only their ratios count."""


class COSMOS(LossWeighting):
    """T (sum_i r_i L_i - penalty cos(r, L)), r the preference (it sums to 1), T times the loss of Ruchte & Grabocka,
    ICDM 2021.

    The paper draws r again at each step and gives it to the model, which so learns a whole front. Ours is not
    conditioned on preferences: r stands still, one training gives one point, and a search over r gives the front. The
    cosine draws the losses towards the proportions of r, against a task's own interest where its loss is too small for
    them: a weight can be negative. Sums and T are over the tasks with samples in the batch; a batch without any gives
    0.

    Raises:
        UserError: a preference is given for a task that is not trained.
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
        r, found = self.preferred[present], losses[present]
        r = r * len(r) / r.sum()
        # In units of the largest loss, whose square would overflow or vanish otherwise.
        cosine = cosine_similarity(r, found / found.detach().abs().max(), dim=0)
        return (r * found).sum() - len(r) * self.penalty * cosine
