"""A packaged model as MLflow serves it. MLflow keeps this file beside the package and runs it to load the model: no
object is pickled.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from bench.errors import UserError
from bench.plugins import add_named
from bench.production.package import Package

PACKAGE, HISTORY = "package", "SEESAW_HISTORY"


def _refused(error: Exception | str) -> MlflowException:
    """An error with which a server answers 400."""
    return MlflowException(str(error), INVALID_PARAMETER_VALUE)


class _Scoring:
    """What MLflow asks of a model. In a base class, and rows without a type hint: it would read types of rows from
    hints, where the signature says what rows hold.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Opens the package, each file checked, with the plug-ins that `$SEESAW_PLUGIN` names, and the file that
        `$SEESAW_HISTORY` names, from `seesaw history`.
        """
        server = sys.modules.get("mlflow.pyfunc.scoring_server")
        if getattr(server, "_SERVER_MODEL_PATH", "") in os.environ:  # in a server's process, which guesses at types
            server.parse_csv_input = _texts  # type: ignore[union-attr]
        try:
            add_named()
            package, past = Package.open(context.artifacts[PACKAGE]), os.environ.get(HISTORY)
            self._scorer = package.scorer(history=package.kept_history(Path(past)) if past else None)
        except UserError as error:
            raise _refused(error) from None

    def predict(  # type: ignore[no-untyped-def]
        self, context: PythonModelContext, model_input, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predictions, a row for each raw row; see `Scorer.predict`."""
        try:
            found: pd.DataFrame = self._scorer.predict(model_input)
        except UserError as error:
            raise _refused(error) from None
        return found


def _texts(csv_input: Any, schema: Any = None) -> pd.DataFrame:
    """CSV with a header, each cell a text, as files are read. MLflow reads none for a signature of any types."""
    try:
        found: pd.DataFrame = pd.read_csv(csv_input, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors are
        raise _refused(f"expected CSV with a header: {error}") from None
    return found


class ServedPackage(_Scoring, PythonModel):
    """Raw rows in, predictions out."""


set_model(ServedPackage())
