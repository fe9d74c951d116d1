"""Every way of sharing by its defaults, on real data: AUC of each task on test, several seeds.

    python tests/benchmarks/sharings.py --raw FOLDER [--home .seesaw] [--write docs/experiments.md]

FOLDER holds `census-income/` and `kuairand-pure/` with the raw files of these cards. Nothing is searched: two epochs at
the default learning rate, kept at the best evaluation by validation. One thread.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from speed.table import replace, writer

from bench.data import Store, load_card, prepare
from bench.home import resolve_home
from bench.machine import keep_freed_memory
from bench.models.sharing import SHARING
from bench.objectives import primary
from bench.records import Job
from bench.seeds import derive
from bench.training.config import TrialConfig
from bench.training.job import run_job

DATA = ("census-income", "kuairand-pure@late-window")
EPOCHS = 2
NAME = "sharings"


def measure(store: Store, kind: str, seed: int) -> list[float]:
    """Test AUC of each task's objective; a task with a parent counts on all impressions."""
    objectives = tuple(primary(task) for task in store.schema.tasks)
    job = Job(
        trial=0,
        replicate=0,
        config=TrialConfig.parse({"sharing.kind": kind, "optim.epochs": EPOCHS}).dotted(),
        store=str(store.path),
        seed=derive(seed, "sharings"),
        splits=("valid", "test"),
        objectives=objectives,
        tasks=tuple(task.name for task in store.schema.tasks),
        threads=1,
    )
    metrics = run_job(job).metrics
    return [metrics[f"test/{objective}"] for objective in objectives]


def rows(dataset: str, found: dict[str, NDArray[np.float64]], names: list[str]) -> list[str]:
    """One for each sharing from its values (seeds, objectives): means with deviations, and the gain over the first."""
    first, lines = next(iter(found.values())), []
    for kind, values in found.items():
        cells = [
            f"{name} {each.mean():.4f} ± {each.std(ddof=1):.4f}" for name, each in zip(names, values.T, strict=True)
        ]
        gain = (values - first).mean(1)
        more = "" if values is first else f"{gain.mean():+.4f} ± {gain.std(ddof=1):.4f}"
        lines.append(f"| {dataset} | `{kind}` | {', '.join(cells)} | {more} |")
    return lines


def main() -> None:
    """Trains, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, help="folder of the raw files' folders")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    lines = ["| data | sharing | test AUC, mean ± deviation | mean over tasks, less single_task's |", "|---" * 4 + "|"]
    for dataset in DATA:
        card = load_card(dataset)
        store = prepare(card, resolve_home(options.home), options.raw and options.raw / card.id)
        store = store.with_tasks(store.default_tasks)
        found: dict[str, NDArray[np.float64]] = {}
        for kind in SHARING:
            found[kind] = np.array([measure(store, kind, seed) for seed in range(options.seeds)])
            print(dataset, kind, found[kind].mean(0), found[kind].std(0, ddof=1), file=sys.stderr, flush=True)
        lines += rows(dataset, found, [primary(task) for task in store.schema.tasks])
    replace(options.write, NAME, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
