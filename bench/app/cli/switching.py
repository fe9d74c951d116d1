"""From a verdict to production: `seesaw backtest` tests it on later days, `plan` plans its A/B
test, and `deploy` trains, packages and registers the pick.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.app.cli.deployed import judgement_document, outcome_row
from bench.app.cli.options import (
    Home,
    Point,
    Raw,
    RunName,
    Texts,
    Threads,
    TrainingSeed,
    only_part,
    opened,
)
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError, listed, shortened
from bench.core.plain import names
from bench.core.system.content import read_toml
from bench.core.system.home import resolve_home, shown
from bench.core.validation import validate

if TYPE_CHECKING:
    from bench.app.runs.backtest import BacktestAnswer
    from bench.app.runs.deployment import Deployment
    from bench.app.tracking.registry import Move
    from bench.deciding.decision import Decision
    from bench.serve.package import Package


def backtest(
    run_: RunName,
    cuts: Annotated[
        int | None, typer.Option(help="Parts of test, of about equal rows; default: 7.", min=2)
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="A cut for each span of time instead: 1d, 2w, 12h, month.")
    ] = None,
    points: Annotated[
        str,
        typer.Option(
            "--points",
            "--point",
            help="pick, or points of `seesaw frontier` at their best weights, as in 7,trees.",
        ),
    ] = "pick",
    warm: Annotated[
        bool, typer.Option("--warm", help="Go on from the cut before, by one pass over new rows.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Train from scratch at each cut (the default).")
    ] = False,
    window: Annotated[
        str, typer.Option(help="Train on this much of the past alone, as in 14d.")
    ] = "",
    time: Annotated[
        str | None, typer.Option(help="Raw column of the times, where the card names none.")
    ] = None,
    seed: TrainingSeed = None,
    threads: Threads = 0,
    workers: Annotated[
        int, typer.Option(help="Cuts at once, in processes; not with --warm.", min=1)
    ] = 1,
    executor: Annotated[
        str, typer.Option(help="process, or ray: all later cuts at once on a cluster.")
    ] = "process",
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Of the Ray cluster.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, and do nothing.")
    ] = False,
    raw: Raw = None,
    home: Home = None,
) -> CommandOutput:
    """Train a run's pick at several later times, as production would, and judge it on what came
    next.
    """
    if warm and anew:
        raise UserError("expected one of --warm and --anew, found both")
    if cuts is not None and every is not None:
        raise UserError("expected one of --cuts and --every, found both")
    from bench.app.runs.backtest import BacktestOptions, cost_of, plan_of
    from bench.app.runs.backtest import backtest as test
    from bench.app.runs.folder import PAGE
    from bench.app.runs.result import result_of

    run = opened(run_, home)
    result = result_of(only_part(run))
    options = BacktestOptions(
        names(points),
        cuts,
        every,
        "warm" if warm else "anew",
        window,
        time,
        seed,
        threads,
        workers,
        executor,
        address,
    )
    raw = raw or run.request.raw
    if dry_run:
        plan = plan_of(result, options, raw, TerminalProgress())
        cost = cost_of(plan)
        yield {"cost": cost, "cuts": list(map(vars, plan.cuts))}
        say(cost)
        print_table(["cut", "rows"], [[str(cut), cut.rows] for cut in plan.cuts])
        return
    answer = test(result, options, raw, TerminalProgress())
    yield answer.document
    _show_days(answer)
    say(f"page: {shown(run.folder / PAGE)}", whole=True)


def _show_days(answer: BacktestAnswer) -> None:
    from bench.serve.backtest.daily_gains import table

    backtest = answer.outcome
    headers = [answer.unit, "rows", "all in all"]
    headers += [f"{outcome}, %" for outcome in backtest.outcomes]
    title = f"gains over {answer.titles[backtest.against]}, {backtest.how}"
    for days in answer.days:
        say(*answer.sentences[days.point])
        print_table(headers, table(days, backtest), title)


def plan(
    run_: RunName,
    point: Point = None,
    traffic: Annotated[
        str | None, typer.Option(metavar="N/day", help="Units that enter the test, both arms.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Column of what has one arm. Default: the card's units.")
    ] = None,
    guardrail: Annotated[
        Texts,
        typer.Option(metavar="TASK=-0.5%", help="The most that a task may lose. Repeat."),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Default: that of RUN.")
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Plan the A/B test of a verdict, or of --point: of a run or a folder of `seesaw decide`:
    users, days, looks.
    """
    from bench.app.report.plan_page import planned, tables, write

    daily = None
    if traffic is not None:
        daily = _number("--traffic", traffic, "(.*)/day", "N/day, as in 200000/day")
    losses = {}
    for text in guardrail or ():
        loss = _number("--guardrail", text, "[^=]*=(-.*)%", "TASK=-N%, as in click=-0.5%")
        losses[text.partition("=")[0].strip()] = loss / 100
    folder, decision = _decided(run_, home)
    document = planned(decision, traffic=daily, unit=unit, guardrails=losses, point=point)
    page = write(document, (to or folder).expanduser().resolve())
    yield document | {"page": str(page)}
    say(document["sentence"], *document["notes"])
    for title, (headers, rows) in tables(document).items():
        print_table(headers, rows, title)
    say(f"page: {shown(page)}", whole=True)


