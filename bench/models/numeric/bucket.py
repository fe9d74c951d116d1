"""Numbers as they are, and as embedded ranges beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core.registry import Config, NoOptions
from bench.core.schema import Schema, begins
from bench.models.contracts import NumericEncoding


class Scaled(NumericEncoding):
    """Standardised with the mean and deviation of train; a missing number is 0, with a flag beside
    it.
    """

    def __init__(self, schema: Schema, dim: int, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.schema, self.outputs = schema.without_ranges, len(schema.dense)


class BucketConfig(Config):
    """Options of `bucket`."""

    bins: int = Field(1000, ge=2, le=1000)
    """Approximate number of ranges; at most the store's: 1000, and 20 rows of train in each on
    average.
    """


class Bucket(NumericEncoding):
    """Ranges between quantiles of train, as fields beside the standardised numbers.

    Their embeddings are rows of the table, trained like those of categories. Missing is a range of
    its own, and so is a number that alone holds 1 / bins of train's rows.
    """

    def __init__(self, schema: Schema, dim: int, sets: int, config: BucketConfig) -> None:
        super().__init__()
        plain = schema.without_ranges
        fields = list(plain.fields)
        ranges_of_store = schema.fields[len(fields) :]
        first_row = plain.rows
        coarser: list[int] = []  # row of each of the store's ranges
        for number, field in zip(schema.numbers, ranges_of_store, strict=True):
            codes = 1 + np.cumsum([0, *begins(np.array(number.counts), config.bins)])
            missing = int(codes[-1]) + 1
            coarser += [first_row, *(first_row + codes).tolist(), first_row + missing]
            fields.append(replace(field, cardinality=missing + 1))
            first_row += missing + 1
        self.schema, self.outputs = replace(schema, fields=tuple(fields)), len(schema.dense)
        self.fields, self.first = plain.slots, plain.rows
        self.as_stored = self.schema.fields == schema.fields
        self.coarser = nn.Buffer(torch.tensor(coarser, dtype=torch.int32), persistent=False)

    def rows(self, ids: Tensor) -> Tensor:
        """ids (B, S) of the store -> (B, S'), ranges joined to coarser ones."""
        if self.as_stored:
            return ids
        ranges = ids[:, self.fields :]
        rows = self.coarser.index_select(0, (ranges - self.first).flatten()).view(ranges.shape)
        return torch.cat([ids[:, : self.fields].to(rows.dtype), rows], dim=1)
