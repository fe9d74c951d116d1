"""What the diagnosis costs: the processor time of a probe, over that of the steps from one probe to the next.

    python tests/benchmarks/diagnosis_cost.py [--write docs/performance.md]
    python tests/benchmarks/diagnosis_cost.py --whole --raw FOLDER [--home .seesaw] [--write docs/performance.md]

Steps and probes of one trainer take turns, on one thread, for several rounds; a share compares those of one round. The
interval is that of a training long enough for its cost to decide it. With `--whole`, whole trainings with and without
probes take turns instead, evaluation included; FOLDER holds the raw files of Census-Income.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from balancing_cost import STEPS, random_store
from speed.job import Job
from speed.ours import config
from speed.table import NAMES, replace, writer

from bench.data import Store, load_card, prepare
from bench.data.batches import Batch, Batches
from bench.home import resolve_home
from bench.machine import keep_freed_memory
from bench.objectives import parse, primary
from bench.training.config import TrialConfig
from bench.training.diagnosis import ROWS, interval
from bench.training.loop import Trainer

ROUNDS = 9
NAME = "diagnosis"
WHOLE = {"census-income": 1, "synthetic-funnel@rows=60000": 4}  # epochs
SHARINGS, WHOLE_ROUNDS = ("shared_bottom", "mmoe", "ple"), 3
CASES = [
    (tasks, batch, precision) for tasks, batch in ((2, 2048), (2, 256), (5, 2048)) for precision in ("fp32", "bf16")
]


def cost(architecture: str, tasks: int, batch: int, precision: str) -> tuple[float, float, int]:
    """Medians over rounds: a probe in steps, and its share of the time in percent; and the interval in steps."""
    store = random_store(tasks)
    dotted = config(Job("seesaw", architecture, "", 0, 1, batch)) | {"optim.precision": precision}
    trainer = Trainer(store, TrialConfig.parse(dotted), [parse("t0.auc", store.schema.tasks, NAME)], seed=0)  # type: ignore[arg-type]
    every = interval(1, batch, tasks)
    batches = list(Batches(store.rows).in_order(batch))
    probe, ratios = trainer.diagnosis._probe, []
    for number in range(ROUNDS + 1):
        started = time.thread_time()
        for each in batches[:STEPS]:
            trainer.step(*each)
        step = (time.thread_time() - started) / STEPS
        started = time.thread_time()
        for each in batches[:2]:
            probe(Batch(*(tensor[:ROWS] for tensor in each)))
        if number:  # the first round warms up
            ratios.append((time.thread_time() - started) / 2 / step)
    ratios.sort()
    middle = ratios[len(ratios) // 2]
    return middle, 100 * middle / every, every


def whole_run(store: Store, dotted: dict[str, Any], looked_at: bool) -> tuple[float, float, Trainer]:
    """Processor seconds of a training with its evaluations, those of them in probes, and who trained."""
    objectives = [parse(primary(task), store.schema.tasks, NAME) for task in store.schema.tasks]
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


def whole(home: Path | None, raw: Path | None) -> Iterator[str]:
    """The lines of the table of whole trainings: medians over rounds, and what probes add, with least and most."""
    torch.set_num_threads(1)
    yield "| data | | balancing | steps | probes | seconds | in probes, % | with probes, % more |"
    yield "|" + "---|" * 8
    for key, epochs in WHOLE.items():
        store = prepare(load_card(key), resolve_home(home), raw)
        store = store.with_tasks(store.default_tasks)
        for sharing, balancing in (*((each, "static") for each in SHARINGS), ("mmoe", "pcgrad")):
            dotted = {"sharing.kind": sharing, "balancing.kind": balancing, "optim.epochs": epochs}
            whole_run(store, dotted | {"optim.epochs": 0.1}, True)  # compiles what it needs
            plain, more, parts = [], [], []
            for number in range(WHOLE_ROUNDS):
                turns = (False, True) if number % 2 else (True, False)
                taken = {looked_at: whole_run(store, dotted, looked_at) for looked_at in turns}
                plain.append(taken[False][0])
                more.append(100 * (taken[True][0] / taken[False][0] - 1))
                parts.append(100 * taken[True][1] / taken[True][0])
            trainer = taken[True][2]
            cells = [key, NAMES[sharing], balancing, str(trainer.total), str(len(trainer.diagnosis.probes))]
            cells += [f"{median(plain):.1f}"] + [
                f"{median(each):.1f} ({min(each):.1f} to {max(each):.1f})" for each in (parts, more)
            ]
            yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Measures, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--whole", action="store_true", help="whole trainings")
    parser.add_argument("--raw", type=Path, help="raw files of Census-Income")
    parser.add_argument("--home", type=Path)
    arguments = parser.parse_args()
    keep_freed_memory()
    if arguments.whole:
        found = []
        for line in whole(arguments.home, arguments.raw):
            found.append(line)
            print(line, file=sys.stderr, flush=True)
        replace(arguments.write, f"{NAME} whole", "\n".join(found))
        return
    lines = [
        "| | tasks | batch | products in | a probe, in steps | one in so many steps | % of the time |",
        "|" + "---|" * 7,
    ]
    for architecture, name in NAMES.items():
        for tasks, batch, precision in CASES:
            steps, share, every = cost(architecture, tasks, batch, precision)
            lines.append(f"| {name} | {tasks} | {batch} | {precision} | {steps:.2f} | {every} | {share:.1f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    table = "\n".join(lines)
    if arguments.write:
        replace(arguments.write, NAME, table)
    else:
        print(table)


if __name__ == "__main__":
    main()
