"""Blends of a network and boosted trees against the part that validation prefers, on rows of test.

    python studies/blends.py --raw DIR [--data census-income ...] [--seeds 3] [--out FOLDER] [--write docs/inputs.md]

Data sets and tasks are those of `trees.py`. On each seed all of `NETWORKS` are trained, and trees with
the settings that `LEAST_TREES` tries found. As in a run, validation chooses the network, and the share of each task.
Each task's blend is compared with the network or the trees, whichever is better on validation, in pairs by seed and by
row. `FOLDER` keeps each finished training, which does not run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from speed.table import replace, writer
from trees import CARDS, store_of

from bench.confirm.baselines import LEAST_TREES
from bench.data import Store
from bench.measure.resampling import RESAMPLES
from bench.objectives import Objective, primary
from bench.predictions import name_of
from bench.records import Job, Kind, Point, Replicate, Scalar, Split
from bench.results.samples import samples_of
from bench.results.statistics import differences
from bench.rows import REPLICATED
from bench.seeds import derive
from bench.suite import MOST_PASSES
from bench.training.blend import NETWORK, SHARE, TREES, shares_of
from bench.training.config import TrialConfig
from bench.training.job import run_job
from bench.training.kept import write_rows
from bench.training.tree_settings import best_by_task, configurations

NAME = "blends"
NETWORKS: tuple[dict[str, Scalar], ...] = (
    {"sharing.kind": "mmoe"},
    {"sharing.kind": "ple", "numeric.kind": "piecewise_linear"},
)
"""Their other options are the defaults; passes over train are as `quick` has them."""
FULL = 150_000
"""Training samples, about."""
Runs = list[Replicate]


class Trainings:
    """The trainings of a data set, each kept in a file beside its predictions."""

    def __init__(self, store: Store, folder: Path, seeds: int) -> None:
        self.store, self.folder, self.seeds = store, folder, range(1, seeds + 1)
        self.tasks = tuple(task.name for task in store.schema.tasks)
        self.objectives = [Objective(primary(task, in_groups=False), "maximize") for task in store.schema.tasks]
        write_rows(store, folder)

    def run(self, kind: Kind, trial: int | None, config: dict[str, Scalar], seed: int) -> Replicate:
        """One of them; with seed 0 on validation alone."""
        splits: tuple[Split, ...] = REPLICATED if seed else ("valid",)
        job = Job(
            trial, seed, config, str(self.store.path), derive(seed, NAME), splits,
            tuple(each.name for each in self.objectives), self.tasks, 1, resamples=RESAMPLES if seed else 0,
            predictions=str(self.folder) if seed else None, kind=kind,
        )  # fmt: skip
        file = self.folder / f"{kind}-{derive(0, job.training)}-{seed}.json"
        if not file.exists():
            result = run_job(job)
            file.write_text(json.dumps([result.metrics, result.resampled]))
        metrics, resampled = json.loads(file.read_text())
        return Replicate(seed, job.seed, metrics, resampled=resampled)

    def network(self) -> tuple[Point, Runs]:
        """The best of `NETWORKS` on validation, by the product of areas over .5."""
        passes = min(MOST_PASSES, max(1, round(FULL / len(self.store.split("train")))))
        found = []
        for number, own in enumerate(NETWORKS):
            config = TrialConfig.parse({**own, "optim.epochs": passes}).dotted()
            runs = [self.run("trial", number, config, seed) for seed in self.seeds]
            merit = np.prod([mean(runs, each.key("valid")) - 0.5 for each in self.objectives])
            found.append((merit, Point("trial", config, "", number), runs))
        _, point, runs = max(found, key=lambda each: each[0])
        return point, runs

    def trees(self) -> tuple[Point, Runs]:
        """Tuned on validation, as the baseline of a small search is."""
        asked = configurations(self.tasks, LEAST_TREES, derive(0, NAME))
        tried = [(config, self.run("trees", None, config, 0).metrics) for config in asked]
        config = best_by_task(self.tasks, tried, [each.name for each in self.objectives])
        return Point("trees", config, "trees"), [self.run("trees", None, config, seed) for seed in self.seeds]


def mean(runs: Sequence[Replicate], key: str) -> float:
    """Over seeds."""
    return float(np.mean([run.metrics[key] for run in runs]))


def rows(card: str, of: Trainings) -> Iterator[tuple[float, float, str]]:
    """By task the gain over the preferred part, the upper end of its interval, and the row of the table."""
    (network, first), (trees, second) = of.network(), of.trees()
    names = [(name_of(network.training, seed), name_of(trees.training, seed)) for seed in of.seeds]
    config = {NETWORK: network.id, TREES: trees.id, **trees.config}
    config |= shares_of(of.store, of.folder, of.objectives, names)
    both = [of.run("blend", None, config, seed) for seed in of.seeds]
    keys = [each.key("test") for each in of.objectives]
    for at, objective in enumerate(of.objectives):
        preferred = max((first, second), key=lambda runs: mean(runs, objective.key("valid")))
        points = [Point("model", {}, "", replicates=tuple(runs), label=name) for name, runs in
                  (("blend", both), ("part", preferred))]  # fmt: skip
        found = differences(list(samples_of(points, keys).values()))
        assert found is not None
        gain = found.gains(0, 1, of.objectives)[at]
        task, _, _ = objective.name.partition(".")
        share = config[f"{SHARE}{task}"]
        means = [f"{mean(runs, keys[at]):.5f}" for runs in (first, second, both)]
        part = "network" if preferred is first else "trees"
        told = f"{1e4 * gain.value:+.1f} ({1e4 * gain.low:+.1f} to {1e4 * gain.high:+.1f})"
        yield gain.value, gain.high, f"| {card} | {objective.name} | {share} | {' | '.join(means)} | {part} | {told} |"


def main() -> None:
    """Trains what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--data", nargs="+", choices=CARDS, default=list(CARDS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("blends"))
    given = parser.parse_args()
    head = "data | objective | network's share | network | trees | blend | validation prefers | blend less that, .0001"
    lines = [f"| {head} |", "|---" * 8 + "|"]
    gains, behind = [], 0
    for card in given.data:
        of = Trainings(store_of(card, given.raw, given.home), given.out.resolve() / card, given.seeds)
        for gain, high, row in rows(card, of):
            gains.append(gain)
            behind += high < 0
            lines.append(row)
    lines += ["", f"Mean gain: {1e4 * np.mean(gains):+.1f}. Intervals wholly below 0: {behind} of {len(gains)}."]
    print("\n".join(lines))
    replace(given.write, NAME, "\n".join(lines))


if __name__ == "__main__":
    main()
