"""Krum: the gradients that are nearest to others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.balancing.gramian import Array, Gradients, GramianAggregation
from bench.registry import Config
from bench.schema import Schema


class KrumConfig(Config):
    """Options of Krum."""

    byzantine: int = Field(0, ge=0)
    """Tasks whose gradients are not to be trusted."""
    selected: int = Field(1, ge=1)
    """How many gradients are averaged."""


class Krum(GramianAggregation):
    """T times the mean of the gradients with the least sum of distances to their K - byzantine - 2 nearest others.

    Blanchard et al., NeurIPS 2017. Made for workers that estimate one gradient, some of them falsely; over tasks it
    leaves whole tasks out of a step, and is here to be compared with. With under byzantine + 3 tasks heard, or no more
    than are selected, all count alike.
    """

    def __init__(self, tasks: Sequence[str], config: KrumConfig) -> None:
        super().__init__(tasks)
        self.byzantine, self.selected = config.byzantine, config.selected

    def weigh(self, gradients: Gradients, tasks: NDArray[np.intp]) -> Array:
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


def has_a_majority(schema: Schema) -> str | None:
    """The `unfit` of rules that look for what most tasks have in common."""
    many = len(schema.tasks)
    return None if many >= 3 else f"it looks for what most tasks have in common, which takes 3 of them, found {many}"
