"""Lists of data sets, suites and spaces, and a check of the machine: `seesaw datasets`, `prepare`,
`synth`, `suites`, `spaces` and `doctor`.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from bench.app.cli.options import DatasetArgument, Home, Raw
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core import plugins
from bench.core.errors import UserError, listed
from bench.core.system import content
from bench.core.system.home import resolve_home, writable_home
from bench.core.system.machine import cores, versions
from bench.core.system.progress import duration

LEAST_MEMORY_GB = 2.0
LEAST_DISK_GB = 2.0
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


def datasets(
    dataset: Annotated[
        str | None, typer.Argument(help="A name or a card's path: show that card.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Free the stores of this data set.")
    ] = False,
    home: Home = None,
) -> CommandOutput:
    """List the data sets, or explain one card."""
    from bench.data import describe, load_card, prepared

    if remove:
        yield from _remove_stores(dataset, resolve_home(home))
        return
    if dataset is not None:
        card = describe(load_card(dataset))
        yield card
        _show_card(card)
        return
    stores = prepared(resolve_home(home), TerminalProgress())
    cards = [describe(load_card(name)) for name in content.names("datasets")]
    yield {"datasets": cards, "prepared": stores}
    megabytes: dict[str, float] = {}
    for store in stores:
        megabytes[store["key"]] = megabytes.get(store["key"], 0.0) + store["size_mb"]
    rows = []
    for card in cards:
        tasks = ", ".join(task["name"] for task in card["tasks"])
        for key in [card["id"], *_variants(card)]:
            size = f"{megabytes.pop(key):,.1f} MB" if key in megabytes else "no"
            rows.append([key, card["title"], tasks, size])
    rows += [[key, "-", "-", f"{size:,.1f} MB"] for key, size in megabytes.items()]
    print_table(["data set", "title", "tasks", "prepared"], rows)


def _variants(card: Mapping[str, Any]) -> list[str]:
    return [f"{card['id']}@{variant}" for variant in card["variants"]]


def _remove_stores(dataset: str | None, home: Path) -> CommandOutput:
    from bench.data import load_card
    from bench.data.store import prepared_keys, remove_stores

    if dataset is None:
        raise UserError("--remove: expected a data set's name or a card's path, found none")
    key = dataset
    if dataset not in prepared_keys(home):  # the card of a key may be gone
        key = load_card(dataset).key
    removed = remove_stores(home, key)
    yield {"removed": removed}
    for store in removed:
        say(f"removed {store['path']}, {store['size_mb']:,.1f} MB")
    if not removed:
        say(f"nothing to remove: {dataset} is not prepared")


def _show_card(card: Mapping[str, Any]) -> None:
    say(f"{card['id']}: {card['title']}")
    for key in ("licence", "citation", "homepage"):
        if card.get(key):
            say(f"{key}: {card[key]}")
    tasks = []
    for task in card["tasks"]:
        label = {name: value for name, value in task.items() if value}
        for name in ("name", "kind", "optional"):
            label.pop(name, None)
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


def prepare(
    dataset: DatasetArgument,
    raw: Raw = None,
    home: Home = None,
) -> CommandOutput:
    """Fetch and encode a data set; show its rows, positives and rates."""
    from bench.data import load_card
    from bench.data import prepare as prepare_store

    store = prepare_store(load_card(dataset), writable_home(home), raw, TerminalProgress())
    manifest = store.manifest
    yield {"path": str(store.path)} | manifest
    rows = []
    for split, facts in manifest["splits"].items():
        for task, counts in facts["tasks"].items():
            rows.append([split, facts["rows"], task, counts.get("positives"), counts.get("rate")])
    print_table(["split", "rows", "task", "positives", "rate"], rows, store.key)
    say(
        f"prepared in {duration(manifest['seconds'])}, peak memory "
        f"{manifest['peak_memory_mb']:,.0f} MB"
    )
    say(f"store: {store.path}", whole=True)


def synth(
    dataset: Annotated[str, typer.Argument(help="Format: ali-ccp.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the files.")],
    rows: Annotated[int, typer.Option(help="Impressions, train and test together.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same bytes.", min=0)] = 0,
    click_rate: Annotated[float, typer.Option(help="Share of clicks among impressions.")] = 0.04,
    buy_rate: Annotated[float, typer.Option(help="Share of purchases among clicks.")] = 0.005,
) -> CommandOutput:
    """Write generated raw files in the format of a public data set."""
    from bench.data.synthetic import synthesise

    parameters = {"rows": rows, "seed": seed, "click_rate": click_rate, "buy_rate": buy_rate}
    facts = synthesise(dataset, out, parameters, TerminalProgress())
    size = sum(path.stat().st_size for path in out.iterdir())
    yield {"dataset": dataset, "path": str(out), "bytes": size, "files": facts}
    headers = list(next(iter(facts.values())))
    table_rows = [[name, *counts.values()] for name, counts in facts.items()]
    print_table(["file", *headers], table_rows, dataset)
    say(f"{size / 1e6:,.1f} MB in {out}")


def suites() -> CommandOutput:
    """List the suites, with their data and budgets."""
    from bench.app.runs.suite import load_suite
    from bench.data import load_card

    documents = []
    rows = []
    for name in content.names("reports"):
        suite = load_suite(name)
        datasets = [dataset.id for dataset in suite.datasets]
        cards = map(load_card, datasets)
        fetched = all(card.sources or not card.files for card in cards)
        documents.append(
            {
                "name": name,
                "title": suite.title,
                "datasets": datasets,
                "space": suite.space,
                "lengths": suite.budget.lengths,
                "fetched": fetched,
            }
        )
        data = "fetched" if fetched else "--raw DIR"
        rows.append([name, suite.title, suite.space, f"{suite.budget.lengths:g}", data])
    yield {"suites": documents}
    print_table(["suite", "title", "space", "full lengths", "data"], rows)


def spaces(
    space: Annotated[
        str | None, typer.Argument(help="A name or a space's path: show that space.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Fit the space to this data set, and show what is left out.")
    ] = None,
) -> CommandOutput:
    """List the search spaces, or show one: its size, its branches, its defaults."""
    from bench.search.space import describe_space, load_space

    if space is not None:
        document = describe_space(space, dataset)
        load_space(space).validate_against_config(document["tasks"])
        yield document
        _show_space(document)
        return
    documents = [describe_space(name, dataset) for name in content.names("search_spaces")]
    yield {"spaces": documents}
    headers = ["space", "title", "configurations"]
    if dataset:
        headers.append("left out")
    rows = []
    for document in documents:
        row = [document["name"], document["title"], document["size"]["text"]]
        if dataset:
            row.append(len(document["left_out"]))
        rows.append(row)
    print_table(headers, rows)


def _show_space(document: Mapping[str, Any]) -> None:
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
    logarithmic = ", log" if parameter["log"] else ""
    return f"{parameter['low']:g} to {parameter['high']:g}{logarithmic}"


def doctor(home: Home = None) -> CommandOutput:
    """Show what this machine has, and what is missing."""
    place = resolve_home(home)
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    libraries = versions()
    memory, disk = psutil.virtual_memory(), shutil.disk_usage(existing)
    facts: dict[str, Any] = {
        "system": platform.platform(),
        "cores": cores(),
        "memory_gb": memory.total / 1e9,
        "memory_free_gb": memory.available / 1e9,
        "home": str(place),
        "disk_free_gb": disk.free / 1e9,
        "gpu": _gpu(),
    }
    problems = [
        f"the library {name} is not installed"
        for name, version in libraries.items()
        if version == "not installed"
    ]
    if facts["memory_free_gb"] < LEAST_MEMORY_GB:
        problems.append(
            f"expected {LEAST_MEMORY_GB:g} GB of free memory, found "
            f"{facts['memory_free_gb']:.1f} GB"
        )
    if facts["disk_free_gb"] < LEAST_DISK_GB:
        problems.append(
            f"expected {LEAST_DISK_GB:g} GB free at {place}, found {facts['disk_free_gb']:.1f} GB"
        )
    if not os.access(existing, os.W_OK):
        problems.append(f"expected a home that can be written, found {place}, which cannot")
    for kind in ("datasets", "search_spaces", "reports"):
        if not content.names(kind):
            problems.append(f"no {kind} found at {content.root(kind)}")
    entries, plugin_problems = plugins.inventory()
    problems += [*_kernel(), *plugin_problems, *_owners()]
    yield {"machine": facts, "versions": libraries, "plugins": entries, "problems": problems}
    rows = []
    for name, fact in facts.items():
        rows.append([name, fact if isinstance(fact, str) else f"{fact:.4g}"])
    print_table(["machine", "found"], rows)
    print_table(["library", "version"], libraries.items())
    print_table(["entry", "plug-in"], entries.items())
    for problem in problems:
        say(f"problem: {problem}")
    if not problems:
        say("nothing is missing")


def _owners() -> list[str]:
    """Other installed packages that have a module of our name: which of the two is imported is
    chance.
    """
    packages = metadata.packages_distributions()
    problems = []
    for name in ("bench", "seesaw"):
        foreign = sorted({*packages.get(name, ())} - {"seesaw-bench"})
        if foreign:
            problems.append(
                f"expected the import name '{name}' to be seesaw-bench's alone, found that "
                f"{listed(foreign)} also installed it; uninstall one of them"
            )
    return problems


def _gpu() -> str:
    try:
        import torch
    except ImportError:
        return "unknown: torch is not installed"
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"


def _kernel() -> list[str]:
    """Runs the compiled optimizer once: the one part that depends on the machine's compiler
    support.
    """
    try:
        import torch

        from bench.core.schema import Field, Schema
        from bench.models.training.row_adam import RowAdam

        weight = torch.zeros(3, 4)
        optimizer = RowAdam(weight, Schema((Field("id", 2),), (), ()), lr=0.1)
        optimizer.step(torch.ones(1, 1, dtype=torch.int32), torch.ones(1, 1, 4))
    except Exception as error:  # whatever it is, the user should hear of it here and not in a trial
        return [f"the compiled optimizer does not run: {type(error).__name__}: {error}"]
    if torch.allclose(weight[1], torch.tensor(-0.1)):
        return []
    return ["the compiled optimizer computes wrong values"]
