"""Scores raw rows: every task's probability, and one score to rank by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.checks import Place
from bench.data.encoding.encoder import Encoder
from bench.errors import UserError
from bench.frontier.score import Score, prediction_names
from bench.production.archive import ROWS
from bench.production.calibration import Calibration
from bench.production.engines import Engine, Floats, Ids
from bench.production.history import KeptHistory
from bench.production.rows import RawRows, numbered
from bench.schema import Schema

CHUNK = ROWS
SCORE = "score"
Values = NDArray[np.float64]
_LARGEST = float(np.finfo(np.float32).max)


class Scorer:
    """A model with its encoder, calibrations and score.

    Attributes:
        names: of the predictions, in order; `score` comes last.
    """

    def __init__(
        self,
        schema: Schema,
        encoder: Encoder,
        engine: Engine,
        calibrations: Mapping[str, Calibration],
        score: Score,
        history: KeptHistory | None = None,
    ) -> None:
        self.schema, self.engine, self.calibrations = schema, engine, dict(calibrations)
        self.rows = RawRows(encoder, history)
        self.score = score.of(schema.tasks)
        self.names = (*(name for task in schema.tasks for name in prediction_names(task)), SCORE)
        self._encoder = encoder

    def predict(self, rows: Any) -> pd.DataFrame:
        """Predictions (N, names) of raw rows, in their order.

        Of a task without parent its probability, `click`; of one with a parent the conditional and the joint one,
        `purchase.cvr` and `purchase.ctcvr`, each with the calibration of its name; of a regression its value; and
        `score`. Values that train did not hold are unknown, and empty ones missing, as they were in training. No rows
        give no predictions.

        Args:
            rows: a data frame, an Arrow table or a list of mappings; see `RawRows.table`.

        Raises:
            UserError: a row that does not fit, with column and row.
        """
        return pd.DataFrame(self.predict_table(self.rows.table(rows)))

    def predict_table(self, table: Any, place: Place = numbered) -> dict[str, Values]:
        """Name -> predictions (N,) of a checked Arrow table, see `RawRows.checked`."""
        return self.predict_encoded(*self.encode(table), place)

    def encode(self, table: Any) -> tuple[Ids, Floats]:
        """A checked Arrow table as ids (N, S) and dense (N, D)."""
        return self._encoder.encode(table)

    def predict_encoded(self, ids: Ids, dense: Floats, place: Place = numbered) -> dict[str, Values]:
        """Name -> predictions (N,) of encoded rows: ids (N, S), dense (N, D).

        Raises:
            UserError: a prediction or the score of a row is no number that float32 holds; with the row, which `place`
                names.
        """
        starts = range(0, max(len(ids), 1), CHUNK)
        predictions = [self.engine(ids[start : start + CHUNK], dense[start : start + CHUNK]) for start in starts]
        conditional, joint = (np.concatenate(each) for each in zip(*predictions, strict=True))
        found = scored(self.schema, conditional, joint, self.calibrations, self.score)
        for name, values in found.items():
            if not (fits := np.abs(values) <= _LARGEST).all():
                row = int(np.argmin(fits))
                raise UserError(f"{place(row)}: expected a finite number as '{name}', found {values[row]:g}")
        return found


def scored(
    schema: Schema, conditional: Floats, joint: Floats, calibrations: Mapping[str, Calibration], score: Score
) -> dict[str, Values]:
    """Name -> calibrated predictions (N,), and `score`, of a model's predictions (N, T)."""
    columns = {
        name: values[:, at]
        for at, task in enumerate(schema.tasks)
        for name, values in zip(prediction_names(task), (conditional, joint), strict=False)
    }
    found = {name: calibrated(values, name, calibrations) for name, values in columns.items()}
    with np.errstate(over="ignore", invalid="ignore"):
        found[SCORE] = score.apply(columns if score.on == "raw" else found)
    return found


def calibrated(values: Floats, name: str, calibrations: Mapping[str, Calibration]) -> Values:
    """A prediction (N,) after the calibration of its name, if there is one."""
    given = values.astype(np.float64)
    return calibrations[name].apply(given) if name in calibrations else given
