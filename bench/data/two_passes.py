"""Two passes over a card's rows: raw files -> rows on disk and an encoder -> a store's arrays.

The first pass reads raw files once: values become provisional codes while they are counted. When
all of train has been seen, the encoder is fixed. The second pass turns the codes on disk into rows
of the embedding table. Memory holds the distinct values of categorical and multi-valued inputs and
of segments, the side tables, and a few parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.core.arrays import Mask
from bench.core.errors import UserError
from bench.core.exposure import exposure_of
from bench.core.schema import Schema, Task
from bench.core.system.mapped import mapped
from bench.core.system.progress import Progress
from bench.data.assemble import AssembledRows, Assembler
from bench.data.card import Card
from bench.data.checks import LabelArray
from bench.data.columns.categorical import Categorical
from bench.data.columns.moments import LARGEST, RunningMoments
from bench.data.columns.numeric import Numeric
from bench.data.encoding.encoder import Encoder
from bench.data.encoding.fitter import EncoderFitter, Provisional
from bench.data.history import Pasts
from bench.data.npy_files import ArrayWriter, read_parts
from bench.data.packing import Packing
from bench.data.readers import Paths, read, read_sides
from bench.data.readers.base import RawTable
from bench.data.segments import Items, Segments
from bench.data.splits import SPLITS, TRAIN, VALID, FileSplit
from bench.data.tasks import TaskRule, scaled_tasks
from bench.data.values import as_numbers
from bench.data.weights import Weights, weight_facts

CHUNK = 1 << 14
"""Rows of a step of the second pass."""


class LabelCounts:
    """Rows of one split, and for each task the labels that are observed; their positives, or mean
    and deviation.
    """

    def __init__(self, rules: Sequence[TaskRule], subject: str) -> None:
        """`subject` is the data set, or the split, that messages name."""
        self.rules, self.subject, self.rows = rules, subject, 0
        self.observed, self.positives = np.zeros((2, len(rules)), np.int64)
        self._moments_by_task: dict[int, RunningMoments] = {}
        for task, rule in enumerate(rules):
            if rule.kind == "regression":
                self._moments_by_task[task] = RunningMoments()

    def add(self, labels: LabelArray, weights: Weights | None = None) -> None:
        """Takes in labels (n, T); those of rows of weight 0 do not count."""
        if weights is not None and weights.shape[1]:
            labels = np.where(weights[:, :1] > 0, labels, np.nan)
        self.rows += len(labels)
        self.observed += (~np.isnan(labels)).sum(axis=0)
        self.positives += (labels == 1).sum(axis=0)
        for task, moments in self._moments_by_task.items():
            moments.add(labels[:, task].astype(np.float64))

    def facts(self) -> dict[str, dict[str, float | int]]:
        """For each task: labels observed; positives and their rate, or mean and deviation."""
        facts: dict[str, dict[str, float | int]] = {}
        for task, rule in enumerate(self.rules):
            observed = int(self.observed[task])
            if rule.kind == "binary":
                positives = int(self.positives[task])
                rate = positives / observed if observed else 0.0
                facts[rule.name] = {"observed": observed, "positives": positives, "rate": rate}
            else:
                mean, deviation = self._moments_by_task[task].moments
                facts[rule.name] = {"observed": observed, "mean": mean, "deviation": deviation}
        return facts

    def check(self, split: str, empty_reason: str) -> None:
        """Raises UserError where the split is empty, or a task that is trained by default has too
        few labels in it.
        """
        half = " (half of validation)" if split in ("valid", "confirm") else ""
        where = f"split '{split}'{half}"
        if self.rows == 0:
            raise UserError(f"{self.subject}: {where} is empty: {empty_reason}")
        for rule, observed, positives in zip(
            self.rules, self.observed, self.positives, strict=True
        ):
            if rule.optional:
                continue
            if rule.kind == "binary" and not 0 < positives < observed:
                raise UserError(
                    f"{self.subject}: task '{rule.name}' needs both classes in {where}, but "
                    f"{positives} of {observed} are positive"
                )
            if observed == 0:
                raise UserError(f"{self.subject}: task '{rule.name}' has no label in {where}")


def arrays_to_keep(card: Card, rows: AssembledRows) -> dict[str, NDArray[Any]]:
    """What a store keeps of n rows beside inputs and segments: name of a file -> (n, ..)."""
    arrays: dict[str, NDArray[Any]] = {"labels": rows.labels, "group": rows.group}
    if rows.weights.shape[1]:
        arrays["weights"] = rows.weights
    if rows.units is not None:
        arrays["units"] = rows.units
    if rows.bounds is not None:
        arrays["bounds"] = rows.bounds

    if card.logged_columns:
        scores = _numbers_of(card, rows, card.logged_columns)
        arrays["logged"] = np.clip(scores, -LARGEST, LARGEST).astype(np.float32)
    truths = [rule.truth for rule in card.task_rules if rule.truth]
    if truths:
        arrays["truth"] = _numbers_of(card, rows, truths)
    if card.history:
        arrays["times"] = _numbers_of(card, rows, [card.history_time])

    for column, (kind, raw) in enumerate(card.exposure.items(), len(card.logged)):
        try:
            exposure_of(kind, raw, arrays["logged"][:, column])
        except UserError as error:
            raise UserError(f"{card.key}: {error}") from None
    return arrays


def _numbers_of(card: Card, rows: AssembledRows, columns: Sequence[str]) -> NDArray[np.float64]:
    numbers = [as_numbers(rows.table[raw], card.missing, raw) for raw in columns]
    return np.stack(numbers, axis=1)


class Spill:
    """The rows of one split on disk, in a folder of the store to be, and the counts of its labels.

    Files are closed with the stack.
    """

    def __init__(self, folder: Path, card: Card, stack: ExitStack) -> None:
        folder.mkdir()
        self.folder, self.counts = folder, LabelCounts(card.task_rules, card.key)
        self._stack, self._files = stack, dict[str, ArrayWriter]()

    def append(self, arrays: Mapping[str, NDArray[Any]], rows: Mask) -> None:
        """Adds the rows (n,) of arrays (n, ..), each to the file of its name."""
        if not rows.any():
            return
        if not rows.all():
            arrays = {name: array[rows] for name, array in arrays.items()}
        self.counts.add(arrays["labels"], arrays.get("weights"))
        for name, array in arrays.items():
            if name not in self._files:
                writer = ArrayWriter(self.folder / f"{name}.npy", array.dtype, array.shape[1:])
                self._files[name] = self._stack.enter_context(writer)
            self._files[name].append(array)

    def chunks(self) -> Iterator[tuple[int, Provisional]]:
        """(number of the first row, rows), after the files are closed; codes and numbers are
        removed in the end.
        """
        paths = [self.folder / f"{name}.npy" for name in Provisional._fields]
        arrays = [read_parts(mapped(path), CHUNK) for path in paths]
        for number, rows in enumerate(map(Provisional, *arrays)):
            yield number * CHUNK, rows
        for path in paths:
            path.unlink()


@dataclass(frozen=True)
class Before:
    """How the rows of an earlier model are encoded, which goes on with new ones."""

    encoder: Encoder
    schema: Schema

    @property
    def digest(self) -> str:
        """Digest of encoder and schema."""
        text = f"{self.encoder.model_dump_json()} {self.schema}"
        return hashlib.sha256(text.encode()).hexdigest()

    def scaled(self, task: Task) -> Task:
        """A task with the scale of its labels as it was."""
        tasks = {earlier.name: earlier for earlier in self.schema.tasks}
        earlier = tasks.get(task.name, task)
        return replace(task, scale=earlier.scale, cap=earlier.cap)


def encode_files(
    card: Card, paths: Paths, folder: Path, progress: Progress, before: Before | None = None
) -> dict[str, Any]:
    """Reads, fits and writes encoder and splits into `folder`; returns the manifest's facts on
    them.

    Raises UserError for a file that does not fit its card, too many bad rows, or a split that lacks
    rows or a class.
    """
    # Arrow's own pool keeps more memory of finished parts, and is slower here.
    pa.set_memory_pool(pa.system_memory_pool())
    first_pass = read_rows(card, paths, folder, progress, before)
    check_rows(first_pass, progress)
    pasts = compute_pasts(first_pass, progress)
    encoder = first_pass.fitter.finish(progress)
    encoder.save(folder / "encoder.json")
    schema = schema_of(first_pass, encoder)
    encode_rows(first_pass, schema, pasts, progress)
    segment_facts = first_pass.segments.finish(first_pass.folders)
    return facts_of(first_pass, schema) | segment_facts | optional_facts(card, folder)


@dataclass(frozen=True)
class FirstPass:
    """The first pass: on disk what is encoded later, in memory what was counted."""

    card: Card
    before: Before | None
    fitter: EncoderFitter
    assembler: Assembler
    segments: Segments
    items: Items
    spills: Sequence[Spill]
    """By split."""

    @property
    def folders(self) -> list[Path]:
        """By split."""
        return [spill.folder for spill in self.spills]

    def take(self, part: RawTable) -> None:
        """Labels and splits the rows of a part, fits on those of train, and keeps all."""
        rows = self.assembler.take(part)
        self.assembler.check_post_exposure(part)
        if not len(rows.split):  # work for each column, though there are no rows
            return

        last_fitted = VALID if self.before else TRAIN
        fitted = (rows.split >= TRAIN) & (rows.split <= last_fitted)
        grow = self.new_values_count(part.file)
        inputs = self.fitter.take(rows.table, fitted, rows.labels, grow, rows.split == TRAIN)
        arrays = arrays_to_keep(self.card, rows) | inputs._asdict()
        arrays |= self.segments.take(rows.table, fitted) | self.items.take(rows.table)
        for split, spill in enumerate(self.spills):
            spill.append(arrays, rows.split == split)

    def new_values_count(self, file: str) -> bool:
        """Whether values that first come in a file may count: where it or a later one may hold rows
        of train.

        Histories and an earlier encoder tell more values apart.
        """
        if self.card.history is not None or self.before is not None:
            return True
        files_of_train = self.card.row_files
        if isinstance(self.card.split, FileSplit):
            files_of_train = self.card.split.train
        order = self.card.row_files.index
        return order(file) <= max(map(order, files_of_train))


def read_rows(
    card: Card, paths: Paths, folder: Path, progress: Progress, before: Before | None
) -> FirstPass:
    """Reads all raw rows once, part by part; they wait in a folder for each split until they are
    encoded.
    """
    fitter = EncoderFitter(card, before.encoder if before else None)
    assembler = Assembler(card, read_sides(card, paths, progress))
    segments = Segments(card.segment_rules, card.missing)
    items = Items(card.items.values(), card.item_numbers.values(), card.missing)
    with ExitStack() as stack:
        spills = [Spill(folder / name, card, stack) for name in SPLITS]
        first_pass = FirstPass(card, before, fitter, assembler, segments, items, spills)
        for part in read(card, paths, progress, folder):
            first_pass.take(part)
    return first_pass


def check_rows(first_pass: FirstPass, progress: Progress) -> None:
    """Raises UserError for too many bad rows, or a split that lacks rows or a class; notes what was
    left out.
    """
    assembler = first_pass.assembler
    assembler.check()
    for spill, name in zip(first_pass.spills, SPLITS, strict=True):
        spill.counts.check(name, assembler.empty_reason())
    assembler.note(progress)


def compute_pasts(first_pass: FirstPass, progress: Progress) -> Pasts | None:
    """Computes the history of all rows, on disk, and fits on that of train; None where the card has
    none.
    """
    history = first_pass.card.history
    if history is None:
        return None
    tasks = [rule.name for rule in first_pass.card.task_rules]
    actions = [tasks.index(name) for name in history.actions]
    pasts = Pasts(history, first_pass.folders, progress)
    pasts.compute(first_pass.fitter.columns_of(history.inputs), actions)
    for past in pasts.parts(TRAIN, CHUNK):
        first_pass.fitter.take_past(past.numbers)
    return pasts


def schema_of(first_pass: FirstPass, encoder: Encoder) -> Schema:
    """The inputs and tasks of a store, with the scale of train's labels."""
    card, before, train = first_pass.card, first_pass.before, first_pass.folders[TRAIN]
    labels, weights = mapped(train / "labels.npy"), None
    if (train / "weights.npy").is_file():
        weights = mapped(train / "weights.npy")
    scaled = scaled_tasks(card.task_rules, labels, card.key, weights)
    tasks = []
    for rule, scaled_task, task in zip(card.task_rules, scaled, card.tasks, strict=True):
        cap = encoder.cap_of(card.input_of(Numeric, rule.censored), rule.unit)
        finished = replace(scaled_task, duration=task.duration, cap=cap)
        tasks.append(before.scaled(finished) if before else finished)
    group = card.input_of(Categorical, card.group)
    scenario = card.input_of(Categorical, card.scenario)
    return encoder.schema_of(tuple(tasks), group, card.group is not None, scenario)


