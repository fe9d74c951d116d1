"""`seesaw list`: data sets, suites and search spaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.app.cli.options import Home
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError, check_known
from bench.core.plain import flatten
from bench.core.system import content
from bench.core.system.home import resolve_home

SHOWN_OF_CARD = (
    "group",
    "units",
    "time",
    "post_exposure",
    "segments",
    "scenario",
    "items",
    "item_numbers",
    "logged",
    "as_of",
    "random",
    "propensity",
    "weight",
    "sampling",
    "history",
    "encoding",
)
"""Keys of a card that are shown where it has them, in this order."""


LISTS = ("datasets", "suites", "spaces")


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="datasets, suites or spaces; default: all three."),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this one; a name or a path.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Fit spaces to this data set, and show what is left out.")
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """List data sets, suites and search spaces, or show one: `seesaw list spaces quick`."""
    if kind is not None:
        check_known("kind", kind, LISTS)
    if dataset is not None and kind != "spaces":
        raise UserError(f"--dataset: expected 'spaces' before it, found {kind or 'no kind'}")
    if name is None:
        yield from _lists(LISTS if kind is None else (kind,), dataset, resolve_home(home))
    elif kind == "datasets":
        yield from _show_card(name)
    elif kind == "suites":
        yield from _show_suite(name)
    else:
        yield from _show_space(name, dataset)


def _lists(kinds: Collection[str], dataset: str | None, home: Path) -> CommandOutput:
    stores: list[dict[str, Any]] = []
    document: dict[str, Any] = {}
    if "datasets" in kinds:
        from bench.data import describe, load_card, prepared

        stores = prepared(home, TerminalProgress())
        cards = [describe(load_card(name)) for name in content.names("datasets")]
        document |= {"datasets": cards, "prepared": stores}
    if "suites" in kinds:
        document["suites"] = list(map(_suite, content.names("reports")))
    if "spaces" in kinds:
        from bench.search.space import describe_space

        names = content.names("search_spaces")
        document["spaces"] = [describe_space(name, dataset) for name in names]
    yield document
    if "datasets" in kinds:
        _print_cards(document["datasets"], stores)
    if "suites" in kinds:
        _print_suites(document["suites"])
    if "spaces" in kinds:
        _print_spaces(document["spaces"], dataset is not None)


def _print_cards(cards: Sequence[Mapping[str, Any]], stores: Sequence[Mapping[str, Any]]) -> None:
    megabytes: Counter[str] = Counter()
    for store in stores:
        megabytes[store["key"]] += store["size_mb"]
    sizes = {key: f"{size:,.1f} MB" for key, size in megabytes.items()}
    rows = []
    for card in cards:
        tasks = ", ".join(task["name"] for task in card["tasks"])
        for key in [card["id"], *_variants(card)]:
            rows.append([key, card["title"], tasks, sizes.pop(key, "no")])
    for key, size in sizes.items():
        rows.append([key, "-", "-", size])
    print_table(["data set", "title", "tasks", "prepared"], rows)


def _print_suites(suites: Sequence[Mapping[str, Any]]) -> None:
    rows = []
    for suite in suites:
        data = "fetched" if suite["fetched"] else "--raw DIR"
        lengths = f"{suite['lengths']:g}"
        rows.append([suite["name"], suite["title"], suite["space"], lengths, data])
    print_table(["suite", "title", "space", "full lengths", "data"], rows)


def _print_spaces(spaces: Sequence[Mapping[str, Any]], fitted: bool) -> None:
    headers = ["space", "title", "configurations"]
    if fitted:
        headers.append("left out")
    rows = []
    for space in spaces:
        row = [space["name"], space["title"], space["size"]["text"]]
        if fitted:
            row.append(len(space["left_out"]))
        rows.append(row)
    print_table(headers, rows)


def _suite(name: str) -> dict[str, Any]:
    """What a list says of a suite."""
    from bench.app.runs.suite import load_suite
    from bench.data import load_card

    suite = load_suite(name)
    datasets = [dataset.id for dataset in suite.datasets]
    cards = map(load_card, datasets)
    return {
        "name": name,
        "title": suite.title,
        "datasets": datasets,
        "space": suite.space,
        "lengths": suite.budget.lengths,
        "fetched": all(card.sources or not card.files for card in cards),
    }


def _show_suite(name: str) -> CommandOutput:
    from bench.app.runs.suite import load_suite

    suite = load_suite(name).model_dump(mode="json", exclude_none=True)
    yield suite
    say(f"{name}: {suite['title']}")
    settings = dict(suite)
    datasets = settings.pop("datasets")
    rows = [[key, str(value)] for key, value in flatten(settings).items()]
    print_table(["setting", "value"], rows)
    for dataset in datasets:
        say(f"data set: {_pairs(dataset)}")


def _show_card(name: str) -> CommandOutput:
    from bench.data import describe, load_card

    card = describe(load_card(name))
    yield card
    _print_card(card)


def _show_space(name: str, dataset: str | None) -> CommandOutput:
    from bench.search.space import describe_space, load_space

    space = describe_space(name, dataset)
    load_space(name).validate_against_config(space["tasks"])
    yield space
    _print_space(space)


def _variants(card: Mapping[str, Any]) -> list[str]:
    return [f"{card['id']}@{variant}" for variant in card["variants"]]


def _print_card(card: Mapping[str, Any]) -> None:
    say(f"{card['id']}: {card['title']}")
    for key in ("licence", "citation", "homepage"):
        if card.get(key):
            say(f"{key}: {card[key]}")
    tasks = []
    for task in card["tasks"]:
        label = {}
        for name, value in task.items():
            if value and name not in ("name", "kind", "optional"):
                label[name] = value
        trained = "no" if task["optional"] else "yes"
        tasks.append([task["name"], task["kind"], _pairs(label), trained])
    print_table(["task", "kind", "label", "trained by default"], tasks)
    inputs = []
    for name, column in card["columns"].items():
        options = dict(column)
        inputs.append([name, options.pop("kind"), _pairs(options)])
    print_table(["input", "kind", "options"], inputs)
    say(f"split: {_pairs(card['split'])}")
    for key in SHOWN_OF_CARD:
        value = card[key]
        if value:
            say(f"{key}: {_text(value)}")
    for sentence in card["explained"]:
        say(f"- {sentence}")
    for source in card["sources"]:
        say(f"source: {source['from']}")
    if card["variants"]:
        say(f"variants: {', '.join(_variants(card))}")


def _pairs(values: Mapping[str, object]) -> str:
    """Options in a line: `valid 0.1, test 0.2`."""
    return ", ".join(f"{key} {_text(value)}" for key, value in values.items())


def _text(value: object) -> str:
    return _pairs(value) if isinstance(value, dict) else str(value)


def _print_space(document: Mapping[str, Any]) -> None:
    say(f"{document['name']}: {document['title']}")
    say(f"{document['size']['text']}, for the tasks {', '.join(document['tasks'])}")
    for switch, branches in document["branches"].items():
        default = document["defaults"].get(switch, branches[0])
        say(f"{switch}: {', '.join(branches)}; by default {default}")
    rows = []
    for parameter in document["parameters"]:
        if parameter["type"] != "switch":
            where = _equations(parameter["when"]) or "everywhere"
            rows.append([parameter["name"], where, _range(parameter), parameter["default"]])
    print_table(["parameter", "where", "values", "default"], rows)
    if document["fixed"]:
        say(f"fixed: {_equations(document['fixed'])}")
    for branch, reason in document["left_out"].items():
        say(f"left out: {branch}: {reason}")


def _equations(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _range(parameter: Mapping[str, Any]) -> str:
    if "options" in parameter:
        return " | ".join(str(option) or "none" for option in parameter["options"])
    bounds = f"{parameter['low']:g} to {parameter['high']:g}"
    return f"{bounds}, log" if parameter["log"] else bounds
