"""Scores files of raw rows, in order: streamed, in bounded memory, and resumable.

<out>/
    _scoring.json           model, files, and which of them are done
    <stem>-00000.parquet    predictions of the first rows of a file: about a million a part
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.core.arrays import Ids, Singles
from bench.core.errors import UserError, missing
from bench.core.plain import read_json
from bench.core.system.atomic import atomic_path, remove_abandoned, write_text
from bench.core.system.progress import Progress, Silent
from bench.core.validation import validate
from bench.data.checks import Place
from bench.data.prefetch import ahead
from bench.data.readers.base import RawTable
from bench.data.readers.csv import read_csv
from bench.data.readers.parquet import ENDINGS, read_parquet
from bench.data.sources import CsvReader
from bench.data.values import distinct
from bench.serve.package import Package

PART_ROWS = 1 << 20
"""An output file ends with the batch that reaches this number of rows."""
MAX_NUMBERS = 1 << 28
"""Encoded numbers held at once: packages with many inputs get smaller batches."""
STATE = "_scoring.json"
KEPT = "_kept"
"""Suffix of a kept column that has a prediction's name."""


class Encoded(NamedTuple):
    """A batch of one file: its part; its encoded rows, None if the part exists; its kept
    columns.
    """

    part: int
    rows: int
    inputs: tuple[Ids, Singles] | None
    kept: dict[str, pa.ChunkedArray]
    place: Place


@dataclass(frozen=True)
class ScoringSummary:
    """Rows scored and parts written now, and parts that existed before."""

    rows: int = 0
    parts: int = 0
    skipped: int = 0


