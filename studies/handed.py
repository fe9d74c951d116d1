"""What a job of a trainer from elsewhere costs beside its training, in seconds and bytes.

    python studies/handed.py [--rows 200000 10000000] [--scratch DIR] [--write docs/own-model.md]

A generated log is prepared, and its rows are written for trainers once. Then a program is called as
a trial and as a replicate. It reads its rows, trains nothing, and predicts random numbers, so all
seconds but those of reading are overhead. A trial predicts validation; a replicate all three splits,
each measured with 200 resamples.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import time
from pathlib import Path

from speed.table import replace

from bench.core.records import TRAINER, Job, SplitName
from bench.core.system.machine import peak_memory_mb
from bench.core.system.progress import Silent
from bench.data import load_card, prepare
from bench.data.handed_rows import write_handed_rows
from bench.models.trainers.handing import ROWS, TRAINERS, HandedTrainer, OriginalTrainer, hand_over
from bench.models.trainers.job import run_trainer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data"))
import generated_log

PROGRAM = """
import json, sys, time
started = time.time()
import numpy as np
import pandas as pd
job = json.load(open(sys.argv[1]))
began = time.time()
frames = {split: pd.read_parquet(path) for split, path in job["rows"].items()}
seconds = time.time() - began
draws = np.random.default_rng(job["seed"])
for split in job["predict"]:
    answer = frames[split][["row"]].copy()
    for task in job["tasks"]:
        answer[task["name"]] = draws.random(len(answer), dtype=np.float32)
    answer.to_parquet(job["answer"][split])
costs = {"started": started, "reading": seconds, "ended": time.time()}
with open(job["costs"], "w") as file:
    json.dump({"costs": costs}, file)
"""
HEADER = (
    (
        "| rows | rows for trainers, once | job | to the program's first line, s | it reads its "
        "rows, s | it writes its answer, s | checking and measuring, s | peak memory, MB |"
    ),
    "|---|---|---|---|---|---|---|---|",
)


def megabytes(folder: Path) -> float:
    """Size of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measured(rows: int, scratch: Path) -> list[str]:
    """Lines of the table."""
    raw, home, run = scratch / "raw", scratch / "home", scratch / "run"
    card = load_card(str(generated_log.write(rows, raw, "parquet")))
    store = prepare(card, home, raw, Silent())
    store = store.with_tasks(store.default_tasks)
    began = time.perf_counter()
    write_handed_rows(card, store, home, raw, run / ROWS, Silent())
    once = time.perf_counter() - began
    written = f"{once:.1f} s, {megabytes(run / ROWS):,.0f} MB"
    (scratch / "train.py").write_text(PROGRAM)
    file = scratch / "trainer.toml"
    file.write_text(f'name = "instant"\ncommand = ["{sys.executable}", "train.py"]\n')
    folder = run / TRAINERS / "instant"
    hand_over(OriginalTrainer(file, scratch), card, store, full_samples=rows, to=folder)
    trainer = HandedTrainer.open(folder)
    tasks = store.default_tasks
    trial = Job(0, 0, {TRAINER: "instant"}, str(store.path), 0, ("valid",), (), tasks, threads=1)
    splits: tuple[SplitName, ...] = ("valid", "confirm", "test")
    replicate = dataclasses.replace(trial, replicate=1, seed=1, splits=splits, resamples=200)
    jobs = {"a trial": trial, "a replicate": replicate}
    lines = []
    for name, job in jobs.items():
        began_at = time.time()
        result = run_trainer(job, trainer)
        ended_at = time.time()
        costs = result.metrics
        ended = costs["cost/ended"]
        reading = costs["cost/reading"]
        line = f"| {rows:,} | {written} | {name} | {costs['cost/started'] - began_at:.2f} "
        line += f"| {reading:.2f} | {ended - costs['cost/started'] - reading:.2f} "
        line += f"| {ended_at - ended:.2f} | {peak_memory_mb():,.0f} |"
        lines.append(line)
        print(line, flush=True)
    return lines


def main() -> None:
    """Measures each size in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 10_000_000])
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    lines = [*HEADER]
    print(*HEADER, sep="\n")
    for rows in asked.rows:
        with tempfile.TemporaryDirectory(dir=asked.scratch) as scratch:
            lines += measured(rows, Path(scratch))
    replace(asked.write, "handed", "\n".join(lines))


if __name__ == "__main__":
    main()
