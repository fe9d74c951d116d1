"""The whole way: raw files -> encoder -> store. Doing it twice does it once.

Raw files are read once: values become provisional codes while they are counted; when all of train has been seen the
encoder is fixed, and the codes on disk are turned into embedding rows. What is held: the distinct values of categorical
and multi-valued inputs and of segments, the side tables, and a few parts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.core import plugins
from bench.core.errors import UserError
from bench.core.schema import Schema, Task
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
from bench.data.readers.blocks import unpacked_name
from bench.data.segments import Segments
from bench.data.sources import SyntheticReader, is_pattern
from bench.data.spill import CHUNK, Spill, arrays_of
from bench.data.splits import SPLITS, TRAIN, VALID, FileSplit
from bench.data.store import Store
from bench.data.tasks import scaled_tasks
from bench.data.weights import weight_facts
from bench.system.atomic import atomic_folder, remove_abandoned, scratch_folder, write_text
from bench.system.machine import peak_memory_mb, reset_peak_memory
from bench.system.mapped import mapped
from bench.system.progress import Progress, Silent

CODE_VERSION = 11
"""Raised whenever the same card and files give another store."""
_PROSE = {"title", "licence", "citation", "homepage", "sources", "files", "folder"}
_BESIDE = ("scenario", "segments", "items", "item_numbers", "logged", "random", "propensity", "weight", "sampling",
           "units", "as_of")  # fmt: skip


def recipe(card: Card) -> str:
    """Digest of everything but the files that decides what is in a store."""
    values: dict[str, Any] = card.model_dump(mode="json", by_alias=True, exclude=_PROSE)
    for key in _BESIDE:
        if not values[key]:  # a store without them is the one that it would be if cards had no such keys
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
    files = [[name, found.sha256, found.size] for name, found in digests.items()]
    parts = [recipe(card), files, *([before.digest] if before else [])]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Before:
    """How the rows of an earlier model are encoded, which goes on with new ones."""

    encoder: Encoder
    schema: Schema

    @property
    def digest(self) -> str:
        """Of all of it."""
        return hashlib.sha256(f"{self.encoder.model_dump_json()} {self.schema}".encode()).hexdigest()

    def scaled(self, task: Task) -> Task:
        """A task with the scale of its labels as it was."""
        own = next((each for each in self.schema.tasks if each.name == task.name), task)
        return replace(task, scale=own.scale, cap=own.cap)


def prepare(
    card: Card,
    home: Path,
    raw: Path | None = None,
    progress: Progress | None = None,
    before: Before | None = None,
) -> Store:
    """The store of a card, made where there is none yet.

    Raises UserError if a file is missing or broken, a label is bad, a split is empty, or the disk is full. Nothing is
    left half-written.

    Args:
        home: stores and fetched files lie here.
        raw: a folder with the card's files; nothing is fetched then.
        before: encodes as an earlier model does, and adds only values that it does not know, of train and valid.
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
            "files": [{"name": name, "sha256": found.sha256, "size": found.size} for name, found in digests.items()],
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
    """Yields a store as `prepare` does, and removes it in the end, unless another process has it by this function."""
    with ExitStack() as stack:
        while True:
            store = prepare(card, home, raw, progress, before)
            manifest = store.path / "manifest.json"
            with suppress(FileNotFoundError):  # another process removed it just now
                # NFS wants a file that is open for writing; a store of another user is not writable
                held = stack.enter_context(manifest.open("r+" if os.access(manifest, os.W_OK) else "r"))
                fcntl.flock(held, fcntl.LOCK_SH)
                if os.path.samestat(os.fstat(held.fileno()), manifest.stat()):
                    break
        try:
            yield store
        finally:
            with suppress(OSError, UserError):  # another process has it and removes it, or it is another user's
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with scratch_folder(store.path) as gone:  # at once: nobody shall find a part of it
                    store.path.rename(gone / "store")


def rows_of(card: Card, home: Path, raw: Path | None, progress: Progress) -> Iterator[AssembledRows]:
    """The rows of a card part by part, labelled and assigned to splits; no store is made.

    Raises UserError as `prepare` does; of too many bad rows, after the last part.
    """
    paths = fetch(card, home, progress) if raw is None else at_hand(card, home, raw, progress)
    assembler = Assembler(card, read_sides(card, paths, progress))
    for part in read(card, paths, progress):
        yield assembler.take(part)
    assembler.check()


def check_data(card: Card, home: Path, raw: Path | None = None, progress: Progress | None = None) -> None:
    """Raises UserError, before anything is written, if `prepare` cannot have the files; says what to put where.

    `progress` is of fetching what is not at hand; None fetches and reads nothing.
    """
    if raw is not None:
        in_raw(card, raw)
    elif _prepared_before(card, home / "store" / card.key) is None:
        check_source(card, home)
        if progress is not None:
            fetch(card, home, progress)


def _prepared_before(card: Card, shelf: Path) -> Store | None:
    """The newest store of this very recipe whose files are the pinned ones, for files that are no longer at hand."""
    pins = {file.name: file.sha256 for file in card.files}
    wanted, fitting = recipe(card), []
    for path in shelf.glob("*/manifest.json"):
        store = Store.open(path.parent)
        pinned = all(pins.get(file["name"]) in (None, file["sha256"]) for file in store.manifest["files"])
        if store.manifest["recipe"] == wanted and pinned:
            fitting.append((path.stat().st_mtime, store))
    if not fitting:
        return None
    newest = max(fitting, key=lambda each: each[0])[1]
    newest.check()
    return newest


