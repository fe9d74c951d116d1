"""The whole way: raw files -> encoder -> store. Doing it twice does it once.

Raw files are read once: values become provisional codes while they are counted; when all of train
has been seen the encoder is fixed, and the codes on disk are turned into embedding rows. What is
held: the distinct values of categorical and multi-valued inputs and of segments, the side tables,
and a few parts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.core import plugins
from bench.core.errors import UserError
from bench.core.schema import Schema, Task
from bench.core.system.atomic import atomic_folder, remove_abandoned, scratch_folder, write_text
from bench.core.system.machine import peak_memory_mb, reset_peak_memory
from bench.core.system.mapped import mapped
from bench.core.system.progress import Progress, Silent
from bench.data.arrays import ArrayWriter
from bench.data.assemble import AssembledRows, Assembler
from bench.data.card import Card
from bench.data.columns.categorical import Categorical
from bench.data.columns.numeric import Numeric
from bench.data.encoding.encoder import Encoder
from bench.data.encoding.fitter import EncoderFitter, Provisional
from bench.data.fetch import Digest, at_hand, check_source, digest, fetch, in_raw, raw_folder
from bench.data.history import Pasts
from bench.data.items import Items
from bench.data.packing import Packing
from bench.data.readers import Paths, read, read_sides
from bench.data.readers.base import RawTable
from bench.data.readers.blocks import unpacked_name
from bench.data.segments import Segments
from bench.data.sources import SyntheticReader, is_pattern
from bench.data.spill import CHUNK, Spill, arrays_of
from bench.data.splits import SPLITS, TRAIN, VALID, FileSplit
from bench.data.store import Store
from bench.data.tasks import scaled_tasks
from bench.data.weights import weight_facts

CODE_VERSION = 11
"""Raised whenever the same card and files give another store."""
_PROSE = {"title", "licence", "citation", "homepage", "sources", "files", "folder"}
_BESIDE = (
    "scenario",
    "segments",
    "items",
    "item_numbers",
    "logged",
    "random",
    "propensity",
    "weight",
    "sampling",
    "units",
    "as_of",
)


def recipe(card: Card) -> str:
    """Digest of everything but the files that decides what is in a store."""
    values: dict[str, Any] = card.model_dump(mode="json", by_alias=True, exclude=_PROSE)
    for key in _BESIDE:
        if not values[
            key
        ]:  # a store without them is the one that it would be if cards had no such keys
            del values[key]
    for rule in values["tasks"]:
        for key in ("where", "matures"):
            if not rule[key]:
                del rule[key]
    values["code"] = CODE_VERSION
    if card.textual_time:  # they were compared by character
        values["times"] = "in UTC"
    if isinstance(card.reader, SyntheticReader):
        from bench.data.synthetic import GENERATORS  # brings scipy.special

        values["generator"] = GENERATORS[card.reader.generator].version
    values |= plugins.needs([("reader.kind", card.reader.kind)])
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def fingerprint(card: Card, digests: dict[str, Digest], before: Before | None = None) -> str:
    """Digest of recipe and files: equal fingerprints mean equal arrays."""
    files = [[name, file.sha256, file.size] for name, file in digests.items()]
    parts: list[Any] = [recipe(card), files]
    if before:
        parts.append(before.digest)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Before:
    """How the rows of an earlier model are encoded, which goes on with new ones."""

    encoder: Encoder
    schema: Schema

    @property
    def digest(self) -> str:
        """Of all of it."""
        return hashlib.sha256(
            f"{self.encoder.model_dump_json()} {self.schema}".encode()
        ).hexdigest()

    def scaled(self, task: Task) -> Task:
        """A task with the scale of its labels as it was."""
        tasks = {earlier.name: earlier for earlier in self.schema.tasks}
        earlier = tasks.get(task.name, task)
        return replace(task, scale=earlier.scale, cap=earlier.cap)


def prepare(
    card: Card,
    home: Path,
    raw: Path | None = None,
    progress: Progress | None = None,
    before: Before | None = None,
) -> Store:
    """The store of a card, made where there is none yet.

    Raises UserError if a file is missing or broken, a label is bad, a split is empty, or the disk
    is full. Nothing is left half-written.

    Args:
        home: stores and fetched files lie here.
        raw: a folder with the card's files; nothing is fetched then.
        before: encodes as an earlier model does, and adds only values that it does not know, of
            train and valid.
    """
    progress = progress or Silent()
    started = time.monotonic()
    shelf, fetched = home / "store" / card.key, raw_folder(card, home)
    for place in (shelf, home / "raw", fetched, fetched / "downloads"):
        remove_abandoned(place)
    reset_peak_memory()
    paths = at_hand(card, home, raw, progress)
    if len(paths) < len(card.files):
        if (earlier := _prepared_before(card, shelf)) is not None:
            return earlier
        paths = fetch(card, home, progress)
    paths = {file.name: paths[file.name] for file in card.files}
    # A pattern stands for several files: each is listed under its own name.
    digests = {
        unpacked_name(path.name) if is_pattern(name) else name: digest(path, home, progress)
        for name, files in paths.items()
        for path in files
    }
    mark = fingerprint(card, digests, before)
    target = shelf / mark
    if (target / "manifest.json").is_file():
        store = Store.open(target)
        store.check()
        return store

    with atomic_folder(target) as folder:
        manifest: dict[str, Any] = {
            "key": card.key,
            "id": card.id,
            "title": card.title,
            "fingerprint": mark,
            "recipe": recipe(card),
            "files": [
                {"name": name, "sha256": file.sha256, "size": file.size}
                for name, file in digests.items()
            ],
        }
        manifest |= encode_stream(card, paths, folder, progress, before)
        manifest["seconds"] = round(time.monotonic() - started, 3)
        manifest["peak_memory_mb"] = round(peak_memory_mb(), 1)
        write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return Store.open(target)


@contextmanager
def passing_store(
    card: Card,
    home: Path,
    raw: Path | None = None,
    progress: Progress | None = None,
    before: Before | None = None,
) -> Iterator[Store]:
    """Yields a store as `prepare` does, and removes it in the end, unless another process has it by
    this function.
    """
    with ExitStack() as stack:
        while True:
            store = prepare(card, home, raw, progress, before)
            manifest = store.path / "manifest.json"
            with suppress(FileNotFoundError):  # another process removed it just now
                # NFS wants a file that is open for writing; a store of another user is not writable
                opened = stack.enter_context(
                    manifest.open("r+" if os.access(manifest, os.W_OK) else "r")
                )
                fcntl.flock(opened, fcntl.LOCK_SH)
                if os.path.samestat(os.fstat(opened.fileno()), manifest.stat()):
                    break
        try:
            yield store
        finally:
            with suppress(
                OSError, UserError
            ):  # another process has it and removes it, or it is another user's
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with scratch_folder(store.path) as gone:  # at once: nobody shall find a part of it
                    store.path.rename(gone / "store")


def rows_of(
    card: Card, home: Path, raw: Path | None, progress: Progress
) -> Iterator[AssembledRows]:
    """The rows of a card part by part, labelled and assigned to splits; no store is made.

    Raises UserError as `prepare` does; of too many bad rows, after the last part.
    """
    paths = fetch(card, home, progress) if raw is None else at_hand(card, home, raw, progress)
    assembler = Assembler(card, read_sides(card, paths, progress))
    for part in read(card, paths, progress):
        yield assembler.take(part)
    assembler.check()


def check_data(
    card: Card, home: Path, raw: Path | None = None, progress: Progress | None = None
) -> None:
    """Raises UserError, before anything is written, if `prepare` cannot have the files; says what
    to put where.

    `progress` is of fetching what is not at hand; None fetches and reads nothing.
    """
    if raw is not None:
        in_raw(card, raw)
    elif _prepared_before(card, home / "store" / card.key) is None:
        check_source(card, home)
        if progress is not None:
            fetch(card, home, progress)


def _prepared_before(card: Card, shelf: Path) -> Store | None:
    """The newest store of this very recipe whose files are the pinned ones, for files that are no
    longer at hand.
    """
    pins = {file.name: file.sha256 for file in card.files}
    wanted, fitting = recipe(card), []
    for path in shelf.glob("*/manifest.json"):
        store = Store.open(path.parent)
        pinned = all(
            pins.get(file["name"]) in (None, file["sha256"]) for file in store.manifest["files"]
        )
        if store.manifest["recipe"] == wanted and pinned:
            fitting.append((path.stat().st_mtime, store))
    if not fitting:
        return None
    newest = max(fitting, key=itemgetter(0))[1]
    newest.check()
    return newest


def encode_stream(
    card: Card, paths: Paths, folder: Path, progress: Progress, before: Before | None = None
) -> dict[str, Any]:
    """Reads, fits and writes encoder and splits into `folder`; returns what the manifest says of
    them.

    Raises UserError for a file that does not fit its card, too many bad rows, or a split that lacks
    rows or a class.
    """
    pa.set_memory_pool(
        pa.system_memory_pool()
    )  # Arrow's own keeps more of what parts leave, and is slower at it
    taken = take_rows(card, paths, folder, progress, before)
    check_rows(card, taken, progress)
    pasts = take_pasts(card, taken, progress)
    encoder = taken.fitter.finish(progress)
    encoder.save(folder / "encoder.json")
    schema = schema_of(card, encoder, taken.spills[TRAIN].folder, before)
    encode_rows(card, taken, schema, pasts, progress)
    segment_facts = taken.segments.finish([spill.folder for spill in taken.spills])
    return facts_of(card, taken, schema) | segment_facts | optional_facts(card, folder)


@dataclass(frozen=True)
class Taken:
    """What comes of reading raw rows: on disk what is encoded later, in memory what was counted of
    them.

    Attributes:
        spills: by split.
    """

    card: Card
    before: Before | None
    fitter: EncoderFitter
    assembler: Assembler
    segments: Segments
    items: Items
    spills: Sequence[Spill]

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
        arrays = arrays_of(self.card, rows) | inputs._asdict()
        arrays |= self.segments.take(rows.table, fitted) | self.items.take(rows.table)
        for number, spill in enumerate(self.spills):
            spill.append(arrays, rows.split == number)

    def new_values_count(self, file: str) -> bool:
        """Whether values that first come in a file may count: where it or a later one may hold rows
        of train.

        Histories and an earlier encoder tell more values apart.
        """
        if self.card.history is not None or self.before is not None:
            return True
        order = self.card.row_files.index
        files = (
            self.card.split.train if isinstance(self.card.split, FileSplit) else self.card.row_files
        )
        return order(file) <= max(map(order, files))


def take_rows(
    card: Card, paths: Paths, folder: Path, progress: Progress, before: Before | None
) -> Taken:
    """Reads all raw rows once, part by part; they wait in a folder for each split until they are
    encoded.
    """
    fitter = EncoderFitter(card, before.encoder if before else None)
    assembler = Assembler(card, read_sides(card, paths, progress))
    segments, items = Segments(card.segment_rules, card.missing), Items(card)
    with ExitStack() as stack:
        spills = [Spill(folder / name, card, stack) for name in SPLITS]
        taken = Taken(card, before, fitter, assembler, segments, items, spills)
        for part in read(card, paths, progress, folder):
            taken.take(part)
    return taken


def check_rows(card: Card, taken: Taken, progress: Progress) -> None:
    """Raises UserError for too many bad rows, or a split that lacks rows or a class; notes what was
    left out.
    """
    taken.assembler.check()
    for spill, name in zip(taken.spills, SPLITS, strict=True):
        spill.counts.check(name, taken.assembler.empty_reason())
    taken.assembler.note(progress)


def take_pasts(card: Card, taken: Taken, progress: Progress) -> Pasts | None:
    """Computes the history of all rows, on disk, and fits on that of train; None where the card has
    none.
    """
    if card.history is None:
        return None
    tasks = [rule.name for rule in card.task_rules]
    actions = [tasks.index(name) for name in card.history.actions]
    pasts = Pasts(card.history, [spill.folder for spill in taken.spills], progress)
    pasts.compute(taken.fitter.columns_of(card.history.inputs), actions)
    for past in pasts.parts(TRAIN, CHUNK):
        taken.fitter.take_past(past.numbers)
    return pasts


def schema_of(card: Card, encoder: Encoder, train: Path, before: Before | None) -> Schema:
    """The inputs and tasks of a store, with the scale of labels in the folder of train's rows."""
    labels, weights = mapped(train / "labels.npy"), None
    if (train / "weights.npy").is_file():
        weights = mapped(train / "weights.npy")
    tasks = []
    scaled = scaled_tasks(card.task_rules, labels, card.key, weights)
    for rule, scaled_task, task in zip(card.task_rules, scaled, card.tasks, strict=True):
        cap = encoder.cap_of(card.input_of(Numeric, rule.censored), rule.unit)
        finished = replace(scaled_task, duration=task.duration, cap=cap)
        tasks.append(before.scaled(finished) if before else finished)
    group, scenario = (
        card.input_of(Categorical, card.group),
        card.input_of(Categorical, card.scenario),
    )
    return encoder.schema_of(tuple(tasks), group, card.group is not None, scenario)


