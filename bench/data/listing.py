"""Cards and stores as plain values, for listings, and a card in sentences."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import Any

from bench.core.errors import UserError
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.sources import SyntheticReader
from bench.data.splits import HashSplit
from bench.data.store import Store

_OTHERWISE = {"reader", "folder", "sources", "columns", "task_rules", "split", "segments"}


def describe(card: Card) -> dict[str, Any]:
    """The content of a card, for display."""
    columns = {
        name: column.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        | {"kind": column.kind}
        for name, column in card.columns.items()
    }
    shown = {"name", "kind", "positive", "parent", "optional"}
    tasks = [
        {"columns": list(rule.sources)}
        | rule.model_dump(mode="json", include=shown)
        | rule.model_dump(mode="json", exclude={"column", "columns"}, exclude_defaults=True)
        for rule in card.task_rules
    ]
    return card.model_dump(mode="json", exclude=_OTHERWISE) | {
        "key": card.key,
        "variants": list(card.origin.variants),
        "reader": card.reader.kind,
        "parameters": card.reader.parameters if isinstance(card.reader, SyntheticReader) else {},
        "needs_network": not isinstance(card.reader, SyntheticReader),
        "sources": [
            {"kind": source.kind, "from": source.label, "sha256": source.sha256}
            for source in card.sources
        ],
        "columns": columns,
        "tasks": tasks,
        "default_tasks": list(card.default_tasks),
        "split": card.split.model_dump(mode="json", exclude_none=True),
        "segments": {
            name: rule.model_dump(mode="json", exclude_defaults=True)
            for name, rule in card.segments.items()
        },
        "explained": [*explain(card)],
    }


def prepared(home: Path, progress: Progress | None = None) -> list[dict[str, Any]]:
    """The stores under a home, by key: path, fingerprint, rows, default tasks, size on disk;
    without damaged ones.
    """
    stores = []
    for path in _stores(home):
        try:
            store = Store.open(path)
            store.check()
        except UserError as error:
            if progress is not None:
                progress.note(f"left out: {error}")
            continue
        facts = {key: store.manifest[key] for key in ("key", "id", "fingerprint", "default_tasks")}
        rows = {name: split["rows"] for name, split in store.manifest["splits"].items()}
        stores.append(facts | {"path": str(path), "rows": rows, "size_mb": _megabytes(path)})
    return stores


def _stores(home: Path, key: str = "*") -> list[Path]:
    """The folders of stores, damaged ones too, in order; what is being written has a name that
    begins with a dot.
    """
    folders = (home / "store").glob(f"{key}/*/")
    return sorted(path for path in folders if path.is_dir() and not path.name.startswith("."))


def prepared_keys(home: Path) -> set[str]:
    """Keys of all stores under a home, damaged ones too."""
    return {path.parent.name for path in _stores(home)}


def _megabytes(folder: Path) -> float:
    return round(
        sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20, 1
    )


def remove_stores(home: Path, key: str) -> list[dict[str, Any]]:
    """Removes the stores of that key under a home, damaged ones too; returns key, path and size of
    each.

    Fetched files stay.
    """
    shelf = home / "store" / key
    freed: list[dict[str, Any]] = [
        {"key": key, "path": str(path), "size_mb": _megabytes(path)}
        for path in _stores(home, escape(key))
    ]
    for store in freed:
        shutil.rmtree(store["path"])
    if shelf.is_dir() and not any(shelf.iterdir()):
        shelf.rmdir()
    return freed


def explain(card: Card) -> Iterator[str]:
    """Sentences on what follows from a card's keys, where these do not say it themselves."""
    for join in card.reader.joins:
        yield (
            f"{join.file} is looked up by '{join.on}' for each row; rows without a partner get "
            "missing values."
        )
    if card.reader.drop_duplicates:
        yield "Of rows that are equal in every column, the first is kept."
    column = card.together or (card.split.column if isinstance(card.split, HashSplit) else None)
    units = f"values of '{column}'" if column else "rows"
    yield f"Half of valid's {units} become confirm: rows that the search does not see."
    if card.units and not card.split_by_group:
        yield (
            f"Rows of one '{card.units}' may be in train, valid and test, since the split does "
            "not go by it."
        )
