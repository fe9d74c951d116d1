"""What the diagnosis costs: the processor time of a probe, over that of the steps from one probe to the next.

    python tests/benchmarks/diagnosis_cost.py [--write docs/performance.md]

Steps and probes of one trainer take turns, on one thread, for several rounds; a share compares those of one round. The
interval is that of a training long enough for its cost to decide it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from balancing_cost import STEPS, random_store
from speed.job import Job
from speed.ours import config
from speed.table import NAMES, replace

from bench.data.batches import Batch, Batches
from bench.machine import keep_freed_memory
from bench.objectives import parse
from bench.training.config import TrialConfig
from bench.training.diagnosis.plan import ROWS, interval
from bench.training.loop import Trainer

ROUNDS = 9
NAME = "diagnosis"
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


def main() -> None:
    """Measures, and prints or writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    arguments = parser.parse_args()
    keep_freed_memory()
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
