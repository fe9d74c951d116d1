"""Ali-CCP's two passes: as `bench.data.streaming`, but for ids that are numbers, and with lines that many rows share.

A common line is coded once, encoded once, and looked up for each row when all is written.

What is held: the distinct values of train, where each common line is, and a few blocks of text.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.ali_ccp_rows import RowEncoder
from bench.data.card import Card
from bench.data.codes import ABSENT, UNKNOWN, IntegerCodes
from bench.data.columns import Categorical, MultiValued, Numeric
from bench.data.encoding import Encoder
from bench.data.encoding.base import Source
from bench.data.encoding.encoder import DensePart, FieldPart
from bench.data.encoding.fields import PAD, CategoricalField, MultiValuedField
from bench.data.encoding.fit_text import vocabulary_of
from bench.data.encoding.numeric import NumericColumn
from bench.data.encoding.running import RunningMoments
from bench.data.encoding.vocabulary import Vocabulary
from bench.data.labels import Labels, read_labels
from bench.data.reader_config import AliCcpReader
from bench.data.readers import Paths, ali_ccp_common
from bench.data.readers.ali_ccp import LABELS, Coder, Part, parts, sides
from bench.data.readers.ali_ccp_common import CommonLines, CommonTable
from bench.data.readers.base import RawTable
from bench.data.rejects import Rejects, Sieve
from bench.data.spill import Spill
from bench.data.splits import SPLITS, TRAIN, Assignment, FileSplit, SplitInput, halved
from bench.data.store import schema_to_json
from bench.data.values import Text
from bench.errors import UserError, unknown
from bench.progress import Progress


def encode_ali_ccp(card: Card, paths: Paths, folder: Path, progress: Progress, rejects: Rejects) -> dict[str, Any]:
    """Reads, fits and writes encoder and splits into `folder`; returns what the manifest says of them.

    Raises:
        UserError: a line that does not fit the format, a card that asks for what the format does not have, a split
            that is empty or lacks a class.
    """
    return _Stream(card, folder, progress, rejects).run(paths)


class _Stream:
    def __init__(self, card: Card, folder: Path, progress: Progress, rejects: Rejects) -> None:
        _check(card)
        assert isinstance(card.split, FileSplit)
        self.card, self.split, self.folder, self.progress, self.rejects = card, card.split, folder, progress, rejects
        common, self.skeleton = (Coder(side) for side in sides(card))
        self.common = CommonLines(folder, common)
        self.codes_of: dict[str, IntegerCodes] = common.of_input | self.skeleton.of_input
        self.moments = {
            name: RunningMoments(column.log1p) for name, column in card.columns.items() if isinstance(column, Numeric)
        }
        self.local: dict[str, NDArray[np.int32]] = {}
        self.train_rows = self.dirty = 0

    def run(self, paths: Paths) -> dict[str, Any]:
        with ExitStack() as stack:
            side = self.skeleton.side.wanted
            widths = sum(side.slots), sum(side.summed)
            spills = [Spill(self.folder / name, self.card, widths, stack) for name in SPLITS]
            for number in self._file_order():
                self._read(number, paths, spills)
        self.rejects.check(self.card.key, self.dirty + sum(spill.counts.rows for spill in spills))
        for spill, name in zip(spills, SPLITS, strict=True):
            spill.counts.check(name)
        self.rejects.note(self.card.key, self.progress)
        if self.dirty:
            self.progress.note(f"{self.card.key}: dropped {self.dirty:,} rows with buy = 1 but click = 0")
        encoder = self._fit()
        encoder.save(self.folder / "encoder.json")
        rows = RowEncoder(encoder, self.local, self.common, self.skeleton.side)
        rows.encode(spills, self.folder, self.progress, self.card.key)
        return {
            "duplicates_dropped": 0,
            "outside_splits": 0,
            "dirty_dropped": self.dirty,
            **self.rejects.facts(),
            "splits": {
                name: {"rows": spill.counts.rows, "tasks": spill.counts.facts()}
                for name, spill in zip(SPLITS, spills, strict=True)
            },
            "schema": schema_to_json(encoder.schema_of(self.card.tasks, self.card.group_input)),
            "default_tasks": list(self.card.default_tasks),
        }

    def _file_order(self) -> list[int]:
        """Train first: only its values get codes."""
        files = self.card.row_files
        return sorted(range(len(files)), key=lambda number: (files[number] not in self.split.train, number))

    def _read(self, number: int, paths: Paths, spills: list[Spill]) -> None:
        assert isinstance(self.card.reader, AliCcpReader)
        file = self.card.row_files[number]
        grow = file in self.split.train
        if file not in self.card.reader.common:
            raise UserError(f"{self.card.key}: reader.common names no common file for '{file}'")
        table = CommonTable(paths[self.card.reader.common[file]], self.common, grow, self.progress, self.rejects)
        of_common = self._split_of(table, number)
        train_rows = np.zeros(len(table), np.int64)
        for part in parts(paths[file], self.skeleton.side.wanted, True, self.progress, self.rejects):
            sieve = Sieve(self.rejects, part.place, len(part.lines.keys))
            row, labels = table.rows(part, sieve), self._labels(file, part, sieve)
            clean = part.lines.labels[:, 0] >= part.lines.labels[:, 1]
            self.dirty += int((~clean & ~sieve.bad).sum())
            split = np.where(clean & ~sieve.bad, of_common[row], -1)
            codes = self.skeleton.code(part.lines.ids, grow)
            if grow:
                in_train = split == TRAIN
                self.skeleton.count(codes, in_train.astype(np.int64))
                for name, column in self.skeleton.side.sums.items():
                    self.moments[name].add(part.lines.sums[in_train, column])
                train_rows += np.bincount(row[in_train], minlength=len(table))
            for spill, at in zip(spills, (split == number for number in range(len(SPLITS))), strict=True):
                if at.any():
                    spill.append(labels[at], table.first + row[at], codes[at], part.lines.sums[at])
        if grow:
            for start, common_codes, numbers in self.common.chunks(table.first):
                weights = train_rows[start - table.first : start - table.first + len(numbers)]
                self.common.coder.count(common_codes, weights)
                for name, column in self.common.coder.side.sums.items():
                    self.moments[name].add(numbers[:, column], weights)
            self.train_rows += int(train_rows.sum())

    def _split_of(self, table: CommonTable, number: int) -> Assignment:
        """(n,) of each common line; its impressions follow it, so that no group is in two splits."""
        split = np.empty(len(table), np.int8)
        for start in range(0, len(table), ali_ccp_common.STEP):
            keys = table.keys(start, ali_ccp_common.STEP)
            groups = Text(np.arange(len(keys), dtype=np.int32), keys)
            rows = SplitInput(self.card.row_files, np.full(len(keys), number, np.int16), None, groups)
            split[start : start + len(keys)] = halved(self.split.assign(rows), rows, groups)
        return split

    def _labels(self, file: str, part: Part, sieve: Sieve) -> Labels:
        columns = {name: part.lines.labels[:, at] for at, name in enumerate(LABELS)}
        return read_labels(RawTable(file, pa.table(columns), part.place), self.card.task_rules, (), sieve)

    def _fit(self) -> Encoder:
        fields: list[FieldPart] = []
        dense: list[DensePart] = []
        for name, column in self.card.columns.items():
            source = Source(column=column.source or name)
            if isinstance(column, Numeric):
                dense.append(NumericColumn.of_moments(name, source, column.missing_flag, self.moments[name]))
                continue
            vocabulary = self._vocabulary(name, column)
            if isinstance(column, Categorical):
                fields.append(CategoricalField(name=name, source=source, vocabulary=vocabulary))
            else:
                fields.append(
                    MultiValuedField(
                        name=name, source=source, separator=column.separator, slots=column.max_length, keep=column.keep,
                        vocabulary=vocabulary,
                    )
                )  # fmt: skip
        return Encoder(fields=tuple(fields), dense=tuple(dense)).checked(self.card)

    def _vocabulary(self, name: str, column: Categorical | MultiValued) -> Vocabulary:
        """Of one input; remembers the local id of each code, then of UNKNOWN and ABSENT."""
        seen, min_count = self.codes_of[name], column.min_count or self.card.encoding.min_count
        kept = np.flatnonzero(seen.counts >= min_count)
        texts: list[str | None] = [*map(str, seen.values[kept].tolist()), None]
        missing = self.train_rows - seen.counts.sum() if isinstance(column, Categorical) else 0
        counts = np.append(seen.counts[kept], missing)
        vocabulary, local = vocabulary_of(texts, counts, np.append(kept, -1), min_count, len(seen))
        absent = local[-1] if isinstance(column, Categorical) else PAD
        self.local[name] = np.concatenate([local[:-1], np.array([0, absent], np.int32)])
        return vocabulary


def _check(card: Card) -> None:
    """Raises UserError where the card asks for what is not there for this format."""
    split = card.split
    if (
        not isinstance(split, FileSplit)
        or split.valid_from is not None
        or (split.valid_fraction is not None and split.unit != "group")
    ):
        needs = "a split by files, with unit = 'group' where valid is a part of train"
        raise UserError(f"{card.key}: Ali-CCP needs {needs}")
    if card.group != "common_index":
        raise UserError(f"{card.key}: Ali-CCP needs group = 'common_index', found {card.group!r}")
    if card.encoding.target_rates:
        raise UserError(f"{card.key}: Ali-CCP is read without target_rates")
    if card.segments or card.logged:
        raise UserError(f"{card.key}: Ali-CCP is read without segments and logged scores")
    for rule in card.task_rules:
        for column in rule.sources:
            if column not in LABELS:
                raise UserError(f"{card.key}: {unknown('label column', column, LABELS)}")


assert (UNKNOWN, ABSENT) == (-2, -1)  # so that they index the last two local ids
