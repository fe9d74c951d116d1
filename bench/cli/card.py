"""`seesaw card`: a card for one's own files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import Json, names
from bench.cli.output import TerminalProgress, print_json, print_table, say
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.data.inspection import ColumnDraft, Draft

_SEPARATORS = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


class SplitBy(StrEnum):
    """Ways to assign rows to train, valid and test."""

    time = "time"
    group = "group"
    hash = "hash"
    random = "random"
    files = "files"
    column = "column"


def card(
    files: Annotated[list[Path], typer.Argument(help="CSV (also packed) or parquet files with the same columns.")],
    label: Annotated[
        list[str] | None, typer.Option("--label", help="Column to predict; COLUMN=VALUE where VALUE means yes. Repeat.")
    ] = None,
    parent: Annotated[
        list[str] | None, typer.Option("--parent", help="CHILD=PARENT: the label that must happen first. Repeat.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column of the time; the latest rows become the test.")] = None,
    group: Annotated[str | None, typer.Option(help="Column whose rows are ranked together, such as a user.")] = None,
    split: Annotated[
        SplitBy | None, typer.Option(help="Kind of split; default: by time, group or at random, as given.")
    ] = None,
    split_column: Annotated[str | None, typer.Option(help="Column of a split by column or by hash.")] = None,
    valid: Annotated[float, typer.Option(help="Share of rows for validation.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share of rows for the test.")] = 0.1,
    separator: Annotated[
        str | None, typer.Option(help="Separator of CSV: a character or 'tab'; default: guessed.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Column names, separated by commas, for files without header.")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Short name of the data set.")] = None,
    title: Annotated[str | None, typer.Option(help="Title, one line.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: card.toml beside the files.")] = None,
    rows: Annotated[
        int | None, typer.Option(help="Rows to inspect, from the head of each file; default: a million.", min=100)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing card.")] = False,
    json: Json = False,
) -> None:
    """Look into files and write a card for them, with reasons."""
    from bench.atomic import write_text
    from bench.data import parse_card
    from bench.data.inspection import ROWS, Request, Wish, card_text, check_id, draft_card
    from bench.plain import parse_toml

    target = out or files[0].parent / "card.toml"
    if target.is_dir():
        target = target / "card.toml"
    if target.suffix != ".toml":
        raise UserError(f"--out: expected a file that ends in .toml, found {target}")
    if target.exists() and not force:
        raise UserError(f"{target} is already there: choose another file with --out, or replace it with --force")
    kind: Any = None if split is None else {"group": "hash"}.get(split.value, split.value)
    request = Request(
        files=tuple(files),
        labels=tuple(label or ()),
        parents=tuple(parent or ()),
        wish=Wish(kind, valid, test, time, group, split_column),
        separator=_separator(separator),
        names=names(columns),
        id=None if id_ is None else check_id(id_),
        title=title,
        rows=rows or ROWS,
    )
    draft = draft_card(request, TerminalProgress())
    text = card_text(draft)
    parse_card(parse_toml(text, str(target)), str(target), "", target.parent)
    write_text(target, text)
    beside = target.resolve().parent == files[0].resolve().parent
    if json:
        print_json({"card": str(target)} | _document(draft))
        return
    _show(draft)
    say(f"card: {target}", whole=True)
    raw = "" if beside else f" --raw {files[0].parent}"
    say(f"next: seesaw prepare {_typed(target)}{raw}", whole=True)


def _separator(given: str | None) -> str | None:
    if given is None:
        return None
    from bench.data.sources import separator

    try:
        return separator(_SEPARATORS.get(given, given))
    except ValueError as error:
        raise UserError(f"--separator: {error}; 'tab' stands for a tabulator") from None


def _typed(target: Path) -> str:
    """A path as a card is named by one: with a slash or the ending .toml."""
    return f"'{target}'" if " " in str(target) else str(target)


def _show(draft: Draft) -> None:
    rows = []
    for column in draft.columns:
        kind = column.finding.option["kind"] if column.role == "input" and column.finding.option else "-"
        why = column.reason or ("" if column.role == "label" else column.finding.why)
        rows.append([column.name, column.role, kind, column.distinct, f"{column.missing_rate:.1%}", why])
    print_table(["column", "role", "kind", "distinct", "missing", "why"], rows, draft.id)
    tasks = []
    for task in draft.labels:
        counts = [split[1].get(task.name) for split in draft.split.counts.values()]
        tasks.append([task.name, task.parent or "-", draft.rates[task.name], *counts])
    print_table(["task", "parent", "mean", *(f"positive in {name}" for name in draft.split.counts)], tasks)
    for task in draft.labels:
        for note in task.notes:
            say(f"{task.name}: {note}")
    say(" ".join(draft.split.why))
    if not draft.complete:
        say(f"inspected: {draft.rows:,} rows, from the head of each file; --rows N for more")


def _why(column: ColumnDraft) -> str:
    """Why a column is what it is, and what was made of it with which evidence."""
    if column.role != "input":
        return column.reason
    rates = [f"target rates: {column.rate.why}"] if column.rate is not None and column.rate.on else []
    return "; ".join([column.finding.why, *column.finding.notes, *rates])


def _document(draft: Draft) -> dict[str, Any]:
    return {
        "id": draft.id,
        "rows": draft.rows,
        "complete": draft.complete,
        "columns": {
            column.name: {
                "role": column.role,
                "type": column.type,
                "distinct": column.distinct,
                "missing_rate": column.missing_rate,
                "examples": list(column.examples),
                "input": dict(column.finding.option) if column.finding.option else None,
                "codes": dict(column.finding.codes) if column.finding.codes else None,
                "why": _why(column),
            }
            for column in draft.columns
        },
        "tasks": [
            label.table | {"mean": draft.rates[label.name], "notes": list(label.notes)} for label in draft.labels
        ],
        "missing": list(draft.markers.sure),
        "post_exposure": [column.name for column in draft.of_role("post-exposure")],
        "split": dict(draft.split.table)
        | {"rows": {name: count for name, (count, _) in draft.split.counts.items()}, "outside": draft.split.outside},
    }
