"""Trimmed mean: in every coordinate without the extremes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from bench.balancing.base import GradientCombination, Need, TaskGradients
from bench.balancing.parts import norms
from bench.registry import Config


class TrimmedMeanConfig(Config):
    """Options of the trimmed mean."""

    trim: int = Field(1, ge=0)
    """How many of the largest, and of the smallest, values are left out; fewer where too few tasks are heard."""


class TrimmedMean(GradientCombination):
    """T times the mean, in every coordinate, of the gradients that are neither largest nor smallest there.

    Yin et al., ICML 2018. Made, as `krum`, for workers that estimate one gradient. A task without samples in the batch
    is left out, else its zeros would be the middle.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"gradients"})

    def __init__(self, tasks: Sequence[str], config: TrimmedMeanConfig) -> None:
        super().__init__(tasks)
        self.trim = config.trim

    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """-> the combined gradient's parts."""
        heard = [of for of, size in zip(gradients, norms(gradients).amax(1).tolist(), strict=True) if size != 0]
        if not heard:
            return [part.detach().clone() for part in gradients[0]]
        many = len(heard)
        trim = min(self.trim, (many - 1) // 2)
        ordered = [torch.stack([p.detach() for p in of_part]).sort(0).values for of_part in zip(*heard, strict=True)]
        return [part[trim : many - trim].mean(0) * many for part in ordered]
