"""`seesaw score`: files of raw rows -> files of predictions."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Home, Json, Model, Tracking, names
from bench.cli.output import TerminalProgress, print_json, say


def score(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="CSV (also packed) or parquet files of raw rows.")],
    out: Annotated[Path, typer.Option(help="Folder of the predictions, as parquet; existing parts are kept.")],
    keep: Annotated[str | None, typer.Option(help="Columns to keep, separated by commas.")] = None,
    engine: Annotated[str, typer.Option(help="eager, exported or onnx.")] = "eager",
    threads: Annotated[int, typer.Option(help="Threads of the model; reading and encoding have their own.", min=1)] = 1,
    history: Annotated[
        Path | None, typer.Option(help="File of `seesaw history`, for rows without history columns.")
    ] = None,
    tracking: Tracking = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Score files with a packaged or registered model."""
    from bench.home import resolve_home
    from bench.production.batch_scoring import BatchScoring
    from bench.run.deploy import open_model

    package = open_model(resolve_home(home), model, tracking)
    work = BatchScoring(package, files, out, names(keep), engine, threads, history=history)
    started = time.perf_counter()
    done = work.run(TerminalProgress())
    seconds = time.perf_counter() - started
    if json:
        print_json({"out": str(out), **vars(done), "seconds": seconds, "rows_per_s": done.rows / seconds})
        return
    there = f"; {done.skipped} were there already" if done.skipped else ""
    if work.history is not None and work.history.without:
        say(f"{work.history.without:,} of {work.history.rows:,} rows are of a group without earlier rows in {history}")
    say(f"{out}: {done.parts} parts with {done.rows:,} rows, {done.rows / seconds:,.0f} rows/s{there}")
