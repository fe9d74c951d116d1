"""Encodings of numbers as inputs, one entry each in `NUMERIC`."""

from __future__ import annotations

from bench.core.plugins import Registry
from bench.core.registry import Entry, NoOptions
from bench.core.schema import Schema
from bench.models.contracts import NumericEncoding
from bench.models.numeric.bucket import Bucket, BucketConfig, Scaled
from bench.models.numeric.piecewise_linear import (
    BucketAndPiecewise,
    BucketAndPiecewiseConfig,
    PiecewiseLinear,
    PiecewiseLinearConfig,
)


def has_numbers(schema: Schema) -> str | None:
    """The `unfit` of kinds with tokens of numbers."""
    return None if schema.numbers else "it has no number with ranges"


_OURS: dict[str, Entry[NumericEncoding]] = {
    "scaled": Entry(Scaled, NoOptions, "-", "each number is one input"),
    "bucket": Entry(
        Bucket,
        BucketConfig,
        "-",
        "each number is one input, and the range that it is in has an embedding",
    ),
    "piecewise_linear": Entry(
        PiecewiseLinear,
        PiecewiseLinearConfig,
        "Gorishniy et al., NeurIPS 2022",
        "a token for each number, piecewise linear in it, with bends at quantiles of train",
        unfit=has_numbers,
        departs=(
            "Bins are put around values that many rows have, and missing numbers have a token "
            "of their own."
        ),
    ),
    "bucket_and_piecewise": Entry(
        BucketAndPiecewise,
        BucketAndPiecewiseConfig,
        "-",
        "the ranges of `bucket` and the tokens of `piecewise_linear`, both of each number",
        unfit=has_numbers,
    ),
}
NUMERIC = Registry("numeric", _OURS)
