"""`seesaw datasets`, `prepare`, `card` and `synth`: data sets, a card for your own files, and
generated raw files.
"""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import Home, Raw
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError
from bench.core.plain import names
from bench.core.system.home import resolve_home, writable_home
from bench.core.system.progress import duration

if TYPE_CHECKING:
    from bench.data.inspection.draft import Draft


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
    from bench.core.system import content
    from bench.data import describe, load_card, prepared
    from bench.data.listing import prepared_keys, remove_stores

    if remove:
        if dataset is None:
            raise UserError("--remove: expected a data set's name or a card's path, found none")
        at_home = resolve_home(home)
        key = (
            dataset if dataset in prepared_keys(at_home) else load_card(dataset).key
        )  # of a card that may be gone
        freed = remove_stores(at_home, key)
        yield {"removed": freed}
        say(*(f"removed {store['path']}, {store['size_mb']:,.1f} MB" for store in freed))
        if not freed:
            say(f"nothing to remove: {dataset} is not prepared")
        return
    if dataset is not None:
        card = describe(load_card(dataset))
        yield card
        _show_card(card)
        return
    stores = prepared(resolve_home(home), TerminalProgress())
    cards = [describe(load_card(name)) for name in content.names("datasets")]
    yield {"datasets": cards, "prepared": stores}
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
    home: Home = None,
) -> CommandOutput:
    """Fetch and encode a data set; show its rows, positives and rates."""
    from bench.data import load_card, prepare

    store = prepare(load_card(dataset), writable_home(home), raw, TerminalProgress())
    manifest = store.manifest
    yield {"path": str(store.path)} | manifest
    rows = [
        [split, facts["rows"], task, of_task.get("positives"), of_task.get("rate")]
        for split, facts in manifest["splits"].items()
        for task, of_task in facts["tasks"].items()
    ]
    print_table(["split", "rows", "task", "positives", "rate"], rows, store.key)
    say(
        f"prepared in {duration(manifest['seconds'])}, peak memory "
        f"{manifest['peak_memory_mb']:,.0f} MB"
    )
    say(f"store: {store.path}", whole=True)


def _show_card(card: dict[str, Any]) -> None:
    say(f"{card['id']}: {card['title']}")
    say(*(f"{key}: {card[key]}" for key in ("licence", "citation", "homepage") if card.get(key)))
    apart = ("name", "kind", "optional")
    print_table(
        ["task", "kind", "label", "trained by default"],
        [
            [
                task["name"],
                task["kind"],
                _pairs({key: value for key, value in task.items() if value and key not in apart}),
                "no" if task["optional"] else "yes",
            ]
            for task in card["tasks"]
        ],
    )
    print_table(
        ["input", "kind", "options"],
        [
            [
                name,
                column["kind"],
                _pairs({key: value for key, value in column.items() if key != "kind"}),
            ]
            for name, column in card["columns"].items()
        ],
    )
    say(f"split: {_pairs(card['split'])}")
    own = [
        "group",
        "units",
        "time",
        "post_exposure",
        "segments",
        "scenario",
        "items",
        "item_numbers",
        "logged",
    ]
    own += ["as_of", "random", "propensity", "weight", "sampling", "history", "encoding"]
    for key in own:
        if value := card[key]:
            say(f"{key}: {_pairs(value) if isinstance(value, dict) else value}")
    say(*(f"- {sentence}" for sentence in card["explained"]))
    say(*(f"source: {source['from']}" for source in card["sources"]))
    if card["variants"]:
        say(f"variants: {', '.join(card['id'] + '@' + variant for variant in card['variants'])}")


def _pairs(values: dict[str, object]) -> str:
    """Options in a line: `valid 0.1, test 0.2`."""
    return ", ".join(
        f"{key} {_pairs(value) if isinstance(value, dict) else value}"
        for key, value in values.items()
    )


_SEPARATORS = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


SplitBy = StrEnum("SplitBy", ["time", "group", "hash", "random", "files", "column"])
"""Ways to assign rows to train, valid and test."""


