"""`seesaw data card`: drafts a card for your own files."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import options_of, validated
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError
from bench.core.system.data_files import folder_of_card, names_below
from bench.core.system.object_store import StorePath
from bench.data.inspection.draft import CardRequest, draft_card

if TYPE_CHECKING:
    from bench.data.inspection.draft import Draft, Proposal
    from bench.data.inspection.roles import ColumnDraft


@options_of(CardRequest, without=("files", "folder"), defaults=False)
def card(
    asked: dict[str, Any],
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV (also packed) or parquet: files, folders or quoted patterns."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: card.toml beside the files.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing card.")] = False,
) -> CommandOutput:
    """Look into files and write a card for them, with reasons."""
    from bench.data.inspection.render import write_card

    folder_of_files, _ = names_below(files)
    beside = Path() if isinstance(folder_of_files, StorePath) else folder_of_files
    target = out or Path(os.path.relpath(beside)) / "card.toml"
    if target.is_dir():
        target = target / "card.toml"
    if target.suffix != ".toml":
        raise UserError(f"--out: expected a file that ends in .toml, found {target}")
    if target.exists() and not force:
        raise UserError(
            f"{target} is already there: choose another file with --out, or replace it with --force"
        )
    folder = folder_of_card(folder_of_files, target)
    request = validated(CardRequest, {**asked, "files": files, "folder": folder})
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


def _show(draft: Draft) -> None:
    columns = []
    for column in draft.columns:
        kind = "-"
        if column.role == "input" and column.option:
            kind = column.option["kind"]
        missing = f"{column.missing_rate:.1%}"
        columns.append([column.name, column.role, kind, column.distinct, missing, column.why])
    print_table(["column", "role", "kind", "distinct", "missing", "why"], columns, draft.id)
    tasks = []
    for name, label in draft.labels.items():
        row = [name, label.rule.parent or "-", label.mean]
        for counts in draft.split.counts.values():
            row.append(counts.facts()[name].get("positives"))
        tasks.append(row)
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
