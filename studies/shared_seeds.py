"""The gain of shared seeds: how much a difference between two configurations varies with and
without them.

    python studies/shared_seeds.py --raw FOLDER [--seeds 8] [--write docs/studies/statistics.md]

Each configuration is trained on Census-Income with the same seeds. The difference of two trainings
of one seed is what shared seeds give; without them the variances of the two configurations add up.
`--write` puts the table between the marks in that file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from speed.table import replace, writer

from bench.core.objectives import primary
from bench.core.records import Job, Scalar
from bench.core.seeds import derive
from bench.core.system.home import writable_home
from bench.data import Store, load_card, prepare
from bench.models.training.job import run_job

BASE: dict[str, Scalar] = {
    "sharing.kind": "mmoe",
    "balancing.kind": "static",
    "optim.lr": 2e-3,
    "optim.batch_size": 1024,
    "optim.epochs": 1,
    "optim.embedding_l2": 1e-5,
    "tower.dropout": 0.1,
}
OTHERS: dict[str, dict[str, Scalar]] = {
    "learning rate x 1.05": {"optim.lr": 2.1e-3},
    "static weights 1 : 1.2": {"balancing.static.weight.never_married": 1.2},
    "UPGrad": {"balancing.kind": "upgrad"},
    "one more expert": {"sharing.mmoe.experts": 5},
    "tables twice as wide": {"embedding.dim": 32},
    "shared bottom": {"sharing.kind": "shared_bottom"},
}


def measured(
    store: Store, config: Mapping[str, Scalar], seeds: Sequence[int]
) -> NDArray[np.float64]:
    """Every task's primary metric on validation, (seeds, tasks)."""
    names = tuple(primary(task, in_groups=False) for task in store.schema.tasks)
    tasks = tuple(task.name for task in store.schema.tasks)
    values = []
    for seed in seeds:
        job = Job(
            0, 1, dict(config), str(store.path), seed, ("valid",), names, tasks, 1, device="cpu"
        )
        metrics = run_job(job).metrics
        values.append([metrics[f"valid/{name}"] for name in names])
    return np.array(values)


def table(store: Store, seeds: int) -> str:
    """In Markdown, standard deviations in thousandths: of other seeds, of shared ones; and how many
    times the seeds the others need.
    """
    drawn = [derive(0, "replicate", number) for number in range(1, seeds + 1)]
    base = measured(store, BASE, drawn)
    names = [primary(task, in_groups=False) for task in store.schema.tasks]
    rows = [
        f"| beside MMoE with equal weights | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
    ]
    for title, changes in OTHERS.items():
        changed = measured(store, BASE | changes, drawn)
        shared = (changed - base).var(axis=0, ddof=1)
        independent = changed.var(axis=0, ddof=1) + base.var(axis=0, ddof=1)
        cells = [
            f"{_sd(without)}, {_sd(with_)}, {without / with_:.1f}"
            for with_, without in zip(shared, independent, strict=True)
        ]
        rows.append(f"| {title} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    return "\n".join(rows)


def _sd(variance: float) -> str:
    return f"{1e3 * variance**0.5:.3f}"


def main() -> None:
    """Trains, and writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    store = prepare(load_card("census-income"), writable_home(options.home), options.raw)
    text = table(store.with_tasks(store.default_tasks), options.seeds)
    replace(options.write, "seeds", text)


if __name__ == "__main__":
    main()
