"""The rows of one split on disk between the two passes, and what a store keeps beside inputs and labels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.arrays import ArrayWriter
from bench.data.assemble import Numbering
from bench.data.card import Card
from bench.data.checks import Labels
from bench.data.columns import MOST, OTHER
from bench.data.encoding.fitter import Provisional
from bench.data.encoding.numeric import LARGEST, RunningMoments
from bench.data.splits import of_validation
from bench.data.values import as_numbers
from bench.data.weights import Weights
from bench.errors import UserError


class LabelCounts:
    """Rows of one split, and for each task the labels that are observed, and their mean and deviation."""

    def __init__(self, card: Card) -> None:
        self.card, self.rows = card, 0
        self.of_task = [RunningMoments() for _ in card.tasks]
        self.positives = np.zeros(len(card.tasks), np.int64)

    def add(self, labels: Labels, weights: Weights | None = None) -> None:
        """Takes in labels (n, T); those of rows of weight 0 do not count."""
        if weights is not None and weights.shape[1]:
            labels = np.where(weights[:, :1] > 0, labels, np.nan)
        self.rows += len(labels)
        self.positives += (labels == 1).sum(axis=0)
        for moments, column in zip(self.of_task, labels.T, strict=True):
            moments.add(column.astype(np.float64))

    def facts(self) -> dict[str, dict[str, float | int]]:
        """For each task: labels observed; positives and their rate, or mean and deviation."""
        found: dict[str, dict[str, float | int]] = {}
        for task, moments, positives in zip(self.card.tasks, self.of_task, self.positives.tolist(), strict=True):
            if task.kind == "binary":
                rate = positives / moments.known if moments.known else 0.0
                found[task.name] = {"observed": moments.known, "positives": positives, "rate": rate}
            else:
                mean, deviation = moments.moments
                found[task.name] = {"observed": moments.known, "mean": mean, "deviation": deviation}
        return found

    def check(self, split: str, empty_reason: str) -> None:
        """Raises UserError where the split is empty, or a task that is trained by default has too few labels in it."""
        if self.rows == 0:
            raise UserError(f"{self.card.key}: split '{split}'{of_validation(split)} is empty: {empty_reason}")
        for rule, moments, positives in zip(self.card.task_rules, self.of_task, self.positives.tolist(), strict=True):
            if rule.optional:
                continue
            if rule.kind == "binary" and not 0 < positives < moments.known:
                found = f"{positives} of {moments.known} are positive"
                needs = f"task '{rule.name}' needs both classes in split '{split}'{of_validation(split)}"
                raise UserError(f"{self.card.key}: {needs}, but {found}")
            if moments.known == 0:
                needs = f"task '{rule.name}' has no label in split '{split}'{of_validation(split)}"
                raise UserError(f"{self.card.key}: {needs}")


CHUNK = 1 << 14
"""Rows of a step of the second pass."""


class Spill:
    """A folder of the store to be.

    Attributes:
        counts: of labels.
    """

    def __init__(self, folder: Path, card: Card, widths: tuple[int, int], stack: ExitStack) -> None:
        """Makes the folder; its files are closed with the stack.

        Args:
            widths: C and M.
        """
        folder.mkdir()
        self.folder, self.widths, self.counts = folder, widths, LabelCounts(card)
        self._labels = stack.enter_context(ArrayWriter(folder / "labels.npy", np.float32, (len(card.tasks),)))
        self._group = stack.enter_context(ArrayWriter(folder / "group.npy", np.int32))
        self._weights: ArrayWriter | None = None
        if card.weight is not None or card.sampling is not None:
            weights = ArrayWriter(folder / "weights.npy", np.float32, (2 if card.sampling else 1,))
            self._weights = stack.enter_context(weights)
        self._codes = stack.enter_context((folder / "codes").open("wb"))
        self._numbers = stack.enter_context((folder / "numbers").open("wb"))

    def append(self, labels: NDArray[Any], weights: Weights, group: NDArray[Any], rows: Provisional) -> None:
        """Adds rows: labels (n, T), weights (n, K), group (n,)."""
        self.counts.add(labels, weights)
        self._labels.append(labels)
        if self._weights is not None:
            self._weights.append(weights)
        self._group.append(group)
        self._codes.write(np.ascontiguousarray(rows.codes, np.int32).data)
        self._numbers.write(np.ascontiguousarray(rows.numbers, np.float64).data)

    def chunks(self) -> Iterator[tuple[int, Provisional]]:
        """(number of the first row, rows), after the files are closed; what was kept for this alone is removed."""
        with (self.folder / "codes").open("rb") as codes, (self.folder / "numbers").open("rb") as numbers:
            for start in range(0, self.counts.rows, CHUNK):
                size = min(CHUNK, self.counts.rows - start)
                own = np.fromfile(codes, np.int32, size * self.widths[0]).reshape(size, -1)
                beside = np.fromfile(numbers, np.float64, size * self.widths[1]).reshape(size, -1)
                yield start, Provisional(own, beside)
        (self.folder / "codes").unlink()
        (self.folder / "numbers").unlink()


BLOCK = 1 << 16
"""Rows whose segments are written at a time."""
WAITING = "provisional.npy"
Numbers = NDArray[np.int32]


class Besides:
    """What a store keeps of rows beside inputs and labels: the segments that they are in, and scores that were logged.

    Takes the parts of a card's rows, in order; all splits together. Values of categories are numbered as they first
    appear; which are told apart is known when all of train has been seen. The numbers wait on disk until then.
    """

    def __init__(self, card: Card, folder: Path, splits: tuple[str, ...], stack: ExitStack) -> None:
        """Opens the files of each split below a folder; they are closed with the stack.

        Args:
            splits: by number; the first is train.
        """
        self._card, self._folders = card, [folder / name for name in splits]
        self._numberings = [
            None if rule.ranges else Numbering(rule.raw, card.missing) for rule in card.segment_rules.values()
        ]
        self._counts = [np.zeros(0, np.int64) for _ in card.segment_rules]
        self._segments: list[ArrayWriter] = []
        self._logged: list[ArrayWriter] = []
        for of_split in self._folders:
            if card.segment_rules:
                waiting = ArrayWriter(of_split / WAITING, np.int32, (len(card.segment_rules),))
                self._segments.append(stack.enter_context(waiting))
            if card.logged:
                logged = ArrayWriter(of_split / "logged.npy", np.float32, (len(card.logged),))
                self._logged.append(stack.enter_context(logged))

    def take(self, table: Any, split: NDArray[np.int8]) -> None:
        """Takes in rows.

        Args:
            table: Arrow table of raw columns, n rows.
            split: (n,) the number of each row's split, -1 for none.
        """
        if self._segments:
            numbers = np.stack([self._numbers(at, table, split == 0) for at in range(len(self._counts))], axis=1)
            for number, writer in enumerate(self._segments):
                writer.append(numbers[split == number])
        if self._logged:
            columns = [as_numbers(table[raw], self._card.missing, raw) for raw in self._card.logged]
            scores = np.clip(np.stack(columns, axis=1), -LARGEST, LARGEST)
            for number, writer in enumerate(self._logged):
                writer.append(scores[split == number])

    def _numbers(self, at: int, table: Any, train: NDArray[np.bool_]) -> Numbers:
        """(n,) provisional: of a range its code, of any other value its number; -1 where missing."""
        rule, numbering = list(self._card.segment_rules.values())[at], self._numberings[at]
        if numbering is None:
            values = as_numbers(table[rule.raw], self._card.missing, rule.raw)
            codes = np.searchsorted(rule.ranges, values, side="right")
            return np.where(np.isnan(values), -1, codes).astype(np.int32)
        numbers = numbering.take(table)
        seen = np.bincount(numbers[train & (numbers >= 0)], minlength=len(numbering.values))
        seen[: len(self._counts[at])] += self._counts[at]
        self._counts[at] = seen
        return numbers

    def finish(self) -> dict[str, Any]:
        """Writes each split's `segments.npy`, when all files are closed; gives what the manifest says."""
        made = [self._made(at) for at in range(len(self._counts))]
        for folder in self._folders if made else ():
            _write(folder, [codes for _, codes in made])
        facts: dict[str, Any] = {}
        if made:
            facts["segments"] = {name: values for name, (values, _) in zip(self._card.segment_rules, made, strict=True)}
        return facts | ({"logged": list(self._card.logged)} if self._card.logged else {})

    def _made(self, at: int) -> tuple[list[str], NDArray[np.int16]]:
        """The values of a segment, and for each provisional number the place among them, the last for missing."""
        rule, numbering = list(self._card.segment_rules.values())[at], self._numberings[at]
        counts = self._counts[at]
        if numbering is None:
            return list(rule.fixed), np.append(np.arange(len(rule.fixed), dtype=np.int16), np.int16(-1))
        if rule.known is not None:
            return list(rule.fixed), np.append((counts == 0).astype(np.int16), np.int16(-1))
        frequent = np.argsort(-counts, kind="stable")[: MOST + 1]  # one more, in case `OTHER` is a value of its own
        texts = dict(zip(frequent.tolist(), numbering.values.texts(frequent.tolist()), strict=True))
        named = [number for number, text in texts.items() if counts[number] and text != OTHER][:MOST]
        values = [texts[number] for number in named]
        if len(named) < len(counts):
            values.append(OTHER)
        places = np.full(len(counts) + 1, len(named), np.int16)
        places[named] = np.arange(len(named))
        places[-1] = -1
        return values, places


def _write(folder: Path, places: list[NDArray[np.int16]]) -> None:
    waiting = np.load(folder / WAITING, mmap_mode="r", allow_pickle=False)
    with ArrayWriter(folder / "segments.npy", np.int16, (len(places),)) as writer:
        for start in range(0, len(waiting), BLOCK):
            block = waiting[start : start + BLOCK]
            writer.append(np.stack([of[block[:, at]] for at, of in enumerate(places)], axis=1))
    del waiting
    (folder / WAITING).unlink()
