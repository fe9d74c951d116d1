"""From a verdict to production: `seesaw backtest` tests it on later days, `plan` plans its A/B
test, and `deploy` trains, packages and registers the pick.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.judged import judgement_document, outcome_row
from bench.app.cli.options import Home, RunName, only_part, opened, options_of, validated
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.app.runs.later_options import BacktestOptions, DeployOptions
from bench.core.errors import UserError, listed
from bench.core.system.content import read_toml
from bench.core.system.home import resolve_home, shown
from bench.core.validation import validate
from bench.deciding.plan.plan_options import PlanOptions

if TYPE_CHECKING:
    from bench.app.runs.backtest import BacktestAnswer
    from bench.app.runs.deployment import Deployment
    from bench.app.tracking.model_registry import Move
    from bench.deciding.decision import Decision
    from bench.serve.package import Package


@options_of(BacktestOptions, defaults=False)
def backtest(
    asked: dict[str, Any],
    run_: RunName,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, and do nothing.")
    ] = False,
    home: Home = None,
) -> CommandOutput:
    """Train a run's pick at several later times, as production would, and judge it on what came
    next.
    """
    from bench.app.runs.backtest import backtest as test
    from bench.app.runs.backtest import cost_of, plan_of
    from bench.app.runs.folder import PAGE
    from bench.app.runs.result import result_of

    options = validated(BacktestOptions, asked)
    run = opened(run_, home)
    result = result_of(only_part(run))
    if dry_run:
        plan = plan_of(result, options, TerminalProgress())
        cost = cost_of(plan)
        yield {"cost": cost, "cuts": list(map(vars, plan.cuts))}
        say(cost)
        print_table(["cut", "rows"], [[str(cut), cut.rows] for cut in plan.cuts])
        return
    answer = test(result, options, TerminalProgress())
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


@options_of(PlanOptions, defaults=False)
def plan(
    asked: dict[str, Any],
    run_: RunName,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Default: that of RUN.")
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Plan the A/B test of a verdict, or of --point: of a run or a folder of `seesaw decide`:
    users, days, looks.
    """
    from bench.app.report.plan_page import planned, tables, write

    options = validated(PlanOptions, asked)
    folder, decision = _decided(run_, home)
    document = planned(decision, options.model_dump(exclude_unset=True))
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
        from bench.app.runs.log import decide_on
        from bench.deciding.logged.asked import Asked

        asked = validate(Asked, read_toml(file), str(file))
        if not asked.log:
            raise UserError(
                f"{file}: expected the files of a log, found none; in Python the decision has "
                "`plan`"
            )
        return file.parent, decide_on(asked, TerminalProgress(), resolve_home(home)).decision
    from bench.app.runs.result import result_of

    run = opened(name, home)
    return run.folder, result_of(only_part(run)).decision


@options_of(DeployOptions, defaults=False)
def deploy(asked: dict[str, Any], home: Home = None) -> CommandOutput:
    """Train the picked configuration for production, package it, and register it in MLflow."""
    from bench.app.runs.deploy import deploying, make_package, register
    from bench.app.runs.deployment import deployment_of
    from bench.core.system.machine import cores
    from bench.serve.engines import without_onnx

    options = validated(DeployOptions, asked)
    alias = options.registered_as
    deployment = deployment_of(resolve_home(home), options)
    if deployment.point.trainer:
        yield from _hand_over(deployment, options)
        return
    # what is no network is refused first
    training = "" if options.only_moves else deployment.training
    notes = {}
    if training and deployment.unsure:
        notes["unsure"] = deployment.unsure
        TerminalProgress().note(deployment.unsure)
    if deployment.result.incomplete:
        TerminalProgress().note(f"note: {deployment.result.incomplete}")
    address = deployment.part.run.store_address
    if options.only_moves or options.dry_run:
        moves = _moves(deployment, options)
        plain_moves = list(map(vars, moves))
        yield notes | {"model": deployment.name, "tracking": address, "moves": plain_moves}
        if not options.only_moves:
            say(*_reasons(deployment))
            say(f"would train {training}", f"would register the model at {address}")
            say(f"score: {deployment.score}")
        prefix = "would do: " if options.dry_run else ""
        for move in moves:
            say(f"{deployment.name}: {prefix}{move}")
        return

    lacking = without_onnx() if options.onnx else ""
    if lacking:
        TerminalProgress().note(f"the package will have no model in ONNX: {lacking}")
    onnx = options.onnx and not lacking
    threads = options.threads or cores()
    if options.refresh:
        yield from _refresh(deployment, options, threads, onnx)
        return
    with deploying(deployment):
        package = make_package(
            deployment, options.raw, options.force, threads, TerminalProgress(), onnx
        )
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


def _hand_over(deployment: Deployment, options: DeployOptions) -> CommandOutput:
    """Writes what is needed to train and serve a model of a trainer from elsewhere."""
    from bench.app.runs.handover import formula_of, hand_over_pick

    for option in ("refresh", "promote", "rollback", "dry_run"):
        if getattr(options, option):
            raise UserError(
                f"--{option.replace('_', '-')}: expected a model that comes with the package, "
                f"found one of the trainer '{deployment.point.trainer}'"
            )
    folder = hand_over_pick(deployment)
    yield {
        "handover": str(folder),
        "trainer": deployment.point.trainer,
        "verdict": deployment.result.decision.verdict.sentence,
        "score": formula_of(deployment),
    }
    say(*_reasons(deployment))
    say(f"score: {formula_of(deployment)}")
    say(f"how to train and rank: {folder}/README.md", whole=True)


def _moves(deployment: Deployment, options: DeployOptions) -> list[Move]:
    """Moves the registry's aliases; a dry run only says how."""
    from bench.app.runs.deploy import check_name
    from bench.app.tracking.model_registry import ModelRegistry

    registry = ModelRegistry(deployment.part.run.store_address)
    if options.rollback:
        moves = registry.rollback(deployment.name)
    elif options.promote:
        moves = registry.promote(deployment.name)
    else:
        check_name(deployment)
        moves = registry.moves(deployment.name, options.registered_as, "(new)")
    if not options.dry_run:
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
    deployment: Deployment, options: DeployOptions, threads: int, onnx: bool
) -> CommandOutput:
    """Registers tomorrow's version of the champion, unless it is surely worse."""
    from bench.app.runs.deploy import deploying, open_model, register
    from bench.app.runs.refresh import refresh

    run = deployment.part.run
    raw = options.raw or run.request.raw
    version, moves = "", list["Move"]()
    with deploying(deployment):
        champion = open_model(run.home, f"{deployment.name}@champion", run.store_address)
        new = refresh(deployment, champion, raw, options.judge, threads, TerminalProgress(), onnx)
        accepted = options.force or not new.worse
        if accepted:
            version, moves = register(deployment, new.package, options.registered_as)
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
