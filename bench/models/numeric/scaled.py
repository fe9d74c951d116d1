"""Numbers unchanged."""

from __future__ import annotations

from bench.core.registry import NoOptions
from bench.core.schema import Schema
from bench.models.contracts import NumericEncoding


class Scaled(NumericEncoding):
    """Standardised with the mean and deviation of train; a missing number is 0, with a flag beside
    it.
    """

    def __init__(self, schema: Schema, dim: int, sets: int, config: NoOptions) -> None:
        super().__init__()
        self.schema, self.outputs = schema.without_ranges, len(schema.dense)
