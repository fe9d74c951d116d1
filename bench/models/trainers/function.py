"""A trainer that is a Python function.

    def fit(config, seed, train, rows):
        ...
        return {split: predictions for split in rows}

`config` has its settings, `train` is a data frame with labels, `rows` has a data frame of each
split to predict. Predictions are an array (rows, tasks) or columns by task. Where validation's
labels are asked for, its data frame has them. A function may have a fifth argument, `job`, the
content of `job.json`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bench.core.errors import TrainerError, UserError, shortened
from bench.models.trainers.trainer_file import TrainerFile

Fit = Callable[..., Mapping[str, Any]]
HERE: dict[str, Fit] = {}
"""Functions of this process that no module has, by the name of the trainer."""
OF_THIS_PROCESS = "here:fit"
"""What stands for such a function in a trainer's file."""


def fit_of(trainer: TrainerFile) -> Fit:
    """Imports a trainer's function; raises UserError where that cannot be done."""
    if trainer.function == OF_THIS_PROCESS:
        if trainer.name not in HERE:
            raise UserError(
                f"{trainer.name}: expected its function, which belonged to the process that began "
                "the run; call bench.run with it again to go on"
            )
        return HERE[trainer.name]
    module, _, name = trainer.function.partition(":")
    if trainer.folder not in sys.path:
        sys.path.insert(0, trainer.folder)
    try:
        function: Fit = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise UserError(
            f"{trainer.name}: expected a function {trainer.function} in {trainer.folder}, found: "
            f"{error}"
        ) from None
    return function


def call_fit(
    trainer: TrainerFile,
    job: Mapping[str, Any],
    train: pd.DataFrame,
    rows: Mapping[str, pd.DataFrame],
) -> Mapping[str, Any]:
    """Calls a trainer's function; returns its predictions by split.

    Raises:
        TrainerError: it raised an error, or gave no predictions of a split.
    """
    fit = fit_of(trainer)
    arguments = [job["config"], job["seed"], train, rows]
    if len(inspect.signature(fit).parameters) > len(arguments):
        arguments.append(job)
    try:
        predictions = fit(*arguments)
    except Exception as error:
        raise TrainerError(f"{trainer.name}: {_described(error)}") from error
    if not isinstance(predictions, Mapping):
        raise TrainerError(
            f"{trainer.name}: expected predictions by split, found {type(predictions).__name__}"
        )
    for split in rows:
        if split not in predictions:
            raise TrainerError(f"{trainer.name}: expected predictions of {split}, found none")
    return predictions


def _described(error: Exception) -> str:
    """An error with the last place of the user's own code."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    text = shortened(" ".join(str(error).split()), 400)
    where = ""
    if traceback is not None:
        where = f" ({Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno})"
    return f"{type(error).__name__}: {text}{where}"
