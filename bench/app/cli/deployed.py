"""Models in packages or in the registry: `seesaw explain` and `score`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.app.cli.options import (
    Home,
    ModelArgument,
    Point,
    Raw,
    RunName,
    Tracking,
    opened,
    results_of,
)
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError
from bench.core.plain import names
from bench.core.system.home import resolve_home, shown

if TYPE_CHECKING:
    from bench.serve.package import Package


def explain(
    run_: RunName,
    point: Point = None,
    rows: Annotated[
        int, typer.Option(help="Rows of test, about; of whole units.", min=100)
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of the shuffles and resamples.")] = 0,
    raw: Raw = None,
    home: Home = None,
) -> CommandOutput:
    """Say what the order of a run's deployed pick owes to each input, and to each task's
    prediction.
    """
    from bench.app.report import text
    from bench.app.report.explained import meaning, table
    from bench.app.runs.deploy import explained
    from bench.app.runs.folder import PAGE
    from bench.app.runs.result import by_dataset
    from bench.app.runs.run_page import write_report

    run, progress = opened(run_, home), TerminalProgress()
    raw = raw or run.request.raw
    explanations = {}
    for key, part in run.datasets.items():
        explanations[key] = explained(part, raw, progress, point, rows=rows, seed=seed)
    write_report(results_of(run), run.folder / PAGE, run.name)
    yield by_dataset(explanations)
    for key, explanation in explanations.items():
        say(explanation["sentence"])
        for causes in ("inputs", "heads"):
            headers, owed = table(explanation, causes)
            title = f"what the order of {text.dataset(key)} owes to {causes} ({len(owed)} in all)"
            print_table(headers, owed[:15], title)
        say(meaning(explanation))
    say(f"page: {shown(run.folder / PAGE)}", whole=True)


def score(
    model: ModelArgument,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES..",
            help="CSV (also packed) or parquet of raw rows: files, folders or quoted patterns.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the predictions, as parquet; existing parts are kept."),
    ] = None,
    keep: Annotated[str | None, typer.Option(help="Columns to keep, separated by commas.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="eager or onnx; default: eager, with --latency all that are installed."),
    ] = None,
    threads: Annotated[
        int, typer.Option(help="Threads of the model; reading and encoding have their own.", min=1)
    ] = 1,
    history: Annotated[
        Path | None,
        typer.Option(help="File of `seesaw data history`, for rows without history columns."),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency", help="Measure how fast it is instead; without files.")
    ] = False,
    batches: Annotated[
        str, typer.Option(help="With --latency: batch sizes, separated by commas.")
    ] = "1,100,1000",
    seconds: Annotated[
        float, typer.Option(help="With --latency: seconds for each line of the table.", min=0.01)
    ] = 1.0,
    tracking: Tracking = None,
    home: Home = None,
) -> CommandOutput:
    """Score files with a packaged or registered model; or measure its latency and throughput."""
    from bench.app.runs.deploy import open_model

    if latency:
        if files or out:
            raise UserError("--latency: expected no FILES and no --out beside it, found some")
        package = open_model(resolve_home(home), model, tracking)
        yield from _latency(package, model, engine, batches, threads, seconds)
        return
    if not files or out is None:
        raise UserError("expected FILES and --out FOLDER to score, or --latency; found neither")
    package = open_model(resolve_home(home), model, tracking)
    from bench.core.errors import count
    from bench.serve.batch_scoring import BatchScoring

    work = BatchScoring(
        package, files, out, names(keep), engine or "eager", threads, history=history
    )
    started = time.perf_counter()
    done = work.run(TerminalProgress())
    seconds = time.perf_counter() - started
    yield {"out": str(out), **vars(done), "seconds": seconds, "rows_per_s": done.rows / seconds}
    already = f"; {done.skipped} were there already" if done.skipped else ""
    if work.history is not None and work.history.rows_without_past:
        say(
            f"{work.history.rows_without_past:,} of {work.history.rows:,} rows are of a group "
            f"without earlier rows in {history}"
        )
    parts, rows = count(done.parts, "part"), count(done.rows, "row")
    say(f"{out}: {parts} with {rows}, {done.rows / seconds:,.0f} rows/s{already}")


def _latency(
    package: Package, model: str, engines: str | None, batches: str, threads: int, seconds: float
) -> CommandOutput:
    """Measures latency and throughput of a package."""
    from bench.serve.package import latencies

    sizes = _numbers("--batches", batches)
    measured = latencies(package, names(engines), [threads], sizes, seconds)
    yield {"model": model, "latencies": list(map(vars, measured))}
    headers = ["engine", "threads", "batch", "p50 ms", "p99 ms", "request p50 ms", "rows/s"]
    rows: list[list[object]] = []
    for measurement in measured:
        setting = [measurement.engine, measurement.threads, measurement.batch]
        times = [measurement.p50_ms, measurement.p99_ms, measurement.request_ms]
        rows.append([*setting, *times, round(measurement.rows_per_s)])
    print_table(headers, rows, f"latency of {model}")
    say(
        "p50, p99 and rows/s: the model alone; a request: from raw rows to the score, without a "
        "network"
    )


def _numbers(option: str, text: str) -> list[int]:
    numbers = [int(word) for word in names(text) if word.isdecimal() and len(word) < 10]
    if not numbers or len(numbers) < len(names(text)) or min(numbers) == 0:
        raise UserError(
            f"{option}: expected whole numbers from 1 to 999,999,999, separated by commas, found "
            f"'{text}'"
        )
    return numbers
