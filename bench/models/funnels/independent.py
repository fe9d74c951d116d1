"""Each task on its own sample space, with no tie between probabilities."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.contracts import Funnel, Probabilities
from bench.models.funnels.links import Links
from bench.models.losses.base import Context


class Independent(Funnel):
    """A task with a parent is trained where the parent happened (its label is 1), every other task
    on all samples.

    A child is trained on selected samples but predicts for all: the sample selection bias that
    `entire_space` removes.
    """

    def __init__(self, schema: Schema, config: Config) -> None:
        super().__init__(schema, config)
        self.links = Links(schema)

    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """See `Funnel.losses`."""
        links = self.links
        # an unobserved parent, NaN, is outside too
        outside = links.child & (links.of_parent(labels) != 1)
        return self.loss.forward(logits, torch.where(outside, math.nan, labels), weights, context)

    def probabilities(self, logits: Tensor) -> Probabilities:
        """See `Funnel.probabilities`."""
        return self.links.probabilities(logits)
