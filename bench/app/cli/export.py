"""`seesaw export`: predictions of a run's points, as a log that `seesaw decide` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.app.cli.options import Home, RunName, opened
from bench.app.cli.output import CommandOutput, say
from bench.core.errors import UserError
from bench.core.plain import names


def export(
    run_: RunName,
    points: Annotated[
        str | None,
        typer.Option(
            "--points", "--point", help="Points of `seesaw frontier`, as in 7,trees; default: all."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="valid, confirm or test; default: all three.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV or parquet file; default: in the run's folder.")
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Write predictions of a run's points with labels, as a log that `seesaw decide` reads."""
    from bench.app.runs.export import export as export_to
    from bench.app.runs.result import result_of

    run = opened(run_, home)
    if len(run.datasets) > 1:
        raise UserError(f"{run.name}: expected a run of one data set, found {len(run.datasets)}")
    found = export_to(result_of(next(iter(run.datasets.values()))), out, names(points), split)
    yield {
        "log": str(found.log),
        "options": str(found.options),
        "rows": found.rows,
        "points": list(found.points),
        "command": found.command,
        "notes": list(found.notes),
    }
    say(f"{found.log}: {found.rows:,} rows, predictions of {', '.join(found.points)}", whole=True)
    say(*found.notes)
    say(f"next: {found.command}", whole=True)
