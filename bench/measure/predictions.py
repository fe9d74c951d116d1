"""Kept predictions of a run's replicates, and their rows.

`<run>/<data set>/predictions/` has `rows.json` and, for each split of `KEPT`, labels, groups and
units of the rows, their segments, logged scores and columns of items; and a file for each replicate
and split. Arrays are memory-mapped and never pickled. An array's file ends with the digest of its
name and of all bytes before; `rows.json` has one of its values.

Of a split of more than `MOST_OF_SPLIT` rows a sample is kept: whole groups, or rows where there are
none, chosen by a hash, so that every worker keeps the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Mask, Singles
from bench.core.errors import UserError
from bench.core.exposure import Exposure, exposure_of
from bench.core.plain import read_json
from bench.core.records import Job, SplitName
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import TaskKind
from bench.core.seeds import derive, mixed
from bench.core.system.mapped import mapped
from bench.measure.spaces import Labelled

FOLDER = "predictions"
"""Subfolder of a data set's part of a run."""
FACTS = "rows.json"
KEPT: tuple[SplitName, ...] = (SEARCH, CONFIRM, TEST)
"""Splits whose predictions are kept."""
MOST_OF_SPLIT = 2_000_000
"""Approximate number of rows kept of a larger split."""
DIGEST = 16
"""Bytes of a digest."""


class Damaged(UserError):
    """A changed, cut or missing file of kept predictions; the text names it, and the remedy."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            f"expected a whole file of kept predictions, found {file} changed, cut or gone; "
            "`seesaw run RUN` writes it again"
        )


@dataclass(frozen=True, kw_only=True)
class KeptRows(Labelled):
    """The n rows of a split whose predictions are kept.

    Labels (n, T) are joint: the product along the chain of parents, NaN where unknown.

    Attributes:
        tasks: names, in the order of the columns of labels and predictions.
        rates: mean joint label of each task over train rows where it is known.
        segments: name -> the segment's values.
        codes: (n, number of segments) int16, index among a segment's values, -1 where missing.
        logged: name -> logged score (n,) float32, NaN where missing.
        of: number of rows in the whole split.
        exposure: what a row counts by how it came to be shown; None where the log has none.
        items: by name columns of items (n,): codes of a category, or numbers; NaN where missing.
    """

    tasks: tuple[str, ...]
    kinds: tuple[TaskKind, ...]
    rates: tuple[float, ...]
    units: NDArray[np.uint64]
    segments: dict[str, tuple[str, ...]]
    codes: NDArray[np.int16]
    logged: dict[str, Singles]
    of: int
    exposure: Exposure | None = None
    items: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def counts(self) -> Floats | None:
        """(n,), what each row counts in an outcome: its weight, and its exposure; None where all
        count alike.
        """
        if self.exposure is None and self.weights is None:
            return None
        counts = self.weights_or_ones
        if self.exposure is not None:
            counts = self.exposure.weights * counts
        return counts

    @property
    def kept(self) -> int:
        """Number of kept rows, n."""
        return len(self.group)


def read_rows(folder: Path, split: str) -> KeptRows | None:
    """Reads the kept rows of a split from `FOLDER`; None if there are none, raises `Damaged` if a
    file is.
    """
    if not (folder / FACTS).is_file():
        return None
    facts = facts_in(folder)
    segments = {name: tuple(values) for name, values in facts["segments"].items()}
    group = _array(folder, f"{split}.group")
    codes = np.empty((len(group), 0), np.int16)
    if segments:
        codes = _array(folder, f"{split}.segments")
    weights = None
    if facts.get("weights"):
        weights = _array(folder, f"{split}.weights").prod(axis=1)
    logged = _columns(folder, f"{split}.logged", facts["logged"])
    exposure = None
    for kind, column in facts.get("exposure", {}).items():
        exposure = exposure_of(kind, column, logged.pop(column))
    return KeptRows(
        tasks=tuple(facts["tasks"]),
        kinds=tuple(facts["kinds"]),
        rates=tuple(facts["rates"]),
        labels=_array(folder, f"{split}.labels"),
        group=group,
        units=_array(folder, f"{split}.units"),
        segments=segments,
        codes=codes,
        logged=logged,
        of=int(facts["seen"][split][1]),
        weights=weights,
        exposure=exposure,
        items=_columns(folder, f"{split}.items", facts.get("items", ())),
    )


def _columns(folder: Path, array: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    if not names:
        return {}
    return dict(zip(names, _array(folder, array).T, strict=True))


def with_rates(rows: Mapping[str, KeptRows]) -> dict[str, KeptRows]:
    """Rows by split; where they have an exposure, their rates are of the rows that choose, counted
    by it.
    """
    choosing = [of_split for split, of_split in rows.items() if split != TEST]
    if any(of_split.exposure is None for of_split in choosing):
        return dict(rows)
    labels = np.concatenate([of_split.labels for of_split in choosing])
    counts = np.concatenate([of_split.counts for of_split in choosing])
    rates = rates_of(labels, counts)
    return {split: replace(of_split, rates=rates) for split, of_split in rows.items()}


def rates_of(labels: Singles, counts: Floats | None) -> tuple[float, ...]:
    """The mean of each task's known labels (n, T), by what rows count (n,); None where all count
    alike.
    """
    if counts is None:
        counts = np.ones(len(labels))
    weights = np.isfinite(labels) * counts[:, None]
    sums = (np.nan_to_num(labels) * weights).sum(axis=0)
    means = sums / np.maximum(weights.sum(axis=0), 1e-9)
    return tuple(means.tolist())


def facts_in(folder: Path) -> dict[str, Any]:
    """Reads `rows.json`; raises `Damaged` if it was changed."""
    with suppress(UserError):
        facts = read_json(folder / FACTS)
        if isinstance(facts, dict):
            digest = facts.pop("digest", None)
            if digest == digest_of(facts):
                return facts
    raise Damaged(folder / FACTS)


def digest_of(facts: Mapping[str, object]) -> str:
    """Digest of the values of `rows.json`, itself excluded."""
    text = json.dumps(facts, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST).hexdigest()


def name_of(training: str, replicate: int) -> str:
    """Stem of a replicate's files: `7@16000-2`, or of a baseline `trees-0f3a6c1d-2`.

    Args:
        training: `bench.core.records.Point.training`; that of a baseline is replaced by its kind
            and a digest.
    """
    if training.startswith("["):
        kind = json.loads(training)[0]
        digest = hashlib.blake2b(training.encode(), digest_size=4).hexdigest()
        training = f"{kind}-{digest}"
    return f"{training}-{replicate}"


def path_of(job: Job, split: str) -> Path | None:
    """Path where a job leaves its predictions of a split; None where it keeps none."""
    if job.predictions is None or split not in KEPT:
        return None
    return path(Path(job.predictions), split, name_of(job.training, job.replicate))


def path(folder: Path, split: str, name: str) -> Path:
    """File of a replicate's predictions of a split; see `name_of`."""
    return folder / f"{name}.{split}.npy"


