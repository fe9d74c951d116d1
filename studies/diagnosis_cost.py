"""What the diagnosis costs: the part of a training's processor time that goes into probes.

    python studies/diagnosis_cost.py --raw FOLDER [--home .seesaw] [--write
    docs/studies/performance.md]

Whole trainings with and without probes take turns on one thread, evaluation included. FOLDER holds
the raw files of Census-Income.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from speed.table import NAMES, replace, writer

from bench.core.objectives import parse, primary
from bench.core.system.home import resolve_home
from bench.core.system.machine import keep_freed_memory
from bench.data import Store, load_card, prepare
from bench.data.batches import Batch
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer

NAME = "diagnosis"
DATA = {"census-income": 1, "synthetic-funnel@rows=60000": 4}  # epochs
SHARINGS, ROUNDS = ("shared_bottom", "mmoe", "ple"), 3


def whole_run(
    store: Store, dotted: dict[str, Any], looked_at: bool
) -> tuple[float, float, Trainer]:
    """Processor seconds of a training with its evaluations, those of them in probes, and who
    trained.
    """
    objectives = [
        parse(primary(task, in_groups=False), store.schema.tasks, NAME)
        for task in store.schema.tasks
    ]
    trainer = Trainer(store, TrialConfig.parse(dotted), objectives, seed=0)
    if not looked_at:
        trainer.diagnosis.every = sys.maxsize
    look, inside = trainer.diagnosis.look, 0.0

    def timed(step: int, batch: Batch) -> None:
        nonlocal inside
        began = time.process_time()
        look(step, batch)
        inside += time.process_time() - began

    trainer.diagnosis.look = timed  # type: ignore[method-assign]
    started = time.process_time()
    trainer.run_to()
    trainer.diagnosis.summary(trainer.course.curve, objectives)
    return time.process_time() - started, inside, trainer


def table(home: Path | None, raw: Path | None) -> Iterator[str]:
    """The lines of the table: medians over rounds, and what probes add, with least and most."""
    torch.set_num_threads(1)
    yield "| data | | balancing | steps | probes | seconds | in probes, % | with probes, % more |"
    yield "|" + "---|" * 8
    for key, epochs in DATA.items():
        store = prepare(load_card(key), resolve_home(home), raw)
        store = store.with_tasks(store.default_tasks)
        for sharing, balancing in (*((kind, "static") for kind in SHARINGS), ("mmoe", "pcgrad")):
            dotted = {"sharing.kind": sharing, "balancing.kind": balancing, "optim.epochs": epochs}
            whole_run(store, dotted | {"optim.epochs": 0.1}, True)  # compiles what it needs
            plain, added, parts = [], [], []
            for number in range(ROUNDS):
                turns = (False, True) if number % 2 else (True, False)
                measurements = {
                    looked_at: whole_run(store, dotted, looked_at) for looked_at in turns
                }
                plain.append(measurements[False][0])
                added.append(100 * (measurements[True][0] / measurements[False][0] - 1))
                parts.append(100 * measurements[True][1] / measurements[True][0])
            trainer = measurements[True][2]
            cells = [
                key,
                NAMES[sharing],
                balancing,
                str(trainer.total),
                str(len(trainer.diagnosis.probes)),
            ]
            cells += [f"{median(plain):.1f}"] + [
                f"{median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
                for values in (parts, added)
            ]
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measures, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, help="raw files of Census-Income")
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    keep_freed_memory()
    lines = []
    for line in table(arguments.home, arguments.raw):
        lines.append(line)
        print(line, flush=True)
    if arguments.write:
        replace(arguments.write, NAME, "\n".join(lines))


if __name__ == "__main__":
    main()
