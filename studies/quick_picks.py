"""Real runs of `quick` on data that were left out: how far the picks are from the best, and whether
verdicts are right.

    python studies/quick_picks.py --keep FOLDER [--runs 8] [--own 12] [--datasets lectures ..]
    [--fresh 16]
        [--raw DIR] [--write docs/studies/search.md]

`pick_regret.py` replays searches on the table's trainings. Here `quick` runs as it is, from the
portfolio that was learnt on the other data. Its picks, of heads and of what is served, are trained
on `--own` further seeds. So are the single-task models that stand for today's. Their means on test
are the truth. The best is that of `pick_regret.py`: of all that its replays confirm of the table,
on `--fresh` seeds. A second regret of heads is against the best that all these runs confirmed, by
their own replicates. FOLDER keeps all that was trained; nothing is trained again.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from blackbox_table import SUITE, card_of, name_of
from learn_portfolio import known_of, learnt_without, tables_of
from pick_regret import (
    AIMS,
    FRESH,
    GENERATED,
    KNEE,
    OURS,
    SAYS,
    SEARCHERS,
    Truth,
    best_by_halves,
    best_head,
    folds_of,
    judged,
    listed,
    mean_auc,
    trained,
)
from replay import Floats
from speed.table import replace as replace_table

from bench.api import load_run
from bench.app.cli import main as seesaw
from bench.app.runs.result import DatasetResult
from bench.core.records import Job, Point
from bench.core.rows import TEST
from bench.core.seeds import derive
from bench.deciding.choices import head_choices
from bench.deciding.pick import pick
from bench.ledger.fusion import Fusion
from bench.ledger.points import BASELINE, confirmed, sources_of
from bench.ledger.served.measuring import Candidate, Meter
from bench.measure.predictions import FOLDER, predictions
from bench.measure.predictions import name_of as file_of
from bench.models.training.job import run_job
from bench.search import plan

FIRST = 100
"""The number of the first replicate on a fresh seed: above those of a run."""
HEAD = (
    "| data left out | runs | regret of heads, AUC: mean, 9 of 10, within the aim | against the "
    "best of all these runs: the same | of what is served, against the table: the same | "
    "verdicts: " + " | ".join(SAYS) + " | right, of those that tell |"
)


@dataclass(frozen=True)
class Picked:
    """What a run came to.

    Attributes:
        head: the pick among heads, `served` that of what is served: ids of points.
        sources: by task the single-task point that stands for today's model.
        further: how many further seeds.
    """

    result: DatasetResult
    seed: int
    further: int
    head: str
    served: str
    sources: dict[str, Point]

    @classmethod
    def of(cls, result: DatasetResult, seed: int, further: int) -> Picked:
        """Of a finished run."""
        points = result.decision.frontier.points
        assert result.decision.pick is not None
        head = pick(head_choices(result.decision.frontier, points, seed), points, KNEE).point
        return cls(
            result,
            seed,
            further,
            head,
            result.decision.pick.point,
            dict(sources_of(points, result.objectives)),
        )

    @property
    def folder(self) -> Path:
        """Of the predictions of its trainings on fresh seeds."""
        return self.result.run.folder / "fresh"

    def point(self, name: str) -> Point:
        """A point by its id."""
        return next(point for point in self.result.decision.frontier.points if point.id == name)

    def jobs(self) -> list[Job]:
        """The trainings on fresh seeds that are not there."""
        run, jobs = self.result.run, []
        store = run.store
        assert store is not None
        self.folder.mkdir(exist_ok=True)
        points = {
            picked.id: picked
            for picked in (self.point(self.head), self.point(self.served), *self.sources.values())
        }
        for point in points.values():
            for number in range(self.further if point.kind != BASELINE else 0):
                if predictions(self.folder, TEST, file_of(point.training, FIRST + number)) is None:
                    job = Job(
                        point.number,
                        FIRST + number,
                        dict(point.config),
                        str(store.path),
                        derive(self.seed, "truth", number),
                        ("valid", TEST),
                        tuple(objective.name for objective in self.result.objectives),
                        tuple(task.name for task in run.tasks),
                        1,
                        until=point.until,
                        predictions=str(self.folder),
                        kind=point.kind,
                    )
                    jobs.append(job)
        return jobs

    def predicted(self, name: str) -> Floats:
        """(fresh seeds, rows, tasks) on test."""
        if self.point(name).kind != BASELINE:
            return self._read(self.point(name), self.folder, range(FIRST, FIRST + self.further))
        tasks = [task.name for task in self.result.run.tasks]
        return np.stack(
            [
                self.predicted(self.sources[task].id)[:, :, number]
                for number, task in enumerate(tasks)
            ],
            axis=-1,
        )

    def confirmed(self) -> list[Floats]:
        """Of each trial's point that the run confirmed, (replicates, rows, tasks) on test."""
        points = [
            point
            for point in self.result.decision.frontier.points
            if point.kind == "trial" and confirmed(point)
        ]
        folder = self.result.run.folder / FOLDER
        return [
            self._read(point, folder, [run.replicate for run in point.replicates])
            for point in points
        ]

    @staticmethod
    def _read(point: Point, folder: Path, numbers: Sequence[int]) -> Floats:
        arrays = [predictions(folder, TEST, file_of(point.training, number)) for number in numbers]
        return np.array([array for array in arrays if array is not None])


