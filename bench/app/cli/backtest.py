"""`seesaw backtest`: a run's points day by day, as they would have been trained and served."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.app.cli.options import Home, Raw, RunName, opened
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError
from bench.core.plain import names
from bench.core.system.home import shown


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
    seed: Annotated[
        int | None, typer.Option(help="Seed of the trainings; default: the run's.")
    ] = None,
    threads: Annotated[
        int, typer.Option(help="Threads to train with; 0 means all cores.", min=0)
    ] = 0,
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
    from bench.serve.backtest.days import table

    run = opened(run_, home)
    if len(run.datasets) > 1:
        raise UserError(f"{run.name}: expected a run of one data set, found {len(run.datasets)}")
    result = result_of(next(iter(run.datasets.values())))
    asked = BacktestOptions(
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
    progress, own_raw = TerminalProgress(), raw or run.request.raw
    if dry_run:
        plan = plan_of(result, asked, own_raw, progress)
        say(cost_of(plan))
        yield {"cost": cost_of(plan), "cuts": [vars(cut) for cut in plan.cuts]}
        print_table(["cut", "rows"], [[str(cut), cut.rows] for cut in plan.cuts])
        return
    answer = test(result, asked, own_raw, progress)
    outcome, unit = answer.outcome, answer.unit
    yield answer.document
    for days in answer.days:
        say(*answer.sentences[days.point])
        headers = [unit, "rows", "all in all", *(f"{name}, %" for name in outcome.outcomes)]
        print_table(
            headers,
            table(days, outcome),
            f"gains over {answer.titles[outcome.against]}, {outcome.how}",
        )
    say(f"page: {shown(run.folder / PAGE)}", whole=True)
