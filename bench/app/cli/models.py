"""`seesaw deploy`, `evaluate`, `explain`, `score`, `latency`, `history`: the pick as a registered
model.
"""

from __future__ import annotations

import math
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import Home, ModelArgument, Point, Raw, RunName, Tracking, opened
from bench.app.cli.output import CommandOutput, TerminalProgress, number, print_table, say
from bench.core.errors import UserError
from bench.core.errors import listed as names_of
from bench.core.plain import names
from bench.core.system.home import resolve_home, shown

if TYPE_CHECKING:
    from bench.app.runs.deployment import Deployment
    from bench.ledger.effect import Effect
    from bench.serve.evaluation import Judgement
    from bench.serve.rules import RuleResult


Alias = StrEnum("Alias", ["champion", "challenger"])
"""The alias of a new version."""


def deploy(
    target: Annotated[
        str, typer.Argument(metavar="RUN|picked.json", help="A run, or the pick of one data set.")
    ],
    point: Point = None,
    as_: Annotated[
        Alias | None,
        typer.Option(
            "--as", help="Alias of the version; default: champion, with --point challenger."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the registered model; default: the data set's.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="TOML file; default: the pick's policy.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the trainings; default: the run's.")
    ] = None,
    threads: Annotated[
        int, typer.Option(help="Threads to train with; 0 means all cores.", min=0)
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Keep a model below its prediction intervals.")
    ] = False,
    no_onnx: Annotated[
        bool, typer.Option("--no-onnx", help="Leave out the model in ONNX.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the steps, and do nothing.")
    ] = False,
    promote: Annotated[
        bool, typer.Option("--promote", help="Make the challenger champion; trains nothing.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Swap champion and previous.")
    ] = False,
    refresh: Annotated[
        bool,
        typer.Option(
            "--refresh", help="Train the champion on the days since, and judge it against itself."
        ),
    ] = False,
    judge: Annotated[
        str, typer.Option(help="Of --refresh: the newest days, by which both are judged.")
    ] = "1d",
    raw: Raw = None,
    home: Home = None,
) -> CommandOutput:
    """Train the picked configuration for production, package it, and register it in MLflow."""
    from bench.app.runs.deploy import check_name, deploying, make_package, register
    from bench.app.runs.deployment import deployment_of
    from bench.app.tracking.registry import ModelRegistry
    from bench.core.system.machine import cores
    from bench.serve.engines import without_onnx

    if promote + rollback + (as_ is Alias.challenger) > 1:
        raise UserError("expected one of --as challenger, --promote and --rollback, found two")
    if point is not None and (promote or rollback):
        raise UserError(
            "--point: expected no --promote or --rollback beside it, which train nothing"
        )
    as_ = as_ or (Alias.champion if point is None or refresh else Alias.challenger)
    deployment = deployment_of(resolve_home(home), target, policy, name, seed, point)
    training = (
        "" if promote or rollback else deployment.training
    )  # what is no network is refused first
    unsure = {"unsure": deployment.unsure} if training and deployment.unsure else {}
    if unsure:
        TerminalProgress().note(deployment.unsure)
    if deployment.result.incomplete:
        TerminalProgress().note(f"note: {deployment.result.incomplete}")
    told = (
        f"the run's verdict: {deployment.result.decision.verdict.sentence}",
        deployment.pick.reason,
        deployment.result.asked,
    )
    uri = deployment.part.run.store_address
    if promote or rollback or dry_run:
        registry = ModelRegistry(uri)
        if rollback:
            moves = registry.rollback(deployment.name)
        elif promote:
            moves = registry.promote(deployment.name)
        else:
            check_name(deployment)
            moves = registry.moves(deployment.name, as_.value, "(new)")
        if not dry_run:
            registry.apply(deployment.name, moves)
        yield unsure | {
            "model": deployment.name,
            "tracking": uri,
            "moves": [vars(each) for each in moves],
        }
        if not (promote or rollback):
            say(*told)
            say(f"would train {training}", f"would register the model at {uri}")
            say(f"score: {deployment.score}")
        say(*(f"{deployment.name}: {'would do: ' if dry_run else ''}{move}" for move in moves))
        return
    lacking = "" if no_onnx else without_onnx()
    if lacking:
        TerminalProgress().note(f"the package will have no model in ONNX: {lacking}")
    onnx = not no_onnx and not lacking
    if refresh:
        yield from _refresh(deployment, as_.value, judge, raw, threads or cores(), force, onnx)
        return
    with deploying(deployment):
        package = make_package(deployment, raw, force, threads or cores(), TerminalProgress(), onnx)
        number, moves = register(deployment, package, as_.value)
    yield unsure | {
        "model": deployment.name,
        "version": number,
        "alias": as_.value,
        "tracking": uri,
        "package": str(package.folder),
        "agreement": package.manifest.agreement,
        "verdict": deployment.result.decision.verdict.sentence,
        "score": package.manifest.score.model_dump(mode="json"),
        "outcomes": package.manifest.outcomes,
        "moves": [vars(each) for each in moves],
        "test": package.manifest.provenance["test"],
    }
    say(*told)
    differ, agreement = "probabilities differ by at most", package.manifest.agreement
    say(
        *(
            f"{engine}: {differ} {most:.1e} from the trained model's"
            for engine, most in agreement.items()
        )
    )
    say(f"score: {package.manifest.score}")
    say(f"package: {package.folder}", whole=True)
    say(*(f"{deployment.name}: {move}" for move in moves))
    model = f"models:/{deployment.name}@{as_.value}"
    at = shlex.quote(uri)
    say(
        f"serve:   MLFLOW_TRACKING_URI={at} mlflow models serve -m {model} --env-manager local",
        whole=True,
    )


def _refresh(
    deployment: Deployment,
    alias: str,
    span: str,
    raw: Path | None,
    threads: int,
    force: bool,
    onnx: bool,
) -> CommandOutput:
    """Registers tomorrow's version of the champion, unless it is surely worse."""
    from bench.app.runs.deploy import deploying, open_model, register
    from bench.app.runs.refresh import refresh

    run = deployment.part.run
    with deploying(deployment):
        champion = open_model(run.home, f"{deployment.name}@champion", run.store_address)
        new = refresh(
            deployment, champion, raw or run.request.raw, span, threads, TerminalProgress(), onnx
        )
        kept = force or not new.worse
        number, moves = register(deployment, new.package, alias) if kept else ("", [])
        if not kept:
            shutil.rmtree(new.package.folder)
    yield {
        "model": deployment.name,
        "version": number,
        "kept": kept,
        "sentence": new.sentence,
        "trained": new.training,
        "outcomes": [_plain(each) for each in new.judgements],
        "package": str(new.package.folder) if kept else "",
    }
    headers = ["outcome", "new version", "interval", "champion", "gain", "verdict"]
    print_table(
        headers, [_row(each, gain=True) for each in new.judgements], "outcomes on the newest days"
    )
    say(new.sentence, f"The new version: {new.training}.")
    if not kept:
        lost = names_of(new.worse)
        raise UserError(
            f"the new version is refused: it loses more of {lost} than the policy allows; see "
            "--force"
        )
    say(*(f"{deployment.name}: {move}" for move in moves))


CHALLENGER = "@challenger"


def evaluate(
    model: ModelArgument,
    data: Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")],
    against: Annotated[
        str | None,
        typer.Option(
            help="Model, or column:NAME of a logged score; default for a challenger: the champion."
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Exit with 1 if so: a gain 'buy.recall@10% < -1%', a value 'buy.recall@10% < "
                "0.3'. Repeat."
            )
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
    from bench.serve.evaluation import judge, judgements, sentence, served
    from bench.serve.rules import Rule, outcomes_asked

    rules = [Rule.parse(each) for each in fail_if or ()]
    at = resolve_home(home)
    card = load_card(data)
    if against is None and model.endswith(CHALLENGER):
        against = f"{model.removesuffix(CHALLENGER)}@champion"
    column = against.removeprefix(COLUMN) if against and against.startswith(COLUMN) else None
    other = None if column is not None else against  # a model, which has predictions, too
    packages = [open_model(at, each, tracking) for each in (model, other) if each is not None]
    schema, outcomes = packages[0].schema, packages[0].manifest.outcomes
    asked = outcomes_asked(
        rules, schema.tasks, outcomes, bool(card.weight), against is not None, other is not None
    )
    judged = judge(
        card,
        at,
        raw,
        split,
        [package.scorer("eager") for package in packages],
        TerminalProgress(),
        column,
    )
    options = resamples, confidence, seed
    ranking = served(judged, schema, outcomes, *options, asked)
    predictions = judgements(
        replace(judged, predictions=judged.predictions[: len(packages)]), schema, *options
    )
    results = [rule.result([*ranking, *predictions]) for rule in rules]
    lacking = (
        f" ({judged.unscored:.1%} of the rows lack it and rank last)" if judged.unscored else ""
    )
    verdict = sentence(ranking, model, f"{against}{lacking}") if against else ""
    document = {
        "outcomes": [_plain(each) for each in ranking],
        "metrics": [_plain(each) for each in predictions],
    }
    document |= {"rules": [asdict(each) for each in results]}
    about = {"model": model, "against": against, "rows": len(judged.group)}
    try:
        yield about | ({"sentence": verdict} if against else {}) | document
    except GeneratorExit:  # after a document nothing more is said
        _end(results)
        raise
    say(verdict)
    which = f"{split} rows" if split else "rows"
    title = f"on {len(judged.group):,} {which} of {card.key}, intervals of {confidence:.0%}"
    headers = ["outcome", model, "interval", *([against, "gain", "verdict"] if against else [])]
    print_table(
        headers,
        [_row(each, gain=True) for each in ranking],
        f"outcomes of the ranking by score {title}",
    )
    headers = [
        "metric",
        model,
        "interval",
        *([other, "difference", "interval", "verdict"] if other else []),
    ]
    print_table(headers, [_row(each) for each in predictions], f"each prediction {title}")
    if other:
        say(_summary(predictions, model, other))
    say(*(each.sentence for each in results))
    _end(results)


def _end(results: Sequence[RuleResult]) -> None:
    """Ends the command with 1 if a rule failed."""
    if failed := [each.rule for each in results if each.failed]:
        TerminalProgress().note(f"seesaw: failed by --fail-if: {', '.join(failed)}")
        raise typer.Exit(1)


def _plain(each: Judgement) -> dict[str, Any]:
    return asdict(each) | {
        "gain": asdict(each.gain) if each.gain else None,
        "verdict": each.verdict,
    }


def _row(each: Judgement, gain: bool = False) -> list[Any]:
    row = [each.metric, each.estimate.value, _interval(each.estimate)]
    if each.other is not None and each.difference is not None:
        change = (
            [str(each.gain or "-")] if gain else [each.difference.value, _interval(each.difference)]
        )
        row += [each.other.value, *change, each.verdict or "-"]
    return row


def _interval(of: Effect) -> str:
    return f"{number(of.low)} to {number(of.high)}"


def _summary(judgements: list[Judgement], model: str, against: str) -> str:
    of = {
        word: [each.metric for each in judgements if each.verdict == word]
        for word in ("better", "worse")
    }
    if not of["better"] and not of["worse"]:
        return (
            f"cannot tell whether predictions of {model} or of {against} are better: every "
            "difference may be 0"
        )
    better, worse = (
        f"{word} in {', '.join(of[word]) or 'nothing'}" for word in ("better", "worse")
    )
    first, second = (better, worse) if of["better"] else (worse, better)
    return f"predictions of {model} are {first}, {second}"


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
    from bench.app.runs.result import result_of
    from bench.app.runs.run_page import write_report

    run, progress = opened(run_, home), TerminalProgress()
    parts, own_raw = run.datasets.items(), raw or run.request.raw
    by_dataset = {
        key: explained(part, own_raw, progress, point, rows=rows, seed=seed) for key, part in parts
    }
    write_report([result_of(part) for _, part in parts], run.folder / PAGE, run.name)
    yield next(iter(by_dataset.values())) if len(by_dataset) == 1 else {"datasets": by_dataset}
    for key, each in by_dataset.items():
        say(each["sentence"])
        for of in ("inputs", "heads"):
            headers, owed = table(each, of)
            print_table(
                headers,
                owed[:15],
                f"what the order of {text.dataset(key)} owes to {of} ({len(owed)} in all)",
            )
        say(meaning(each))
    say(f"page: {shown(run.folder / PAGE)}", whole=True)


def score(
    model: ModelArgument,
    files: Annotated[
        list[Path], typer.Argument(help="CSV (also packed) or parquet files of raw rows.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the predictions, as parquet; existing parts are kept.")
    ],
    keep: Annotated[str | None, typer.Option(help="Columns to keep, separated by commas.")] = None,
    engine: Annotated[str, typer.Option(help="eager or onnx.")] = "eager",
    threads: Annotated[
        int, typer.Option(help="Threads of the model; reading and encoding have their own.", min=1)
    ] = 1,
    history: Annotated[
        Path | None,
        typer.Option(help="File of `seesaw history`, for rows without history columns."),
    ] = None,
    tracking: Tracking = None,
    home: Home = None,
) -> CommandOutput:
    """Score files with a packaged or registered model."""
    from bench.app.runs.deploy import open_model
    from bench.core.errors import count
    from bench.serve.batch_scoring import BatchScoring

    package = open_model(resolve_home(home), model, tracking)
    work = BatchScoring(package, files, out, names(keep), engine, threads, history=history)
    started = time.perf_counter()
    done = work.run(TerminalProgress())
    seconds = time.perf_counter() - started
    yield {"out": str(out), **vars(done), "seconds": seconds, "rows_per_s": done.rows / seconds}
    there = f"; {done.skipped} were there already" if done.skipped else ""
    if work.history is not None and work.history.without:
        say(
            f"{work.history.without:,} of {work.history.rows:,} rows are of a group without "
            f"earlier rows in {history}"
        )
    parts, rows = count(done.parts, "part"), count(done.rows, "row")
    say(f"{out}: {parts} with {rows}, {done.rows / seconds:,.0f} rows/s{there}")


def latency(
    model: ModelArgument,
    engines: Annotated[
        str | None, typer.Option(help="eager, onnx; default: all that are installed.")
    ] = None,
    batches: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1,100,1000",
    threads: Annotated[str, typer.Option(help="Numbers of threads, separated by commas.")] = "1,2",
    seconds: Annotated[
        float, typer.Option(help="Seconds for each line of the table.", min=0.01)
    ] = 1.0,
    tracking: Tracking = None,
    home: Home = None,
) -> CommandOutput:
    """Measure latency and throughput of a packaged or registered model."""
    from bench.app.runs.deploy import open_model
    from bench.serve.latency import latencies

    sizes, counts = _numbers("--batches", batches), _numbers("--threads", threads)
    package = open_model(resolve_home(home), model, tracking)
    measured = latencies(package, names(engines), counts, sizes, seconds)
    yield {"model": model, "latencies": [vars(each) for each in measured]}
    headers = ["engine", "threads", "batch", "p50 ms", "p99 ms", "request p50 ms", "rows/s"]
    rows = [
        [e.engine, e.threads, e.batch, e.p50_ms, e.p99_ms, e.request_ms, round(e.rows_per_s)]
        for e in measured
    ]
    print_table(headers, rows, f"latency of {model}")
    say(
        "p50, p99 and rows/s: the model alone; a request: from raw rows to the score, without a "
        "network"
    )


def _numbers(option: str, text: str) -> list[int]:
    parts = names(text)
    if not parts or not all(
        each.isdecimal() and len(each) < 10 and int(each) > 0 for each in parts
    ):
        raise UserError(
            f"{option}: expected whole numbers from 1 to 999,999,999, separated by commas, found "
            f"'{text}'"
        )
    return [int(each) for each in parts]


def history(
    card: Annotated[str, typer.Argument(help="A card with [history]: a name or a path.")],
    out: Annotated[Path, typer.Option(help="The parquet file to write.")],
    raw: Annotated[
        Path | None, typer.Option(help="Folder of the card's files; default: fetch them.")
    ] = None,
    until: Annotated[
        float, typer.Option(help="Keep rows before this time, in the card's unit.")
    ] = math.inf,
    home: Home = None,
) -> CommandOutput:
    """Write the history of every group, for `seesaw score --history`."""
    from bench.data import load_card
    from bench.serve.kept_history import write_history

    rows = write_history(load_card(card), out, resolve_home(home), raw, until, TerminalProgress())
    yield {"out": str(out), "rows": rows}
    say(f"{out}: {rows:,} rows")
    say(f"next: seesaw score MODEL FILES --history {out} --out FOLDER")