def card(
    files: Annotated[
        list[Path], typer.Argument(help="CSV (also packed) or parquet files with the same columns.")
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="Column to predict; COLUMN=VALUE where VALUE means yes. Repeat."
        ),
    ] = None,
    parent: Annotated[
        list[str] | None,
        typer.Option("--parent", help="CHILD=PARENT: the label that must happen first. Repeat."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of the time; the latest rows become the test.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose rows are ranked together, such as a user.")
    ] = None,
    split: Annotated[
        SplitBy | None,
        typer.Option(help="Kind of split; default: by time, group or at random, as given."),
    ] = None,
    split_column: Annotated[
        str | None, typer.Option(help="Column of a split by column or by hash.")
    ] = None,
    valid: Annotated[float, typer.Option(help="Share of rows for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of rows for the test.")] = 0.1,
    separator: Annotated[
        str | None, typer.Option(help="Separator of CSV: a character or 'tab'; default: guessed.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Column names, separated by commas, for files without header."),
    ] = None,
    matures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=TIME",
            help="How long until a label is known, as in buy=7d, or its column. Repeat.",
        ),
    ] = None,
    logged: Annotated[
        list[str] | None,
        typer.Option("--logged", help="Column of the score that ranked this log. Repeat."),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(
            help="Column whose rows are alike, such as a user: intervals resample them together."
        ),
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Short name of the data set.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: card.toml beside the files.")
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            help="Rows to inspect, from the head of each file; default: a million.", min=100
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing card.")] = False,
) -> CommandOutput:
    """Look into files and write a card for them, with reasons."""
    from bench.data.inspection.draft import INSPECTED, CardRequest, draft_card
    from bench.data.inspection.render import write_card

    target = out or files[0].parent / "card.toml"
    if target.is_dir():
        target = target / "card.toml"
    if target.suffix != ".toml":
        raise UserError(f"--out: expected a file that ends in .toml, found {target}")
    if target.exists() and not force:
        raise UserError(
            f"{target} is already there: choose another file with --out, or replace it with --force"
        )
    kind: Any = None if split is None else {"group": "hash"}.get(split.value, split.value)
    request = CardRequest(
        files=tuple(files),
        labels=tuple(label or ()),
        parents=tuple(parent or ()),
        kind=kind,
        valid=valid,
        test=test,
        time=time,
        group=group,
        column=split_column,
        separator=_separator(separator),
        names=names(columns),
        id=id_,
        matures=tuple(matures or ()),
        logged=tuple(dict.fromkeys(logged or ())),
        units=units,
        folder=Path(os.path.relpath(files[0].resolve().parent, target.resolve().parent)).as_posix(),
        rows=rows or INSPECTED,
    )
    draft = draft_card(request, TerminalProgress())
    write_card(draft, target)
    yield {"card": str(target)} | _document(draft)
    _show_draft(draft)
    say(f"card: {target}", whole=True)
    command = f"seesaw run quick --dataset {shlex.quote(str(target))}"
    if scores := draft.of_role("logged"):
        command += f" --current {shlex.quote(f'column:{scores[0].name}')}"
    say(f"next: {command}  # once you have read the card", whole=True)


def _separator(given: str | None) -> str | None:
    if given is None:
        return None
    from bench.data.sources import separator

    try:
        return separator(_SEPARATORS.get(given, given))
    except ValueError as error:
        raise UserError(f"--separator: {error}; 'tab' stands for a tabulator") from None


def _show_draft(draft: Draft) -> None:
    rows = []
    for column in draft.columns:
        kind = column.option["kind"] if column.role == "input" and column.option else "-"
        rows.append(
            [
                column.name,
                column.role,
                kind,
                column.distinct,
                f"{column.missing_rate:.1%}",
                column.why,
            ]
        )
    print_table(["column", "role", "kind", "distinct", "missing", "why"], rows, draft.id)
    tasks = []
    for name, label in draft.labels.items():
        counts = [
            of_split.facts()[name].get("positives") for of_split in draft.split.counts.values()
        ]
        tasks.append([name, label.rule.parent or "-", label.mean, *counts])
    print_table(
        ["task", "parent", "mean", *(f"positive in {name}" for name in draft.split.counts)], tasks
    )
    say(*(f"{name}: {note}" for name, label in draft.labels.items() for note in label.notes))
    say(
        " ".join(draft.split.why),
        *(proposal.why for proposal in draft.proposals if "units" in proposal.keys),
    )
    if comments := [proposal for proposal in draft.proposals if not proposal.live]:
        keys = (key for proposal in comments for key in proposal.keys)
        say(f"more is proposed as comments on the card: {', '.join(keys)}")
    if not draft.sample.complete:
        say(
            f"inspected: {draft.sample.table.num_rows:,} rows, from the head of each file; --rows "
            "N for more"
        )


def _document(draft: Draft) -> dict[str, object]:
    return {
        "id": draft.id,
        "rows": draft.sample.table.num_rows,
        "complete": draft.sample.complete,
        "columns": {
            column.name: {
                "role": column.role,
                "type": column.type,
                "distinct": column.distinct,
                "missing_rate": column.missing_rate,
                "examples": list(column.examples),
                "input": dict(column.option) if column.option else None,
                "why": f"{column.why}; target rates: {column.rate}" if column.rate else column.why,
            }
            for column in draft.columns
        },
        "tasks": [
            label.table | {"mean": label.mean, "notes": list(label.notes)}
            for label in draft.labels.values()
        ],
        "missing": list(draft.sample.missing),
        "post_exposure": [column.name for column in draft.of_role("post-exposure")],
        "proposals": [
            {
                "at": proposal.table,
                "keys": proposal.keys,
                "why": proposal.why,
                "live": proposal.live,
            }
            for proposal in draft.proposals
        ],
        "split": dict(draft.split.table)
        | {
            "rows": {name: counts.rows for name, counts in draft.split.counts.items()},
            "outside": draft.split.outside,
        },
    }


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
    print_table(
        ["file", *headers], [[name, *counts.values()] for name, counts in facts.items()], dataset
    )
    say(f"{size / 1e6:,.1f} MB in {out}")
