"""From a card and its raw files to a store. A store that is there already is used again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from operator import itemgetter
from pathlib import Path, PurePath
from typing import Any

from bench.core import plugins
from bench.core.errors import UserError
from bench.core.system.atomic import atomic_folder, remove_abandoned, scratch_folder, write_text
from bench.core.system.data_files import Key, names_below, partitions
from bench.core.system.machine import peak_memory_mb, reset_peak_memory
from bench.core.system.progress import Progress, Silent
from bench.data.assemble import AssembledRows, Assembler
from bench.data.card import Card
from bench.data.fetch import Digest, at_hand, check_source, digest, fetch, in_raw, raw_folder
from bench.data.readers import Paths, read, read_sides
from bench.data.readers.blocks import unpacked_name
from bench.data.sources import SyntheticReader
from bench.data.splits import CutSplit, Time, TimeSplit, time_key
from bench.data.store import Store
from bench.data.two_passes import Before, encode_files

Digests = list[tuple[str, Digest]]
"""Of files, by their names on the card or below its folder."""
CODE_VERSION = 11
"""Raised whenever the same card and files give another store."""
_PROSE = {"title", "licence", "citation", "homepage", "sources", "files", "folder", "keys"}
_OPTIONAL_KEYS = (
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
_OPTIONAL_TASK_KEYS = ("where", "matures")


def recipe(card: Card) -> str:
    """Digest of everything but the files that decides what is in a store."""
    values: dict[str, Any] = card.model_dump(mode="json", by_alias=True, exclude=_PROSE)

    # Empty keys are left out: stores of cards without them stay valid when cards get a new key.
    _drop_empty(values, _OPTIONAL_KEYS)
    for task in values["tasks"]:
        _drop_empty(task, _OPTIONAL_TASK_KEYS)

    values["code"] = CODE_VERSION
    if card.textual_time:  # earlier code compared these times by character
        values["times"] = "in UTC"
    if isinstance(card.reader, SyntheticReader):
        from bench.data.synthetic import GENERATORS  # brings scipy.special

        values["generator"] = GENERATORS[card.reader.generator].version
    values |= plugins.needs([("reader.kind", card.reader.kind)])
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _drop_empty(values: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        if not values[key]:
            del values[key]


def fingerprint(card: Card, digests: Digests, before: Before | None = None) -> str:
    """Digest of recipe and files: equal fingerprints mean equal arrays."""
    files = [[name, file.sha256, file.size] for name, file in digests]
    parts: list[Any] = [recipe(card), files]
    if before:
        parts.append(before.digest)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


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
    shelf = home / "store" / card.key
    fetched = raw_folder(card, home)
    for folder in (shelf, home / "raw", fetched, fetched / "downloads"):
        remove_abandoned(folder)
    reset_peak_memory()

    paths = at_hand(card, home, raw, progress)
    if len(paths) < len(card.files):
        earlier = _prepared_before(card, shelf)
        if earlier is not None:
            return earlier
        paths = fetch(card, home, progress)
    wanted = _without_later({file.name: paths[file.name] for file in card.files}, card)

    digests = _digests(wanted, home, progress)
    store_fingerprint = fingerprint(card, digests, before)
    target = shelf / store_fingerprint
    if (target / "manifest.json").is_file():
        store = Store.open(target)
        store.check()
        return store

    files = [{"name": name, "sha256": file.sha256, "size": file.size} for name, file in digests]
    with atomic_folder(target) as folder:
        manifest: dict[str, Any] = {
            "key": card.key,
            "id": card.id,
            "title": card.title,
            "fingerprint": store_fingerprint,
            "recipe": recipe(card),
            "files": files,
        }
        manifest |= encode_files(card, wanted, folder, progress, before)
        if _digests(wanted, home, progress) != digests:
            raise UserError(f"{card.key}: its files changed while they were read")
        manifest["seconds"] = round(time.monotonic() - started, 3)
        manifest["peak_memory_mb"] = round(peak_memory_mb(), 1)
        write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return Store.open(target)


def _without_later(paths: Paths, card: Card) -> Paths:
    """Without the last files of rows whose partition is a time after all that the split takes."""
    last: Time | None = None
    if isinstance(card.split, TimeSplit):
        last = card.split.test.last
    elif isinstance(card.split, CutSplit):
        last = card.split.last
    if last is None or card.time is None:
        return paths
    name = card.row_files[-1]
    times = [partition.get(card.time) for partition in partitions(paths[name]).values()]
    while len(times) > 1 and _is_after(times[-1], last):
        times.pop()
    return {**paths, name: paths[name][: len(times)]}


def _is_after(time: Key, last: Time) -> bool:
    if isinstance(last, str):
        return time is not None and bool(time_key(str(time)) > time_key(last))
    return isinstance(time, int) and time > last


def _digests(paths: Paths, home: Path, progress: Progress) -> Digests:
    """Digests in order. A pattern or a folder stands for several files: each has its own name
    here.
    """
    digests = []
    for name, files in paths.items():
        for path, key in zip(files, names_below(files)[1], strict=True):
            is_named = unpacked_name(path.name) == unpacked_name(PurePath(name).name)
            label = name if is_named else unpacked_name(key)
            digests.append((label, digest(path, home, progress)))
    return digests


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
                mode = "r+" if os.access(manifest, os.W_OK) else "r"
                opened = stack.enter_context(manifest.open(mode))
                fcntl.flock(opened, fcntl.LOCK_SH)
                if os.path.samestat(os.fstat(opened.fileno()), manifest.stat()):
                    break
        try:
            yield store
        finally:
            # These errors mean that another process uses it, or that it is another user's.
            with suppress(OSError, UserError):
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Moved first: nobody shall find a part of it.
                with scratch_folder(store.path) as scratch:
                    store.path.rename(scratch / "store")


def rows_of(
    card: Card, home: Path, raw: Path | None, progress: Progress
) -> Iterator[AssembledRows]:
    """The rows of a card part by part, labelled and assigned to splits; no store is made.

    Raises UserError as `prepare` does; of too many bad rows, after the last part.
    """
    paths = fetch(card, home, progress) if raw is None else at_hand(card, home, raw, progress)
    wanted = _without_later(paths, card)
    assembler = Assembler(card, read_sides(card, wanted, progress))
    for part in read(card, wanted, progress):
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
    card_recipe = recipe(card)
    fitting = []
    for path in shelf.glob("*/manifest.json"):
        store = Store.open(path.parent)
        files = store.manifest["files"]
        pinned = all(pins.get(file["name"]) in (None, file["sha256"]) for file in files)
        if pinned and store.manifest["recipe"] == card_recipe:
            fitting.append((path.stat().st_mtime, store))
    if not fitting:
        return None

    _, newest = max(fitting, key=itemgetter(0))
    newest.check()
    return newest
