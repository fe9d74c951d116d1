"""Training on a store larger than the memory allowed, against the same store held in memory.

    python studies/beyond_memory.py [--rows 5000000] [--memory 128] [--batch 2048] [--rounds 20]
    [--steps 50]
                                             [--store DIR] [--scratch DIR] [--warm]

Generated Ali-CCP is prepared, or `--store` is used; it is copied, so that each way has files of its
own. Two processes train the same model with one thread. They take turns of `--steps` steps, so that
whatever else the machine does meets both alike; a ratio is taken of the two turns of each round,
and the order within a round changes. One process may use `--memory` MiB for samples, and before
each of its turns the system's cache drops its files (unless `--warm`), so that rows come from the
disk; how much did is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.core.system.machine import (
    MEMORY_VARIABLE,
    cores,
    keep_freed_memory,
    peak_memory_mb,
    reset_peak_memory,
)

WAYS = ("in memory", "beyond memory")
PLENTY = 1 << 20
"""MiB: any store fits."""


class Trainee:
    """A process that trains when it is told to."""

    def __init__(self, store: Path, memory: int, batch: int) -> None:
        threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--store", str(store), "--batch", str(batch), "--turns"],
            env=os.environ | threads | {MEMORY_VARIABLE: str(memory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self, steps: int) -> dict[str, float]:
        """Trains `steps` steps, and returns the time they took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(steps, file=self.process.stdin, flush=True)
        took: dict[str, float] = json.loads(self.process.stdout.readline())
        return took

    def end(self) -> None:
        """Ends the process."""
        self.process.communicate()


def take_turns(folder: Path, batch: int) -> None:
    """The process: for each line of input, trains that many steps and prints what they took."""
    from bench.data import Store  # here: the measuring process needs no torch
    from bench.data.batches import Batches
    from bench.data.store import ARRAYS, StoredSplit
    from bench.models.training.config import TrialConfig
    from bench.models.training.loop import Trainer

    keep_freed_memory()
    store = Store.open(folder)
    store = store.with_tasks(store.default_tasks)
    trainer = Trainer(store, TrialConfig.parse({"optim.batch_size": batch}), (), seed=0)
    first_rows = StoredSplit(
        *(np.array(getattr(store.split("valid"), name)[:batch]) for name in ARRAYS)
    )
    trainer.step(
        *next(Batches(first_rows).in_order(batch))
    )  # compiles, and touches no page of train
    data = trainer.data
    reset_peak_memory()
    before = peak_memory_mb()
    epoch, batches = 0, iter(())
    for line in sys.stdin:
        read, cpu, started = from_disk_mb(), time.process_time(), time.perf_counter()
        for _ in range(int(line)):
            if (next_batch := next(batches, None)) is None:
                epoch += 1
                batches = data.shuffled(batch, seed=epoch)
                next_batch = next(batches)
            trainer.step(*next_batch)
        took = {
            "seconds": time.perf_counter() - started,
            "cpu": time.process_time() - cpu,
            "read": from_disk_mb() - read,
            "samples": int(line) * batch,
            "pass": data.steps(batch),
            "before": before,
            "peak": peak_memory_mb(),
        }
        print(json.dumps(took), flush=True)


def from_disk_mb() -> float:
    """What this process has had read from disk so far, where the system says (Linux)."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return float("nan")
    return int(next(line for line in lines if line.startswith("read_bytes")).split()[1]) / 1e6


def drop_cache(folder: Path) -> None:
    """Has the system forget what it holds of a folder's files."""
    for path in folder.rglob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def generated(rows: int, scratch: Path) -> Path:
    """A store of generated Ali-CCP."""
    raw, home = scratch / "raw", scratch / "home"
    for command in (
        ["data", "synth", "ali-ccp", "--rows", str(rows), "--out", str(raw)],
        ["data", "prepare", "ali-ccp", "--raw", str(raw), "--home", str(home)],
    ):
        subprocess.run(
            [sys.executable, "-m", "bench", *command], check=True, stdout=subprocess.DEVNULL
        )
    shutil.rmtree(raw)
    return next((home / "store").glob("*/*"))


def compare(store: Path, options: argparse.Namespace, scratch: Path) -> None:
    """Measures and prints."""
    copy = scratch / "copy"
    shutil.copytree(store, copy)
    trainees = {
        "in memory": Trainee(store, PLENTY, options.batch),
        "beyond memory": Trainee(copy, options.memory, options.batch),
    }
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(options.rounds):
        for way in WAYS if number % 2 else WAYS[::-1]:
            if way == "beyond memory" and not options.warm:
                drop_cache(copy)
            turns[way].append(trainees[way].turn(options.steps))
    for trainee in trainees.values():
        trainee.end()
    size = sum(path.stat().st_size for path in (store / "train").glob("*.npy")) / 2**20
    print(
        f"train: {size:,.0f} MiB; allowed beyond memory: {options.memory} MiB; {cores()} cores, "
        f"load {os.getloadavg()}"
    )
    print(
        "| samples | samples/s | by processor time | read from disk, MB | peak memory, MiB | "
        "grown by, MiB |"
    )
    print("|---|---|---|---|---|---|")
    for way, took in turns.items():
        total = {
            key: sum(turn[key] for turn in took) for key in ("samples", "seconds", "cpu", "read")
        }
        peak, before = took[-1]["peak"], took[-1]["before"]
        print(
            f"| {way} | {total['samples'] / total['seconds']:,.0f} | "
            f"{total['samples'] / total['cpu']:,.0f} | {total['read']:,.0f} | {peak:,.0f} | "
            f"{peak - before:,.0f} |"
        )
    passes = options.rounds * options.steps / turns["in memory"][0]["pass"]
    for key, name in (("seconds", "time"), ("cpu", "processor time")):
        ratios = [a[key] / b[key] for a, b in zip(*(turns[way] for way in WAYS), strict=True)]
        low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        print(
            f"speed beyond memory / in memory, by {name}: {median:.3f} (middle half of "
            f"{len(ratios)} rounds {low:.3f} to {high:.3f}), {passes:.1f} passes"
        )


def main() -> None:
    """Measures, or is one of the processes measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--memory", type=int, default=128)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--turns", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turns:
        take_turns(options.store, options.batch)
        return
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        compare(options.store or generated(options.rows, Path(folder)), options, Path(folder))


if __name__ == "__main__":
    main()