def predictions(folder: Path, split: str, name: str) -> Singles | None:
    """Reads a replicate's joint predictions (n, T) for `read_rows`; None if absent, raises
    `Damaged` if changed.
    """
    if not path(folder, split, name).is_file():
        return None
    return _array(folder, f"{name}.{split}")


def joined(folder: Path, split: str, names: Sequence[str]) -> Singles | None:
    """Predictions (n, T), the column of task t from replicate `names[t]`; None if one is absent."""
    columns = []
    for task, name in enumerate(names):
        of_replicate = predictions(folder, split, name)
        if of_replicate is None:
            return None
        columns.append(of_replicate[:, task])
    return np.stack(columns, axis=1)


def sampled(units: NDArray[np.uint64], split: str, rows: int, limit: int | None = None) -> Mask:
    """(n,) which of a split's `rows` are kept, about `limit`, by their units: a unit is kept whole
    or not at all.
    """
    limit = limit or MOST_OF_SPLIT
    if rows <= limit:
        return np.ones(len(units), np.bool_)
    seed = np.uint64(derive(0, "kept", split))
    key = mixed(mixed(seed ^ units))
    uniform = (key >> np.uint64(11)) * 2.0**-53
    return np.asarray(uniform < limit / rows)


def seal(file: Path, name: str) -> None:
    """Appends the digest to a finished file that will be renamed to `name`."""
    with file.open("rb+") as opened:
        digest = _digest(opened, file.stat().st_size, name)
        opened.write(digest)


def is_whole(file: Path) -> bool:
    """Whether the file exists and matches its digest."""
    with suppress(FileNotFoundError), file.open("rb") as opened:
        size = file.stat().st_size - DIGEST
        return size > 0 and _digest(opened, size, file.name) == opened.read()
    return False


def kept_digest(folder: Path, split: str, name: str) -> bytes:
    """Reads the digest at the end of a replicate's predictions of a split, without checking it; see
    `name_of`.
    """
    file = path(folder, split, name)
    with file.open("rb") as opened:
        start = file.stat().st_size - DIGEST
        opened.seek(max(0, start))
        return opened.read()


def _digest(opened: BinaryIO, size: int, name: str) -> bytes:
    digest = hashlib.blake2b(name.encode(), digest_size=DIGEST)
    while size and (block := opened.read(min(size, 1 << 20))):
        digest.update(block)
        size -= len(block)
    return digest.digest()


def _array(folder: Path, name: str) -> NDArray[Any]:
    file = folder / f"{name}.npy"
    if not is_whole(file):
        raise Damaged(file)
    return mapped(file)
