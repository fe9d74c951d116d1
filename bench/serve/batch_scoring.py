"""Scores files of raw rows, in order: streamed, in bounded memory, and resumable.

<out>/
    _scoring.json           model, files, and which of them are done
    <stem>-00000.parquet    predictions of the first rows of a file: about a million a part; in
                            folders as those of the file's partition
"""

from __future__ import annotations

import json
from collections import Counter
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
from bench.core.system.data_files import files_at, partition_path, partitions, state_of
from bench.core.system.progress import Progress, Silent
from bench.core.validation import validate
from bench.data.checks import Place
from bench.data.prefetch import ahead
from bench.data.readers.base import RawTable
from bench.data.readers.folders import read_file
from bench.data.readers.parquet import ENDINGS
from bench.data.sources import CsvReader
from bench.data.values import distinct
from bench.serve.package import Package

PART_ROWS = 1 << 20
"""An output file ends with the batch that reaches this number of rows."""
MAX_NUMBERS = 1 << 28
"""Encoded numbers held at once: packages with many inputs get smaller batches."""
STATE = "_scoring.json"
KEPT_SUFFIX = "_kept"
"""Suffix of a kept column that has a prediction's name."""


class EncodedBatch(NamedTuple):
    """A batch of one file: its part; its encoded rows, None if the part exists; its kept
    columns.
    """

    part: int
    rows: int
    inputs: tuple[Ids, Singles] | None
    kept_columns: dict[str, pa.ChunkedArray]
    place: Place


@dataclass(frozen=True)
class ScoringSummary:
    """Rows scored and parts written now, and parts that existed before."""

    rows: int = 0
    parts: int = 0
    skipped: int = 0


