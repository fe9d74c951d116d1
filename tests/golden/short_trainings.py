"""Short trainings, one of every entry that a configuration may name and of every way to train, in
numbers.
"""

from dataclasses import asdict, replace
from itertools import chain, cycle
from unittest import SkipTest
from unittest.mock import patch

from bench.app.reference.design_runs import run_design
from bench.app.reference.table import KnownRows
from bench.core.records import Job
from bench.core.rows import REPLICATED
from bench.core.schema import Field, Number
from bench.core.several import as_one
from bench.core.system.progress import Silent
from bench.data import load_card, prepare
from bench.models.training.config import AXES
from bench.models.training.ensemble import ensemble_of
from bench.models.training.job import run_job
from bench.search.executors.base import InlineExecutor
from bench.testing.training_checks import CHAIN, FIELDS, VALUES, MemoryStore, trainer

OBJECTIVES = ("click.auc", "buy.ctcvr.ne", "stay.rmse")
RATES = {
    "optim.schedule": "cosine",
    "optim.warmup": 0.3,
    "optim.weight_decay": 0.1,
    "optim.embedding_lr": 2.0,
}
WAYS = (
    RATES | {"optim.averaging": 0.7},
    RATES
    | {"optim.schedule": "linear", "optim.clip": 0.05, "optim.evaluations": 2, "optim.patience": 1},
    {"embedding.dim": 8, "tower.layers": "8-8", "optim.epochs": 1.3, "optim.batch_size": 24},
    {"optim.embedding_optimizer": "adam", "optim.embedding_l2": 0.1},
    *({"ensemble.members": 3, "sharing.kind": kind} for kind in ("mmoe", "single_task")),
)


def configurations():
    """By name, with what varies from one to the next: the sharing under other axes, and what rows
    weigh.
    """
    sharing = cycle(("mmoe", "shared_bottom", "single_task"))
    of_axes = (
        {"sharing.kind": next(sharing)} | {f"{axis}.kind": kind}
        for axis, entries in AXES.items()
        for kind in entries
    )
    every = enumerate(chain(of_axes, WAYS))
    # processors end .003 apart with it
    steady = ((at, own) for at, own in every if own.get("loss.kind") != "jrc")
    return {
        " ".join(f"{key}={value}" for key, value in own.items()): (own, at % 3)
        for at, own in steady
    }


def trained(config, weights):
    """Losses and metrics along six steps, metrics on test and a few predictions; None where data do
    not fit.
    """
    number = Number("age", 0, None, (-3.0, -0.5, 0.5, 3.0), (16, 30, 18))
    fields = (*FIELDS, Field("past", 12, slots=3, of="item"), Field("age_range", 5))
    tasks = (*CHAIN[:2], replace(VALUES[1], duration="age"), VALUES[2])
    store = MemoryStore(96, tasks, fields=fields, numbers=(number,), weights=weights)
    try:
        made = trainer(store, {"optim.batch_size": 16, "optim.epochs": 1} | config, OBJECTIVES)
    except SkipTest:
        return None
    made.run_to()
    found = {
        name: value
        for name, value in made.metrics("test").items()
        if name.endswith(("loss", "ne", "mse", "coc"))
    }
    conditional, joint = next(made.evaluation.predictions("valid", made.selectors))
    return {
        "course": made.course.curve,
        "test": found,
        "said": [each[:3].tolist() for each in (conditional, joint)],
    }


SMALL = {
    "sharing.kind": "mmoe",
    "optim.epochs": 1,
    "optim.batch_size": 64,
    "embedding.dim": 4,
    "tower.layers": "8",
}


def jobs(folder):
    """By name what jobs of every kind that is trained by itself measure on a generated log."""
    store = prepare(load_card("synthetic-funnel@rows=1000"), folder)
    tasks = store.default_tasks
    shares = [dict.fromkeys(tasks, 0.75), dict.fromkeys(tasks, 0.25)]
    several = as_one(zip((SMALL, SMALL | {"sharing.kind": "shared_bottom"}), shares, strict=True))
    trial = Job(
        5,
        1,
        SMALL,
        str(store.path),
        7,
        REPLICATED,
        ("click.auc", "purchase.ctcvr.auc"),
        tasks,
        1,
        device="cpu",
        resamples=3,
        outcomes=("click.recall@10%", "purchase.ndcg@5"),
        keep=str(folder / "kept"),
    )
    ensemble = ensemble_of(SMALL, store.with_tasks(tasks).schema)
    made = {
        "trial": trial,
        "warm": replace(trial, start=trial.keep, keep=None, seed=8),
        "stopped": replace(trial, until=200, keep=None),
        "trees": replace(trial, trial=None, kind="trees", config={}, keep=None),
        "ensemble": replace(trial, trial=None, kind="ensemble", config=ensemble, keep=None),
        "several": replace(trial, trial=None, kind="blend", config=several, keep=None),
    }
    results = {name: run_job(each) for name, each in made.items()}
    return {
        name: {key: value for key, value in each.metrics.items() if "latency" not in key}
        | {key: sum(map(abs, moved)) for key, moved in each.resampled.items()}
        for name, each in results.items()
    }


DESIGN = """
title = "Small"
space = "quick"
[[datasets]]
id = "synthetic-funnel@rows=1000"
[design]
draws = 2
seeds = 2
weights = 2
sharing = ["shared_bottom"]
balancing = ["pcgrad"]
set = { "optim.epochs" = 1, "embedding.dim" = 4, "tower.layers" = "8", "sharing.shared_bottom.layers" = "8" }
ranges = { "optim.lr" = [0.001, 0.01] }
"""


def designed(folder):
    """The rows of two parts of a small design, in the order of their training."""
    suite = folder / "suite.toml"
    suite.write_text(DESIGN)
    parts = [
        f"synthetic/{part}"
        for part in ("alone/single_task", "shared_bottom/static", "shared_bottom/pcgrad")
    ]
    inline = {"process": lambda work, workers, options: InlineExecutor(work)}
    with patch("bench.app.reference.design_runs.EXECUTORS", inline):
        done = run_design(folder, str(suite), parts, None, None, 1, Silent())
    apart = (
        "content",
        "latency_ms",
        "cpu_seconds",
        "version",
        "commit",
        "machine",
        "served_moved",
        "test_moved",
    )
    rows = [
        {key: value for key, value in asdict(row).items() if key not in apart}
        | {key: sum(map(abs, getattr(row, key))) for key in apart[-2:]}
        for row in KnownRows(folder, folder / "none")
    ]
    return [[done.new, done.there, done.failed], rows]
