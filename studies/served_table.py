"""Trains random configurations, and keeps what measures of a trial say and what it serves in truth.

    python studies/served_table.py [--configurations 48] [--seeds 1] [--workers 1] [--limit-time 2h]
        [--datasets user-feed ..] [--home .seesaw] [--raw DIR] [--out reports/blackbox]

Besides the random ones there are those of the portfolio that is learnt by AUC: its rates and sizes
are good ones. Each of these has three pairs of a loss and a kind of numbers (`VARIANTS`). Each
configuration is trained once to full length (150,000 samples) as a search trains it: the state that
validation found best by the default objectives is kept. At each share of full length it is measured
on validation by every measure that a search could look at. U is the mean logarithm of its served
outcomes (`ndcg@5` of each task; of data without groups `recall@10%`) at the weights that validation
and confirmation rows find best, on test. On generated logs it is the mean over labels that are
drawn again, so it hardly has noise of labels. Finished runs are lines of `<out>/served-<data
set>.jsonl`; `<out>/served.parquet` has a row for each rung of each run.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from blackbox_table import KEY, append, line_of, read_lines, write
from pick_regret import chances_of, labels_drawn

from bench.app.runs.suite import MOST_PASSES, seconds
from bench.app.runs.suite import SuiteDataset as Dataset
from bench.app.runs.suite_objectives import resolve_objectives
from bench.core.records import Scalar
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.schema import Task
from bench.core.seeds import derive
from bench.core.system.home import resolve_home
from bench.data import Store, load_card, prepare
from bench.data.synthetic.funnel import FunnelConfig
from bench.ledger.fusion import fused
from bench.ledger.served.sweep import Sweep
from bench.measure.outcomes import Measure
from bench.measure.spaces import Labelled
from bench.models.training.config import TrialConfig
from bench.models.training.evaluation import ranked_in
from bench.models.training.loop import Trainer
from bench.search.plan import fitted, read_portfolios
from bench.search.space import Space, fitting, load_space

SPACE = "reports/blackbox/served-space.toml"
SEED = 6  # of the configurations
RUNGS = "1/8 1/2 1"
FULL = 150_000
"""Training samples, about, as in `quick`."""
DATASETS = {
    "user-feed": "reports/blackbox/user-feed.toml",
    "item-feed": "reports/blackbox/item-feed.toml",
    "short-feed": "reports/blackbox/short-feed.toml",
    "kuairand-pure": "kuairand-pure@late-window",
    "census-income": "census-income",
    "hotel-bookings": "reports/blackbox/hotel-bookings.toml",
    "whole-feed": "reports/blackbox/whole-feed.toml",
}
LOGS = ("user-feed", "item-feed", "short-feed", "kuairand-pure")
"""Those with groups. The others are a table of their own, in another folder."""
NUMBERS, LOSS = "numeric.kind", "loss.kind"
VARIANTS: tuple[dict[str, Scalar], ...] = (
    {LOSS: "log", NUMBERS: "bucket"},
    {LOSS: "jrc", "loss.jrc.weight": 0.3, NUMBERS: "piecewise_linear"},
    {LOSS: "bpr", "loss.bpr.weight": 0.5, NUMBERS: "piecewise_linear"},
)
DRAWS = 16
"""Of a generated log's labels."""
LEAST = 1e-6
"""An outcome is at least this under the logarithm."""