class BatchScoring:
    """Scores files with a model into a folder.

    The columns `keep` are written before the predictions; one with a prediction's name gets
    `KEPT_SUFFIX`. Raises UserError for a missing file, two files or columns of one name, or a
    folder with other work.
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
        self.out = out
        self.keep = tuple(keep)
        self.part_rows = part_rows
        self.files = _files_by_stem(files)
        self._partitions = partitions([*self.files.values()])
        self._work: dict[str, object] = {
            "model": package.digest,
            "engine": engine,
            "keep": list(keep),
            "part_rows": part_rows,
            "files": {stem: state_of(file) for stem, file in self.files.items()},
        }
        if history is not None:
            time = history.stat().st_mtime_ns if history.is_file() else 0
            self._work["history"] = [str(history), time]
        self.history = None if history is None else package.kept_history(history)
        self._hint = ""
        if package.needed_by_history and history is None:
            self._hint = "; --history FILE computes such columns"

        reader = package.card.get("reader")
        is_csv = isinstance(reader, dict) and reader.get("kind") == "csv"
        where = f"{package.folder / 'card.json'}: reader"
        self._csv = validate(CsvReader, reader if is_csv else {}, where)
        self._scorer = package.scorer(engine, threads, self.history)
        self._kept_names = self._names_of_kept_columns()
        self._whole: set[str] = set()
        self._parts_of_finished = self._resume()

    def run(self, progress: Progress | None = None) -> ScoringSummary:
        """Scores the remaining files; raises UserError with file and line. Parts written before an
        error stay.
        """
        progress = progress or Silent()
        for name, output_name in self._kept_names.items():
            if output_name != name:
                progress.note(
                    f"note: '{name}' is a prediction; the column of that name is kept as "
                    f"'{output_name}'"
                )
        self._whole = self._columns_of_whole_numbers()
        rows = parts = skipped = 0
        for stem, file in self.files.items():
            if stem in self._parts_of_finished:
                skipped += self._parts_of_finished[stem]
                continue
            parts_of_file = 0
            for is_new, rows_of_part in self._parts(stem, file, progress):
                parts_of_file += 1
                if is_new:
                    rows += rows_of_part
                    parts += 1
                else:
                    skipped += 1
            self._parts_of_finished[stem] = parts_of_file
            self._save()
        return ScoringSummary(rows, parts, skipped)

    def _parts(self, stem: str, file: Path, progress: Progress) -> Iterator[tuple[bool, int]]:
        """Yields for each part whether it was written now, and its rows."""
        encoded = ahead(self._encoded(stem, file, progress))
        for part, batches in groupby(encoded, key=lambda batch: batch.part):
            target = self._target(stem, part)
            if target.is_file():
                yield False, sum(batch.rows for batch in batches)
                continue
            with atomic_path(target) as temporary:
                rows = self._write(temporary, batches)
                # before the first part, so that a refused file leaves nothing
                if not (self.out / STATE).is_file():
                    self._save()
            yield True, rows

    def _write(self, path: Path, batches: Iterator[EncodedBatch]) -> int:
        writer, rows = None, 0
        try:
            for batch in batches:
                assert batch.inputs is not None
                columns = dict(batch.kept_columns)
                predictions = self._scorer.predict_encoded(*batch.inputs, batch.place)
                for name, values in predictions.items():
                    columns[name] = pa.array(values, pa.float32())
                table = pa.table(columns)
                writer = writer or pq.ParquetWriter(path, table.schema)
                writer.write_table(table)
                rows += batch.rows
        finally:
            if writer is not None:
                writer.close()
        return rows

    def _encoded(self, stem: str, file: Path, progress: Progress) -> Iterator[EncodedBatch]:
        """Encodes a file batch by batch, on a separate thread: encoding and the model take about as
        long.
        """
        kinds: dict[str, str] = dict.fromkeys(self.keep, "text")
        kinds |= self._scorer.rows.kinds
        schema = self._scorer.schema
        most_rows = max(1, MAX_NUMBERS // max(1, schema.slots + len(schema.dense)))
        part = rows_of_part = 0
        for table in ahead(self._read(file, kinds, progress)):
            for batch in table.parts(most_rows):
                if rows_of_part >= self.part_rows:
                    part, rows_of_part = part + 1, 0
                rows = batch.table.num_rows
                if rows == 0:
                    self._check(file, batch.columns or batch.table.column_names)
                rows_of_part += rows
                if self._target(stem, part).is_file():
                    yield EncodedBatch(part, rows, None, {}, batch.place)
                    continue
                kept = {}
                for name, output_name in self._kept_names.items():
                    kept[output_name] = self._plain(batch.table, name)
                checked = self._scorer.rows.checked(batch.table, batch.place)
                yield EncodedBatch(part, rows, self._scorer.encode(checked), kept, batch.place)

    def _check(self, file: Path, names: Sequence[str]) -> None:
        absent = self._scorer.rows.absent(names)
        if absent:
            lacks = missing("column", absent[0], names)
            hint = self._hint if absent[0].startswith("past_") else ""
            raise UserError(
                f"{file}: for the package, which was made for {self._scorer.dataset}, {lacks}{hint}"
            )
        for name in self.keep:
            if name not in names:
                raise UserError(f"{file}: --keep: {missing('column', name, names)}")

    def _names_of_kept_columns(self) -> dict[str, str]:
        """Name of each kept column -> its name in the output."""
        predictions = self._scorer.names
        names = {}
        for name in self.keep:
            names[name] = name
            if name in predictions:
                names[name] += KEPT_SUFFIX

        counts = Counter(names.values())
        for name, output_name in names.items():
            repeated = self.keep.count(name) > 1 or counts[output_name] > 1
            if repeated or output_name in predictions:
                raise UserError(
                    f"--keep: expected columns of different names, found '{name}' beside another "
                    f"'{output_name}'"
                )
        return names

    def _columns_of_whole_numbers(self) -> set[str]:
        """Kept columns that hold only whole numbers in all CSV files, so that their type is the
        same in all parts.
        """
        kinds = self._scorer.rows.kinds
        whole = {name for name in self.keep if kinds.get(name) != "number"}
        for file in self.files.values():
            if file.suffix in ENDINGS:
                continue
            for batch in self._read(file, dict.fromkeys(whole, "text"), Silent()):
                table = batch.table
                present = whole.intersection(table.column_names)
                whole = {name for name in present if _is_whole(table[name])}
                if not whole:
                    return whole
        return whole

    def _plain(self, table: pa.Table, name: str) -> pa.ChunkedArray:
        column = table[name]
        if not pa.types.is_dictionary(column.type):
            return column
        texts = column.cast(column.type.value_type)
        return texts.cast(pa.int64()) if name in self._whole else texts

    def _read(self, file: Path, kinds: dict[str, str], progress: Progress) -> Iterator[RawTable]:
        csv = self._csv
        return read_file(
            file,
            self._partitions[file],
            kinds,
            progress,
            names=csv.columns,
            separator=csv.separator,
            missing=csv.missing,
        )

    def _target(self, stem: str, part: int) -> Path:
        return self.out / f"{stem}-{part:05d}.parquet"

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
        remove_abandoned(self.out, "**/.*.part")
        finished: dict[str, int] = earlier["finished"]
        return finished

    def _save(self) -> None:
        state = self._work | {"finished": self._parts_of_finished}
        write_text(self.out / STATE, json.dumps(state, indent=1) + "\n")


def _files_by_stem(addresses: Sequence[Path]) -> dict[str, Path]:
    """Name below the output, in folders as those of partitions -> file."""
    by_stem: dict[str, Path] = {}
    for address in addresses:
        for file in files_at(address):
            stem = partition_path(file).with_name(file.name.partition(".")[0]).as_posix()
            earlier = by_stem.setdefault(stem, file)
            if earlier != file:
                raise UserError(f"expected files of different names, found {earlier} and {file}")
    return by_stem


def _is_whole(texts: pa.ChunkedArray) -> bool:
    """Whether each text is a canonical whole number of 64 bits: 7, not 07 or 7.0."""
    _, values = distinct(texts)
    try:
        same = pc.equal(values.cast(pa.int64()).cast(values.type), values)
        return bool(pc.all(same, min_count=0).as_py())
    except pa.ArrowInvalid:
        return False
