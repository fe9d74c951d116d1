"""`seesaw synth`: raw files in a public data set's format, for trying things at any size without its login."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Json
from bench.cli.output import TerminalProgress, print_json, print_table, say


def synth(
    dataset: Annotated[str, typer.Argument(help="Format: ali-ccp.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the files.")],
    rows: Annotated[int, typer.Option(help="Impressions, train and test together.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed; the same seed gives the same bytes.", min=0)] = 0,
    click_rate: Annotated[float, typer.Option(help="Share of clicks among impressions.")] = 0.04,
    buy_rate: Annotated[float, typer.Option(help="Share of purchases among clicks.")] = 0.005,
    json: Json = False,
) -> None:
    """Write generated raw files in the format of a public data set."""
    from bench.data.synth import synthesise

    parameters = {"rows": rows, "seed": seed, "click_rate": click_rate, "buy_rate": buy_rate}
    facts = synthesise(dataset, out, parameters, TerminalProgress())
    size = sum(path.stat().st_size for path in out.iterdir())
    if json:
        print_json({"dataset": dataset, "path": str(out), "bytes": size, "files": facts})
        return
    headers = list(next(iter(facts.values())))
    print_table(["file", *headers], [[name, *counts.values()] for name, counts in facts.items()], dataset)
    say(f"{size / 1e6:,.1f} MB in {out}")
