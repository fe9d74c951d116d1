"""How long reading a search of 5,000 trials takes, with curves of 30 evaluations, diagnoses, and
three rungs.

    python studies/read_log.py [--trials 5000]

Prints the CPU seconds of `Study.read`, of its records, and of opening it as a driver does. Also
prints the cost of appending an event, with and without the flush to disk.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from overhead import OBJECTIVES, TASKS

from bench.core.records import Job, Outcome, TrialResult
from bench.search.log import FILE
from bench.search.plan import SearchPlan
from bench.search.space import load_space
from bench.search.standing import RungStep
from bench.search.study import Study

LADDER = (1 << 16, 1 << 18, 1 << 20)
BLOCKS = ("representation", "shared", "table")


def main() -> None:
    """Makes a search and reads it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=5000)
    trials = parser.parse_args().trials
    plan = SearchPlan(
        load_space("joint"),
        TASKS,
        OBJECTIVES,
        trials,
        0,
        sampler="random",
        ladder=LADDER,
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder, fsync = Path(temporary), os.fsync
        os.fsync = lambda descriptor: None
        try:
            written = made(folder, plan, trials)
        finally:
            os.fsync = fsync
        size = (folder / FILE).stat().st_size / 1e6
        study, read = timed(lambda: Study.read(folder))
        _, records = timed(study.records)
        driver, opened = timed(lambda: Study.open(folder, plan))
        began = perf_counter()
        for _ in range(50):
            driver.rest(0.0, False)
        synced = (perf_counter() - began) / 50
        driver.close()
    print(f"{trials:,} trials, {study.asked:,} jobs, {size:.0f} MB")
    print(f"read {read:.2f} s, their records {records:.2f} s, opened by a driver {opened:.2f} s")
    print(f"an event costs {written * 1e3:.2f} ms, with fsync {synced * 1e3:.2f} ms")


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its CPU seconds."""
    began = process_time()
    return function(), process_time() - began


def made(folder: Path, plan: SearchPlan, trials: int) -> float:
    """Writes the search; seconds an event."""
    draw, began, events = random.Random(0), perf_counter(), 0
    with Study.open(folder, plan) as study:
        for number in range(trials):
            _, config = study.ask(plan, {})
            for rung in range(1 + (number % 6 == 0) + (number % 36 == 0)):
                if rung:
                    study.promote(RungStep(number, rung))
                job = Job(number, 0, config, "-", 0, ("valid",), ("click.auc", "buy.auc"), TASKS, 1)
                study.finish(
                    study.told, Outcome(job, result(config, rung, draw.random), None, 1e9, 10.0)
                )
                study._add("told", job=study.told)
                events += 3
    return (perf_counter() - began) / events


def result(config: dict[str, Any], rung: int, value: Callable[[], float]) -> TrialResult:
    """As a run measures it."""
    metrics = {
        f"valid/{task}.{metric}": value()
        for task in TASKS
        for metric in ("auc", "logloss", "ne", "pcoc", "ece", "gauc")
    }
    names = (
        "epoch",
        *(objective.name for objective in OBJECTIVES),
        *(f"loss/{task}" for task in TASKS),
    )
    curve = [
        {"samples": float(step), **{name: value() for name in names}}
        for step in range((2, 8, 30)[rung])
    ]
    diagnosis = {
        "probes": 20,
        "every": 10,
        "rows": 256,
        "tasks": {
            task: {
                "loss": value(),
                "weight": value(),
                **{measure: {block: value() for block in BLOCKS} for measure in ("norm", "pull")},
            }
            for task in TASKS
        },
        "pairs": [
            {
                "tasks": list(TASKS),
                "blocks": {
                    block: {"cosine": value(), "below_zero": value(), "probes": 20}
                    for block in BLOCKS
                },
            }
        ],
        "experts": {
            "gates": [
                {
                    "name": f"gate {number}",
                    "share": [value() for _ in range(8)],
                    "entropy": value(),
                    "collapsed": False,
                }
                for number in range(4)
            ],
            "units": [
                {"name": f"mlp {number}", "dead": value(), "silent": False} for number in range(10)
            ],
        },
        "course": {
            objective.name: {
                "best": value(),
                "best_samples": 1000,
                "lost": value(),
                "last_samples": 2000,
            }
            for objective in OBJECTIVES
        },
    }
    return TrialResult(metrics, {"train_seconds": 10.0}, curve, dict(config), rung == 2, diagnosis)


if __name__ == "__main__":
    main()
