"""Predictions that a run keeps of its replicates, and the rows that they are of.

`<run>/<data set>/predictions/` has `rows.json` and, for each split of `KEPT`, labels, groups and units of the rows,
their segments and logged scores; and a file for each replicate and split. Arrays are memory-mapped and never pickled.
An array's file ends with the digest of its name and of all bytes before; `rows.json` has one of its values.

Of a split of more than `MOST_ROWS` rows some are kept: whole groups, or rows where there are none, by a hash, so that
every worker keeps the same without asking.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.arrays import Singles
from bench.errors import UserError
from bench.labelled import Labelled
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
DIGEST = 16
"""Bytes of a digest."""


class Damaged(UserError):
    """A file of kept predictions that was changed, cut or removed; the text names it, and the remedy."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"expected a whole file of kept predictions, found {file} changed, cut or gone; `seesaw resume` writes it "
            "again"
        )


@dataclass(frozen=True, kw_only=True)
class Rows(Labelled):
    """The n rows of a split that predictions are kept of.

    Labels (n, T) are joint: the product along the chain of parents, NaN where that is not known.

    Attributes:
        tasks: names, in the order of the columns of labels and predictions.
        rates: mean joint label of each task on train, on all rows where it is known.
        segments: by its name the values of each segment.
        codes: (n, number of segments) int16, place among a segment's values, -1 where missing.
        logged: by its name each logged score, (n,) float32, NaN where missing.
        of: rows of the split, those that are not kept included.
    """

    tasks: tuple[str, ...]
    kinds: tuple[TaskKind, ...]
    rates: tuple[float, ...]
    units: NDArray[np.uint64]
    segments: dict[str, tuple[str, ...]]
    codes: NDArray[np.int16]
    logged: dict[str, Singles]
    of: int

    @property
    def kept(self) -> int:
        """How many there are."""
        return len(self.group)


def rows_of(folder: Path, split: str) -> Rows | None:
    """The rows of a split; None where none were kept.

    Args:
        folder: a data set's part of a run, and in it `FOLDER`.

    Raises:
        Damaged: a file of them.
    """
    if not (folder / FACTS).is_file():
        return None
    facts = facts_in(folder)
    segments = {name: tuple(values) for name, values in facts["segments"].items()}
    logged, weighted = list(facts["logged"]), bool(facts.get("weights"))
    group = _array(folder, f"{split}.group")
    scores = _array(folder, f"{split}.logged") if logged else None
    return Rows(
        tasks=tuple(facts["tasks"]),
        kinds=tuple(facts["kinds"]),
        rates=tuple(facts["rates"]),
        labels=_array(folder, f"{split}.labels"),
        group=group,
        units=_array(folder, f"{split}.units"),
        segments=segments,
        codes=_array(folder, f"{split}.segments") if segments else np.empty((len(group), 0), np.int16),
        logged={} if scores is None else {name: scores[:, at] for at, name in enumerate(logged)},
        of=int(facts["seen"][split][1]),
        weights=_array(folder, f"{split}.weights").prod(axis=1) if weighted else None,
    )


def facts_in(folder: Path) -> dict[str, Any]:
    """What `rows.json` says.

    Raises:
        Damaged: it was changed.
    """
    with suppress(UserError):
        facts = read_json(folder / FACTS)
        if isinstance(facts, dict) and facts.pop("digest", None) == digest_of(facts):
            return facts
    raise Damaged(folder / FACTS)


def digest_of(facts: Mapping[str, Any]) -> str:
    """Of the values of `rows.json`, its own left out."""
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=DIGEST).hexdigest()


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
    return path(Path(job.predictions), split, name_of(job.training, job.replicate))


def path(folder: Path, split: str, name: str) -> Path:
    """The file of a replicate's predictions of a split; see `name_of`."""
    return folder / f"{name}.{split}.npy"


def predictions(folder: Path, split: str, name: str) -> Singles | None:
    """Joint predictions (n, T) of a replicate for the rows of `rows_of`; None where they are not there.

    Args:
        name: see `name_of`.

    Raises:
        Damaged: they were changed.
    """
    return _array(folder, f"{name}.{split}") if path(folder, split, name).is_file() else None


def joined(folder: Path, split: str, names: Sequence[str]) -> Singles | None:
    """Predictions (n, T) with each task's column from another replicate; None where one of them is not there.

    Args:
        names: for each task the name of the replicate that its column is from.
    """
    each = [predictions(folder, split, name) for name in names]
    columns = [own[:, at] for at, own in enumerate(each) if own is not None]
    return np.stack(columns, axis=1) if len(columns) == len(names) else None


def sampled(units: NDArray[np.uint64], split: str, rows: int, most: int | None = None) -> NDArray[np.bool_]:
    """(n,) which rows of a split are kept, by their units: all of a unit or none.

    Args:
        rows: of the whole split.
        most: how many rows are kept, about; `MOST_ROWS` by default.
    """
    most = most or MOST_ROWS
    if rows <= most:
        return np.ones(len(units), np.bool_)
    key = mixed(mixed(np.uint64(derive(0, "kept", split)) ^ units))
    return np.asarray((key >> np.uint64(11)) * 2.0**-53 < most / rows)


def seal(file: Path, name: str) -> None:
    """Appends the digest of a file that is written and not yet called by its name."""
    with file.open("rb+") as opened:
        digest = _digest(opened, file.stat().st_size, name)
        opened.write(digest)


def is_whole(file: Path) -> bool:
    """Whether it is there and holds what was written."""
    with suppress(FileNotFoundError), file.open("rb") as opened:
        size = file.stat().st_size - DIGEST
        return size > 0 and _digest(opened, size, file.name) == opened.read()
    return False


def kept_digest(folder: Path, split: str, name: str) -> bytes:
    """The digest at the end of a replicate's predictions of a split, unchecked; see `name_of`."""
    file = path(folder, split, name)
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - DIGEST))
        return opened.read()


def _digest(opened: BinaryIO, size: int, name: str) -> bytes:
    found = hashlib.blake2b(name.encode(), digest_size=DIGEST)
    while size and (block := opened.read(min(size, 1 << 20))):
        found.update(block)
        size -= len(block)
    return found.digest()


def _array(folder: Path, name: str) -> NDArray[Any]:
    file = folder / f"{name}.npy"
    if not is_whole(file):
        raise Damaged(file)
    return mapped(file)
