"""Numbers as piecewise-linear functions between quantiles."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config
from bench.core.schema import Number, Schema, begins
from bench.models.contracts import NumericEncoding
from bench.models.numeric.tokens import NumberLinear


class PiecewiseLinearConfig(Config):
    """Options of `piecewise_linear`."""

    bins: int = Field(48, ge=2, le=1000)
    """Approximate number of bins between quantiles of train; at most the ranges of the store."""
    activation: bool = True
    """Whether ReLU follows the linear map."""


def bin_edges(number: Number, bins: int) -> list[float]:
    """Edges of about `bins` bins, ascending: train's least number, starts of ranges, and its
    greatest.

    One edge if train has one distinct number.
    """
    first = np.flatnonzero(np.append(True, begins(np.array(number.counts), bins)))
    return np.unique(np.array([*np.array(number.edges)[first], number.edges[-1]])).tolist()  # type: ignore[no-any-return]


class PiecewiseLinear(NumericEncoding):
    """Piecewise-linear encoding (Gorishniy et al., NeurIPS 2022), then a linear map for each
    number, and ReLU.

    A number is encoded as the share of each bin below it: 1 for bins below, 0 for bins above, a
    fraction for its own. The first and last bin extrapolate linearly beyond train's ends.

    Each of the Q numbers has a token of width `dim` in place of its dense column. A missing number
    has a learned token of its own, `missing` (I, Q, dim), zero at first; None if train lacks no
    number. Dense columns that are no numbers, such as target rates, stay single inputs.
    """

    def __init__(self, schema: Schema, dim: int, sets: int, config: PiecewiseLinearConfig) -> None:
        super().__init__()
        numbers, dense = schema.numbers, schema.dense
        taken = {column for number in numbers for column in (number.column, number.missing)}
        rest = [column for column in range(len(dense)) if column not in taken]
        plain = schema.without_ranges
        self.schema = replace(plain, dense=tuple(dense[at] for at in rest), vectors=())
        self.tokens = tuple(number.name for number in numbers)
        self.outputs = len(numbers) * dim + len(rest)
        self.activation = config.activation
        # `lacking` masks numbers without a flag
        flags = [number.missing or 0 for number in numbers]
        places = (
            torch.tensor(each, dtype=torch.int64)
            for each in ([number.column for number in numbers], flags, rest)
        )
        self.columns, self.flags, self.rest = (nn.Buffer(each, persistent=False) for each in places)
        lacking = [number.missing is not None for number in numbers]
        self.lacking = nn.Buffer(torch.tensor(lacking, dtype=torch.float32), persistent=False)
        self.missing = nn.Parameter(torch.zeros(sets, len(numbers), dim)) if any(lacking) else None
        edges = [bin_edges(number, config.bins) for number in numbers]
        most = max(1, *(len(of_number) - 1 for of_number in edges))
        # slope, shift, least and greatest value; unused bins are all 0
        bins = np.zeros((4, len(edges), most))
        for at, of_number in enumerate(edges):
            for place, (start, end) in enumerate(pairwise(of_number)):
                first, last = place == 0, place == len(of_number) - 2
                ends = -np.inf if first else 0.0, np.inf if last else 1.0
                bins[:, at, place] = 1 / (end - start), -start / (end - start), *ends
        of_bins = (
            nn.Buffer(torch.tensor(values, dtype=torch.float32), persistent=False)
            for values in bins
        )
        self.slope, self.shift, self.low, self.high = of_bins
        self.linear = NumberLinear(sets, len(edges), most, dim)

    def forward(self, x: Tensor) -> Tensor:
        """See `Numeric.forward`."""
        dense = x[0]
        # (B, Q, bins)
        encoded = dense.index_select(1, self.columns).unsqueeze(2) * self.slope + self.shift
        encoded = torch.minimum(torch.maximum(encoded, self.low), self.high)
        tokens: Tensor = self.linear(encoded.unsqueeze(0))
        if self.activation:
            tokens = tokens.relu()
        if self.missing is not None:
            there = dense.index_select(1, self.flags) * self.lacking  # (B, Q)
            tokens = torch.where(there.unsqueeze(2) != 0, self.missing.unsqueeze(1), tokens)
        flat = tokens.flatten(2)
        if not len(self.rest):
            return flat
        return torch.cat([flat, dense.index_select(1, self.rest).expand(len(flat), -1, -1)], dim=2)
