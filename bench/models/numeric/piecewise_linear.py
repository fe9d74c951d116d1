"""Numbers as piecewise-linear functions between quantiles, with or without embedded ranges."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.arrays import Floats
from bench.core.registry import Config
from bench.core.schema import Number, Schema, begins
from bench.models.contracts import NumericEncoding
from bench.models.numeric.bucket import Bucket, BucketConfig
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
    edges = np.array(number.edges)
    return cast(list[float], np.unique(np.append(edges[first], edges[-1])).tolist())


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
        taken = {number.column for number in numbers} | {number.missing for number in numbers}
        rest = [column for column in range(len(dense)) if column not in taken]
        plain = schema.without_ranges
        self.schema = replace(plain, dense=tuple(dense[column] for column in rest), vectors=())
        self.tokens = tuple(number.name for number in numbers)
        self.outputs = len(numbers) * dim + len(rest)
        self.activation = config.activation

        self.columns = _indices([number.column for number in numbers])
        self.flags = _indices([number.missing or 0 for number in numbers])
        self.rest = _indices(rest)
        # 0 masks the flag of a number without one. A model may be built without memory, to count
        # its parameters: so a list is asked, not a tensor.
        has_flag = [number.missing is not None for number in numbers]
        self.lacking = nn.Buffer(torch.tensor(has_flag, dtype=torch.float32), persistent=False)
        self.missing: nn.Parameter | None = None
        if any(has_flag):
            self.missing = nn.Parameter(torch.zeros(sets, len(numbers), dim))

        bins = _bins([bin_edges(number, config.bins) for number in numbers])
        self.slope, self.shift, self.low, self.high = (
            nn.Buffer(torch.tensor(values, dtype=torch.float32), persistent=False)
            for values in bins
        )
        self.linear = NumberLinear(sets, len(numbers), bins.shape[2], dim)

    def forward(self, x: Tensor) -> Tensor:
        """Dense columns (I, B, D), equal in all sets -> (I, B, Q dim + others)."""
        dense = x[0]
        numbers = dense.index_select(1, self.columns)
        encoded = numbers.unsqueeze(2) * self.slope + self.shift  # (B, Q, bins)
        encoded = torch.minimum(torch.maximum(encoded, self.low), self.high)
        tokens: Tensor = self.linear(encoded.unsqueeze(0))
        if self.activation:
            tokens = tokens.relu()
        if self.missing is not None:
            is_missing = dense.index_select(1, self.flags) * self.lacking  # (B, Q)
            tokens = torch.where(is_missing.unsqueeze(2) != 0, self.missing.unsqueeze(1), tokens)
        flat = tokens.flatten(2)
        if not len(self.rest):
            return flat
        return torch.cat([flat, dense.index_select(1, self.rest).expand(len(flat), -1, -1)], dim=2)


def _indices(columns: list[int]) -> nn.Buffer:
    return nn.Buffer(torch.tensor(columns, dtype=torch.int64), persistent=False)


def _bins(edges: list[list[float]]) -> Floats:
    """Slope, shift, least and greatest value of each number's bins (4, Q, bins); unused ones are
    all 0.
    """
    most_bins = max(1, *(len(edges_of_number) - 1 for edges_of_number in edges))
    bins = np.zeros((4, len(edges), most_bins))
    for number, edges_of_number in enumerate(edges):
        last = len(edges_of_number) - 2
        for place, (start, end) in enumerate(pairwise(edges_of_number)):
            low = -np.inf if place == 0 else 0.0
            high = np.inf if place == last else 1.0
            bins[:, number, place] = 1 / (end - start), -start / (end - start), low, high
    return bins


class BucketAndPiecewiseConfig(Config):
    """Options of `bucket_and_piecewise`."""

    ranges: int = Field(1000, ge=2, le=1000)
    """As `bins` of `bucket`."""
    bins: int = Field(48, ge=2, le=1000)
    """As `bins` of `piecewise_linear`."""


class BucketAndPiecewise(PiecewiseLinear):
    """The ranges of `bucket` as fields, and the tokens of `piecewise_linear` in place of the dense
    columns.

    A range with many rows learns its own value; the token learns a trend from all rows.
    """

    def __init__(
        self, schema: Schema, dim: int, sets: int, config: BucketAndPiecewiseConfig
    ) -> None:
        super().__init__(schema, dim, sets, PiecewiseLinearConfig(bins=config.bins))
        self.bucket = Bucket(schema, dim, sets, BucketConfig(bins=config.ranges))
        self.schema = replace(self.schema, fields=self.bucket.schema.fields)

    def rows(self, ids: Tensor) -> Tensor:
        """ids (B, S) of the store -> (B, S'), as `bucket` joins ranges."""
        return self.bucket.rows(ids)
