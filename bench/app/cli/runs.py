"""`seesaw compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.app.cli.options import Home
from bench.app.cli.output import CommandOutput, print_table, say
from bench.core.errors import UserError
from bench.core.rows import NAMES
from bench.core.system.home import resolve_home

if TYPE_CHECKING:
    from bench.ledger.comparison.comparison import Compared, Group


MOST_SHOWN = 16


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN..", help="Names or paths of one or more runs.")
    ],
    by: Annotated[
        str,
        typer.Option(
            help="Kind of family: sharing, balancing, architecture, run, sampler or dataset."
        ),
    ] = "balancing",
    metric: Annotated[
        str | None,
        typer.Option(help="Metric to test, as in click.logloss; default: each objective."),
    ] = None,
    split: Annotated[
        str, typer.Option(help="test, or confirm: rows that the search did not see.")
    ] = "test",
    out: Annotated[Path | None, typer.Option(help="Also write FILE.html or FILE.csv.")] = None,
    home: Home = None,
) -> CommandOutput:
    """Compare families of points within or across runs: by how much, and how sure that is."""
    from bench.app.report.comparison_page import write_comparison
    from bench.app.runs.comparing import compare_runs
    from bench.app.runs.folder import Run

    if out is not None and out.suffix not in (".html", ".csv"):
        raise UserError(f"--out: expected a file named .html or .csv, found '{out.name}'")
    at = resolve_home(home)
    result = compare_runs([Run.open(at, run) for run in runs], by, metric, split)
    if out is not None:
        write_comparison(result, out)
    yield result.to_json() | ({"file": str(out)} if out else {})
    for group in result.groups:
        _show(group, result)
    if result.ranking is not None:
        rows = zip(result.ranking.names, result.ranking.ranks, strict=True)
        print_table(
            [result.by, "mean rank"],
            rows,
            f"ranks by hypervolume over {result.ranking.datasets} data sets",
        )
        say(result.ranking.sentence)
    say(*result.notes)
    if out is not None:
        say(f"written: {out}", whole=True)


def _show(group: Group, result: Compared) -> None:
    from bench.ledger.comparison.comparison import FAMILY_HEADS, TEST_HEADS, family_rows, texts_of
    from bench.ledger.effect import LEVEL

    compared, on = group.comparison, NAMES[result.split]
    say(f"{group.dataset}, {on}: does any gradient method lie beyond the front of static weights?")
    say(group.answer.sentence, group.reason)
    if not group.reason:
        print_table(
            [result.by, *FAMILY_HEADS], family_rows(compared), f"families on {group.dataset}, {on}"
        )
    title = (
        f"tests on {on}, {LEVEL:.0%} intervals; in a metric each family stands for the average "
        "of its "
    )
    tests = [texts_of(row) for row in compared.tests[:MOST_SHOWN]]
    print_table(TEST_HEADS, tests, f"{title}{compared.members} best confirmed trials")
    if (more := len(compared.tests) - MOST_SHOWN) > 0:
        say(f"and {more} more rows: --out FILE.html or FILE.csv has them")
    say(*compared.notes)
    if group.unconfirmed:
        say(f"without a confirmed point: {', '.join(group.unconfirmed)}")
