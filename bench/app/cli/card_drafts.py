"""`seesaw card`: drafts a card for your own files."""

from __future__ import annotations

import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import Texts
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError
from bench.core.plain import names

if TYPE_CHECKING:
    from bench.data.inspection.draft import Draft, Proposal
    from bench.data.inspection.roles import ColumnDraft

_SEPARATORS = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


SplitBy = StrEnum("SplitBy", ["time", "group", "hash", "random", "files", "column"])
"""Ways to assign rows to train, valid and test."""


def card(
    files: Annotated[
        list[Path], typer.Argument(help="CSV (also packed) or parquet files with the same columns.")
    ],
    label: Annotated[
        Texts,
        typer.Option(
            "--label", help="Column to predict; COLUMN=VALUE where VALUE means yes. Repeat."
        ),
    ] = None,
    parent: Annotated[
        Texts,
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
        Texts,
        typer.Option(
            metavar="LABEL=TIME",
            help="How long until a label is known, as in buy=7d, or its column. Repeat.",
        ),
    ] = None,
    logged: Annotated[
        Texts,
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
    kind: Any = None
    if split is not None:
        kind = "hash" if split is SplitBy.group else split.value
    folder = os.path.relpath(files[0].resolve().parent, target.resolve().parent)
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
        folder=Path(folder).as_posix(),
        rows=rows or INSPECTED,
    )
    draft = draft_card(request, TerminalProgress())
    write_card(draft, target)
    yield {"card": str(target)} | _document(draft)
    _show(draft)
    say(f"card: {target}", whole=True)
    command = f"seesaw run quick --dataset {shlex.quote(str(target))}"
    scores = draft.of_role("logged")
    if scores:
        command += f" --current {shlex.quote(f'column:{scores[0].name}')}"
    say(f"next: {command}  # once you have read the card", whole=True)


def _separator(text: str | None) -> str | None:
    if text is None:
        return None
    from bench.data.sources import separator

    try:
        return separator(_SEPARATORS.get(text, text))
    except ValueError as error:
        raise UserError(f"--separator: {error}; 'tab' stands for a tabulator") from None


def _show(draft: Draft) -> None:
    columns = []
    for column in draft.columns:
        kind = column.option["kind"] if column.role == "input" and column.option else "-"
        missing = f"{column.missing_rate:.1%}"
        columns.append([column.name, column.role, kind, column.distinct, missing, column.why])
    print_table(["column", "role", "kind", "distinct", "missing", "why"], columns, draft.id)
    tasks = []
    for name, label in draft.labels.items():
        positives = [
            counts.facts()[name].get("positives") for counts in draft.split.counts.values()
        ]
        tasks.append([name, label.rule.parent or "-", label.mean, *positives])
    headers = [f"positive in {split}" for split in draft.split.counts]
    print_table(["task", "parent", "mean", *headers], tasks)
    for name, label in draft.labels.items():
        for note in label.notes:
            say(f"{name}: {note}")
    say(" ".join(draft.split.why))
    commented_keys: list[str] = []
    for proposal in draft.proposals:
        if "units" in proposal.keys:
            say(proposal.why)
        if not proposal.live:
            commented_keys += proposal.keys
    if commented_keys:
        say(f"more is proposed as comments on the card: {', '.join(commented_keys)}")
    if not draft.sample.complete:
        say(
            f"inspected: {draft.sample.table.num_rows:,} rows, from the head of each file; --rows "
            "N for more"
        )


def _document(draft: Draft) -> dict[str, object]:
    tasks = []
    for label in draft.labels.values():
        tasks.append(label.table | {"mean": label.mean, "notes": list(label.notes)})
    split = draft.split
    rows = {name: counts.rows for name, counts in split.counts.items()}
    return {
        "id": draft.id,
        "rows": draft.sample.table.num_rows,
        "complete": draft.sample.complete,
        "columns": {column.name: _column_document(column) for column in draft.columns},
        "tasks": tasks,
        "missing": list(draft.sample.missing),
        "post_exposure": [column.name for column in draft.of_role("post-exposure")],
        "proposals": [_proposal_json(proposal) for proposal in draft.proposals],
        "split": {**split.table, "rows": rows, "outside": split.outside},
    }


def _proposal_json(proposal: Proposal) -> dict[str, object]:
    return {
        "at": proposal.table,
        "keys": proposal.keys,
        "why": proposal.why,
        "live": proposal.live,
    }


def _column_document(column: ColumnDraft) -> dict[str, object]:
    why = column.why
    if column.rate:
        why += f"; target rates: {column.rate}"
    return {
        "role": column.role,
        "type": column.type,
        "distinct": column.distinct,
        "missing_rate": column.missing_rate,
        "examples": list(column.examples),
        "input": dict(column.option) if column.option else None,
        "why": why,
    }