def encode_rows(
    card: Card, taken: Taken, schema: Schema, pasts: Pasts | None, progress: Progress
) -> None:
    """Turns what was kept of the rows into inputs, chunk by chunk; removes what was kept for this
    alone.
    """
    packing, total = Packing.of(schema), sum(spill.counts.rows for spill in taken.spills)
    with progress.task(f"encoding {card.key}", total, "rows") as advance:
        for split, spill in enumerate(taken.spills):
            with (
                ArrayWriter(spill.folder / "ids.npy", np.uint16, (packing.words,)) as ids_file,
                ArrayWriter(
                    spill.folder / "dense.npy", np.float32, (len(schema.dense),)
                ) as dense_file,
            ):
                for start, rows in chunks_with_past(spill, split, pasts):
                    ids, dense = taken.fitter.encode(rows, start if split == TRAIN else None)
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
    for (start, rows), past in zip(spill.chunks(), pasts.parts(split, CHUNK), strict=False):
        codes = np.hstack([rows.codes, past.lists.reshape(len(past.lists), -1)])
        yield start, Provisional(codes, np.hstack([rows.numbers, past.numbers]))


def facts_of(card: Card, taken: Taken, schema: Schema) -> dict[str, Any]:
    """What every manifest says of splits and schema."""
    counts = {name: spill.counts for name, spill in zip(SPLITS, taken.spills, strict=True)}
    return {
        "duplicates_dropped": taken.assembler.duplicates,
        "outside_splits": taken.assembler.outside,
        **taken.assembler.rejects.facts(),
        "splits": {
            name: {"rows": of_split.rows, "tasks": of_split.facts()}
            for name, of_split in counts.items()
        },
        "schema": asdict(schema),
        "default_tasks": list(card.default_tasks),
    }


def optional_facts(card: Card, folder: Path) -> dict[str, Any]:
    """What a manifest says only where the card has it."""
    facts: dict[str, Any] = {}
    if card.beside:
        facts["logged"] = list(card.beside)
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
    from bench.data.reachable import (
        reachable_in,
    )  # brings scipy.stats, half a second that real data does not need

    best: dict[str, float] = {}
    for name in SPLITS:
        best |= reachable_in(folder / name, card.task_rules, name)
    return best