def ran(dataset: str, seed: int, further: int, raw: Path | None, home: Path) -> Picked:
    """A run of `quick`, or that which is there."""
    name = f"{dataset.partition('@')[0]}-{seed}"
    if not (home / "runs" / name / "report.html").exists():
        files = raw / dataset.partition("@")[0] if raw else None
        raw_options = ["--raw", str(files)] if files and files.exists() else []
        words = ["run", "quick", "--dataset", card_of(dataset), "--seed", str(seed), "--name", name]
        if code := seesaw([*words, "--home", str(home), *raw_options]):
            raise SystemExit(code)
    return Picked.of(load_run(name, home).found, seed, further)


def measured(runs: Sequence[Picked], truth: Truth) -> pd.DataFrame:
    """A row for each run: regrets, and what its verdict says and is."""
    labels = np.asarray(truth.rows.labels, float)  # of generated logs their probabilities
    generated = truth.fresh.folder.name in GENERATED
    folds = np.zeros(truth.rows.kept, int) if generated else folds_of(truth.rows.units)

    def heads(scores: Floats) -> Floats:
        """(folds, seeds)."""
        return np.array(
            [
                [mean_auc(labels[folds == k], score[folds == k]) for score in scores]
                for k in set(folds)
            ]
        )

    best = best_head(truth.heads)
    fewest = min(len(predicted) for run in runs for predicted in run.confirmed())
    of_runs = best_head(
        np.stack(
            [heads(predicted[:fewest]) for run in runs for predicted in run.confirmed()], axis=1
        )
    )
    seeds = np.arange(len(truth.fresh.seeds))
    grid = truth.values.transpose(0, 2, 1, 3).reshape(-1, len(seeds), len(truth.outcomes))
    rows = []
    for run in runs:
        merit = heads(run.predicted(run.head)).mean(axis=1)
        chosen = run.result.decision.pick
        assert chosen is not None
        assert chosen.weights is not None
        fusion = Fusion.of(chosen.kind, list(chosen.weights.values()))
        front = run.result.decision.serving.served
        assert front is not None
        stands = front.table.iloc[front.current]
        now = _served(
            run.predicted(BASELINE), Fusion.of(stands["kind"], [*stands["weights"].values()]), truth
        )
        outcomes = _served(run.predicted(run.served), fusion, truth)
        with np.errstate(divide="ignore"):  # nothing of an outcome is left
            halves = [
                np.log(grid[:, part].mean(axis=1) / now) for part in (seeds[::2], seeds[1::2])
            ]
            allowed = (grid.mean(axis=1) >= front.random).all(axis=-1)
            true = np.log(outcomes / now)
        served = best_by_halves(*(half[allowed].mean(axis=-1) for half in halves)) - float(
            true.mean()
        )
        answer, right = judged(run.result.decision.verdict, true)
        rows.append(
            {"head": run.head, "heads": (best - merit).mean(), "of runs": (of_runs - merit).mean()}
            | {"served": served, "change": true.mean(), "said": answer, "right": right}
        )
    return pd.DataFrame(rows)