@dataclass(frozen=True)
class Run:
    """One configuration on one seed."""

    dataset: str
    store: str
    configuration: int
    seed: int
    config: dict[str, Scalar]
    tasks: tuple[str, ...]

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells runs apart."""
        return self.dataset, self.configuration, self.seed


class Truth:
    """What rankings do on the rows of a data set, by the mean over draws of labels where these can
    be drawn.
    """

    def __init__(self, dataset: str, store: Store) -> None:
        card, tasks = load_card(DATASETS[dataset]), store.schema.tasks
        self.tasks = tuple(Task(task.name, task.kind) for task in tasks)
        self.names = [
            f"{task.name}.{'ndcg@5' if store.schema.grouped else 'recall@10%'}" for task in tasks
        ]
        drawn: Mapping[str, Any] = {}
        if getattr(card.reader, "generator", None) == "funnel":
            drawn = chances_of(card, FunnelConfig(**card.reader.parameters))
        self.measures: dict[str, list[Measure]] = {}
        for split in (SEARCH, CONFIRM, TEST):
            rows = store.split(split)
            group, joint = np.asarray(rows.group), joint_labels(np.asarray(rows.labels), store)
            several = [joint]
            if split == TEST and drawn:
                several = list(
                    labels_drawn(drawn[TEST], np.random.default_rng(derive(SEED, dataset)), DRAWS)
                )
            self.measures[split] = [
                Measure(self.tasks, self.names, Labelled(labels.astype(np.float32), group))
                for labels in several
            ]
        train = joint_labels(np.asarray(store.split("train").labels), store)
        self.rates = np.nanmean(train, axis=0)
        self.settings = Sweep(len(tasks)).settings

    def values(self, split: str, scores: np.ndarray) -> np.ndarray:
        """(outcomes,) of a score (N,)."""
        return np.mean([measure.values(scores)[0] for measure in self.measures[split]], axis=0)

    def served(self, predictions: Mapping[str, np.ndarray]) -> dict[str, float]:
        """U on test at the best weights of validation and confirmation rows, and test outcomes of
        each head alone.
        """
        chosen = []
        for setting in self.settings:
            score = {
                split: fused(setting.kind, predictions[split], setting.weights, self.rates)
                for split in (SEARCH, CONFIRM)
            }
            chosen.append(
                np.mean([utility(self.values(split, values)) for split, values in score.items()])
            )
        best = self.settings[int(np.argmax(chosen))]
        outcomes = self.values(TEST, fused(best.kind, predictions[TEST], best.weights, self.rates))
        by_head = [self.values(TEST, predictions[TEST][:, t])[t] for t in range(len(self.tasks))]
        results = {"U/select": float(max(chosen)), "U/test": utility(outcomes)}
        results |= {
            f"served/{name}": float(value) for name, value in zip(self.names, outcomes, strict=True)
        }
        return results | {
            f"test/{name}": float(value) for name, value in zip(self.names, by_head, strict=True)
        }


def utility(outcomes: np.ndarray) -> float:
    """The mean logarithm."""
    return float(np.log(np.maximum(outcomes, LEAST)).mean())


def joint_labels(labels: np.ndarray, store: Store) -> np.ndarray:
    """(N, T): products along the chain of parents."""
    joint = labels.astype(float).copy()
    for task, parent in enumerate(store.schema.parents):
        if parent is not None and parent >= 0:
            joint[:, task] = np.where(joint[:, parent] == 0, 0.0, joint[:, task] * joint[:, parent])
    return joint


@cache
def truth_of(dataset: str, path: str, tasks: tuple[str, ...]) -> Truth:
    """Kept by a worker."""
    return Truth(dataset, Store.open(path).with_tasks(tasks))


def train(run: Run) -> dict[str, Any]:
    """A run as a line of the table."""
    return line_of(run, _train)


def _train(run: Run, rungs: list[dict[str, Any]]) -> None:
    store = Store.open(run.store).with_tasks(run.tasks)
    truth = truth_of(run.dataset, run.store, run.tasks)
    config = TrialConfig.parse(run.config)
    objectives = resolve_objectives(Dataset(id=run.dataset), store.schema.tasks, ranked_in(store))
    trainer = Trainer(
        store, config, objectives, derive(SEED, run.configuration, run.seed), outcomes=truth.names
    )
    full = config.optim.epochs * len(store.split("train"))
    for fraction in (float(Fraction(text)) for text in RUNGS.split()):
        course = trainer.run_to(None if fraction == 1 else math.ceil(fraction * full))
        metrics, predictions = trainer.metrics(SEARCH), {}
        for split in (SEARCH, CONFIRM, TEST) if fraction == 1 else ():
            pieces = list(trainer.evaluation.predictions(split, trainer.selectors))
            predictions[split] = np.concatenate([joint for _, joint in pieces])
        endings = tuple(
            f".{name}"
            for name in ("auc", "gauc", "gauc_positives", "ndcg@5", "recall@10%", "logloss")
        )
        kept_metrics = {
            name: value
            for name, value in metrics.items()
            if name.endswith(endings) and ".cvr." not in name
        }
        rungs.append(
            {"fraction": fraction, "samples": course.samples, "seconds": course.seconds}
            | {"metrics": kept_metrics | (truth.served(predictions) if predictions else {})}
        )


def configurations(space: Space, tasks: tuple[str, ...], random: int) -> list[dict[str, Scalar]]:
    """Random ones, and those that were learnt by AUC with each of `VARIANTS`."""
    rngs = [
        np.random.default_rng(derive(SEED, "configuration", number)) for number in range(random)
    ]
    learnt = next(
        portfolio
        for portfolio in read_portfolios()
        if (portfolio["objectives"], portfolio["rows"]) == (3, 0)
    )
    varied = [config | variant for config in learnt["configurations"] for variant in VARIANTS]
    return [
        *(space.sample(rng, tasks) for rng in rngs),
        *(dict(space.fixed) | fitted(config, space, tasks) for config in varied),
    ]


def plan(dataset: str, random: int, seeds: Sequence[int], options: argparse.Namespace) -> list[Run]:
    """Runs on a data set; prepares the store."""
    card, home = load_card(DATASETS[dataset]), resolve_home(options.home)
    store = prepare(
        card,
        home,
        options.raw / dataset if options.raw and (options.raw / dataset).exists() else None,
    )
    tasks = tuple(
        task.name
        for task in card.tasks
        if task.name in card.default_tasks and task.kind == "binary"
    )
    of_tasks = store.with_tasks(tasks)
    space = fitting(load_space(SPACE), of_tasks.schema).space
    epochs = min(MOST_PASSES, max(1, round(FULL / len(of_tasks.split("train")))))
    planned = []
    for number, config in enumerate(configurations(space, tasks, random)):
        with_epochs = config | {"optim.epochs": epochs}
        planned += [
            Run(dataset, str(store.path), number, seed, with_epochs, tasks) for seed in seeds
        ]
    return planned


def line_path(out: Path, dataset: str) -> Path:
    """Where a data set's finished runs are."""
    return out / f"served-{dataset}.jsonl"


