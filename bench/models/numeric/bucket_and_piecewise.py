"""Numbers as embedded ranges, and as piecewise-linear functions."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field
from torch import Tensor

from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.numeric.bucket import Bucket, BucketConfig
from bench.models.numeric.piecewise_linear import PiecewiseLinear, PiecewiseLinearConfig


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
        """See `Numeric.rows`."""
        return self.bucket.rows(ids)
