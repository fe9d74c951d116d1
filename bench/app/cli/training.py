"""Trains one configuration: `seesaw train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.app.cli.options import DatasetArgument, Home, Raw, Texts, options_of
from bench.app.cli.output import CommandOutput, TerminalProgress, print_table, say
from bench.core.errors import UserError
from bench.core.plain import assignments, flatten, names
from bench.core.system.content import read_toml
from bench.core.system.home import writable_home
from bench.core.validation import validate
from bench.search.executors.base import Resources

if TYPE_CHECKING:
    from bench.core.records import TrialResult


@options_of(Resources, "threads", "device")
def train(
    asked: dict[str, Any],
    dataset: DatasetArgument,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with a configuration.")
    ] = None,
    set_: Annotated[
        Texts,
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
    from bench.models.model_options import overridden

    where, settings = "--set", {}
    if config:
        where, settings = str(config), flatten(read_toml(config))
    settings = overridden(settings, assignments(set_ or ()))  # before torch is loaded
    resources = validate(Resources, asked, "")
    from bench.core import plugins
    from bench.core.objectives import parse, primary
    from bench.core.records import Job
    from bench.core.rows import REPLICATED
    from bench.core.system.machine import cores
    from bench.data import load_card, prepare
    from bench.models.training.config import TrialConfig, split_recipe
    from bench.models.training.evaluation import ranked_in
    from bench.models.training.job import run_job
    from bench.models.training.warm import before_of

    resources.check()  # mistakes are reported before any data is prepared
    recipe, values = split_recipe(settings, where)
    trial = TrialConfig.parse(values, where)
    card = load_card(dataset)
    before = start = keep = None
    if save is not None:
        keep = str(save)
        if save.exists():
            raise UserError(f"--save: expected a folder that is not there yet, found {save}")
    if from_ is not None:
        before, start = before_of(from_), str(from_)
    store = prepare(card, writable_home(home), raw, TerminalProgress(), before)
    store = store.with_tasks(names(tasks) or recipe.tasks or store.default_tasks)
    trial.check_fit(store.schema)
    ranked = ranked_in(store)
    for name in recipe.objectives:
        parse(name, store.schema.tasks, f"{where}: training.objectives")
    objectives = recipe.objectives
    if not objectives:
        objectives = tuple(primary(task, task.name in ranked) for task in store.schema.tasks)
    job = Job(
        trial=0,
        replicate=0,
        config=trial.dotted(),
        store=str(store.path),
        seed=seed,
        splits=REPLICATED,
        objectives=objectives,
        tasks=store.schema.task_names,
        threads=resources.threads or cores(),
        until=recipe.until,
        plugins=plugins.files(),
        device=resources.device,
        start=start,
        keep=keep,
    )
    result = run_job(job, TerminalProgress())
    speed = {key: result.speed[key] for key in ("train_samples_per_s", "eval_samples_per_s")}
    yield {
        "dataset": card.key,
        "architecture": trial.architecture,
        "seed": seed,
        "config": result.config,
        "metrics": result.metrics,
        "speed": speed,
        "peak_rss_mb": result.speed["peak_rss_mb"],
        "parameters": int(result.metrics["cost/parameters"]),
        "curve": result.curve,
        "diagnosis": result.diagnosis,
    }
    _show_training(result, f"{trial.architecture} on {card.key}")


def _show_training(result: TrialResult, title: str) -> None:
    from bench.core.objectives import key_on
    from bench.core.rows import REPLICATED, SHORT

    metrics, speed = result.metrics, result.speed
    measured = {key.split("/", 1)[1] for key in metrics if not key.startswith("cost/")}
    rows = []
    for name in sorted(measured):
        rows.append([name, *(metrics.get(key_on(name, split)) for split in REPLICATED)])
    print_table(["metric", *(SHORT[split] for split in REPLICATED)], rows, title)
    say(
        f"{int(metrics['cost/parameters']):,} parameters; {speed['train_samples_per_s']:,.0f} "
        f"samples/s in training, {speed['eval_samples_per_s']:,.0f} in evaluation; peak memory "
        f"{speed['peak_rss_mb']:,.0f} MB"
    )
