"""Cards and stores as plain values, for listings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bench.data.card import Card
from bench.data.explain import explain
from bench.data.reader_config import SyntheticReader


def describe(card: Card) -> dict[str, Any]:
    """What there is to show of a card."""
    columns = {
        name: column.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"kind": column.kind}
        for name, column in card.columns.items()
    }
    tasks = [
        {
            "name": rule.name,
            "kind": rule.kind,
            "columns": list(rule.sources),
            "positive": list(rule.positive),
            "parent": rule.parent,
            "optional": rule.optional,
        }
        for rule in card.task_rules
    ]
    generated = isinstance(card.reader, SyntheticReader)
    return {
        "id": card.id,
        "key": card.key,
        "title": card.title,
        "licence": card.licence,
        "citation": card.citation,
        "homepage": card.homepage,
        "variants": list(card.origin.variants),
        "reader": card.reader.kind,
        "parameters": card.reader.parameters if isinstance(card.reader, SyntheticReader) else {},
        "needs_network": not generated,
        "files": [file.model_dump(mode="json") for file in card.files],
        "sources": [{"kind": source.kind, "from": source.label, "sha256": source.sha256} for source in card.sources],
        "columns": columns,
        "tasks": tasks,
        "default_tasks": list(card.default_tasks),
        "split": card.split.model_dump(mode="json", exclude_none=True),
        "group": card.group,
        "time": card.time,
        "post_exposure": list(card.post_exposure),
        "segments": {name: rule.model_dump(mode="json", exclude_defaults=True) for name, rule in card.segments.items()},
        "logged": list(card.logged),
        "target_rates": list(card.encoding.target_rates),
        "encoding": card.encoding.model_dump(mode="json"),
        "explained": explain(card),
    }


def card_schema() -> dict[str, Any]:
    """The JSON schema of a card's file, for editors: of `Card`, and of the short forms that reading it allows."""
    schema: dict[str, Any] = Card.model_json_schema(by_alias=True)
    kinds = ["categorical", "numeric", "multi-valued"]
    schema["required"].remove("columns")  # a generator may name them
    columns = schema["properties"]["columns"]
    columns["additionalProperties"] = {"anyOf": [{"enum": kinds}, columns["additionalProperties"]]}
    plain = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
    for model, keys in {"TaskRule": ("positive", "negative"), "ColumnSplit": ("train", "valid", "test")}.items():
        for key in keys:
            schema["$defs"][model]["properties"][key] |= plain
    variant = {"type": "object", "properties": dict(schema["properties"]), "additionalProperties": False}
    schema["properties"]["variants"] = {
        "type": "object",
        "additionalProperties": variant,
        "description": "Other values of top-level keys, under a name that is written after an @.",
    }
    return schema


def prepared(home: Path) -> list[dict[str, Any]]:
    """The stores under a home, by key: path, fingerprint, rows, default tasks, size on disk."""
    stores = []
    for path in sorted(home.glob("store/*/*/manifest.json")):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        stores.append(
            {
                "key": manifest["key"],
                "id": manifest["id"],
                "fingerprint": manifest["fingerprint"],
                "path": str(path.parent),
                "rows": {name: split["rows"] for name, split in manifest["splits"].items()},
                "default_tasks": manifest["default_tasks"],
                "size_mb": round(sum(f.stat().st_size for f in path.parent.rglob("*") if f.is_file()) / 2**20, 1),
            }
        )
    return stores


def remove_stores(home: Path, key: str) -> list[dict[str, Any]]:
    """Removes the stores of that key under a home, and returns what they were; fetched files stay."""
    shelf = home / "store" / key
    freed = [store for store in prepared(home) if Path(store["path"]).parent == shelf]
    for store in freed:
        shutil.rmtree(store["path"])
    if shelf.is_dir() and not any(shelf.iterdir()):
        shelf.rmdir()
    return freed
