"""Numbers as waves of learned frequencies."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.contracts import Drawn
from bench.models.numeric.tokens import NumberLinear, NumberTokens


class PeriodicConfig(Config):
    """Options of `periodic`."""

    frequencies: int = Field(48, ge=1, le=1024)
    """Frequencies of a number, each with its cosine and sine."""
    sigma: float = Field(0.01, gt=0, le=100)
    """Initial deviation of the frequencies, in waves for each deviation of the number. Results depend on it
    strongly."""
    activation: bool = True
    """Whether ReLU follows the linear map."""


class Waves(Drawn):
    """cos and sin of 2 pi c x; `weight` is c, (I, Q, frequencies)."""

    def __init__(self, sets: int, numbers: int, frequencies: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.weight = nn.Parameter(torch.empty(sets, numbers, frequencies))
        self.reset_parameters()

    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws c from N(0, sigma^2), within three deviations."""
        nn.init.trunc_normal_(self.weight, 0.0, self.sigma, -3 * self.sigma, 3 * self.sigma, source)

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers (B, Q) -> (I, B, Q, 2 frequencies), cosines first."""
        angle = 2 * math.pi * self.weight.unsqueeze(1) * numbers.unsqueeze(2)
        return torch.cat([angle.cos(), angle.sin()], dim=3)


class Periodic(NumberTokens):
    """Periodic features cos(2 pi c x) and sin(2 pi c x), c learned, then a linear map for each number, and ReLU."""

    def __init__(self, schema: Schema, dim: int, sets: int, config: PeriodicConfig) -> None:
        super().__init__(schema, dim, sets, config.activation)
        self.waves = Waves(sets, len(schema.numbers), config.frequencies, config.sigma)
        self.linear = NumberLinear(sets, len(schema.numbers), 2 * config.frequencies, dim)

    def embed(self, numbers: Tensor) -> Tensor:
        """See `NumberTokens.embed`."""
        tokens: Tensor = self.linear(self.waves(numbers))
        return tokens
