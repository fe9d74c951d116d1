"""`seesaw train`: one configuration, all its metrics and its speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import Device, Home, Json, Raw, Set, Tasks, configuration, names
from bench.cli.output import TerminalProgress, print_json, print_table, say

if TYPE_CHECKING:
    from bench.training.profile import Profile


def train(
    dataset: Annotated[str, typer.Argument(help="A data set's name, or the path of a card.")],
    config: Annotated[Path | None, typer.Option("--config", help="TOML file with a configuration.")] = None,
    set_: Set = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads to use; 0 means all cores.", min=0)] = 0,
    device: Device = "auto",
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time goes.")] = False,
    tasks: Tasks = None,
    raw: Raw = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Train one configuration and show all its metrics."""
    from bench.data import load_card, prepare
    from bench.home import writable_home
    from bench.machine import cores
    from bench.objectives import key_on, parse, primary
    from bench.records import Job
    from bench.rows import REPLICATED, SHORT
    from bench.training.config import TrialConfig, split_recipe
    from bench.training.device import choose_device
    from bench.training.job import run_job
    from bench.training.profile import Profile

    choose_device(device)  # a mistake is said before any data is prepared
    where = str(config) if config else "--set"
    given, values = split_recipe(configuration(config, set_), where)
    chosen = TrialConfig.parse(values, where)
    progress = TerminalProgress()
    card = load_card(dataset)
    store = prepare(card, writable_home(home), raw, progress)
    store = store.with_tasks(names(tasks) or given.tasks or store.default_tasks)
    chosen.check_fit(store.schema)
    for name in given.objectives:
        parse(name, store.schema.tasks, f"{where}: training.objectives")
    job = Job(
        trial=0,
        replicate=0,
        config=chosen.dotted(),
        store=str(store.path),
        seed=seed,
        splits=REPLICATED,
        objectives=given.objectives or tuple(primary(task) for task in store.schema.tasks),
        tasks=tuple(task.name for task in store.schema.tasks),
        threads=threads or cores(),
        until=given.until,
        device=device,
    )
    profiled = Profile() if profile else None
    result = run_job(job, progress, profiled)
    parameters = int(result.metrics["cost/parameters"])
    if json:
        speed = {key: result.speed[key] for key in ("train_samples_per_s", "eval_samples_per_s")}
        document = {"dataset": card.key, "architecture": chosen.architecture, "seed": seed, "config": result.config}
        document |= {"metrics": result.metrics, "speed": speed, "peak_rss_mb": result.speed["peak_rss_mb"]}
        document |= {"parameters": parameters, "curve": result.curve, "diagnosis": result.diagnosis}
        print_json(document | ({"profile": profiled.to_json()} if profiled else {}))
        return
    measured = sorted({key.split("/", 1)[1] for key in result.metrics if not key.startswith("cost/")})
    rows = [[name, *(result.metrics.get(key_on(name, split)) for split in REPLICATED)] for name in measured]
    print_table(["metric", *(SHORT[split] for split in REPLICATED)], rows, f"{chosen.architecture} on {card.key}")
    say(
        f"{parameters:,} parameters; {result.speed['train_samples_per_s']:,.0f} samples/s in training, "
        f"{result.speed['eval_samples_per_s']:,.0f} in evaluation; peak memory {result.speed['peak_rss_mb']:,.0f} MB"
    )
    if profiled:
        _show(profiled)


def _show(profile: Profile) -> None:
    rows = [
        [stage.name, stage.seconds, f"{stage.percent:.1f}", _percent(stage.matrix), _percent(stage.memory)]
        for stage in profile.stages()
    ]
    headers = ["stage", "seconds", "% of time", "% of matrix ceiling", "% of memory ceiling"]
    print_table(headers, rows, f"Where the time of {profile.steps:,} steps went")
    if profile.ceilings:
        say(
            f"measured ceilings: {profile.ceilings.flops / 1e9:,.0f} GFLOP/s in matrix products of "
            f"{profile.ceilings.products_in}, {profile.ceilings.bytes / 1e9:,.1f} GB/s in a copy"
        )


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"