def _decided(name: str, home: Path | None) -> tuple[Path, Decision]:
    """The folder, and its decision: that on a log is made again, in seconds, as nothing keeps its
    rows.
    """
    from bench.app.report.log_page import ASKED

    file = Path(name).expanduser() / ASKED
    if file.is_file():
        from bench.deciding.logged.asked import Asked
        from bench.deciding.logged.log_decision import decide
        from bench.deciding.logged.logged_rows import read

        asked = validate(Asked, read_toml(file), str(file))
        if not asked.log:
            raise UserError(
                f"{file}: expected the files of a log, found none; in Python the decision has "
                "`plan`"
            )
        return file.parent, decide(asked, read(asked, TerminalProgress())).decision
    from bench.app.runs.result import result_of

    run = opened(name, home)
    return run.folder, result_of(only_part(run)).decision


def _number(option: str, text: str, pattern: str, wanted: str) -> float:
    match = re.fullmatch(pattern, text.strip())
    try:
        return float(match[1] if match else "")
    except ValueError:
        raise UserError(f"{option}: expected {wanted}, found '{shortened(text)}'") from None


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
    seed: TrainingSeed = None,
    threads: Threads = 0,
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
    from bench.app.runs.deploy import deploying, make_package, register
    from bench.app.runs.deployment import deployment_of
    from bench.core.system.machine import cores
    from bench.serve.engines import without_onnx

    if promote + rollback + (as_ is Alias.challenger) > 1:
        raise UserError("expected one of --as challenger, --promote and --rollback, found two")
    only_moves = promote or rollback
    if point is not None and only_moves:
        raise UserError(
            "--point: expected no --promote or --rollback beside it, which train nothing"
        )
    alias = "champion" if point is None or refresh else "challenger"
    if as_ is not None:
        alias = as_.value

    deployment = deployment_of(resolve_home(home), target, policy, name, seed, point)
    training = "" if only_moves else deployment.training  # what is no network is refused first
    notes = {}
    if training and deployment.unsure:
        notes["unsure"] = deployment.unsure
        TerminalProgress().note(deployment.unsure)
    if deployment.result.incomplete:
        TerminalProgress().note(f"note: {deployment.result.incomplete}")
    address = deployment.part.run.store_address
    if only_moves or dry_run:
        moves = _moves(deployment, alias, promote, rollback, dry_run)
        plain_moves = list(map(vars, moves))
        yield notes | {"model": deployment.name, "tracking": address, "moves": plain_moves}
        if not only_moves:
            say(*_reasons(deployment))
            say(f"would train {training}", f"would register the model at {address}")
            say(f"score: {deployment.score}")
        prefix = "would do: " if dry_run else ""
        for move in moves:
            say(f"{deployment.name}: {prefix}{move}")
        return

    lacking = "" if no_onnx else without_onnx()
    if lacking:
        TerminalProgress().note(f"the package will have no model in ONNX: {lacking}")
    onnx = not no_onnx and not lacking
    threads = threads or cores()
    if refresh:
        yield from _refresh(deployment, alias, judge, raw, threads, force, onnx)
        return
    with deploying(deployment):
        package = make_package(deployment, raw, force, threads, TerminalProgress(), onnx)
        version, moves = register(deployment, package, alias)
    yield notes | {
        "model": deployment.name,
        "version": version,
        "alias": alias,
        "tracking": address,
        "package": str(package.folder),
        "agreement": package.manifest.agreement,
        "verdict": deployment.result.decision.verdict.sentence,
        "score": package.manifest.score.model_dump(mode="json"),
        "outcomes": package.manifest.outcomes,
        "moves": list(map(vars, moves)),
        "test": package.manifest.provenance["test"],
    }
    _show_package(deployment, package, alias, moves)


