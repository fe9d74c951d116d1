"""The log loss towards a mixture of labels and a teacher's predictions."""

from __future__ import annotations

from pydantic import Field

from bench.core.registry import Config
from bench.models.losses.base import LogLoss


class DistilledConfig(Config):
    """Options of `distilled`."""

    share: float = Field(0.5, gt=0, le=1)
    """Weight of the teacher's probability in the mixture; the label has the rest."""


class Distilled(LogLoss):
    """The log loss of labels that `bench.models.training.teacher` mixes with the probabilities of
    boosted trees.

    The log loss is linear in the label, so this is the weighted sum of the losses towards label and
    teacher.
    """

    def __init__(self, config: DistilledConfig) -> None:
        super().__init__(config)
        self.teacher_share = config.share