class BatchScoring:
    """Scores files with a model into a folder.

    The columns `keep` are written before the predictions; one with a prediction's name gets `KEPT`.
    Raises UserError for a missing file, two files or columns of one name, or a folder with other
    work.
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
        history: Path | None = None,
    ) -> None:
        self.out, self.keep, self.part_rows = out, tuple(keep), part_rows
        self.files: dict[str, Path] = {}
        for file in files:
            stem = file.name.partition(".")[0]
            if not file.is_file():
                raise UserError(f"expected a file of raw rows, found no {file}")
            if (other := self.files.setdefault(stem, file)) != file:
                raise UserError(f"expected files of different names, found {other} and {file}")
        facts = {
            stem: [file.stat().st_size, file.stat().st_mtime_ns]
            for stem, file in self.files.items()
        }
        self._work: dict[str, object] = {
            "model": package.digest,
            "engine": engine,
            "keep": list(keep),
        }
        self._work |= {"part_rows": part_rows, "files": facts}
        if history is not None:
            self._work["history"] = [
                str(history),
                history.stat().st_mtime_ns if history.is_file() else 0,
            ]
        reader = package.card.get("reader")
        own = isinstance(reader, dict) and reader.get("kind") == "csv"
        self._reader = validate(
            CsvReader, reader if own else {}, f"{package.folder / 'card.json'}: reader"
        )
        self.history = None if history is None else package.kept_history(history)
        self._hint = (
            "; --history FILE computes such columns"
            if package.needed_by_history and not history
            else ""
        )
        self._scorer = package.scorer(engine, threads, self.history)
        self._kept = self._kept_names()
        self._whole = set[str]()
        self._finished = self._resume()

    def run(self, progress: Progress | None = None) -> ScoringSummary:
        """Scores the remaining files; raises UserError with file and line. Parts written before an
        error stay.
        """
        for name, given in self._kept.items():
            if given != name and progress is not None:
                progress.note(
                    f"note: '{name}' is a prediction; the column of that name is kept as '{given}'"
                )
        self._whole = self._whole_numbers()
        rows = parts = skipped = 0
        for stem, file in self.files.items():
            if stem in self._finished:
                skipped += self._finished[stem]
                continue
            number = 0
            for written, count in self._parts(stem, file, progress or Silent()):
                number += 1
                rows, parts, skipped = (
                    rows + count * written,
                    parts + written,
                    skipped + (not written),
                )
            self._finished[stem] = number
            self._save()
        return ScoringSummary(rows, parts, skipped)

    def _parts(self, stem: str, file: Path, progress: Progress) -> Iterator[tuple[bool, int]]:
        """Yields for each part whether it was written now, and its rows."""
        for number, batches in groupby(
            ahead(self._encoded(stem, file, progress)), key=lambda batch: batch.part
        ):
            target = self._target(stem, number)
            if target.is_file():
                yield False, sum(batch.rows for batch in batches)
                continue
            with atomic_path(target) as temporary:
                rows = self._write(temporary, batches)
                if not (
                    self.out / STATE
                ).is_file():  # before the first part, so that a refused file leaves nothing
                    self._save()
            yield True, rows

    def _write(self, path: Path, batches: Iterator[Encoded]) -> int:
        writer, rows = None, 0
        try:
            for batch in batches:
                assert batch.inputs is not None
                predictions = self._scorer.predict_encoded(*batch.inputs, batch.place)
                columns = batch.kept | {
                    name: pa.array(values, pa.float32()) for name, values in predictions.items()
                }
                table = pa.table(columns)
                writer = writer or pq.ParquetWriter(path, table.schema)
                writer.write_table(table)
                rows += batch.rows
        finally:
            if writer is not None:
                writer.close()
        return rows

    def _encoded(self, stem: str, file: Path, progress: Progress) -> Iterator[Encoded]:
        """Encodes a file batch by batch, on a separate thread: encoding and the model take about as
        long.
        """
        part = rows = 0
        wanted = dict.fromkeys(self.keep, "text")
        wanted |= {column.name: column.kind for column in self._scorer.rows.columns}
        schema = self._scorer.schema
        most = max(1, MAX_NUMBERS // max(1, schema.slots + len(schema.dense)))
        for raw in (
            few for many in ahead(self._read(file, wanted, progress)) for few in many.parts(most)
        ):
            if rows >= self.part_rows:
                part, rows = part + 1, 0
            if raw.table.num_rows == 0:
                self._check(file, raw.columns or raw.table.column_names)
            rows += raw.table.num_rows
            if self._target(stem, part).is_file():
                yield Encoded(part, raw.table.num_rows, None, {}, raw.place)
            else:
                kept = {given: self._plain(raw.table, name) for name, given in self._kept.items()}
                inputs = self._scorer.encode(self._scorer.rows.checked(raw.table, raw.place))
                yield Encoded(part, raw.table.num_rows, inputs, kept, raw.place)

    def _check(self, file: Path, names: Sequence[str]) -> None:
        if absent := self._scorer.rows.absent(names):
            lacks = missing("column", absent[0], names)
            hint = self._hint if absent[0].startswith("past_") else ""
            raise UserError(
                f"{file}: for the package, which was made for {self._scorer.dataset}, {lacks}{hint}"
            )
        for name in self.keep:
            if name not in names:
                raise UserError(f"{file}: --keep: {missing('column', name, names)}")

    def _kept_names(self) -> dict[str, str]:
        predicted = self._scorer.names
        names = {name: f"{name}{KEPT}" if name in predicted else name for name in self.keep}
        for name, given in names.items():
            if (
                self.keep.count(name) > 1
                or given in predicted
                or list(names.values()).count(given) > 1
            ):
                raise UserError(
                    f"--keep: expected columns of different names, found '{name}' beside another "
                    f"'{given}'"
                )
        return names

    def _whole_numbers(self) -> set[str]:
        """Kept columns that hold only whole numbers in all CSV files, so that their type is the
        same in all parts.
        """
        whole = set(self.keep) - {
            column.name for column in self._scorer.rows.columns if column.kind == "number"
        }
        for file in self.files.values():
            if file.suffix not in ENDINGS:
                for raw in self._read(file, dict.fromkeys(whole, "text"), Silent()):
                    whole = {
                        name
                        for name in raw.table.column_names
                        if name in whole and _is_whole(raw.table[name])
                    }
                    if not whole:
                        return whole
        return whole

    def _plain(self, table: pa.Table, name: str) -> pa.ChunkedArray:
        column = table[name]
        if not pa.types.is_dictionary(column.type):
            return column
        texts = column.cast(column.type.value_type)
        return texts.cast(pa.int64()) if name in self._whole else texts

    def _read(self, file: Path, wanted: dict[str, str], progress: Progress) -> Iterator[RawTable]:
        if file.suffix in ENDINGS:
            return read_parquet(file, file.name, wanted, progress)
        own = self._reader
        return read_csv(
            file,
            file.name,
            wanted,
            progress,
            names=own.columns,
            separator=own.separator,
            missing=own.missing,
        )

    def _target(self, stem: str, number: int) -> Path:
        return self.out / f"{stem}-{number:05d}.parquet"

    def _resume(self) -> dict[str, int]:
        state = self.out / STATE
        if not state.is_file():
            return {}
        earlier = read_json(state)
        if not isinstance(earlier, dict) or not isinstance(earlier.get("finished"), dict):
            raise UserError(
                f"{state}: expected what an earlier `seesaw score` wrote there, found something "
                "else"
            )
        for key, value in self._work.items():
            if earlier.get(key) != value:
                raise UserError(
                    f"{self.out}: expected a new folder or one with this same work, found that of "
                    f"another {key}"
                )
        remove_abandoned(self.out)
        finished: dict[str, int] = earlier["finished"]
        return finished

    def _save(self) -> None:
        write_text(
            self.out / STATE, json.dumps(self._work | {"finished": self._finished}, indent=1) + "\n"
        )


def _is_whole(texts: pa.ChunkedArray) -> bool:
    """Whether each text is a canonical whole number of 64 bits: 7, not 07 or 7.0."""
    _, values = distinct(texts)
    try:
        same = pc.equal(values.cast(pa.int64()).cast(values.type), values)
        return bool(pc.all(same, min_count=0).as_py())
    except pa.ArrowInvalid:
        return False