def _served(predicted: Floats, fusion: Fusion, truth: Truth) -> Floats:
    """(outcomes,) means over the seeds."""
    candidate = Candidate(
        "", "", "?", "trial", tuple(range(len(predicted))), lambda split, number: predicted[number]
    )
    return np.array(Meter([candidate], truth.rows, TEST, truth.names, 0).sweep([fusion]))[0][
        :, 0
    ].mean(axis=0)


def line_of(dataset: str, results: pd.DataFrame) -> str:
    """A row of the table."""
    heads, of_runs, served = (
        (
            f"{results[name].mean():.{d}f}, {results[name].quantile(0.9):.{d}f}, "
            f"{(results[name] <= AIMS[aim]).sum()}"
        )
        for name, aim, d in (
            ("heads", "heads", 5),
            ("of runs", "heads", 5),
            ("served", "served", 4),
        )
    )
    answers = results["right"].dropna()
    counts = " | ".join(str((results["said"] == answer).sum()) for answer in SAYS)
    return (
        f"| {dataset} | {len(results)} | {heads} | {of_runs} | {served} | {counts} | "
        f"{int(answers.sum())} of {len(answers)} |"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    names = [name_of(entry.id) for entry in SUITE.datasets]
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--table", type=Path, default=Path("reports/blackbox/table.parquet"))
    parser.add_argument("--datasets", nargs="+", default=names, choices=names)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--own", type=int, default=12, help="further seeds of each pick")
    parser.add_argument(
        "--replays",
        type=int,
        default=24,
        help="of which the table's best are trained on fresh seeds",
    )
    parser.add_argument(
        "--fresh", type=int, default=len(FRESH), help=f"fresh seeds of these, at most {len(FRESH)}"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--raw", type=Path, help="folder with a folder of raw files for each data set"
    )
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    options.home = options.keep / "home"
    known_data, candidates = known_of(names, options.table)
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    for dataset in options.datasets:
        portfolio = learnt_without(dataset, known_data, candidates)
        tables = [
            replace(table, portfolio=portfolio) for table in tables_of(dataset, options.table)
        ]
        learnt: dict[str, Any] = {
            "objectives": len(tables[0].objectives),
            "rows": 0,
            "configurations": portfolio,
        }
        # in place of the shipped portfolios, which may know the data
        plan.read = lambda learnt=learnt: [learnt]
        runs = [
            ran(dataset, seed, options.own, options.raw, options.home)
            for seed in range(1, options.runs + 1)
        ]
        with ProcessPoolExecutor(
            options.workers, mp_context=multiprocessing.get_context("spawn")
        ) as pool:
            list(pool.map(run_job, [job for run in runs for job in run.jobs()]))
        turns = [tables[n % len(tables)] for n in range(options.replays)]
        lists = [listed(SEARCHERS[OURS](turn.fresh(), n, 8), turn) for n, turn in enumerate(turns)]
        places = sorted({place for shortlist in lists for place in shortlist})
        truth = Truth(trained(dataset, tables[0], places, FRESH[: options.fresh], options), places)
        results = measured(runs, truth)
        lines.append(line_of(dataset, results))
        print(f"{results.to_string()}\n{lines[-1]}", flush=True)
    if options.write:
        replace_table(options.write, "quick-picks", "\n".join(lines))


if __name__ == "__main__":
    main()
