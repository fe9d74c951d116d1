"""Adam on touched rows, under its former name; see `bench.training.optimizers`."""

from bench.training.optimizers.adam import RowAdam

__all__ = ["RowAdam"]
