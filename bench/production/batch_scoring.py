"""Files of raw rows -> files of predictions, in the same order: streamed, in bounded memory, and resumable.

<out>/
    scoring.json            which model on which files, and which of them are done
    <stem>-00000.parquet    predictions of the first rows of a file: about a million a part
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from bench.atomic import atomic_path, write_text
from bench.data.readers.base import RawTable, ahead
from bench.data.readers.csv import read_csv
from bench.data.readers.parquet import read_parquet
from bench.errors import UserError, unknown
from bench.production.engines import Floats, Ids
from bench.production.package import Package
from bench.progress import Progress, Silent

PART_ROWS = 1 << 20
"""Rows after which an output file ends with the next batch."""
STATE = "scoring.json"
PARQUET = (".parquet", ".pq")


class Encoded(NamedTuple):
    """A batch of one file: which part it belongs to; encoded rows and kept columns, None where that part is there."""

    part: int
    rows: int
    inputs: tuple[Ids, Floats] | None
    kept: Any


@dataclass(frozen=True)
class Done:
    """What was done: rows scored and parts written now, and parts that were there."""

    rows: int = 0
    parts: int = 0
    skipped: int = 0


class BatchScoring:
    """One model over some files into one folder.

    Args:
        keep: columns of the files to write before the predictions.
        part_rows: see `PART_ROWS`.

    Raises:
        UserError: a file is not there, two have one name, or the folder holds other work.
    """

    def __init__(
        self,
        package: Package,
        files: Sequence[Path],
        out: Path,
        keep: Sequence[str] = (),
        engine: str = "eager",
        threads: int = 1,
        part_rows: int = PART_ROWS,
    ) -> None:
        self.out, self.keep, self.part_rows = out, tuple(keep), part_rows
        self.files: dict[str, Path] = {}
        for file in files:
            stem = file.name.partition(".")[0]
            if not file.is_file():
                raise UserError(f"expected a file of raw rows, found no {file}")
            if (other := self.files.setdefault(stem, file)) != file:
                raise UserError(f"expected files of different names, found {other} and {file}")
        facts = {stem: [file.stat().st_size, file.stat().st_mtime_ns] for stem, file in self.files.items()}
        self._work: dict[str, Any] = {"model": package.digest, "engine": engine, "keep": list(keep)}
        self._work |= {"part_rows": part_rows, "files": facts}
        self._finished = self._resume()
        self._reader: dict[str, Any] = package.card.get("reader", {})
        self._scorer = package.scorer(engine, threads)

    def run(self, progress: Progress | None = None) -> Done:
        """Scores what is not scored yet. Parts written before an error stay.

        Raises:
            UserError: a file that cannot be read, or a row that does not fit, with file and line.
        """
        rows = parts = skipped = 0
        for stem, file in self.files.items():
            if stem in self._finished:
                skipped += self._finished[stem]
                continue
            number = 0
            for written, count in self._parts(stem, file, progress or Silent()):
                number += 1
                rows, parts, skipped = rows + count * written, parts + written, skipped + (not written)
            self._finished[stem] = number
            self._save()
        return Done(rows, parts, skipped)

    def _parts(self, stem: str, file: Path, progress: Progress) -> Iterator[tuple[bool, int]]:
        """Of each part whether it was written now, and its rows."""
        for number, batches in groupby(ahead(self._encoded(stem, file, progress)), key=lambda batch: batch.part):
            target = self._target(stem, number)
            if target.is_file():
                yield False, sum(batch.rows for batch in batches)
                continue
            with atomic_path(target) as temporary:
                rows = self._write(temporary, batches)
            yield True, rows

    def _write(self, path: Path, batches: Iterator[Encoded]) -> int:
        """Rows that were written."""
        writer, rows = None, 0
        try:
            for batch in batches:
                assert batch.inputs is not None
                said = self._scorer.predict_encoded(*batch.inputs)
                columns = batch.kept | {name: pa.array(values, pa.float32()) for name, values in said.items()}
                table = pa.table(columns)
                writer = writer or pq.ParquetWriter(path, table.schema)
                writer.write_table(table)
                rows += batch.rows
        finally:
            if writer is not None:
                writer.close()
        return rows

    def _encoded(self, stem: str, file: Path, progress: Progress) -> Iterator[Encoded]:
        """Batches of a file, in a thread of their own: encoding and the model take about as long."""
        part = rows = 0
        for raw in ahead(self._read(file, progress)):
            if rows >= self.part_rows:
                part, rows = part + 1, 0
            if raw.table.num_rows == 0:
                self._check(file, raw.table.column_names)
            rows += raw.table.num_rows
            if self._target(stem, part).is_file():
                yield Encoded(part, raw.table.num_rows, None, None)
            else:
                kept = {name: _plain(raw.table[name]) for name in self.keep}
                inputs = self._scorer.encode(self._scorer.rows.checked(raw.table, raw.place))
                yield Encoded(part, raw.table.num_rows, inputs, kept)

    def _check(self, file: Path, names: Sequence[str]) -> None:
        if absent := self._scorer.rows.absent(names):
            raise UserError(f"{file}: {unknown('column', absent[0], names)}")
        for name in self.keep:
            if name not in names:
                raise UserError(f"{file}: --keep: {unknown('column', name, names)}")

    def _read(self, file: Path, progress: Progress) -> Iterator[RawTable]:
        wanted = dict.fromkeys(self.keep, "text")
        wanted |= {column.name: column.kind for column in self._scorer.rows.columns}
        if file.suffix in PARQUET:
            return read_parquet(file, file.name, wanted, progress)
        own = self._reader if self._reader.get("kind") == "csv" else {}
        return read_csv(
            file,
            file.name,
            wanted,
            progress,
            names=own.get("columns", ()),
            separator=own.get("separator", ","),
            missing=own.get("missing", ()),
        )

    def _target(self, stem: str, number: int) -> Path:
        return self.out / f"{stem}-{number:05d}.parquet"

    def _resume(self) -> dict[str, int]:
        """Files that are done -> their parts."""
        state = self.out / STATE
        if not state.is_file():
            self._finished = {}
            self._save()
            return {}
        found = json.loads(state.read_text(encoding="utf-8"))
        for key, value in self._work.items():
            if found.get(key) != value:
                raise UserError(
                    f"{self.out}: expected a new folder or one with this same work, found that of another {key}"
                )
        finished: dict[str, int] = found["finished"]
        return finished

    def _save(self) -> None:
        write_text(self.out / STATE, json.dumps(self._work | {"finished": self._finished}, indent=1) + "\n")


def _plain(column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
