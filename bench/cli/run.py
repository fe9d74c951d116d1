"""`seesaw run`, `seesaw resume` and `seesaw confirm`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import Device, Full, Home, Json, Raw, Set, assignments, names
from bench.cli.output import TerminalProgress, print_json, say
from bench.interrupts import interrupted_once

Current = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Model in production: TOML, a package's folder, or models:/NAME/VERSION."),
]

if TYPE_CHECKING:
    from bench.run.folder import Run


def run(
    suite: Annotated[str, typer.Argument(help="A suite's name, or the path of a suite.toml.")],
    dataset: Annotated[str | None, typer.Option(help="Data sets instead of the suite's, separated by commas.")] = None,
    space: Annotated[str | None, typer.Option(help="Search space instead of the suite's.")] = None,
    sampler: Annotated[str | None, typer.Option(help="gp, tpe or random.")] = None,
    lowest: Annotated[
        str | None,
        typer.Option(help="Lowest rung: samples, or a part of full length; 0 for none."),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in total, for each data set.")] = None,
    samples: Annotated[int | None, typer.Option(help="Training samples in total, for each data set.")] = None,
    lengths: Annotated[
        float | None, typer.Option(help="Training samples in trainings of full length, as in 20.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Start no trial later than this, as in 10m.")] = None,
    job_time: Annotated[str | None, typer.Option(help="End and retry a job that takes longer, as in 10m.")] = None,
    workers: Annotated[int, typer.Option(help="Jobs at once; 0 means one a core, or all a cluster holds.", min=0)] = 0,
    executor: Annotated[str, typer.Option(help="inline, process or ray.")] = "process",
    threads: Annotated[int, typer.Option(help="Threads of each job; 0 shares the cores.", min=0)] = 0,
    device: Device = "auto",
    address: Annotated[str | None, typer.Option(help="A Ray cluster's HOST:PORT; default: this machine's.")] = None,
    gpus: Annotated[float, typer.Option(help="GPUs of each job on a Ray cluster, as in 0.5.", min=0)] = 0,
    memory: Annotated[int, typer.Option(help="MB of memory of each job on a Ray cluster.", min=0)] = 0,
    name: Annotated[str | None, typer.Option(help="The run's name; default: the suite's, numbered.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.", min=0)] = 0,
    set_: Set = None,
    current: Current = None,
    raw: Raw = None,
    tracking: Annotated[str | None, typer.Option(help="MLflow's address; default: a file at home.")] = None,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Search a suite's trade-off frontier, confirm it, and pick a configuration."""
    from bench.home import writable_home
    from bench.run.create import create

    made = create(
        writable_home(home),
        suite,
        datasets=names(dataset),
        space=space,
        sampler=sampler,
        lowest=lowest,
        trials=trials,
        samples=samples,
        lengths=lengths,
        time=time,
        job_time=job_time,
        workers=workers,
        executor=executor,
        threads=threads,
        device=device,
        address=address,
        gpus=gpus,
        memory_mb=memory,
        name=name,
        seed=seed,
        pinned=assignments(set_),
        raw=raw,
        tracking=tracking,
        current=current,
        progress=TerminalProgress(),
    )
    _execute(made, full, json)


def resume(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")],
    trials: Annotated[int | None, typer.Option(help="Raise the total of trials to this.")] = None,
    samples: Annotated[int | None, typer.Option(help="Raise the total of training samples to this.")] = None,
    lengths: Annotated[
        float | None, typer.Option(help="Raise the total to this many trainings of full length.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Raise the total time to this, as in 10m.")] = None,
    address: Annotated[str | None, typer.Option(help="The HOST:PORT of the run's Ray cluster from now on.")] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda from now on; default: as the run began.")
    ] = None,
    current: Current = None,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Continue a run after a stop or a crash, or extend it. Limits are totals over all executions."""
    from bench.run.current import with_current
    from bench.run.execute import extend

    extended = extend(_opened(run_, home), trials, samples, lengths, time, address, device)
    _execute(with_current(extended, current), full, json)


def confirm(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")],
    static: Annotated[int | None, typer.Option(help="Static weights to tune and confirm, for compare: 7.")] = None,
    members: Annotated[int | None, typer.Option(help="Points of each balancing kind to confirm.")] = None,
    replicates: Annotated[int | None, typer.Option(help="Raise the fresh seeds of each point to this.")] = None,
    budget: Annotated[int | None, typer.Option(help="Raise the replicates of all points together to this.")] = None,
    current: Current = None,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Confirm more of a run: train what is missing, then renew frontier, pick and page."""
    from bench.run.current import with_current
    from bench.run.execute import confirm_more

    more = confirm_more(_opened(run_, home), static, members, replicates, budget)
    _execute(with_current(more, current), full, json)


def _opened(name: str, home: Home) -> Run:
    from bench.home import resolve_home
    from bench.run.folder import Run

    return Run.open(resolve_home(home), name)


def _execute(run: Run, full: bool, json: bool) -> None:
    """Carries out a run. The end is short: the verdict, the page, and one command to go on with."""
    from bench.cli.fronts import show_dataset
    from bench.cli.results import frontier_document, show_tracking
    from bench.home import shown
    from bench.run.execute import execute
    from bench.run.results import next_step, page_path, run_argument

    try:
        # Ray says on stdout what happens to machines; there belongs nothing but results.
        with interrupted_once(), redirect_stdout(sys.stderr):
            results = execute(run, TerminalProgress())
    except KeyboardInterrupt:
        TerminalProgress().note(f"stopped; `seesaw resume {run_argument(run)}` goes on where it was")
        raise
    if json:
        print_json(
            {"run": run.name, "folder": str(run.folder), "page": str(page_path(run))} | frontier_document(results)
        )
        return
    for result in results:
        if full:
            show_dataset(result)
        else:
            say(f"{result.run.key}: {result.verdict.sentence}" if len(results) > 1 else result.verdict.sentence)
            if result.cut_short:
                say(result.cut_short)
    if full:
        show_tracking(run)
    say(f"page: {shown(page_path(run))}", whole=True)
    say(f"next: {next_step(results)}", whole=True)
