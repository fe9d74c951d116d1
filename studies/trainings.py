"""Data sets at hand and trainings on them, for studies of trees and of blends: each is kept, and
does not run again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np

from bench.app.runs.suite import MOST_PASSES
from bench.core.objectives import Objective, primary
from bench.core.records import Job, Point, PointKind, Replicate, Scalar, SplitName
from bench.core.rows import REPLICATED
from bench.core.seeds import derive
from bench.data import Store, load_card, prepare
from bench.measure.resampling import RESAMPLES
from bench.models.training.config import TrialConfig
from bench.models.training.job import run_job
from bench.models.training.kept import write_rows
from bench.models.training.tree_settings import best_by_task, configurations
from bench.search.confirm.baselines import LEAST_TREES

NAME = "trainings"
CARDS = {
    "census-income": ("income", "never_married"),
    "census-income-education": ("education", "never_married"),
    "hotel-bookings": ("cancel", "request", "change", "parking"),
    "kuairand-pure@late-window": ("click", "long_view", "like"),
}
"""Tasks by card."""
RAW = {"census-income-education": "census-income"}
"""Folder of a card's raw files, where that is not named as the card is."""
NETWORKS: tuple[dict[str, Scalar], ...] = (
    {"sharing.kind": "mmoe"},
    {"sharing.kind": "ple", "numeric.kind": "bucket_and_piecewise", "interaction.kind": "dcn_v2"},
)
COMMON: dict[str, Scalar] = {"optim.batch_size": 1024, "optim.lr": 0.004}
"""Of both networks; their other options are the defaults."""
FULL = 150_000
"""Training samples of a network, about: whole passes over train, as `quick` has them."""
Runs = list[Replicate]
CPU = "cpu seconds"
"""Among the metrics of a training: what it took."""


def store_of(card: str, raw: Path, home: Path) -> Store:
    """The data set with its tasks."""
    loaded_card = load_card(card)
    return prepare(loaded_card, home, raw / RAW.get(card, loaded_card.id)).with_tasks(CARDS[card])


class Trainings:
    """The trainings of a data set, each in a file beside its predictions."""

    def __init__(self, store: Store, folder: Path, seeds: int) -> None:
        self.store, self.folder, self.seeds = store, folder.resolve(), range(1, seeds + 1)
        self.tasks = tuple(task.name for task in store.schema.tasks)
        self.objectives = [
            Objective(primary(task, in_groups=False), "maximize") for task in store.schema.tasks
        ]
        write_rows(store, self.folder)

    def run(
        self, kind: PointKind, trial: int | None, config: dict[str, Scalar], seed: int
    ) -> Replicate:
        """One of them; with seed 0 on validation alone."""
        splits: tuple[SplitName, ...] = REPLICATED if seed else ("valid",)
        job = Job(
            trial,
            seed,
            config,
            str(self.store.path),
            derive(seed, NAME),
            splits,
            tuple(objective.name for objective in self.objectives),
            self.tasks,
            1,
            resamples=RESAMPLES if seed else 0,
            predictions=str(self.folder) if seed else None,
            kind=kind,
        )
        file = (
            self.folder
            / f"{kind}-{derive(0, job.training, *map(str, config.values()))}-{seed}.json"
        )
        if not file.exists():
            started = process_time()
            result = run_job(job)
            file.write_text(
                json.dumps([result.metrics | {CPU: process_time() - started}, result.resampled])
            )
        metrics, resampled = json.loads(file.read_text())
        return Replicate(seed, job.seed, metrics, resampled=resampled)

    def network(self) -> tuple[Point, Runs]:
        """The best of `NETWORKS` on validation, by the product of areas over .5."""
        passes = min(MOST_PASSES, max(1, round(FULL / len(self.store.split("train")))))
        tried = []
        for number, network in enumerate(NETWORKS):
            config = TrialConfig.parse({**COMMON, **network, "optim.epochs": passes}).dotted()
            runs = [self.run("trial", number, config, seed) for seed in self.seeds]
            merit = np.prod(
                [mean(runs, objective.key("valid")) - 0.5 for objective in self.objectives]
            )
            tried.append((merit, Point("trial", config, "", number), runs))
        _, point, runs = max(tried, key=lambda entry: entry[0])
        return point, runs

    def trees(self) -> tuple[Point, Runs, float]:
        """Tuned on validation, as the baseline of a small search is; and CPU seconds of the
        tries.
        """
        configs = configurations(self.tasks, LEAST_TREES, derive(0, NAME))
        tried = [(config, self.run("trees", None, config, 0).metrics) for config in configs]
        config = best_by_task(self.tasks, tried, [objective.name for objective in self.objectives])
        runs = [self.run("trees", None, config, seed) for seed in self.seeds]
        return Point("trees", config, "trees"), runs, sum(metrics[CPU] for _, metrics in tried)


def mean(runs: Sequence[Replicate], key: str) -> float:
    """Over seeds."""
    return float(np.mean([run.metrics[key] for run in runs]))
