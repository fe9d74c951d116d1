"""Numbers as piecewise-linear functions between quantiles."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.core.schema import Number, Schema, begins
from bench.models.numeric.tokens import NumberLinear, NumberTokens


class PiecewiseLinearConfig(Config):
    """Options of `piecewise_linear`."""

    bins: int = Field(48, ge=2, le=1000)
    """Approximate number of bins between quantiles of train; at most the ranges of the store."""
    activation: bool = True
    """Whether ReLU follows the linear map."""


def bin_edges(number: Number, bins: int) -> list[float]:
    """Edges of about `bins` bins, ascending: train's least number, starts of ranges, and its greatest.

    One edge if train has one distinct number.
    """
    first = np.flatnonzero(np.append(True, begins(np.array(number.counts), bins)))
    return np.unique(np.array([*np.array(number.edges)[first], number.edges[-1]])).tolist()  # type: ignore[no-any-return]


class PiecewiseLinear(NumberTokens):
    """Piecewise-linear encoding (Gorishniy et al., NeurIPS 2022), then a linear map for each number, and ReLU.

    A number is encoded as the share of each bin below it: 1 for bins below, 0 for bins above, a fraction for its own.
    The first and last bin extrapolate linearly beyond train's ends.
    """

    slope: Tensor
    shift: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, schema: Schema, dim: int, sets: int, config: PiecewiseLinearConfig) -> None:
        super().__init__(schema, dim, sets, config.activation)
        edges = [bin_edges(number, config.bins) for number in schema.numbers]
        most = max(1, *(len(of_number) - 1 for of_number in edges))
        bins = np.zeros((4, len(edges), most))  # slope, shift, least and greatest value; unused bins are all 0
        for at, of_number in enumerate(edges):
            for place, (start, end) in enumerate(pairwise(of_number)):
                first, last = place == 0, place == len(of_number) - 2
                ends = -np.inf if first else 0.0, np.inf if last else 1.0
                bins[:, at, place] = 1 / (end - start), -start / (end - start), *ends
        for name, values in zip(("slope", "shift", "low", "high"), bins, strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)
        self.linear = NumberLinear(sets, len(edges), most, dim)

    def embed(self, numbers: Tensor) -> Tensor:
        """See `NumberTokens.embed`."""
        encoded = numbers.unsqueeze(2) * self.slope + self.shift  # (B, Q, bins)
        encoded = torch.minimum(torch.maximum(encoded, self.low), self.high)
        tokens: Tensor = self.linear(encoded.unsqueeze(0))
        return tokens
