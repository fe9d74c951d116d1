"""`seesaw run`, `resume`, `confirm`, `train` and `sync`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack, redirect_stdout
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    Device,
    Full,
    Home,
    Json,
    Raw,
    RunName,
    Set,
    Tasks,
    assignments,
    configuration,
    device_name,
    names,
    opened,
)
from bench.cli.output import Answer, TerminalProgress, print_table, say
from bench.errors import UserError
from bench.home import shown, writable_home
from bench.interrupts import interrupted_once

if TYPE_CHECKING:
    from bench.run.folder import Run

Current = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Model in production: TOML, a package's folder, or models:/NAME/VERSION."),
]


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
    name: Annotated[
        str | None, typer.Option(help="The run's name; default: that of the one --dataset, else the suite's; numbered.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random number.", min=0)] = 0,
    set_: Set = None,
    current: Current = None,
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="DATA/SHARING/BALANCING", help="Part of a suite's design to train. Repeat."),
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="NAME", help="One balancer or way of sharing of a design.")
    ] = None,
    raw: Raw = None,
    tracking: Annotated[str | None, typer.Option(help="MLflow's address; default: a file at home.")] = None,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Search a suite's trade-off frontier, confirm it, and pick a configuration."""
    from bench.run.create import create
    from bench.suite import load_suite

    if part or only or (load_suite(suite).design is not None and not dataset):
        of_search = {
            "--dataset": dataset, "--space": space, "--sampler": sampler, "--lowest": lowest, "--trials": trials,
            "--samples": samples, "--lengths": lengths, "--time": time, "--job-time": job_time, "--threads": threads,
            "--executor": executor != "process", "--device": device != "auto", "--address": address, "--gpus": gpus,
            "--memory": memory, "--name": name, "--seed": seed, "--set": set_, "--current": current,
            "--tracking": tracking, "--full": full,
        }  # fmt: skip
        if given := next((option for option, value in of_search.items() if value), None):
            raise UserError(
                f"{given}: expected a search, found the design of {suite}, whose trainings it does not change; "
                f"`seesaw run {suite} --dataset DATA` searches"
            )
        yield from _design(suite, part or [], only, raw, workers, home)
        return
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
    yield from _execute(made, full, json)


def _design(
    suite: str, parts: list[str], only: str | None, raw: Path | None, workers: int, home: Path | None
) -> Answer:
    from bench.reference.execute import run_design

    with interrupted_once(), redirect_stdout(sys.stderr):
        done = run_design(writable_home(home), suite, parts, only, raw, workers, TerminalProgress())
    yield {"suite": suite} | asdict(done)
    say(f"{done.new:,} trainings, {done.there:,} more were there already, {done.failed:,} failed")
    say(f"next: python studies/publish.py {suite}  # in a clone", whole=True)


