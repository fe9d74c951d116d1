"""A packaged model as MLflow serves it.

MLflow keeps this file beside the package and runs it to load the model: no object is pickled.
"""

from __future__ import annotations

import csv
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from bench.core.errors import UserError, repeated
from bench.serve.package import Package

PACKAGE, HISTORY = "package", "SEESAW_HISTORY"


def _refused(error: Exception | str) -> MlflowException:
    return MlflowException(str(error), INVALID_PARAMETER_VALUE)


class _Scoring:
    """MLflow's interface of a model.

    It is a base class, and its rows have no type hint, because MLflow would derive row types from
    hints instead of the signature.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Opens the verified package with the plug-ins in `$SEESAW_PLUGIN` and the history in
        `$SEESAW_HISTORY`.
        """
        server: Any = sys.modules.get("mlflow.pyfunc.scoring_server")
        if getattr(server, "_SERVER_MODEL_PATH", "") in os.environ:
            # in a server's process, which guesses types
            server.parse_csv_input = _texts
            server.infer_and_parse_data = _exact_rows(server.infer_and_parse_data)
            server._decode_json_input = _strict_json(server._decode_json_input)
            server.invocations = _with_a_type(server.invocations)
        try:
            package = Package.open(context.artifacts[PACKAGE])
            folder = os.environ.get(HISTORY)
            history = package.kept_history(Path(folder)) if folder else None
            self._scorer = package.scorer(history=history)
        except UserError as error:
            raise _refused(error) from None

    def predict(  # type: ignore[no-untyped-def]
        self, context: PythonModelContext, model_input, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predictions, a row for each raw row; see `Scorer.predict`."""
        if not len(model_input.columns):
            # MLflow drops unknown columns; without any, rows are lost, too.
            names = ", ".join(column.name for column in self._scorer.rows.columns)
            raise _refused(f"expected rows with the columns {names}, found none of them")
        try:
            predictions: pd.DataFrame = self._scorer.predict(model_input)
        except UserError as error:
            raise _refused(error) from None
        return predictions


def _texts(csv_input: Any, schema: Any = None) -> pd.DataFrame:
    """Reads CSV with a header as texts; MLflow reads none for a signature of any types."""
    rows = csv.reader(csv_input, strict=True)
    lines = []
    try:
        header = [name.strip("\ufeff ") for name in next(rows, [])]
        for row in filter(None, rows):
            if len(row) != len(header):
                raise _refused(
                    f"line {rows.line_num}: expected {len(header)} columns, found {len(row)}"
                )
            lines.append(row)
    except csv.Error as error:
        raise _refused(f"line {rows.line_num}: expected CSV: {error}") from None
    twice = repeated(header)
    if not header or twice is not None:
        problem = "an empty line" if twice is None else f"'{twice}' twice"
        raise _refused(f"line 1: expected a header with the names of the columns, found {problem}")
    return pd.DataFrame(lines, columns=header, dtype=object)


def _with_a_type(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps MLflow's answer to a request, which fails with 500 without a header Content-Type."""

    def answered(data: Any, content_type: str | None, *rest: Any) -> Any:
        if content_type is None:
            raise _refused("expected a header Content-Type such as application/json, found none")
        return answer(data, content_type, *rest)

    return answered


def _strict_json(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wraps MLflow's JSON reader, which fails by an internal error or accepts infinity if a request
    is hostile.
    """

    def decoded(body: Any) -> Any:
        if isinstance(body, dict):
            return body
        try:
            document = json.loads(
                body, parse_float=_finite, parse_int=_whole, parse_constant=_finite
            )
        except RecursionError:
            raise _refused(
                "expected JSON with a few levels, found brackets that are nested too deep"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            return decode(body)  # its error names the mistake
        except ValueError as error:
            raise _refused(str(error)) from None
        return document if isinstance(document, dict) else decode(body)

    return decoded


def _finite(text: str) -> float:
    """A request's number; raises ValueError for one that is too large, as 1e400."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"expected finite numbers, found {text[:20]}")
    return value


def _whole(text: str) -> int:
    _finite(text)  # so Python reads no more digits than it allows
    return int(text)


def _exact_rows(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps MLflow's JSON reader, which makes floats of a column with a gap: large whole numbers
    become texts first.
    """

    def parsed(data: Any, schema: Any = None) -> Any:
        table = parse({name: _exact(rows, 3) for name, rows in data.items()}, schema)
        if len(table):
            return table
        return pd.DataFrame(columns=schema.input_names())

    return parsed


def _exact(value: Any, depth: int) -> Any:
    """Converts whole numbers that float64 may not represent to texts, in tables, rows and cells
    nested `depth` deep.
    """
    if isinstance(value, dict) and depth:
        return {name: _exact(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list) and depth:
        return [_exact(inner, depth - 1) for inner in value]
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    return value


class ServedPackage(_Scoring, PythonModel):
    """Raw rows in, predictions out."""


set_model(ServedPackage())