def encode_rows(
    first_pass: FirstPass, schema: Schema, pasts: Pasts | None, progress: Progress
) -> None:
    """Turns the kept rows into inputs, chunk by chunk; removes what was kept for this alone."""
    packing = Packing.of(schema)
    total = sum(spill.counts.rows for spill in first_pass.spills)
    dense_shape = (len(schema.dense),)
    with progress.task(f"encoding {first_pass.card.key}", total, "rows") as advance:
        for split, spill in enumerate(first_pass.spills):
            with (
                ArrayWriter(spill.folder / "ids.npy", np.uint16, (packing.words,)) as ids_file,
                ArrayWriter(spill.folder / "dense.npy", np.float32, dense_shape) as dense_file,
            ):
                for start, rows in chunks_with_past(spill, split, pasts):
                    first_train_row = start if split == TRAIN else None
                    ids, dense = first_pass.fitter.encode(rows, first_train_row)
                    ids_file.append(packing.packed(ids))
                    dense_file.append(dense)
                    advance(len(ids))
    if pasts is not None:
        pasts.remove()


def chunks_with_past(
    spill: Spill, split: int, pasts: Pasts | None
) -> Iterator[tuple[int, Provisional]]:
    """The rows of a split as `Spill.chunks` has them; codes and numbers of their history follow
    their own.
    """
    if pasts is None:
        yield from spill.chunks()
        return
    parts = pasts.parts(split, CHUNK)
    for (start, rows), past in zip(spill.chunks(), parts, strict=False):
        past_codes = past.lists.reshape(len(past.lists), -1)
        codes = np.hstack([rows.codes, past_codes])
        numbers = np.hstack([rows.numbers, past.numbers])
        yield start, Provisional(codes, numbers)


