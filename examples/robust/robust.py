"""Two rules for workers that estimate one gradient, some of them falsely, as balancers of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from bench.core.arrays import Floats
from bench.core.registry import Config, Entry
from bench.core.schema import Schema
from bench.models.balancing.base import Balancer, GradientCombination, Need, TaskGradients, norms
from bench.models.balancing.gramian import Gradients, GramianAggregation


class KrumConfig(Config):
    """Options of Krum."""

    byzantine: int = Field(0, ge=0)
    """Tasks whose gradients are not to be trusted."""
    selected: int = Field(1, ge=1)
    """How many gradients are averaged."""


class Krum(GramianAggregation):
    """T times the mean of the gradients with the least sum of distances to their K - byzantine - 2
    nearest others.

    Blanchard et al., NeurIPS 2017. Over tasks it leaves whole tasks out of a step. With under
    byzantine + 3 tasks heard, or no more than are selected, all count alike.
    """

    def __init__(self, tasks: Sequence[str], config: KrumConfig) -> None:
        super().__init__(tasks)
        self.byzantine, self.selected = config.byzantine, config.selected

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Floats:
        """Weights (K,) >= 0 that sum to K."""
        many, size = len(gradients), gradients.norms.max()
        if many < self.byzantine + 3 or many <= self.selected:
            return np.ones(many)
        vectors = gradients.directions * (gradients.norms / size)
        distances = np.sort(np.linalg.norm(vectors[:, :, None] - vectors[:, None], axis=0), axis=1)
        scores = distances[:, 1 : many - self.byzantine - 1].sum(1)
        weights = np.zeros(many)
        weights[np.argsort(scores, kind="stable")[: self.selected]] = many / self.selected
        return weights


class TrimmedMeanConfig(Config):
    """Options of the trimmed mean."""

    trim: int = Field(1, ge=0)
    """How many of the largest, and of the smallest, values are left out; fewer where too few tasks
    are heard.
    """


class TrimmedMean(GradientCombination):
    """T times the mean, in every coordinate, of the gradients that are neither largest nor smallest
    there.

    Yin et al., ICML 2018. A task without samples in the batch is left out, else its zeros would be
    the middle.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})

    def __init__(self, tasks: Sequence[str], config: TrimmedMeanConfig) -> None:
        super().__init__(tasks)
        self.trim = config.trim

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """-> the combined gradient's parts."""
        heard = [
            of
            for of, size in zip(gradients, norms(gradients).amax(1).tolist(), strict=True)
            if size != 0
        ]
        if not heard:
            return [part.detach().clone() for part in gradients[0]]
        many = len(heard)
        trim = min(self.trim, (many - 1) // 2)
        ordered = [
            torch.stack([p.detach() for p in of_part]).sort(0).values
            for of_part in zip(*heard, strict=True)
        ]
        return [part[trim : many - trim].mean(0) * many for part in ordered]


def has_a_majority(schema: Schema) -> str | None:
    """The `unfit` of rules that look for what most tasks have in common."""
    many = len(schema.tasks)
    return (
        None
        if many >= 3
        else f"it looks for what most tasks have in common, which takes 3 of them, found {many}"
    )


BALANCING: dict[str, Entry[Balancer]] = {
    "krum": Entry(
        Krum,
        KrumConfig,
        "Blanchard et al., NeurIPS 2017",
        "the gradient nearest to the others",
        has_a_majority,
    ),
    "trimmed_mean": Entry(
        TrimmedMean,
        TrimmedMeanConfig,
        "Yin et al., ICML 2018",
        "no extremes in any coordinate",
        has_a_majority,
    ),
}
