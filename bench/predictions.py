"""Predictions that a run keeps of its replicates, and the rows that they are of.

`<run>/<data set>/predictions/` has `rows.json` and, for each split of `KEPT`, labels, groups and units of the rows,
their segments and logged scores; and a file for each replicate and split. Arrays are memory-mapped and never pickled.
Of a split of more than `MOST_ROWS` rows some are kept: whole groups, or rows where there are none, by a hash, so that
every worker keeps the same without asking.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UserError
from bench.mapped import mapped
from bench.plain import read_json
from bench.records import Job, Split
from bench.rows import CONFIRM, SEARCH, TEST
from bench.schema import TaskKind
from bench.seeds import derive, mixed

FOLDER = "predictions"
"""Below a data set's part of a run."""
FACTS = "rows.json"
KEPT: tuple[Split, ...] = (SEARCH, CONFIRM, TEST)
"""Splits whose predictions are kept."""
MOST_ROWS = 2_000_000
"""The number of rows kept, about, of a split that has more."""
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """The n rows of a split that predictions are kept of.

    Attributes:
        tasks: names, in the order of the columns of labels and predictions.
        rates: mean joint label of each task on train, on all rows where it is known.
        labels: (n, T) joint labels: the product along the chain of parents; NaN where that is not known.
        group: (n,) int32, rows of one number are ranked against each other; -1 for none.
        units: (n,) uint64, what is resampled, see `bench.outcomes.bootstrap`.
        segments: by its name the values of each segment.
        codes: (n, number of segments) int16, place among a segment's values, -1 where missing.
        logged: by its name each logged score, (n,) float32, NaN where missing.
        of: rows of the split, those that are not kept included.
        weights: (n,), how many rows a row stands for; None for one each.
    """

    tasks: tuple[str, ...]
    kinds: tuple[TaskKind, ...]
    rates: tuple[float, ...]
    labels: Floats
    group: NDArray[np.int32]
    units: NDArray[np.uint64]
    segments: dict[str, tuple[str, ...]]
    codes: NDArray[np.int16]
    logged: dict[str, Floats]
    of: int
    weights: Floats | None = None

    @property
    def kept(self) -> int:
        """How many there are."""
        return len(self.group)


def rows_of(folder: Path, split: str) -> Rows | None:
    """The rows of a split; None where none were kept.

    Args:
        folder: a data set's part of a run, and in it `FOLDER`.

    Raises:
        UserError: a file of them is damaged or gone.
    """
    file = folder / FACTS
    if not file.is_file():
        return None
    facts = read_json(file)
    try:
        about = {"tasks": tuple(facts["tasks"]), "kinds": tuple(facts["kinds"]), "rates": tuple(facts["rates"])}
        segments = {name: tuple(values) for name, values in facts["segments"].items()}
        logged, of, weighted = list(facts["logged"]), int(facts["seen"][split][1]), bool(facts.get("weights"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise _damaged(folder, file) from None
    group = _array(folder, f"{split}.group")
    scores = _array(folder, f"{split}.logged") if logged else None
    return Rows(
        **about,
        labels=_array(folder, f"{split}.labels"),
        group=group,
        units=_array(folder, f"{split}.units"),
        segments=segments,
        codes=_array(folder, f"{split}.segments") if segments else np.empty((len(group), 0), np.int16),
        logged={} if scores is None else {name: scores[:, at] for at, name in enumerate(logged)},
        of=of,
        weights=_array(folder, f"{split}.weights").prod(axis=1) if weighted else None,
    )


def name_of(training: str, replicate: int) -> str:
    """The name of a replicate's files: `7@16000-2`, or of a baseline `trees-0f3a6c1d-2`.

    Args:
        training: `bench.records.Point.training`; of what is no trial's it is told by a digest.
    """
    if training.startswith("["):
        kind = json.loads(training)[0]
        training = f"{kind}-{hashlib.blake2b(training.encode(), digest_size=4).hexdigest()}"
    return f"{training}-{replicate}"


def path_of(job: Job, split: str) -> Path | None:
    """Where a job leaves its predictions of a split; None where it keeps none."""
    if job.predictions is None or split not in KEPT:
        return None
    return Path(job.predictions) / f"{name_of(job.training, job.replicate)}.{split}.npy"


def predictions(folder: Path, split: str, name: str) -> Floats | None:
    """Joint predictions (n, T) of a replicate for the rows of `rows_of`; None where they are not there.

    Args:
        name: see `name_of`.
    """
    return _array(folder, f"{name}.{split}") if (folder / f"{name}.{split}.npy").is_file() else None


def joined(folder: Path, split: str, names: Sequence[str]) -> Floats | None:
    """Predictions (n, T) with each task's column from another replicate; None where one of them is not there.

    Args:
        names: for each task the name of the replicate that its column is from.
    """
    each = [predictions(folder, split, name) for name in names]
    columns = [own[:, at] for at, own in enumerate(each) if own is not None]
    return np.stack(columns, axis=1) if len(columns) == len(names) else None


def sampled(units: NDArray[np.uint64], split: str, rows: int) -> NDArray[np.bool_]:
    """(n,) which rows of a split are kept, by their units: all of a unit or none.

    Args:
        rows: of the whole split.
    """
    if rows <= MOST_ROWS:
        return np.ones(len(units), np.bool_)
    key = mixed(mixed(np.uint64(derive(0, "kept", split)) ^ units))
    return np.asarray((key >> np.uint64(11)) * 2.0**-53 < MOST_ROWS / rows)


def _array(folder: Path, name: str) -> NDArray[Any]:
    file = folder / f"{name}.npy"
    try:
        return mapped(file)
    except (EOFError, FileNotFoundError, ValueError):
        raise _damaged(folder, file) from None


def _damaged(folder: Path, file: Path) -> UserError:
    return UserError(
        f"expected a whole file of kept predictions, found {file} damaged or gone; "
        f"remove the folder {folder}, and `seesaw resume` writes it again"
    )
