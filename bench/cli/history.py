"""`seesaw history`: what groups did until a time, for a packaged model to read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Home
from bench.cli.output import TerminalProgress, say


def history(
    card: Annotated[str, typer.Argument(help="A card with [history]: a name or a path.")],
    out: Annotated[Path, typer.Option(help="The parquet file to write.")],
    raw: Annotated[Path | None, typer.Option(help="Folder of the card's files; default: fetch them.")] = None,
    until: Annotated[float, typer.Option(help="Keep rows before this time, in the card's unit.")] = math.inf,
    home: Home = None,
) -> None:
    """Write the history of every group, for `seesaw score --history`."""
    from bench.data import load_card
    from bench.home import resolve_home
    from bench.production.history import write_history

    rows = write_history(load_card(card), out, resolve_home(home), raw, until, TerminalProgress())
    say(f"{out}: {rows:,} rows")
    say(f"next: seesaw score MODEL FILES --history {out} --out FOLDER")
