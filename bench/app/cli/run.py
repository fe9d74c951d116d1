"""`seesaw run`, `resume`, `confirm`, `train` and `sync`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import Full, Home, Raw, RunName, opened, options_of
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.app.runs.request import Request
from bench.app.runs.suite import Confirm
from bench.core.errors import UserError
from bench.core.plain import assignments, flatten, names
from bench.core.system.content import read_toml
from bench.core.system.home import shown, writable_home
from bench.core.system.interrupts import interrupted_once
from bench.core.validation import validate
from bench.search.executors.base import Resources

if TYPE_CHECKING:
    from bench.app.runs.folder import Run


@options_of(Request)
def run(
    asked: dict[str, Any],
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DATA/SHARING/BALANCING", help="Part of a suite's design to train. Repeat."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="One balancer or way of sharing of a design.")
    ] = None,
    full: Full = False,
    home: Home = None,
) -> CommandOutput:
    """Search a suite's trade-off frontier, confirm it, and pick a configuration."""
    request = Request.of(asked)
    from bench.app.runs.create import create
    from bench.app.runs.suite import load_suite

    if part or only or (load_suite(request.suite).design is not None and not request.dataset):
        of_search = [
            *request.model_dump(exclude_unset=True, exclude={"suite", "raw", "workers"}),
            *["full"] * full,
        ]
        if of_search:
            raise UserError(
                f"--{of_search[0].replace('_', '-')}: expected a search, found the design of "
                f"{request.suite}, whose trainings it does not change; `seesaw run {request.suite} "
                "--dataset DATA` searches"
            )
        from bench.app.reference.execute import run_design

        workers, raw = request.workers, request.raw
        with interrupted_once(), redirect_stdout(sys.stderr):
            done = run_design(
                writable_home(home),
                request.suite,
                part or [],
                only,
                raw,
                workers,
                TerminalProgress(),
            )
        yield {"suite": request.suite} | asdict(done)
        say(
            f"{done.new:,} trainings, {done.there:,} more were there already, {done.failed:,} "
            "failed"
        )
        say(*done.answer)
        rows = [
            [each.data, each.sharing, each.verdict, each.value, each.margin]
            for each in done.compared
        ]
        print_table(["data", "sharing", "beats static weights", "lead", "margin"], rows)
        say(
            "" if done.answer else f"next: python studies/publish.py {request.suite}  # in a clone",
            whole=True,
        )
        return
    made = create(writable_home(home), request, TerminalProgress(), ["seesaw", *sys.argv[1:]])
    yield from _execute(made, full)


@options_of(
    Request,
    "trials",
    "samples",
    "lengths",
    "time",
    "address",
    "device",
    "tracking",
    "current",
    defaults=False,
)
def resume(
    asked: dict[str, Any], run_: RunName, full: Full = False, home: Home = None
) -> CommandOutput:
    """Continue a run after a stop or a crash, or extend it. Limits are totals over all executions,
    and only grow.
    """
    from bench.app.runs.execute import extend

    yield from _execute(extend(opened(run_, home), **asked), full)


@options_of(Confirm, "static", "members", "replicates", "budget", defaults=False)
@options_of(Request, "current")
def confirm(
    asked: dict[str, Any], run_: RunName, full: Full = False, home: Home = None
) -> CommandOutput:
    """Confirm more of a run: train what is missing, then renew frontier, pick and page. Numbers are
    totals.
    """
    from bench.app.runs.execute import confirm_more

    yield from _execute(confirm_more(opened(run_, home), **asked), full)


def _execute(run: Run, full: bool) -> CommandOutput:
    """Carries out a run. The end is short: the verdict, the page, and one command to go on with."""
    from bench.app.cli.fronts import show_front, show_pick, show_verdict
    from bench.app.cli.results import show_tracking
    from bench.app.runs.execute import execute
    from bench.app.runs.folder import PAGE
    from bench.app.runs.result import documents
    from bench.app.runs.run_page import next_step, run_argument

    try:
        # Ray says on stdout what happens to machines; there belongs nothing but results.
        with interrupted_once(), redirect_stdout(sys.stderr):
            results = execute(run, TerminalProgress())
    except KeyboardInterrupt:
        TerminalProgress().note(
            f"stopped; `seesaw resume {run_argument(run)}` goes on where it was"
        )
        raise
    about = {"run": run.name, "folder": str(run.folder), "page": str(run.folder / PAGE)}
    yield lambda: about | documents(results)
    for result in results:
        if full:
            show_front(result, full=True)
            show_pick(result, full=True)
        else:
            say(f"{result.run.key}:" if len(results) > 1 else "")
            show_verdict(result.decision)
            say(result.incomplete, result.decision.serving.note, result.asked)
    if full:
        show_tracking(run)
    say(f"page: {shown(run.folder / PAGE)}", whole=True)
    say(f"next: {next_step(results)}", whole=True)


