"""From raw rows to every task's probability and one score to rank by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.encoding.bulk import BulkEncoder
from bench.data.encoding.encoder import Encoder
from bench.frontier.score import Score, prediction_names
from bench.production.calibration import Calibration
from bench.production.engines import Engine, Floats, Ids
from bench.production.rows import RawRows
from bench.schema import Schema

CHUNK = 8192
"""Rows that go through the model at once: what a batch of any size takes of memory is bounded."""
SCORE = "score"
Values = NDArray[np.float64]


class Scorer:
    """A model with its encoder, calibrations and score.

    Attributes:
        names: of the predictions, in order; `score` comes last.
    """

    def __init__(
        self, schema: Schema, encoder: Encoder, engine: Engine, calibrations: Mapping[str, Calibration], score: Score
    ) -> None:
        self.schema, self.engine, self.calibrations = schema, engine, dict(calibrations)
        self.rows = RawRows(encoder)
        self.score = score.of(schema.tasks)
        self.names = (*(name for task in schema.tasks for name in prediction_names(task)), SCORE)
        self._encoder = BulkEncoder(encoder)

    def predict(self, rows: Any) -> pd.DataFrame:
        """Predictions (N, names) of raw rows, in their order.

        Of a task without parent its probability, `click`; of one with a parent the conditional and the joint one,
        `purchase.cvr` and `purchase.ctcvr`, calibrated; of a regression its value; and `score`. Values that train did
        not hold are unknown, and empty ones missing, as they were in training. No rows give no predictions.

        Args:
            rows: a data frame, an Arrow table or a list of mappings; see `RawRows.table`.

        Raises:
            UserError: a row that does not fit, with column and row.
        """
        return pd.DataFrame(self.predict_table(self.rows.table(rows)))

    def predict_table(self, table: Any) -> dict[str, Values]:
        """Name -> predictions (N,) of a checked Arrow table, see `RawRows.checked`."""
        parts = [
            self.predict_encoded(*self._encoder.encode(table.slice(start, CHUNK)))
            for start in range(0, max(table.num_rows, 1), CHUNK)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}

    def predict_encoded(self, ids: Ids, dense: Floats) -> dict[str, Values]:
        """Name -> predictions (N,) of encoded rows: ids (N, S), dense (N, D)."""
        conditional, _ = self.engine(ids, dense)
        found = calibrated(self.schema, conditional, self.calibrations)
        return found | {SCORE: self.score.apply(found)}


def calibrated(schema: Schema, conditional: Floats, calibrations: Mapping[str, Calibration]) -> dict[str, Values]:
    """Name -> (N,): calibrated conditional probabilities, multiplied along each chain to the joint ones.

    Args:
        conditional: (N, T) as the model says them.
        calibrations: of tasks; one without is left as it is.
    """
    given = conditional.astype(np.float64)
    for at, task in enumerate(schema.tasks):
        if task.name in calibrations and task.kind == "binary":
            given[:, at] = calibrations[task.name].apply(given[:, at])
    found: dict[str, Values] = {}
    for at, task in enumerate(schema.tasks):
        names = prediction_names(task)
        columns: Sequence[Values] = (given[:, at], np.prod(given[:, list(schema.chain(at))], axis=1))
        found |= dict(zip(names, columns[: len(names)], strict=True))
    return found
