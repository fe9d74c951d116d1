"""MMoE paper, section 3.2: what shared-bottom and MMoE lose as two tasks become less related.

    python studies/relatedness.py [--seeds 6] [--home .seesaw] [--write docs/studies/relatedness.md]

A shared bottom and an MMoE with four such bottoms as its experts are trained on
`synthetic-relatedness` with task correlation p, on several seeds; the table gives the test RMSE
averaged over both tasks, with a 95% interval over seeds, and the paired difference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import stats
from speed.table import replace

from bench.core.records import Job
from bench.core.seeds import derive
from bench.core.system.home import resolve_home
from bench.data import Store, load_card, prepare
from bench.models.training.job import run_job

CORRELATIONS = (1.0, 0.5, 0.0, -0.5, -1.0)
COMMON = {
    "numeric.kind": "scaled",
    "optim.epochs": 15,
    "optim.batch_size": 256,
    "optim.lr": 3e-3,
    "optim.patience": 15,
    "tower.layers": "8",
}
# A representation of 4 units in either. Where p = 1 that is enough for both tasks, and MMoE's
# further parameters buy little; a wide one would leave room for both tasks side by side and hide
# the effect.
BOTTOM = "24-4"
ARCHITECTURES = {
    "shared_bottom": {"sharing.kind": "shared_bottom", "sharing.shared_bottom.layers": BOTTOM},
    "mmoe": {"sharing.kind": "mmoe", "sharing.mmoe.experts": 4, "sharing.mmoe.layers": BOTTOM},
}


def error(store: Store, config: dict[str, object], seed: int) -> float:
    """Test RMSE averaged over the tasks."""
    tasks = tuple(task.name for task in store.schema.tasks)
    objectives = tuple(f"{task}.rmse" for task in tasks)
    job = Job(
        0,
        0,
        COMMON | config,
        str(store.path),
        seed,
        ("valid", "test"),
        objectives,
        tasks,
        threads=1,
    )
    metrics = run_job(job).metrics
    return float(np.mean([metrics[f"test/{task}.rmse"] for task in tasks]))


def interval(values: np.ndarray) -> str:
    """Mean and half-width of its 95% interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.4f} ± {half:.4f}"


def main() -> None:
    """Runs the experiment and writes its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--write", type=Path, help="put the table into this document")
    options = parser.parse_args()
    lines = ["| p | shared_bottom | mmoe | shared_bottom - mmoe |", "|---|---|---|---|"]
    for p in CORRELATIONS:
        store = prepare(load_card(f"synthetic-relatedness@p={p:g}"), resolve_home(options.home))
        errors = {
            name: np.array(
                [error(store, config, derive(seed, name)) for seed in range(options.seeds)]
            )
            for name, config in ARCHITECTURES.items()
        }
        difference = interval(errors["shared_bottom"] - errors["mmoe"])
        lines.append(
            f"| {p:g} | {interval(errors['shared_bottom'])} | {interval(errors['mmoe'])} | "
            f"{difference} |"
        )
        print(lines[-1], flush=True)
    if options.write:
        replace(options.write, "relatedness", "\n".join(lines))


if __name__ == "__main__":
    main()
