"""The whole way: raw files -> table -> encoder -> store. Doing it twice does it once."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.atomic import atomic_folder, write_text
from bench.data.assemble import Rows, assemble
from bench.data.card import Card
from bench.data.digests import Digest
from bench.data.encoding import Encoder
from bench.data.fetch import at_hand, digest, fetch
from bench.data.reachable import reachable
from bench.data.reader_config import AliCcpReader, SyntheticReader
from bench.data.readers import read
from bench.data.splits import SPLITS
from bench.data.store import Split, Store, schema_to_json, write_split
from bench.data.streaming import encode_stream
from bench.data.synthetic import GENERATORS
from bench.data.values import as_numbers
from bench.machine import peak_memory_mb, reset_peak_memory
from bench.progress import Progress, Silent

CODE_VERSION = 1
"""Raised whenever the same card and files give another store."""
_PROSE = {"title", "licence", "citation", "homepage", "sources", "files"}


def recipe(card: Card) -> str:
    """Digest of everything but the files that decides what is in a store."""
    values: dict[str, Any] = card.model_dump(mode="json", by_alias=True, exclude=_PROSE)
    values["code"] = CODE_VERSION
    if isinstance(card.reader, SyntheticReader):
        values["generator"] = GENERATORS[card.reader.generator].version
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
        UserError: a file is missing or broken, a label is bad, a split is empty; nothing is left half-written.
    """
    progress = progress or Silent()
    started = time.monotonic()
    reset_peak_memory()
    shelf = home / "store" / card.key
    if not isinstance(card.reader, SyntheticReader):
        paths = at_hand(card, home, raw, progress)
        if len(paths) < len(card.files):
            if (earlier := _prepared_before(card, shelf)) is not None:
                return earlier
            paths = fetch(card, home, progress)
        paths = {file.name: paths[file.name] for file in card.files}
    else:
        paths = {}
    digests = {name: digest(path, home, progress) for name, path in paths.items()}
    mark = fingerprint(card, digests)
    target = shelf / mark
    if (target / "manifest.json").is_file():
        return Store.open(target)

    streamed = isinstance(card.reader, AliCcpReader)
    rows = None if streamed else assemble(card, *read(card, paths, progress))
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
        if rows is None:
            manifest |= {"duplicates_dropped": 0} | encode_stream(card, paths, folder, progress)
        else:
            manifest["duplicates_dropped"] = rows.duplicates
            manifest["outside_splits"] = int((rows.split < 0).sum())
            manifest |= _encode(card, rows, folder, progress)
        manifest["seconds"] = round(time.monotonic() - started, 3)
        manifest["peak_memory_mb"] = round(peak_memory_mb(), 1)
        write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")
    return Store.open(target)


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


def _encode(card: Card, rows: Rows, folder: Path, progress: Progress) -> dict[str, Any]:
    """Fits on train, writes encoder and splits, and returns what the manifest says of them."""
    at = {name: np.flatnonzero(rows.split == number) for number, name in enumerate(SPLITS)}
    train, labels = rows.table.take(pa.array(at["train"])), rows.labels[at["train"]]
    encoder = Encoder.fit(card, train, labels)
    encoder.save(folder / "encoder.json")
    counts: dict[str, Any] = {}
    best: dict[str, float] = {}
    with progress.task(f"encoding {card.key}", sum(map(len, at.values())), "rows") as advance:
        for name, where in at.items():
            table, labels = rows.table.take(pa.array(where)), rows.labels[where]
            ids, dense = encoder.encode_train(table, labels) if name == "train" else encoder.encode(table)
            write_split(folder / name, Split(ids, dense, labels, rows.group[where]))
            counts[name] = {"rows": len(where), "tasks": _label_counts(card, labels)}
            truth = {
                rule.name: as_numbers(table[rule.truth], card.missing, rule.truth)
                for rule in card.task_rules
                if rule.truth
            }
            best |= reachable(name, card.task_rules, labels, truth)
            advance(len(where))
    return {
        "splits": counts,
        "schema": schema_to_json(encoder.schema_of(card.tasks)),
        "default_tasks": list(card.default_tasks),
        **({"reachable": best} if best else {}),
    }


def _label_counts(card: Card, labels: Any) -> dict[str, dict[str, float | int]]:
    """For each task: labels observed; positives and their rate, or mean and deviation."""
    counts: dict[str, dict[str, float | int]] = {}
    for index, task in enumerate(card.tasks):
        seen = labels[:, index].astype(np.float64)
        seen = seen[~np.isnan(seen)]
        if task.kind == "binary":
            rate = float(seen.mean()) if len(seen) else 0.0
            counts[task.name] = {"observed": len(seen), "positives": int(seen.sum()), "rate": rate}
        else:
            mean, deviation = (float(seen.mean()), float(seen.std())) if len(seen) else (0.0, 0.0)
            counts[task.name] = {"observed": len(seen), "mean": mean, "deviation": deviation}
    return counts