def _moves(
    deployment: Deployment, alias: str, promote: bool, rollback: bool, dry_run: bool
) -> list[Move]:
    """Moves the registry's aliases; a dry run only says how."""
    from bench.app.runs.deploy import check_name
    from bench.app.tracking.registry import ModelRegistry

    registry = ModelRegistry(deployment.part.run.store_address)
    if rollback:
        moves = registry.rollback(deployment.name)
    elif promote:
        moves = registry.promote(deployment.name)
    else:
        check_name(deployment)
        moves = registry.moves(deployment.name, alias, "(new)")
    if not dry_run:
        registry.apply(deployment.name, moves)
    return moves


def _reasons(deployment: Deployment) -> tuple[str, ...]:
    return (
        f"the run's verdict: {deployment.result.decision.verdict.sentence}",
        deployment.pick.reason,
        deployment.result.asked,
    )


def _show_package(
    deployment: Deployment, package: Package, alias: str, moves: Sequence[Move]
) -> None:
    say(*_reasons(deployment))
    for engine, difference in package.manifest.agreement.items():
        say(f"{engine}: probabilities differ by at most {difference:.1e} from the trained model's")
    say(f"score: {package.manifest.score}")
    say(f"package: {package.folder}", whole=True)
    for move in moves:
        say(f"{deployment.name}: {move}")
    address = shlex.quote(deployment.part.run.store_address)
    say(
        f"serve:   MLFLOW_TRACKING_URI={address} mlflow models serve -m "
        f"models:/{deployment.name}@{alias} --env-manager local",
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
    raw = raw or run.request.raw
    version, moves = "", list["Move"]()
    with deploying(deployment):
        champion = open_model(run.home, f"{deployment.name}@champion", run.store_address)
        new = refresh(deployment, champion, raw, span, threads, TerminalProgress(), onnx)
        accepted = force or not new.worse
        if accepted:
            version, moves = register(deployment, new.package, alias)
        else:
            shutil.rmtree(new.package.folder)
    yield {
        "model": deployment.name,
        "version": version,
        "kept": accepted,
        "sentence": new.sentence,
        "trained": new.training,
        "outcomes": list(map(judgement_document, new.judgements)),
        "package": str(new.package.folder) if accepted else "",
    }
    headers = ["outcome", "new version", "interval", "champion", "gain", "verdict"]
    print_table(headers, map(outcome_row, new.judgements), "outcomes on the newest days")
    say(new.sentence, f"The new version: {new.training}.")
    if not accepted:
        raise UserError(
            f"the new version is refused: it loses more of {listed(new.worse)} than the policy "
            "allows; see --force"
        )
    for move in moves:
        say(f"{deployment.name}: {move}")
