"""The rows of one split on disk between the two passes, and what a store keeps beside inputs and
labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.exposure import exposure_of
from bench.core.system.mapped import mapped
from bench.data.arrays import ArrayWriter, read_parts
from bench.data.assemble import AssembledRows
from bench.data.card import Card
from bench.data.checks import LabelArray
from bench.data.columns.moments import LARGEST, RunningMoments
from bench.data.encoding.fitter import Provisional
from bench.data.tasks import TaskRule
from bench.data.values import as_numbers
from bench.data.weights import Weights


class LabelCounts:
    """Rows of one split, and for each task the labels that are observed; their positives, or mean
    and deviation.
    """

    def __init__(self, rules: Sequence[TaskRule], of: str) -> None:
        """Of the data set, or the split, that messages name."""
        self.rules, self.of, self.rows = rules, of, 0
        self.observed, self.positives = np.zeros((2, len(rules)), np.int64)
        self._moments = {
            at: RunningMoments() for at, rule in enumerate(rules) if rule.kind == "regression"
        }

    def add(self, labels: LabelArray, weights: Weights | None = None) -> None:
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
        """Raises UserError where the split is empty, or a task that is trained by default has too
        few labels in it.
        """
        where = f"split '{split}'{' (half of validation)' if split in ('valid', 'confirm') else ''}"
        if self.rows == 0:
            raise UserError(f"{self.of}: {where} is empty: {empty_reason}")
        for rule, observed, positives in zip(
            self.rules, self.observed, self.positives, strict=True
        ):
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


def arrays_of(card: Card, rows: AssembledRows) -> dict[str, NDArray[Any]]:
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
    for name, columns in (("logged", card.beside), ("truth", truths), ("times", times)):
        if columns:
            found[name] = np.stack(
                [as_numbers(rows.table[raw], card.missing, raw) for raw in columns], axis=1
            )
    if card.beside:
        found["logged"] = np.clip(found["logged"], -LARGEST, LARGEST).astype(np.float32)
    for at, (kind, raw) in enumerate(card.exposure.items()):
        try:
            exposure_of(kind, raw, found["logged"][:, len(card.logged) + at])
        except UserError as error:
            raise UserError(f"{card.key}: {error}") from None
    return found


class Spill:
    """A folder of the store to be, whose files are closed with a stack, and the counts of its
    labels.
    """

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
        """(number of the first row, rows), after the files are closed; what was kept for this alone
        is removed.
        """
        paths = [self.folder / f"{name}.npy" for name in Provisional._fields]
        parts = (read_parts(mapped(path), CHUNK) for path in paths)
        for at, rows in enumerate(map(Provisional, *parts)):
            yield at * CHUNK, rows
        for path in paths:
            path.unlink()
