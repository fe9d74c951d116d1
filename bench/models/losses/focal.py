"""The focal loss, with calibrated probabilities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.models.losses.base import Context, Loss

LARGEST = 50.0
"""Scores are solved for up to this; beyond it, the logit is linear in the score in float32."""
NEWTON = 2
"""Steps without a gradient; a third has one. The slope is between 2/3 and 1 of its limit, so three steps are exact."""


class FocalConfig(Config):
    """Options of `focal`."""

    gamma: float = Field(2.0, ge=0, le=10)
    """Strength of the down-weighting of well predicted samples: (1 - q)^gamma times the log loss; 0 gives the log
    loss."""


class Focal(Loss):
    """(1 - q)^gamma times the log loss, where q is the score's probability of the sample's own label.

    Its minimum is not at the true probability: q is pulled to 1/2. But the probability follows from q by a closed form
    (Charoenphakdee et al., CVPR 2021). Here the logit is that of the probability, and the score is solved for. So
    predictions stay calibrated, and funnels can multiply them.
    """

    def __init__(self, config: FocalConfig) -> None:
        super().__init__(config)
        self.gamma = config.gamma

    def forward(self, logits: Tensor, labels: Tensor, known: Tensor, context: Context) -> Tensor:
        """See `Loss.forward`."""
        score = self.score((2 * labels - 1) * logits)  # positive where the prediction is on the label's side
        return (-self.gamma * F.softplus(score)).exp() * F.softplus(-score)

    def score(self, logits: Tensor) -> Tensor:
        """Logits of probabilities -> the corresponding scores, the logits of q; differentiable."""
        most, end = LARGEST * (1 + self.gamma), logits.detach()
        inner = end.clamp(-most, most)
        with torch.no_grad():
            score = inner / (1 + self.gamma)
            for _ in range(NEWTON):
                value, slope = self.logit_of(score)
                score = (score + (inner - value) / slope).clamp(-LARGEST, LARGEST)
            value, slope = self.logit_of(score)
        return score + (logits - (end - inner) - value) / slope + (end - inner) / (1 + self.gamma)

    def logit_of(self, score: Tensor) -> tuple[Tensor, Tensor]:
        """The probability's logit at a score u, and its derivative.

        With A(u) = (1 - q) - gamma q log q it is gamma u - log A(u) + log A(-u).
        """
        q, rest = score.sigmoid(), (-score).sigmoid()
        log_q, log_rest = F.softplus(-score), F.softplus(score)  # their negatives
        own, other = rest + self.gamma * q * log_q, q + self.gamma * rest * log_rest
        own_slope, other_slope = self.gamma * (log_q - 1) - 1, self.gamma * (log_rest - 1) - 1
        slope = self.gamma - q * rest * (own_slope / own + other_slope / other)
        return self.gamma * score - own.log() + other.log(), slope
