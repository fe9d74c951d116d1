"""`seesaw latency`: how long a packaged model takes."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import Home, Json, Model, Tracking, names
from bench.cli.output import print_json, print_table, say
from bench.errors import UserError


def latency(
    model: Model,
    engines: Annotated[str | None, typer.Option(help="eager, exported, onnx; default: all that are installed.")] = None,
    batches: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1,100,1000",
    threads: Annotated[str, typer.Option(help="Numbers of threads, separated by commas.")] = "1,2",
    seconds: Annotated[float, typer.Option(help="Seconds for each line of the table.", min=0.01)] = 1.0,
    tracking: Tracking = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Measure latency and throughput of a packaged or registered model."""
    from bench.home import resolve_home
    from bench.production.latency import latencies
    from bench.run.deploy import open_model

    sizes, counts = _numbers("--batches", batches), _numbers("--threads", threads)
    package = open_model(resolve_home(home), model, tracking)
    found = latencies(package, names(engines), counts, sizes, seconds)
    if json:
        print_json({"model": model, "latencies": [vars(each) for each in found]})
        return
    headers = ["engine", "threads", "batch", "p50 ms", "p99 ms", "request p50 ms", "rows/s"]
    rows = [[e.engine, e.threads, e.batch, e.p50_ms, e.p99_ms, e.request_ms, round(e.rows_per_s)] for e in found]
    print_table(headers, rows, f"latency of {model}")
    say("p50, p99 and rows/s: the model alone; a request: from raw rows to the score, without a network")


def _numbers(option: str, text: str) -> list[int]:
    found = names(text)
    if not found or not all(each.isdecimal() and len(each) < 10 and int(each) > 0 for each in found):
        raise UserError(f"{option}: expected whole numbers from 1 to 999,999,999, separated by commas, found '{text}'")
    return [int(each) for each in found]