def facts_of(first_pass: FirstPass, schema: Schema) -> dict[str, Any]:
    """What every manifest says of splits and schema."""
    splits = {}
    for name, spill in zip(SPLITS, first_pass.spills, strict=True):
        splits[name] = {"rows": spill.counts.rows, "tasks": spill.counts.facts()}
    assembler = first_pass.assembler
    return {
        "duplicates_dropped": assembler.duplicates,
        "outside_splits": assembler.outside,
        **assembler.rejects.facts(),
        "splits": splits,
        "schema": asdict(schema),
        "default_tasks": list(first_pass.card.default_tasks),
    }


def optional_facts(card: Card, folder: Path) -> dict[str, Any]:
    """What a manifest says only where the card has it."""
    facts: dict[str, Any] = {}
    if card.logged_columns:
        facts["logged"] = list(card.logged_columns)
    if card.exposure:
        facts["exposure"] = card.exposure
    if card.item_kinds:
        facts["items"] = card.item_kinds
    facts |= weight_facts(card.weight, card.sampling)
    if card.units:
        facts["units"] = True
    if any(rule.truth for rule in card.task_rules):
        facts["reachable"] = _reachable(card, folder)
    return facts


def _reachable(card: Card, folder: Path) -> dict[str, float]:
    """The best metrics that true probabilities reach on each split."""
    # Brings scipy.stats, half a second that real data does not need.
    from bench.data.reachable import reachable_in

    best: dict[str, float] = {}
    for name in SPLITS:
        best |= reachable_in(folder / name, card.task_rules, name)
    return best