def table(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each rung of each run."""
    rows = []
    for line in lines:
        head = {name: line[name] for name in KEY} | {
            f"config/{name}": value for name, value in line["config"].items()
        }
        for rung, measurements in enumerate(line["rungs"]):
            measured = {name: value for name, value in measurements.items() if name != "metrics"}
            rows.append(
                head | {"rung": rung} | measured | measurements["metrics"] | {"failure": None}
            )
        if line["failure"]:
            rows.append(head | {"rung": len(line["rungs"]), "failure": line["failure"]})
    frame = pd.DataFrame(rows).sort_values([*KEY, "rung"], ignore_index=True)
    narrow = [
        name
        for name in frame.columns
        if name.startswith(("valid/", "test/", "served/", "U/")) or name == "seconds"
    ]
    return frame.astype(dict.fromkeys(narrow, "float32"))


def main() -> None:
    """Makes the table, or what the time allows of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--configurations", type=int, default=48, help="random ones")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--datasets", nargs="+", default=LOGS, choices=list(DATASETS))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit-time", type=seconds, default=math.inf)
    parser.add_argument("--home", type=Path)
    parser.add_argument(
        "--raw", type=Path, help="folder with a folder of raw files for each data set"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/blackbox"))
    options = parser.parse_args()
    runs = [
        run
        for name in options.datasets
        for run in plan(name, options.configurations, range(options.seeds), options)
    ]
    finished_keys = {
        tuple(line[name] for name in KEY)
        for name in options.datasets
        for line in read_lines(line_path(options.out, name))
    }
    waiting = sorted(
        (run for run in runs if run.key not in finished_keys),
        key=lambda run: (run.seed, run.configuration),
        reverse=True,
    )
    print(f"{len(runs) - len(waiting)} runs are there, {len(waiting)} are left", flush=True)
    began, count = time.monotonic(), len(waiting)
    with ProcessPoolExecutor(
        options.workers, mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        running: dict[Future[dict[str, Any]], Run] = {}
        while waiting or running:
            while (
                waiting
                and len(running) < options.workers
                and time.monotonic() - began < options.limit_time
            ):
                run = waiting.pop()
                running[pool.submit(train, run)] = run
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                run, line = running.pop(future), future.result()
                append(line_path(options.out, run.dataset), line)
                finished = count - len(waiting) - len(running)
                print(
                    f"{finished}/{count} {run.dataset} {run.configuration}/{run.seed}: "
                    f"{line['failure'] or 'done'}; {(time.monotonic() - began) / finished:.1f} s a "
                    "run",
                    flush=True,
                )
    lines = [
        line for path in sorted(options.out.glob("served-*.jsonl")) for line in read_lines(path)
    ]
    write(table(lines), options.out / "served.parquet")


if __name__ == "__main__":
    main()
