"""Models in packages or in the registry: `seesaw evaluate`, `explain` and `score`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import (
    DatasetArgument,
    Home,
    ModelArgument,
    Point,
    Raw,
    RunName,
    Texts,
    Tracking,
    one_or_datasets,
    opened,
    results_of,
)
from bench.app.cli.output import CommandOutput, TerminalProgress, number, print_table, say
from bench.core.errors import UserError
from bench.core.plain import names
from bench.core.system.home import resolve_home, shown

if TYPE_CHECKING:
    from bench.ledger.effect import Effect
    from bench.serve.fail_if import RuleResult
    from bench.serve.judgements import Judgement
    from bench.serve.package import Package


CHALLENGER = "@challenger"


def evaluate(
    model: ModelArgument,
    data: DatasetArgument,
    against: Annotated[
        str | None,
        typer.Option(
            help="Model, or column:NAME of a logged score; default for a challenger: the champion."
        ),
    ] = None,
    fail_if: Annotated[
        Texts,
        typer.Option(
            help="Exit with 1 if so: a gain 'buy.recall@10% < -1%', a value 'buy.recall@10% < "
            "0.3'. Repeat."
        ),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For a nightly job: keep what rules measure there, and ask them over all nights.",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="train, valid, confirm or test of the card; default: all rows."),
    ] = None,
    resamples: Annotated[int, typer.Option(help="Resamples of the bootstrap.", min=20)] = 500,
    confidence: Annotated[
        float, typer.Option(help="Confidence of the intervals.", min=0.5, max=0.9999)
    ] = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of the resamples.")] = 0,
    tracking: Tracking = None,
    raw: Raw = None,
    home: Home = None,
) -> CommandOutput:
    """Measure a model's ranking and each of its predictions on data with labels, with intervals."""
    from bench.app.runs.current import COLUMN
    from bench.app.runs.deploy import open_model
    from bench.data import load_card
    from bench.serve.fail_if import Rule, outcomes_asked
    from bench.serve.judgements import judge, judgements, sentence, served
    from bench.serve.watch import Watch, digest_of

    if watch is not None and not fail_if:
        raise UserError("--watch: expected --fail-if beside it, found none")
    rules = list(map(Rule.parse, fail_if or ()))
    card = load_card(data)
    if against is None and model.endswith(CHALLENGER):
        against = f"{model.removesuffix(CHALLENGER)}@champion"
    column, other_model = None, against
    if against is not None and against.startswith(COLUMN):
        column, other_model = against.removeprefix(COLUMN), None
    packages = [open_model(resolve_home(home), model, tracking)]
    if other_model is not None:
        packages.append(open_model(resolve_home(home), other_model, tracking))
    schema, outcomes = packages[0].schema, packages[0].manifest.outcomes
    wanted = outcomes_asked(
        rules,
        schema.tasks,
        outcomes,
        bool(card.weight),
        against is not None,
        other_model is not None,
    )
    scorers = [package.scorer("eager") for package in packages]
    judged = judge(card, resolve_home(home), raw, split, scorers, TerminalProgress(), column)
    ranking = served(judged, schema, outcomes, resamples, confidence, seed, wanted)
    of_models = replace(judged, predictions=judged.predictions[: len(packages)])
    predictions = judgements(of_models, schema, resamples, confidence, seed)
    nights = None
    if watch is not None:
        nights = Watch.read(watch, digest_of([judged.labels, judged.group]))
    results = [rule.result([*ranking, *predictions], nights, confidence) for rule in rules]
    if nights is not None:
        nights.write()

    document: dict[str, Any] = {"model": model, "against": against, "rows": len(judged.group)}
    verdict = ""
    if against:
        unscored = ""
        if judged.unscored:
            unscored = f" ({judged.unscored:.1%} of the rows lack it and rank last)"
        verdict = sentence(ranking, model, f"{against}{unscored}")
        document["sentence"] = verdict
    document["outcomes"] = list(map(judgement_document, ranking))
    document["metrics"] = list(map(judgement_document, predictions))
    document["rules"] = list(map(asdict, results))
    try:
        yield document
    except GeneratorExit:  # no words follow a document
        _fail_by_rules(results)
        raise

    say(verdict)
    rows = f"{split} rows" if split else "rows"
    title = f"on {len(judged.group):,} {rows} of {card.key}, intervals of {confidence:.0%}"
    headers = ["outcome", model, "interval"]
    if against:
        headers += [against, "gain", "verdict"]
    print_table(headers, map(outcome_row, ranking), f"outcomes of the ranking by score {title}")
    headers = ["metric", model, "interval"]
    if other_model:
        headers += [other_model, "difference", "interval", "verdict"]
    print_table(headers, map(_metric_row, predictions), f"each prediction {title}")
    if other_model:
        say(_summary(predictions, model, other_model))
    for result in results:
        say(result.sentence)
    _fail_by_rules(results)


def _fail_by_rules(results: Sequence[RuleResult]) -> None:
    """Ends the command with 1 if a rule failed."""
    failed = [result.rule for result in results if result.failed]
    if failed:
        TerminalProgress().note(f"seesaw: failed by --fail-if: {', '.join(failed)}")
        raise typer.Exit(1)


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    """A judgement as plain values, with its gain and its verdict."""
    gain = judgement.gain and asdict(judgement.gain)
    return asdict(judgement) | {"gain": gain, "verdict": judgement.verdict}


def outcome_row(judgement: Judgement) -> list[object]:
    """An outcome with its interval; beside another model that one's, the gain and the verdict."""
    row = [judgement.metric, judgement.estimate.value, _interval(judgement.estimate)]
    if judgement.other is not None and judgement.difference is not None:
        row += [judgement.other.value, str(judgement.gain or "-"), judgement.verdict or "-"]
    return row


def _metric_row(judgement: Judgement) -> list[object]:
    row = [judgement.metric, judgement.estimate.value, _interval(judgement.estimate)]
    if judgement.other is not None and judgement.difference is not None:
        difference = judgement.difference
        row += [judgement.other.value, difference.value, _interval(difference)]
        row.append(judgement.verdict or "-")
    return row


def _interval(effect: Effect) -> str:
    return f"{number(effect.low)} to {number(effect.high)}"


def _summary(judgements: Sequence[Judgement], model: str, other_model: str) -> str:
    better = [judgement.metric for judgement in judgements if judgement.verdict == "better"]
    worse = [judgement.metric for judgement in judgements if judgement.verdict == "worse"]
    if not better and not worse:
        return (
            f"cannot tell whether predictions of {model} or of {other_model} are better: every "
            "difference may be 0"
        )
    in_better = f"better in {', '.join(better) or 'nothing'}"
    in_worse = f"worse in {', '.join(worse) or 'nothing'}"
    parts = f"{in_better}, {in_worse}" if better else f"{in_worse}, {in_better}"
    return f"predictions of {model} are {parts}"


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
    from bench.app.runs.run_page import write_report

    run, progress = opened(run_, home), TerminalProgress()
    raw = raw or run.request.raw
    explanations = {
        key: explained(part, raw, progress, point, rows=rows, seed=seed)
        for key, part in run.datasets.items()
    }
    write_report(results_of(run), run.folder / PAGE, run.name)
    yield one_or_datasets(explanations)
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
        typer.Argument(metavar="FILES..", help="CSV (also packed) or parquet files of raw rows."),
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
