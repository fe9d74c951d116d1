"""The whole way: raw files -> encoder -> store. Doing it twice does it once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import plugins
from bench.atomic import atomic_folder, write_text
from bench.data.abandoned import remove_abandoned
from bench.data.assemble import Assembler, Rows
from bench.data.card import Card
from bench.data.digests import Digest
from bench.data.fetch import at_hand, check_source, digest, fetch, in_raw, raw_folder
from bench.data.reader_config import SyntheticReader
from bench.data.readers import read, read_sides
from bench.data.readers.raw import unpacked_name
from bench.data.rejects import Rejects
from bench.data.sources import is_pattern
from bench.data.store import Store
from bench.data.streaming import encode_stream
from bench.data.synthetic import GENERATORS
from bench.machine import peak_memory_mb, reset_peak_memory
from bench.progress import Progress, Silent

CODE_VERSION = 7
"""Raised whenever the same card and files give another store."""
_PROSE = {"title", "licence", "citation", "homepage", "sources", "files"}
_BESIDE = ("segments", "logged")


def recipe(card: Card) -> str:
    """Digest of everything but the files that decides what is in a store."""
    values: dict[str, Any] = card.model_dump(mode="json", by_alias=True, exclude=_PROSE)
    for key in _BESIDE:
        if not values[key]:  # a store without them is the one that it would be if cards had no such keys
            del values[key]
    values["code"] = CODE_VERSION
    if isinstance(card.reader, SyntheticReader):
        values["generator"] = GENERATORS[card.reader.generator].version
    values |= plugins.needs([("reader.kind", card.reader.kind)])
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def fingerprint(card: Card, digests: dict[str, Digest]) -> str:
    """Digest of recipe and files: equal fingerprints mean equal arrays."""
    files = [[name, found.sha256, found.size] for name, found in digests.items()]
    return hashlib.sha256(json.dumps([recipe(card), files]).encode()).hexdigest()[:16]


def prepare(card: Card, home: Path, raw: Path | None = None, progress: Progress | None = None) -> Store:
    """The store of a card, made where there is none yet.

    Args:
        home: stores and fetched files lie here.
        raw: a folder with the card's files; nothing is fetched then.

    Raises:
        UserError: a file is missing or broken, a label is bad, a split is empty; the disk is full.
            Nothing is left half-written.
    """
    progress = progress or Silent()
    started = time.monotonic()
    shelf, fetched = home / "store" / card.key, raw_folder(card, home)
    for place in (shelf, home / "raw", fetched, fetched / "downloads"):
        remove_abandoned(place)
    reset_peak_memory()
    if not isinstance(card.reader, SyntheticReader):
        paths = at_hand(card, home, raw, progress)
        if len(paths) < len(card.files):
            if (earlier := _prepared_before(card, shelf)) is not None:
                return earlier
            paths = fetch(card, home, progress)
        paths = {file.name: paths[file.name] for file in card.files}
    else:
        paths = {}
    # A pattern stands for several files: each is listed under its own name.
    digests = {
        unpacked_name(path.name) if is_pattern(name) else name: digest(path, home, progress)
        for name, files in paths.items()
        for path in files
    }
    mark = fingerprint(card, digests)
    target = shelf / mark
    if (target / "manifest.json").is_file():
        return Store.open(target)

    rejects = _rejects(card)
    with atomic_folder(target) as folder:
        manifest: dict[str, Any] = {
            "key": card.key,
            "id": card.id,
            "title": card.title,
            "fingerprint": mark,
            "recipe": recipe(card),
        }
        manifest["files"] = [
            {"name": name, "sha256": found.sha256, "size": found.size} for name, found in digests.items()
        ]
        manifest |= encode_stream(card, paths, folder, progress, rejects)
        manifest["seconds"] = round(time.monotonic() - started, 3)
        manifest["peak_memory_mb"] = round(peak_memory_mb(), 1)
        write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return Store.open(target)


def rows_of(card: Card, home: Path, raw: Path | None, progress: Progress) -> Iterator[Rows]:
    """The rows of a card part by part, labelled and assigned to splits; no store is made.

    Raises:
        UserError: as `prepare`; of too many bad rows, after the last part.
    """
    paths: dict[str, Any] = {}
    if not isinstance(card.reader, SyntheticReader):
        found = at_hand(card, home, raw, progress)
        found = found if len(found) == len(card.files) else fetch(card, home, progress)
        paths = {file.name: found[file.name] for file in card.files}
    rejects = _rejects(card)
    assembler = Assembler(card, read_sides(card, paths, progress), rejects)
    for part in read(card, paths, progress):
        yield assembler.take(part)
    rejects.check(card.key, assembler.rows + assembler.duplicates)


def _rejects(card: Card) -> Rejects:
    if isinstance(card.reader, SyntheticReader):
        return Rejects()
    return Rejects(card.reader.on_bad_row == "drop", card.reader.bad_row_limit)


def check_data(card: Card, home: Path, raw: Path | None = None, progress: Progress | None = None) -> None:
    """Check that `prepare` can have the card's files, before anything else is written.

    Args:
        progress: of fetching what is not at hand; None fetches and reads nothing.

    Raises:
        UserError: a file is neither at hand nor to be had; says what to put where.
    """
    if isinstance(card.reader, SyntheticReader):
        return
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
        manifest = json.loads(path.read_text(encoding="utf-8"))
        pinned = all(pins.get(file["name"]) in (None, file["sha256"]) for file in manifest["files"])
        if manifest["recipe"] == wanted and pinned:
            fitting.append(path)
    return Store.open(max(fitting, key=lambda path: path.stat().st_mtime).parent) if fitting else None
