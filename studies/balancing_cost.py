"""What balancing costs: the time of a step under each balancer, as a multiple of a plain step.

    python studies/balancing_cost.py [--kinds pcgrad mgda] [--precision fp32] [--write
    docs/studies/performance.md]

For each architecture and number of tasks, all balancers take the same batches in turn, a few steps
each, for several rounds; a ratio compares steps of one round. Time is that of the process's one
thread, so that others on the machine disturb it little.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from speed.data import zipf
from speed.job import Job
from speed.machine import processor
from speed.ours import config
from speed.summary import spread
from speed.table import NAMES, replace, writer

from bench.core.objectives import parse
from bench.core.schema import Field, Schema, Task
from bench.core.system.machine import keep_freed_memory
from bench.data.batches import Batches
from bench.data.store import StoredSplit
from bench.models.balancing import BALANCING
from bench.models.balancing.base import GradientAggregation, GradientCombination, LossWeighting
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer

FIELDS, LARGEST, BATCH = 23, 300_000, 2048
STEPS, ROUNDS = 5, 7
KINDS = [
    "uncertainty",
    "dwa",
    "gls",
    "rlw",
    "pcgrad",
    "mgda",
    "cagrad",
    "upgrad",
    "graddrop",
    "metabalance",
]
"""Of each kind of balancer some that are often used: four weightings, four aggregations, two
combinations.
"""
NAME = "balancer"
TITLES = {
    "loss weightings": LossWeighting,
    "gradient aggregations": GradientAggregation,
    "gradient combinations": GradientCombination,
}


@dataclass
class Store:
    """Random rows in memory; all a trainer needs of a store."""

    schema: Schema
    rows: StoredSplit
    weights: None = None
    folder: TemporaryDirectory[str] = field(default_factory=TemporaryDirectory)

    @property
    def path(self) -> Path:
        """Where what a training makes beside the rows lies."""
        return Path(self.folder.name)

    def split(self, name: str) -> StoredSplit:
        """The same rows for every split."""
        return self.rows


def random_store(tasks: int) -> Store:
    """A few batches of Zipf-distributed ids with labels of many tasks."""
    rng, rows = np.random.default_rng(0), 8 * BATCH
    widths = np.geomspace(10, LARGEST, FIELDS).astype(int)
    fields = tuple(Field(f"f{number}", int(width)) for number, width in enumerate(widths))
    schema = Schema(fields, (), tuple(Task(f"t{number}") for number in range(tasks)))
    ids = np.stack(
        [
            zipf(rng, int(width), rows) + offset
            for width, offset in zip(widths, schema.offsets, strict=True)
        ],
        1,
    )
    labels = (rng.random((rows, tasks)) < 0.2).astype(np.float32)
    split = StoredSplit(
        ids.astype(np.int32), np.empty((rows, 0), np.float32), labels, np.full(rows, -1, np.int32)
    )
    return Store(schema, split)


def multiples(
    store: Store, configs: dict[str, dict[str, Any]], plain: str
) -> dict[str, list[float]]:
    """For each of these configurations its seconds a step over those of the plain one, a round
    each.
    """
    objective = [parse("t0.auc", store.schema.tasks, NAME)]
    trainers = {
        kind: Trainer(
            store, TrialConfig.parse({"optim.batch_size": BATCH} | dotted), objective, seed=0
        )  # type: ignore[arg-type]
        for kind, dotted in configs.items()
    }
    batches = list(Batches(store.rows, grouped=store.schema.grouped).in_order(BATCH))
    seconds: dict[str, list[float]] = {kind: [] for kind in configs}
    for number in range(ROUNDS + 1):
        for kind, trainer in trainers.items():
            started = time.thread_time()
            for batch in batches[:STEPS]:
                trainer.step(*batch)
            if number:  # the first round warms up
                seconds[kind].append(time.thread_time() - started)
    return {
        kind: [
            own_seconds / plain_seconds
            for own_seconds, plain_seconds in zip(seconds[kind], seconds[plain], strict=True)
        ]
        for kind in configs
    }


def costs(
    architecture: str, tasks: int, kinds: list[str], precision: str
) -> dict[str, list[float]]:
    """For each balancer its seconds a step over those of `static`, a round each."""
    dotted = config(Job("seesaw", architecture, "", 0, 1, BATCH)) | {"optim.precision": precision}
    return multiples(
        random_store(tasks), {kind: dotted | {"balancing.kind": kind} for kind in kinds}, "static"
    )


def kind_of(balancer: str) -> str:
    """The title of the group that a balancer belongs to."""
    built = BALANCING[balancer].build
    return next(title for title, base in TITLES.items() if issubclass(built, base))


def main() -> None:
    """Measures, prints all ratios, and writes the least and the largest median of each group."""
    keep_freed_memory()  # as every job does
    torch.set_num_threads(1)  # what another thread did would not be counted
    parser = writer(__doc__)
    parser.add_argument("--architectures", nargs="+", default=["shared_bottom", "mmoe", "ple"])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument(
        "--kinds",
        nargs="+",
        choices=[kind for kind in BALANCING if kind != "static"],
        default=KINDS,
    )
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    options = parser.parse_args()
    kinds = ["static", *options.kinds]
    lines = [f"One thread of {processor()}, products in {options.precision}.", ""]
    groups = {title: [kind for kind in options.kinds if kind_of(kind) == title] for title in TITLES}
    groups = {title: members for title, members in groups.items() if members}
    heads = [f"{title}: {', '.join(members)}" for title, members in groups.items()]
    lines += [f"| | tasks | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for architecture in options.architectures:
        for tasks in options.tasks:
            ratios = costs(architecture, tasks, kinds, options.precision)
            medians = {kind: spread(ratios[kind])["median"] for kind in options.kinds}
            cells = []
            for members in groups.values():
                values = [medians[kind] for kind in members]
                cells.append(f"{min(values):.2f} to {max(values):.2f}")
            print(architecture, tasks, ratios, file=sys.stderr, flush=True)
            lines.append(f"| {NAMES[architecture]} | {tasks} | {' | '.join(cells)} |")
    replace(options.write, "balancing", "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
