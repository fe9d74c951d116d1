"""`seesaw datasets` and `seesaw prepare`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bench.cli.options import Home, Json, Raw
from bench.cli.output import TerminalProgress, print_json, print_table, say
from bench.errors import UserError
from bench.progress import duration


def datasets(
    dataset: Annotated[str | None, typer.Argument(help="A name or a card's path: show that card.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of cards, for editors.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Free the stores of this data set.")] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """List the data sets, or explain one card."""
    from bench import content
    from bench.data import describe, load_card, prepared
    from bench.data.listing import card_schema, remove_stores
    from bench.home import resolve_home

    if schema:
        print_json(card_schema())
        return
    if remove:
        if dataset is None:
            raise UserError("--remove: expected a data set's name or a card's path, found none")
        freed = remove_stores(resolve_home(home), load_card(dataset).key)
        if json:
            print_json({"removed": freed})
            return
        for store in freed:
            say(f"removed {store['path']}, {store['size_mb']:,.1f} MB")
        if not freed:
            say(f"nothing to remove: {dataset} is not prepared")
        return
    if dataset is not None:
        card = describe(load_card(dataset))
        print_json(card) if json else _show(card)
        return
    stores = prepared(resolve_home(home))
    cards = [describe(load_card(name)) for name in content.names("datasets")]
    if json:
        print_json({"datasets": cards, "prepared": stores})
        return
    sizes: dict[str, float] = {}
    for store in stores:
        sizes[store["key"]] = sizes.get(store["key"], 0.0) + store["size_mb"]
    rows = []
    for card in cards:
        for name in [card["id"], *(f"{card['id']}@{variant}" for variant in card["variants"])]:
            tasks = ", ".join(task["name"] for task in card["tasks"])
            rows.append([name, card["title"], tasks, _size(sizes.pop(name, None))])
    rows += [[name, "-", "-", _size(size)] for name, size in sizes.items()]
    print_table(["data set", "title", "tasks", "prepared"], rows)


def _size(megabytes: float | None) -> str:
    return "no" if megabytes is None else f"{megabytes:,.1f} MB"


def prepare_command(
    dataset: Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")],
    raw: Raw = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Fetch and encode a data set; show its rows, positives and rates."""
    from bench.data import load_card, prepare
    from bench.home import writable_home

    store = prepare(load_card(dataset), writable_home(home), raw, TerminalProgress())
    if json:
        print_json({"path": str(store.path)} | store.manifest)
        return
    print_splits(store)
    say(f"store: {store.path}", whole=True)


def print_splits(store: Any) -> None:
    """A store's rows and positives by split, and what preparing it took."""
    manifest = store.manifest
    rows = []
    for split, facts in manifest["splits"].items():
        for task, of_task in facts["tasks"].items():
            rows.append([split, facts["rows"], task, of_task.get("positives"), of_task.get("rate")])
    print_table(["split", "rows", "task", "positives", "rate"], rows, store.key)
    say(f"prepared in {duration(manifest['seconds'])}, peak memory {manifest['peak_memory_mb']:,.0f} MB")


def _show(card: dict[str, Any]) -> None:
    say(f"{card['id']}: {card['title']}")
    for key in ("licence", "citation", "homepage"):
        if card.get(key):
            say(f"{key}: {card[key]}")
    print_table(
        ["task", "kind", "parent", "trained by default"],
        [[t["name"], t["kind"], t["parent"] or "-", "no" if t.get("optional") else "yes"] for t in card["tasks"]],
    )
    print_table(
        ["input", "kind", "options"],
        [
            [name, column["kind"], _pairs({key: value for key, value in column.items() if key != "kind"})]
            for name, column in card["columns"].items()
        ],
    )
    for sentence in card["explained"]:
        say(f"- {sentence}")
    for source in card["sources"]:
        say(f"source: {source['from']}")
    if card["variants"]:
        say(f"variants: {', '.join(card['id'] + '@' + variant for variant in card['variants'])}")


def _pairs(values: dict[str, Any]) -> str:
    """Options in a line: `valid 0.1, test 0.2`."""
    return ", ".join(f"{key} {_pairs(value) if isinstance(value, dict) else value}" for key, value in values.items())
