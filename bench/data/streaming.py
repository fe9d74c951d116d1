"""Raw files larger than memory -> arrays, in one reading: ids become provisional codes while values are counted; when
all of train has been seen the vocabularies are fixed, and the codes on disk are turned into embedding rows.

What is held: the common lines as codes, the distinct values of train, and a few blocks of text.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.append import ArrayWriter
from bench.data.card import Card
from bench.data.codes import ABSENT, UNKNOWN, IntegerCodes
from bench.data.columns import Categorical, MultiValued, Numeric
from bench.data.counting import LabelCounts
from bench.data.encoding import Encoder
from bench.data.encoding.base import Source
from bench.data.encoding.encoder import DensePart, FieldPart
from bench.data.encoding.fields import CategoricalField, MultiValuedField
from bench.data.encoding.numeric import NumericColumn, RunningMoments
from bench.data.encoding.vocabulary import Vocabulary
from bench.data.labels import read_labels
from bench.data.reader_config import AliCcpReader
from bench.data.readers.ali_ccp import LABELS, Coder, CommonTable, Part, Side, parts, sides
from bench.data.readers.base import RawTable
from bench.data.splits import SPLITS, Assignment, FileSplit, SplitInput
from bench.data.store import schema_to_json
from bench.data.values import Text
from bench.errors import UserError, unknown
from bench.progress import Progress

CHUNK = 1 << 16
"""Rows of a step of the second pass."""


def encode_stream(card: Card, paths: dict[str, Path], folder: Path, progress: Progress) -> dict[str, Any]:
    """Reads, fits and writes encoder and splits into `folder`; returns what the manifest says of them.

    Raises:
        UserError: a line that does not fit the format, a card that asks for what the format does not have, a split
            that is empty or lacks a class.
    """
    return _Stream(card, folder, progress).run(paths)


class _Spill:
    """The rows of one split on disk: final labels and groups, and what becomes ids and dense."""

    def __init__(self, folder: Path, card: Card, side: Side, stack: ExitStack) -> None:
        folder.mkdir()
        self.folder, self.counts = folder, LabelCounts(card)
        self.widths = sum(side.wanted.slots), sum(side.wanted.summed)
        self.labels = stack.enter_context(ArrayWriter(folder / "labels.npy", np.float32, (len(card.tasks),)))
        self.group = stack.enter_context(ArrayWriter(folder / "group.npy", np.int32))
        self.codes = stack.enter_context((folder / "codes").open("wb"))
        self.sums = stack.enter_context((folder / "sums").open("wb"))

    def append(self, labels: NDArray[Any], group: NDArray[Any], codes: NDArray[Any], sums: NDArray[Any]) -> None:
        self.counts.add(labels)
        self.labels.append(labels)
        self.group.append(group)
        self.codes.write(np.ascontiguousarray(codes).data)
        self.sums.write(np.ascontiguousarray(sums).data)


class _Stream:
    def __init__(self, card: Card, folder: Path, progress: Progress) -> None:
        split = card.split
        if not isinstance(split, FileSplit) or (split.valid_fraction is not None and split.unit != "group"):
            needs = "a split by files, with unit = 'group' where valid is a part of train"
            raise UserError(f"{card.key}: Ali-CCP needs {needs}")
        if card.group != "common_index":
            raise UserError(f"{card.key}: Ali-CCP needs group = 'common_index', found {card.group!r}")
        if card.encoding.target_rates:
            raise UserError(f"{card.key}: Ali-CCP is read without target_rates")
        for rule in card.task_rules:
            for column in rule.sources:
                if column not in LABELS:
                    raise UserError(f"{card.key}: {unknown('label column', column, LABELS)}")
        self.card, self.split, self.folder, self.progress = card, split, folder, progress
        self.common, self.skeleton = (Coder(side) for side in sides(card))
        self.moments = {
            name: RunningMoments(column.log1p) for name, column in card.columns.items() if isinstance(column, Numeric)
        }
        self.tables: list[CommonTable] = []
        self.train_rows = self.dirty = self.common_rows = 0

    def run(self, paths: dict[str, Path]) -> dict[str, Any]:
        with ExitStack() as stack:
            spills = [_Spill(self.folder / name, self.card, self.skeleton.side, stack) for name in SPLITS]
            for number in self._file_order():
                self._read(number, paths, spills)
        for spill, name in zip(spills, SPLITS, strict=True):
            spill.counts.check(name)
        if self.dirty:
            self.progress.note(f"{self.card.key}: dropped {self.dirty:,} rows with buy = 1 but click = 0")
        encoder = self._fit()
        encoder.save(self.folder / "encoder.json")
        self._relabel(encoder, spills)
        return {
            "outside_splits": 0,
            "dirty_dropped": self.dirty,
            "splits": {
                name: {"rows": spill.counts.rows, "tasks": spill.counts.facts()}
                for name, spill in zip(SPLITS, spills, strict=True)
            },
            "schema": schema_to_json(encoder.schema_of(self.card.tasks)),
            "default_tasks": list(self.card.default_tasks),
        }

    def _file_order(self) -> list[int]:
        """Train first: only its values get codes."""
        files = self.card.row_files
        return sorted(range(len(files)), key=lambda number: (files[number] not in self.split.train, number))

    def _read(self, number: int, paths: dict[str, Path], spills: list[_Spill]) -> None:
        assert isinstance(self.card.reader, AliCcpReader)
        file = self.card.row_files[number]
        grow = file in self.split.train
        if file not in self.card.reader.common:
            raise UserError(f"{self.card.key}: reader.common names no common file for '{file}'")
        table = CommonTable(paths[self.card.reader.common[file]], self.common, grow, self.progress)
        of_common = self._split_of(table, number)
        train_rows = np.zeros(len(table), np.int64)
        for part in parts(paths[file], self.skeleton.side.wanted, True, self.progress):
            labels, row = self._labels(file, part), table.rows(part)
            clean = part.lines.labels[:, 0] >= part.lines.labels[:, 1]
            self.dirty += int((~clean).sum())
            split = np.where(clean, of_common[row], -1)
            codes = self.skeleton.code(part.lines.ids, grow)
            if grow:
                in_train = split == 0
                self.skeleton.count(codes, in_train.astype(np.int64))
                for name, column in self.skeleton.side.sums.items():
                    self.moments[name].add(part.lines.sums[in_train, column])
                train_rows += np.bincount(row[in_train], minlength=len(table))
            for spill, at in zip(spills, (split == split_number for split_number in range(3)), strict=True):
                if at.any():
                    spill.append(labels[at], self.common_rows + row[at], codes[at], part.lines.sums[at])
        if grow:
            self.common.count(table.codes, train_rows)
            for name, column in self.common.side.sums.items():
                self.moments[name].add(table.sums[:, column], train_rows)
            self.train_rows += int(train_rows.sum())
        self.tables.append(table)
        self.common_rows += len(table)

    def _split_of(self, table: CommonTable, number: int) -> Assignment:
        """(n,) of each common line; its impressions follow it, so that no group is in two splits."""
        files = np.full(len(table), number, np.int16)
        groups = Text(np.arange(len(table), dtype=np.int32), table.keys)
        return self.split.assign(SplitInput(self.card.row_files, files, None, groups))

    def _labels(self, file: str, part: Part) -> NDArray[np.float32]:
        columns = {name: part.lines.labels[:, at] for at, name in enumerate(LABELS)}
        return read_labels(RawTable(file, pa.table(columns), part.place), self.card.task_rules, ())

    def _fit(self) -> Encoder:
        fields: list[FieldPart] = []
        dense: list[DensePart] = []
        for name, column in self.card.columns.items():
            source = Source(column=column.source or name)
            if isinstance(column, Numeric):
                moments = self.moments[name]
                mean, scale = moments.moments
                flag = column.missing_flag or moments.known < moments.rows
                dense.append(
                    NumericColumn(name=name, source=source, log1p=column.log1p, mean=mean, scale=scale, flag=flag)
                )
                continue
            vocabulary = self._vocabulary(self._codes_of(name), column)
            if isinstance(column, Categorical):
                fields.append(CategoricalField(name=name, source=source, vocabulary=vocabulary))
            else:
                fields.append(
                    MultiValuedField(
                        name=name, source=source, separator=column.separator, slots=column.max_length,
                        vocabulary=vocabulary,
                    )
                )  # fmt: skip
        return Encoder(fields=tuple(fields), dense=tuple(dense)).checked(self.card)

    def _codes_of(self, name: str) -> IntegerCodes:
        return (self.common.of_input | self.skeleton.of_input)[name]

    def _vocabulary(self, seen: IntegerCodes, column: Categorical | MultiValued) -> Vocabulary:
        min_count = column.min_count or self.card.encoding.min_count
        kept = seen.counts >= min_count
        values: list[str | None] = [*map(str, seen.values[kept].tolist())]
        counts = seen.counts[kept]
        if isinstance(column, Categorical):
            values.append(None)
            counts = np.append(counts, self.train_rows - seen.counts.sum())
        return Vocabulary.fit(values, counts, min_count)

    def _rows_of_codes(self, encoder: Encoder) -> dict[str, NDArray[np.int32]]:
        """For each input (V + 2,): the embedding row of an unknown value, of an absent one, and of each code."""
        schema, found = encoder.schema_of(()), {}
        for part, offset in zip(encoder.fields, schema.offsets, strict=True):
            assert isinstance(part, (CategoricalField, MultiValuedField))
            values = self._codes_of(part.name).values
            rows = np.empty(len(values) + 2, np.int32)
            rows[-UNKNOWN - 2], rows[-ABSENT] = offset, 0
            if isinstance(part, CategoricalField):
                rows[-ABSENT] = offset + part.vocabulary.local([None])[0]
            for start in range(0, len(values), CHUNK):
                texts = [*map(str, values[start : start + CHUNK].tolist())]
                rows[start + 2 : start + 2 + len(texts)] = offset + part.vocabulary.local(texts)
            found[part.name] = rows
        return found

    def _relabel(self, encoder: Encoder, spills: list[_Spill]) -> None:
        """Codes -> embedding rows, sums -> dense, in the card's order of inputs."""
        rows_of = self._rows_of_codes(encoder)
        common_codes = [table.codes for table in self.tables]
        common_sums = np.concatenate([table.sums for table in self.tables])
        self.tables.clear()
        common = np.concatenate(common_codes)
        del common_codes
        for name, at in self.common.side.ids.items():
            for start in range(0, len(common), CHUNK):
                common[start : start + CHUNK, at] = rows_of[name][common[start : start + CHUNK, at] + 2]
        schema = encoder.schema_of(())
        ends = np.cumsum([0, *(field.slots for field in schema.fields)]).tolist()
        place = {field.name: slice(ends[i], ends[i + 1]) for i, field in enumerate(schema.fields)}
        total = sum(spill.counts.rows for spill in spills)
        with self.progress.task(f"encoding {self.card.key}", total, "rows") as advance:
            for spill in spills:
                with (
                    (spill.folder / "codes").open("rb") as codes_file,
                    (spill.folder / "sums").open("rb") as sums_file,
                    (spill.folder / "group.npy").open("rb") as group_file,
                    ArrayWriter(spill.folder / "ids.npy", np.int32, (schema.slots,)) as ids_out,
                    ArrayWriter(spill.folder / "dense.npy", np.float32, (len(schema.dense),)) as dense_out,
                ):
                    np.lib.format.read_magic(group_file)
                    np.lib.format.read_array_header_1_0(group_file)
                    for start in range(0, spill.counts.rows, CHUNK):
                        size = min(CHUNK, spill.counts.rows - start)
                        group = np.fromfile(group_file, np.int32, size)
                        codes = np.fromfile(codes_file, np.int32, size * spill.widths[0]).reshape(size, -1)
                        sums = np.fromfile(sums_file, np.float64, size * spill.widths[1]).reshape(size, -1)
                        ids = np.empty((size, schema.slots), np.int32)
                        for name, at in self.common.side.ids.items():
                            ids[:, place[name]] = common[:, at][group]
                        for name, at in self.skeleton.side.ids.items():
                            ids[:, place[name]] = rows_of[name][codes[:, at] + 2]
                        ids_out.append(ids)
                        columns = [np.empty((size, 0), np.float32)]
                        for part in encoder.dense:
                            assert isinstance(part, NumericColumn)
                            if part.name in self.common.side.sums:
                                numbers = common_sums[group, self.common.side.sums[part.name]]
                            else:
                                numbers = sums[:, self.skeleton.side.sums[part.name]]
                            columns.append(part.encode_numbers(numbers))
                        dense_out.append(np.concatenate(columns, axis=1))
                        advance(size)
                (spill.folder / "codes").unlink()
                (spill.folder / "sums").unlink()
