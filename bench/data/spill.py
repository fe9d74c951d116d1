"""The rows of one split on disk between the two passes, and what a store keeps beside inputs and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.data.arrays import ArrayWriter, read_parts
from bench.data.assemble import Rows
from bench.data.card import Card
from bench.data.checks import Labels
from bench.data.codes import TextCodes
from bench.data.columns import MOST, OTHER
from bench.data.encoding.fitter import Provisional
from bench.data.encoding.numeric import LARGEST, RunningMoments
from bench.data.splits import of_validation
from bench.data.tasks import TaskRule
from bench.data.values import as_numbers
from bench.data.weights import Weights
from bench.system.mapped import mapped


class LabelCounts:
    """Rows of one split, and for each task the labels that are observed; their positives, or mean and deviation."""

    def __init__(self, rules: Sequence[TaskRule], of: str) -> None:
        """Of the data set, or the split, that messages name."""
        self.rules, self.of, self.rows = rules, of, 0
        self.observed, self.positives = np.zeros((2, len(rules)), np.int64)
        self._moments = {at: RunningMoments() for at, rule in enumerate(rules) if rule.kind == "regression"}

    def add(self, labels: Labels, weights: Weights | None = None) -> None:
        """Takes in labels (n, T); those of rows of weight 0 do not count."""
        if weights is not None and weights.shape[1]:
            labels = np.where(weights[:, :1] > 0, labels, np.nan)
        self.rows += len(labels)
        self.observed += (~np.isnan(labels)).sum(axis=0)
        self.positives += (labels == 1).sum(axis=0)
        for at, moments in self._moments.items():
            moments.add(labels[:, at].astype(np.float64))

    def facts(self) -> dict[str, dict[str, float | int]]:
        """For each task: labels observed; positives and their rate, or mean and deviation."""
        found: dict[str, dict[str, float | int]] = {}
        for at, task in enumerate(self.rules):
            observed, positives = int(self.observed[at]), int(self.positives[at])
            if task.kind == "binary":
                rate = positives / observed if observed else 0.0
                found[task.name] = {"observed": observed, "positives": positives, "rate": rate}
            else:
                mean, deviation = self._moments[at].moments
                found[task.name] = {"observed": observed, "mean": mean, "deviation": deviation}
        return found

    def check(self, split: str, empty_reason: str) -> None:
        """Raises UserError where the split is empty, or a task that is trained by default has too few labels in it."""
        where = f"split '{split}'{of_validation(split)}"
        if self.rows == 0:
            raise UserError(f"{self.of}: {where} is empty: {empty_reason}")
        for rule, observed, positives in zip(self.rules, self.observed, self.positives, strict=True):
            if rule.optional:
                continue
            if rule.kind == "binary" and not 0 < positives < observed:
                needs = f"task '{rule.name}' needs both classes in {where}"
                raise UserError(f"{self.of}: {needs}, but {positives} of {observed} are positive")
            if observed == 0:
                raise UserError(f"{self.of}: task '{rule.name}' has no label in {where}")


CHUNK = 1 << 14
"""Rows of a step of the second pass."""
Arrays = Mapping[str, NDArray[Any]]


def arrays_of(card: Card, rows: Rows) -> dict[str, NDArray[Any]]:
    """What is kept of n rows beside inputs and segments: name of a file -> (n, ..)."""
    found: dict[str, NDArray[Any]] = {"labels": rows.labels, "group": rows.group}
    if rows.weights.shape[1]:
        found["weights"] = rows.weights
    if rows.units is not None:
        found["units"] = rows.units
    if rows.bounds is not None:
        found["bounds"] = rows.bounds
    truths = [rule.truth for rule in card.task_rules if rule.truth]
    times = [card.history_time] if card.history else []
    for name, columns in (("logged", card.logged), ("truth", truths), ("times", times)):
        if columns:
            found[name] = np.stack([as_numbers(rows.table[raw], card.missing, raw) for raw in columns], axis=1)
    if card.logged:
        found["logged"] = np.clip(found["logged"], -LARGEST, LARGEST).astype(np.float32)
    return found


class Spill:
    """A folder of the store to be, whose files are closed with a stack, and the counts of its labels."""

    def __init__(self, folder: Path, card: Card, stack: ExitStack) -> None:
        folder.mkdir()
        self.folder, self.counts = folder, LabelCounts(card.task_rules, card.key)
        self._stack, self._files = stack, dict[str, ArrayWriter]()

    def append(self, arrays: Arrays, rows: NDArray[np.bool_]) -> None:
        """Adds the rows (n,) of arrays (n, ..), each to the file of its name."""
        if not rows.any():
            return
        own = arrays if rows.all() else {name: array[rows] for name, array in arrays.items()}
        self.counts.add(own["labels"], own.get("weights"))
        for name, array in own.items():
            if name not in self._files:
                writer = ArrayWriter(self.folder / f"{name}.npy", array.dtype, array.shape[1:])
                self._files[name] = self._stack.enter_context(writer)
            self._files[name].append(array)

    def chunks(self) -> Iterator[tuple[int, Provisional]]:
        """(number of the first row, rows), after the files are closed; what was kept for this alone is removed."""
        paths = [self.folder / f"{name}.npy" for name in Provisional._fields]
        parts = (read_parts(mapped(path), CHUNK) for path in paths)
        for at, rows in enumerate(map(Provisional, *parts)):
            yield at * CHUNK, rows
        for path in paths:
            path.unlink()


BLOCK = 1 << 16
"""Rows whose segments are written at a time."""
WAITING = "provisional"
Numbers = NDArray[np.int32]


class Segments:
    """The segments that rows are in; takes the parts of a card's rows, in order, all splits together.

    Values of categories are numbered as they first appear; which are told apart is known when all of train has been
    seen. The numbers wait on disk until then.
    """

    def __init__(self, card: Card) -> None:
        self._rules = list(card.segment_rules.items())
        self._missing = card.missing
        self._values = [TextCodes() for _ in self._rules]
        self._counts = [np.zeros(0, np.int64) for _ in self._rules]

    def take(self, table: Any, train: NDArray[np.bool_]) -> dict[str, Numbers]:
        """What is to be kept of the n rows of an Arrow table: provisional numbers (n, G), if there are segments."""
        found = [self._numbers(at, table, train) for at in range(len(self._rules))]
        return {WAITING: np.stack(found, axis=1)} if found else {}

    def _numbers(self, at: int, table: Any, train: NDArray[np.bool_]) -> Numbers:
        """(n,) provisional: of a range its code, of any other value its number; -1 where missing."""
        rule = self._rules[at][1]
        if rule.ranges:
            values = as_numbers(table[rule.raw], self._missing, rule.raw)
            codes = np.searchsorted(rule.ranges, values, side="right")
            return np.where(np.isnan(values), -1, codes).astype(np.int32)
        numbers = self._values[at].code_column(table[rule.raw], self._missing)
        seen = np.bincount(numbers[train & (numbers >= 0)], minlength=len(self._values[at]))
        seen[: len(self._counts[at])] += self._counts[at]
        self._counts[at] = seen
        return numbers

    def finish(self, folders: Sequence[Path]) -> dict[str, Any]:
        """Writes each split's `segments.npy`, when all files are closed; gives what the manifest says."""
        if not self._rules:
            return {}
        made = [self._made(at) for at in range(len(self._rules))]
        for folder in folders:
            waiting = folder / f"{WAITING}.npy"
            with ArrayWriter(folder / "segments.npy", np.int16, (len(made),)) as out:
                for block in read_parts(mapped(waiting), BLOCK):
                    out.append(np.stack([codes[block[:, at]] for at, (_, codes) in enumerate(made)], axis=1))
            waiting.unlink()
        return {"segments": {name: values for (name, _), (values, _) in zip(self._rules, made, strict=True)}}

    def _made(self, at: int) -> tuple[list[str], NDArray[np.int16]]:
        """The values of a segment, and for each provisional number the place among them, the last for missing."""
        rule, counts = self._rules[at][1], self._counts[at]
        if rule.ranges:
            return list(rule.fixed), np.append(np.arange(len(rule.fixed), dtype=np.int16), np.int16(-1))
        if rule.known is not None:
            return list(rule.fixed), np.append((counts == 0).astype(np.int16), np.int16(-1))
        frequent = np.argsort(-counts, kind="stable")[: MOST + 1]  # one more, in case `OTHER` is a value of its own
        texts = dict(zip(frequent.tolist(), self._values[at].texts(frequent.tolist()), strict=True))
        named = [number for number, text in texts.items() if counts[number] and text != OTHER][:MOST]
        values = [texts[number] for number in named]
        if len(named) < len(counts):
            values.append(OTHER)
        places = np.full(len(counts) + 1, len(named), np.int16)
        places[named] = np.arange(len(named))
        places[-1] = -1
        return values, places
