"""Would several trials of one shape, trained in one process side by side, be faster than one after
another?

    python studies/packing.py [--fields 20] [--rows 65536] [--repeats 5] [--write
    docs/studies/performance.md]

`single_task` of k tasks is k separate models side by side: their embeddings lie in one row of the
table, their layers are multiplied together, and a batch is gathered once. It is what packed trials
of one shape would be, so its step stands for theirs. It is timed against k steps of one such model,
in turns, in CPU seconds.
"""

from __future__ import annotations

from itertools import product
from time import process_time
from typing import cast

import numpy as np
from speed.table import replace, writer

from bench.core.objectives import parse
from bench.core.schema import Field, Task
from bench.core.system.machine import keep_freed_memory
from bench.data import Store
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.testing.training_checks import MemoryStore

LAYERS = ("64-32", "128-64", "256-128")
BATCHES = (512, 1024, 4096)
MEMBERS = 4


def trainer(models: int, layers: str, batch: int, rows: int, fields: int) -> Trainer:
    """Of k = `models` separate models."""
    tasks = tuple(Task(f"task{number}") for number in range(models))
    store = cast(
        Store,
        MemoryStore(
            rows, tasks, fields=tuple(Field(f"f{number}", 2000) for number in range(fields))
        ),
    )
    config = {
        "sharing.kind": "single_task",
        "sharing.single_task.layers": layers,
        "tower.layers": "32",
    }
    config |= {
        "optim.batch_size": batch,
        "optim.epochs": 1000,
        "optim.precision": "fp32",
        "embedding.dim": 8,
    }  # type: ignore[dict-item]
    return Trainer(
        store, TrialConfig.parse(config), [parse("task0.auc", tasks, "")], 1, select=False
    )


def seconds(model: Trainer, steps: int) -> float:
    """CPU seconds of the next steps."""
    started = process_time()
    model.run_to((model.course.step + steps) * model.batch_size)
    return process_time() - started


def main() -> None:
    """Measures, prints and writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--fields", type=int, default=20)
    parser.add_argument("--rows", type=int, default=65536)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    keep_freed_memory()
    gains_of: dict[str, list[str]] = {layers: [] for layers in LAYERS}
    for layers, batch in product(LAYERS, BATCHES):
        single, members = (
            trainer(k, layers, batch, options.rows, options.fields) for k in (1, MEMBERS)
        )
        steps = max(10, 40_000 // batch)
        for model in (single, members):
            seconds(model, 10)
        pairs = [(seconds(single, steps), seconds(members, steps)) for _ in range(options.repeats)]
        gains = [MEMBERS * alone / together for alone, together in pairs]
        alone, together = np.median(pairs, axis=0) / steps * 1e3
        gain = f"{np.median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f})"
        gains_of[layers].append(gain)
        print(f"{layers}, {batch:,}: {alone:.2f} and {together:.2f} ms a step, {gain}", flush=True)
    heads = ["layers", *(f"batch {batch:,}" for batch in BATCHES)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {layers} | {' | '.join(gains)} |" for layers, gains in gains_of.items()]
    replace(options.write, "packing", "\n".join(lines))


if __name__ == "__main__":
    main()