def resume(
    run_: RunName,
    trials: Annotated[int | None, typer.Option(help="Raise the total of trials to this.")] = None,
    samples: Annotated[int | None, typer.Option(help="Raise the total of training samples to this.")] = None,
    lengths: Annotated[
        float | None, typer.Option(help="Raise the total to this many trainings of full length.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Raise the total time to this, as in 10m.")] = None,
    address: Annotated[str | None, typer.Option(help="The HOST:PORT of the run's Ray cluster from now on.")] = None,
    device: Annotated[
        str | None,
        typer.Option(callback=device_name, help="auto, cpu or cuda from now on; default: as the run began."),
    ] = None,
    tracking: Annotated[str | None, typer.Option(help="MLflow's address from now on.")] = None,
    current: Current = None,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Continue a run after a stop or a crash, or extend it. Limits are totals over all executions."""
    from bench.run.execute import extend

    extended = extend(opened(run_, home), trials, samples, lengths, time, address, device, tracking)
    yield from _execute(extended.with_current(current), full, json)


def confirm(
    run_: RunName,
    static: Annotated[int | None, typer.Option(help="Static weights to tune and confirm, for compare: 7.")] = None,
    members: Annotated[int | None, typer.Option(help="Points of each balancing kind to confirm.")] = None,
    replicates: Annotated[int | None, typer.Option(help="Raise the fresh seeds of each point to this.")] = None,
    budget: Annotated[int | None, typer.Option(help="Raise the replicates of all points together to this.")] = None,
    current: Current = None,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Confirm more of a run: train what is missing, then renew frontier, pick and page."""
    from bench.run.execute import confirm_more

    more = confirm_more(opened(run_, home), static, members, replicates, budget)
    yield from _execute(more.with_current(current), full, json)


def _execute(run: Run, full: bool, json: bool) -> Answer:
    """Carries out a run. The end is short: the verdict, the page, and one command to go on with."""
    from bench.cli.fronts import show_front, show_pick, show_verdict
    from bench.cli.results import show_tracking
    from bench.frontier.decision import documents
    from bench.run.execute import execute
    from bench.run.page import next_step, page_path, run_argument

    try:
        # Ray says on stdout what happens to machines; there belongs nothing but results.
        with interrupted_once(), redirect_stdout(sys.stderr):
            results = execute(run, TerminalProgress())
    except KeyboardInterrupt:
        TerminalProgress().note(f"stopped; `seesaw resume {run_argument(run)}` goes on where it was")
        raise
    if json:  # it takes a while
        found = documents({each.run.key: each for each in results})
        yield {"run": run.name, "folder": str(run.folder), "page": str(page_path(run))} | found
    for result in results:
        if full:
            show_front(result, full=True)
            show_pick(result, full=True)
        else:
            say(f"{result.run.key}:" if len(results) > 1 else "")
            show_verdict(result)
            say(result.incomplete, result.serving.note, result.asked)
    if full:
        show_tracking(run)
    say(f"page: {shown(page_path(run))}", whole=True)
    say(f"next: {next_step(results)}", whole=True)


def train(
    dataset: Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with a configuration.")] = None,
    set_: Set = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads to use; 0 means all cores.", min=0)] = 0,
    device: Device = "auto",
    ranks: Annotated[int, typer.Option(help="Processes that train one model together.", min=1)] = 1,
    executor: Annotated[str, typer.Option(help="Where ranks are: process (here) or ray.")] = "process",
    address: Annotated[str | None, typer.Option(help="A Ray cluster's HOST:PORT; default: this machine's.")] = None,
    gpus: Annotated[float, typer.Option(help="GPUs of each rank on a Ray cluster.", min=0)] = 0.0,
    tasks: Tasks = None,
    raw: Raw = None,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Train one configuration and show all its metrics."""
    where, dotted = str(config) if config else "--set", configuration(config, set_)  # before torch is loaded
    from bench import plugins
    from bench.data import load_card, prepare
    from bench.machine import cores
    from bench.objectives import key_on, parse, primary
    from bench.records import Job
    from bench.rows import REPLICATED, SHORT
    from bench.run.folder import check_device
    from bench.search.executors import RAY, on_ray
    from bench.search.executors.base import Options
    from bench.training.config import TrialConfig, split_recipe
    from bench.training.evaluation import ranked_in
    from bench.training.job import run_job
    from bench.training.launch import check_ranks, launched, trained_on_ranks

    on_cluster = executor == RAY
    if executor not in ("process", RAY):
        raise UserError(f"--executor: expected process or ray, found '{executor}'")
    if on_cluster and ranks < 2:
        raise UserError(f"--executor ray: expected --ranks of 2 or more, found {ranks}")
    if not on_cluster and (address or gpus):
        raise UserError(f"{'--address' if address else '--gpus'}: expected --executor ray, found {executor}")
    check_device(device, executor, gpus)  # a mistake is said before any data is prepared
    given, values = split_recipe(dotted, where)
    chosen = TrialConfig.parse(values, where)
    progress = TerminalProgress()
    card = load_card(dataset)
    store = prepare(card, writable_home(home), raw, progress)
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
        objectives=given.objectives or tuple(primary(task, task.name in ranked) for task in store.schema.tasks),
        tasks=tuple(task.name for task in store.schema.tasks),
        threads=threads or cores(),
        until=given.until,
        plugins=plugins.files(),
        device=device,
    )
    with ExitStack() as stack:
        world = own.world if (own := launched()) else ranks
        if world > 1:
            check_ranks(chosen, world, min(chosen.optim.batch_size, len(store.split("train"))))
            if on_cluster:
                needs = plugins.needs(job.config.items())
                options = Options(
                    note=progress.note, store=job.store, address=address, threads=threads or 1, gpus=gpus, needs=needs
                )
                trained: AbstractContextManager[Path | None] = on_ray(job, ranks, progress, options)
                job = replace(job, device="auto")  # this machine may have another one
            else:
                trained = trained_on_ranks(job, ranks, progress)
            if (left := stack.enter_context(trained)) is None:
                return
            job = replace(job, resume=str(left))
        result = run_job(job, progress)
        if world > 1:
            result.speed["train_samples_per_s"] = result.speed["samples_trained"] / result.speed["train_seconds"]
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
    measured = sorted({key.split("/", 1)[1] for key in result.metrics if not key.startswith("cost/")})
    rows = [[name, *(result.metrics.get(key_on(name, split)) for split in REPLICATED)] for name in measured]
    print_table(["metric", *(SHORT[split] for split in REPLICATED)], rows, f"{chosen.architecture} on {card.key}")
    say(
        f"{parameters:,} parameters; {result.speed['train_samples_per_s']:,.0f} samples/s in training, "
        f"{result.speed['eval_samples_per_s']:,.0f} in evaluation; peak memory {result.speed['peak_rss_mb']:,.0f} MB"
    )


def sync(
    run_: RunName,
    tracking: Annotated[str | None, typer.Option(help="MLflow address, in place of the run's.")] = None,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Send the missing records of a run to MLflow."""
    from bench.credentials import plain_address
    from bench.run.reporting import sync as send

    run = opened(run_, home)
    uri = plain_address(tracking) if tracking else run.tracking_uri
    sent = send(run, tracking)
    yield {"run": run.name, "tracking": uri, "sent": sent}
    said = [f"{count} {kind.removesuffix('s') if count == 1 else kind}" for kind, count in sent.items() if count]
    say(f"sent to {uri}: {', '.join(said)}" if said else f"nothing was missing at {uri}")
