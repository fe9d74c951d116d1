"""The rows of the reference: one for each training. Those made here lie at home, published ones in
the suite's folder.

At home a row is a line of `reference/<data>.jsonl`, on disk as soon as its training has ended.
`publish` adds them to `table.parquet` beside the suite. A row is known by what was trained, on
which data and by which seed; one that is in either place is not trained again.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.app.reference.cells import Cell
from bench.app.reference.one_training import SERVED
from bench.core import formats
from bench.core.errors import UserError, shortened
from bench.core.objectives import Objective
from bench.core.records import Outcome, PointKind, Scalar, TrialResult
from bench.core.rows import SEARCH, TEST
from bench.core.system.atomic import atomic_path, room_for
from bench.models.training.probe import REPRESENTATION, SHARED

FOLDER, TABLE = "reference", "table.parquet"
RESAMPLED_SEEDS = 3
"""Number of seeds whose resamples are kept. They take most of the table's space, and hardly depend
on the seed."""


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        data: its name in the design.
        content: a digest of its arrays, see `bench.app.reference.design_runs.content_of`.
        sharing, balancing: of its cell.
        seed: 0 of the trainings that tune a cell, on validation alone; 1, 2, .. of those on fresh
            seeds. One number is one seed, whatever is trained.
        config: values by dotted name that differ from the defaults.
        objectives, outcomes: names, in the order of the values.
        valid, test: (M,) values of the objectives.
        served: (K * O,) values of the outcomes on test, fusion by fusion.
        test_moved: (B * M,) how far the objectives move on resamples of test; empty if not kept.
        served_moved: (B * K * O,), the same of what is served.
        commit: of the checkout, or the plug-in whose entry was trained.
        norms: (T,) mean norms of the tasks' gradients on what they share, as the training's probes
            saw them.
        failure: why it has no values; empty if it has.
    """

    data: str
    content: str
    sharing: str
    balancing: str
    kind: PointKind
    seed: int
    config: dict[str, Scalar]
    objectives: Sequence[str]
    outcomes: Sequence[str]
    valid: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    test_moved: list[float] = field(default_factory=list)
    served_moved: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    parameters: int = 0
    latency_ms: float = math.nan
    samples: int = 0
    cpu_seconds: float = 0.0
    version: str = ""
    commit: str = ""
    machine: str = ""
    failure: str = ""

    @property
    def cell(self) -> Cell:
        """Where it belongs."""
        return Cell(self.data, self.sharing, self.balancing)

    @property
    def key(self) -> str:
        """Equal for two rows of the same training."""
        return key_of(self.cell, self.content, self.seed, self.config)


def key_of(cell: Cell, content: str, seed: int, config: Mapping[str, Scalar]) -> str:
    """The key of a row that may not be there yet."""
    return json.dumps([cell.part, content, seed, dict(config)], sort_keys=True)


def row_of(
    cell: Cell,
    content: str,
    config: dict[str, Scalar],
    outcome: Outcome,
    objectives: Sequence[Objective],
    origin: Mapping[str, Any],
) -> Row:
    """The row of a training that has ended.

    Args:
        origin: `version`, `commit` and `machine`.
    """
    job, result = outcome.job, outcome.result
    row = Row(
        cell.data,
        content,
        cell.sharing,
        cell.balancing,
        job.kind,
        job.replicate,
        config,
        [objective.name for objective in objectives],
        job.outcomes,
        **origin,
    )
    if outcome.failure is not None:
        return replace(row, failure=f"{outcome.failure.kind}: {outcome.failure.reason}")
    assert result is not None
    metrics = result.metrics
    columns = {"valid": _values(metrics, [objective.key(SEARCH) for objective in objectives])}
    if row.seed:
        keys = {
            "test": [objective.key(TEST) for objective in objectives],
            "served": _served_keys(metrics, job.outcomes),
        }
        for name, keys_of_column in keys.items():
            columns[name] = _values(metrics, keys_of_column)
            if row.seed <= RESAMPLED_SEEDS:
                columns[f"{name}_moved"] = _moved(result, keys_of_column)
    return replace(
        row,
        **columns,  # type: ignore[arg-type]
        norms=_norms(result),
        parameters=int(metrics.get("cost/parameters", 0)),
        latency_ms=metrics.get("cost/latency_ms", math.nan),
        samples=int(result.speed.get("samples_trained", 0)),
        cpu_seconds=round(result.speed.get("cpu_seconds", 0.0), 2),
    )


def _values(metrics: Mapping[str, float], keys: Iterable[str]) -> list[float]:
    return [metrics.get(key, math.nan) for key in keys]


def _served_keys(metrics: Iterable[str], outcomes: Sequence[str]) -> list[str]:
    """Keys of the served outcomes, fusion by fusion."""
    fusions = {int(key.split("/")[1]) for key in metrics if key.startswith(f"{SERVED}/")}
    return [f"{SERVED}/{number}/{name}" for number, name in product(sorted(fusions), outcomes)]


def _moved(result: TrialResult, keys: Sequence[str]) -> list[float]:
    """Resamples of the keys' metrics, (B * M,); empty if one was not resampled."""
    if not keys or not all(key in result.resampled for key in keys):
        return []
    return _short(np.array([result.resampled[key] for key in keys]).T)