def encode_stream(
    card: Card, paths: Paths, folder: Path, progress: Progress, before: Before | None = None
) -> dict[str, Any]:
    """Reads, fits and writes encoder and splits into `folder`; returns what the manifest says of them.

    Raises UserError for a file that does not fit its card, too many bad rows, or a split that lacks rows or a class.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps more of what parts leave, and is slower at it
    fitter = EncoderFitter(card, before.encoder if before else None)
    assembler = Assembler(card, read_sides(card, paths, progress))
    files = card.split.train if isinstance(card.split, FileSplit) else card.row_files
    last = max(map(card.row_files.index, files))  # of the files that may hold rows of train
    every = card.history is not None or before is not None  # histories and an earlier encoder tell more values apart
    segments, items = Segments(card.segment_rules, card.missing), Items(card)
    with ExitStack() as stack:
        spills = [Spill(folder / name, card, stack) for name in SPLITS]
        for part in read(card, paths, progress, folder):
            rows = assembler.take(part)
            assembler.check_post_exposure(part)
            if len(rows.split):  # work for each column, though there are no rows
                grow = every or card.row_files.index(part.file) <= last
                train = (rows.split >= TRAIN) & (rows.split <= (VALID if before else TRAIN))
                kept = fitter.take(rows.table, train, rows.labels, grow, rows.split == TRAIN)
                arrays = arrays_of(card, rows) | kept._asdict() | segments.take(rows.table, train)
                arrays |= items.take(rows.table)
                for number, spill in enumerate(spills):
                    spill.append(arrays, rows.split == number)
    assembler.check()
    for spill, name in zip(spills, SPLITS, strict=True):
        spill.counts.check(name, assembler.empty_reason())
    assembler.note(progress)

    pasts = None
    if card.history is not None:
        actions = [[rule.name for rule in card.task_rules].index(name) for name in card.history.actions]
        pasts = Pasts(card.history, [spill.folder for spill in spills], progress)
        pasts.compute(fitter.columns_of(card.history.inputs), actions)
        for of_train in pasts.parts(TRAIN, CHUNK):
            fitter.take_past(of_train.numbers)
    encoder = fitter.finish(progress)
    encoder.save(folder / "encoder.json")
    labels = mapped(spills[0].folder / "labels.npy")
    weights = mapped(file) if (file := spills[0].folder / "weights.npy").is_file() else None
    scaled = scaled_tasks(card.task_rules, labels, card.key, weights)
    tasks = tuple(
        replace(task, duration=found.duration, cap=encoder.cap_of(card.input_of(Numeric, rule.censored), rule.unit))
        for rule, task, found in zip(card.task_rules, scaled, card.tasks, strict=True)
    )
    tasks = tuple(map(before.scaled, tasks)) if before else tasks
    group, scenario = (card.input_of(Categorical, raw) for raw in (card.group, card.scenario))
    schema = encoder.schema_of(tasks, group, card.group is not None, scenario)
    packing, total = Packing.of(schema), sum(spill.counts.rows for spill in spills)
    with progress.task(f"encoding {card.key}", total, "rows") as advance:
        for number, spill in enumerate(spills):
            with (
                ArrayWriter(spill.folder / "ids.npy", np.uint16, (packing.words,)) as ids_out,
                ArrayWriter(spill.folder / "dense.npy", np.float32, (len(schema.dense),)) as dense_out,
            ):
                following = pasts.parts(number, CHUNK) if pasts else repeat(None)
                for (start, kept), past in zip(spill.chunks(), following, strict=False):
                    if past is not None:
                        codes = np.hstack([kept.codes, past.lists.reshape(len(past.lists), -1)])
                        kept = Provisional(codes, np.hstack([kept.numbers, past.numbers]))
                    ids, dense = fitter.encode(kept, start if number == TRAIN else None)
                    ids_out.append(packing.packed(ids))
                    dense_out.append(dense)
                    advance(len(ids))
    if pasts:
        pasts.remove()
    best: dict[str, float] = {}
    if any(rule.truth for rule in card.task_rules):
        from bench.data.reachable import reachable_in  # brings scipy.stats, half a second that real data does not need

        for name in SPLITS:
            best |= reachable_in(folder / name, card.task_rules, name)
    return {
        "duplicates_dropped": assembler.duplicates,
        "outside_splits": assembler.outside,
        **assembler.rejects.facts(),
        "splits": {
            name: {"rows": spill.counts.rows, "tasks": spill.counts.facts()}
            for name, spill in zip(SPLITS, spills, strict=True)
        },
        "schema": asdict(schema),
        "default_tasks": list(card.default_tasks),
        **segments.finish([spill.folder for spill in spills]),
        **({"logged": list(card.beside)} if card.beside else {}),
        **({"exposure": card.exposure} if card.exposure else {}),
        **({"items": card.item_kinds} if card.item_kinds else {}),
        **weight_facts(card.weight, card.sampling),
        **({"units": True} if card.units else {}),
        **({"reachable": best} if best else {}),
    }