@options_of(Resources, "threads", "device")
def train(
    asked: dict[str, Any],
    dataset: Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with a configuration.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Configuration, as in sharing.kind=mmoe. Repeat."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    tasks: Annotated[
        str | None, typer.Option(help="Tasks to train, separated by commas; default: the card's.")
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Folder of --save, or a package: go on from it with these data."
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Folder to leave for a later --from.")
    ] = None,
    raw: Raw = None,
    home: Home = None,
) -> CommandOutput:
    """Train one configuration and show all its metrics."""
    from bench.models.config import overridden

    where = str(config) if config else "--set"
    dotted = overridden(
        flatten(read_toml(config)) if config else {}, assignments(set_ or ())
    )  # before torch is loaded
    resources = validate(Resources, asked, "")
    from bench.core import plugins
    from bench.core.objectives import key_on, parse, primary
    from bench.core.records import Job
    from bench.core.rows import REPLICATED, SHORT
    from bench.core.system.machine import cores
    from bench.data import load_card, prepare
    from bench.models.training.config import TrialConfig, split_recipe
    from bench.models.training.evaluation import ranked_in
    from bench.models.training.job import run_job
    from bench.models.training.warm import before_of

    resources.check()  # a mistake is said before any data is prepared
    given, values = split_recipe(dotted, where)
    chosen = TrialConfig.parse(values, where)
    progress = TerminalProgress()
    card = load_card(dataset)
    if save is not None and save.exists():
        raise UserError(f"--save: expected a folder that is not there yet, found {save}")
    before = None if from_ is None else before_of(from_)
    store = prepare(card, writable_home(home), raw, progress, before)
    store = store.with_tasks(names(tasks) or given.tasks or store.default_tasks)
    chosen.check_fit(store.schema)
    ranked = ranked_in(store)
    for name in given.objectives:
        parse(name, store.schema.tasks, f"{where}: training.objectives")
    job = Job(
        trial=0,
        replicate=0,
        config=chosen.dotted(),
        store=str(store.path),
        seed=seed,
        splits=REPLICATED,
        objectives=given.objectives
        or tuple(primary(task, task.name in ranked) for task in store.schema.tasks),
        tasks=tuple(task.name for task in store.schema.tasks),
        threads=resources.threads or cores(),
        until=given.until,
        plugins=plugins.files(),
        device=resources.device,
        start=None if from_ is None else str(from_),
        keep=None if save is None else str(save),
    )
    result = run_job(job, progress)
    parameters = int(result.metrics["cost/parameters"])
    speed = {key: result.speed[key] for key in ("train_samples_per_s", "eval_samples_per_s")}
    document = {
        "dataset": card.key,
        "architecture": chosen.architecture,
        "seed": seed,
        "config": result.config,
        "metrics": result.metrics,
        "speed": speed,
        "peak_rss_mb": result.speed["peak_rss_mb"],
        "parameters": parameters,
        "curve": result.curve,
        "diagnosis": result.diagnosis,
    }
    yield document
    measured = sorted(
        {key.split("/", 1)[1] for key in result.metrics if not key.startswith("cost/")}
    )
    rows = [
        [name, *(result.metrics.get(key_on(name, split)) for split in REPLICATED)]
        for name in measured
    ]
    print_table(
        ["metric", *(SHORT[split] for split in REPLICATED)],
        rows,
        f"{chosen.architecture} on {card.key}",
    )
    say(
        f"{parameters:,} parameters; {result.speed['train_samples_per_s']:,.0f} samples/s in "
        f"training, {result.speed['eval_samples_per_s']:,.0f} in evaluation; peak memory "
        f"{result.speed['peak_rss_mb']:,.0f} MB"
    )


def sync(
    run_: RunName,
    tracking: Annotated[
        str | None, typer.Option(help="MLflow address, in place of the run's.")
    ] = None,
    home: Home = None,
) -> CommandOutput:
    """Send the missing records of a run to MLflow."""
    from bench.app.runs.reporting import sync as send
    from bench.core.system.credentials import plain_address

    run = opened(run_, home)
    uri = plain_address(tracking) if tracking else run.tracking_uri
    sent = send(run, tracking)
    yield {"run": run.name, "tracking": uri, "sent": sent}
    said = [
        f"{count} {kind.removesuffix('s') if count == 1 else kind}"
        for kind, count in sent.items()
        if count
    ]
    say(f"sent to {uri}: {', '.join(said)}" if said else f"nothing was missing at {uri}")