def composed(
    models: Sequence[Row],
    places: Sequence[int],
    cell: Cell,
    config: dict[str, Scalar],
    served: Mapping[str, list[float]],
    origin: Mapping[str, Any],
) -> Row:
    """The row of separate models together.

    Args:
        models: of each task, on one seed.
        places: of the objectives' tasks among them.
        served: by fusion and outcome the value, then those on resamples.
    """
    first = models[0]
    served_values = np.array(list(served.values())).T
    objectives = range(len(places))
    moved = np.array([models[task].test_moved for task in places])
    moved = moved.reshape(len(places), -1, len(places))[objectives, :, objectives].T
    served_moved: list[float] = []
    if first.seed <= RESAMPLED_SEEDS:
        served_moved = _short(served_values[1:] - served_values[0])
    return replace(
        first,
        sharing=cell.sharing,
        balancing=cell.balancing,
        config=config,
        valid=[models[task].valid[m] for m, task in enumerate(places)],
        test=[models[task].test[m] for m, task in enumerate(places)],
        served=served_values[0].tolist(),
        test_moved=moved.ravel().tolist(),
        served_moved=served_moved,
        norms=[],
        # Means, as each row counts as many models as there are tasks.
        parameters=round(np.mean([model.parameters for model in models])),
        latency_ms=float(np.mean([model.latency_ms for model in models])),
        samples=round(np.mean([model.samples for model in models])),
        cpu_seconds=float(np.mean([model.cpu_seconds for model in models])),
        **origin,
    )


def _short(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.3g}") for value in values.ravel()]


def _norms(result: TrialResult) -> list[float]:
    """On the dense parameters that tasks share; without any, at the representation."""
    tasks = result.diagnosis.get("tasks", {}).values()
    for block in (SHARED, REPRESENTATION):
        norms = [task.get("norm", {}).get(block) for task in tasks]
        if norms and all(norms):
            return [float(f"{norm:.4g}") for norm in norms]
    return []


class KnownRows:
    """Published rows, and those at home, to which new ones are added.

    Args:
        published: the table; it need not be there.
    """

    def __init__(self, home: Path, published: Path) -> None:
        self.folder = home / FOLDER
        self._rows = {row.key: row for row in read(published)}
        for file in sorted(self.folder.glob("*.jsonl")):
            self._rows |= {row.key: row for row in lines(file)}

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def get(self, key: str) -> Row | None:
        """The row of that key; None if it is not trained yet, or failed and is trained again."""
        row = self._rows.get(key)
        return None if row is None or row.failure else row

    def add(self, row: Row) -> None:
        """Keeps a row: it is on disk when this returns; raises Unwritable if there is no room."""
        self._rows[row.key] = row
        file = self.folder / f"{row.data}.jsonl"
        with room_for(file):
            self.folder.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as out:
                # A torn last line was never acknowledged.
                out.truncate(file.read_bytes().rfind(b"\n") + 1)
                out.write(json.dumps(asdict(row)).encode() + b"\n")
                out.flush()
                os.fsync(out.fileno())


def lines(file: Path) -> Iterator[Row]:
    """The rows of a file at home; a torn last line is ignored."""
    *whole, _ = file.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(whole, 1):
        try:
            yield Row(**json.loads(line))
        except (ValueError, TypeError):
            raise UserError(
                f"{file}, line {number}: expected a row of the reference, found {shortened(line)}"
            ) from None


SMALL = ("test_moved", "served_moved")
"""Columns of 16-bit floats, as bytes."""
LISTS = ("valid", "test", "served", "norms")
TEXTS = ("config", "objectives", "outcomes")
"""Columns of JSON."""


def write(rows: Iterable[Row], file: Path) -> None:
    """Writes the table, sorted, so that equal rows make an equal file; raises Unwritable if there
    is no room.
    """
    rows = sorted(rows, key=lambda row: (row.data, row.sharing, row.balancing, row.seed, row.key))
    columns = {
        column.name: _column(column.name, [getattr(row, column.name) for row in rows])
        for column in fields(Row)
    }
    with atomic_path(file) as temporary:
        formats.write_table(
            formats.TABLE, pa.table(columns), temporary, compression="zstd", compression_level=15
        )


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    if name in SMALL:
        return pa.array([np.array(value, np.float16).tobytes() for value in values], pa.binary())
    if name in LISTS:
        return pa.array(values, pa.list_(pa.float32()))
    if name in TEXTS:
        return pa.array([json.dumps(value, sort_keys=name == "config") for value in values])
    return pa.array(values)


def read(file: Path) -> list[Row]:
    """The rows of a table, none if there is no file; raises UserError if it is no such table."""
    if not file.is_file():
        return []
    table = formats.read_table(formats.TABLE, file)
    columns = [column.name for column in fields(Row)]
    if lacking := set(columns) - set(table.column_names):
        raise UserError(
            f"{file}: expected a table of the reference, found no column "
            f"{', '.join(sorted(lacking))}"
        )
    rows = []
    for row in table.select(columns).to_pylist():
        rows.append(Row(**{name: _read(name, value) for name, value in row.items()}))
    return rows


def _read(name: str, value: Any) -> Any:
    if name in SMALL:
        return np.frombuffer(value, np.float16).astype(np.float64).tolist()
    return json.loads(value) if name in TEXTS else value
