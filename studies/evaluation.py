"""What metrics cost: all metrics of generated predictions, and scikit-learn's AUC beside them.

    python studies/evaluation.py [--rows 1000000] [--write docs/studies/performance.md]

Milliseconds of the one thread's processor time, median and range of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from speed.summary import spread
from speed.table import replace, writer

from bench.core.schema import Task
from bench.measure.spaces import Observed, Predicted
from bench.measure.tally import BinaryTally, Tally

ROUNDS = 7
FLAT = (Task("click"), Task("buy"))
FUNNEL = (Task("click"), Task("buy", parent="click"))


def main() -> None:
    """Measures and prints."""
    parser = writer(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    rng, rows = np.random.default_rng(0), options.rows
    conditional = np.stack([rng.beta(1, 8, rows), rng.beta(1, 20, rows)], 1).astype(np.float32)
    joint = conditional * np.stack([np.ones(rows, np.float32), conditional[:, 0]], 1)
    labels = (rng.random((rows, 2)) < conditional).astype(np.float32)
    labels[:, 1] *= labels[:, 0]
    group = np.floor(np.exp(rng.random(rows) * np.log(20_000))).astype(np.int32)

    def of_one() -> None:
        tally = BinaryTally()
        tally.add(Observed(labels[:, 0], group, predictions=conditional[:, 0]))
        tally.result()

    def whole(tasks: tuple[Task, ...], together: NDArray[np.float32]) -> None:
        tally = Tally(tasks, "")
        tally.add(Predicted(labels, group, conditional=conditional, joint=together))
        tally.result()

    def in_pieces(limit: int) -> None:
        tally = Tally(FUNNEL, "", limit)
        for start in range(0, rows, 8192):
            part = slice(start, start + 8192)
            tally.add(
                Predicted(
                    labels[part], group[part], conditional=conditional[part], joint=joint[part]
                )
            )
        tally.result()

    cases: dict[str, Callable[[], object]] = {
        "one binary task": of_one,
        "two tasks": lambda: whole(FLAT, conditional),
        "a funnel: click, CVR, CTCVR": lambda: whole(FUNNEL, joint),
        "the funnel in batches of 8192": lambda: in_pieces(1 << 23),
        "the funnel, a tenth of the rows in memory": lambda: in_pieces(rows // 10),
        "AUC of one task in scikit-learn": lambda: roc_auc_score(labels[:, 0], conditional[:, 0]),
    }
    lines = [f"| all metrics of {rows:,} rows, one thread | ms |", "|---|---|"]
    milliseconds: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(ROUNDS + 1):
        for name, case in cases.items():
            started = time.thread_time()
            case()
            if number:  # the first round compiles
                milliseconds[name].append(1e3 * (time.thread_time() - started))
    for name, values in milliseconds.items():
        statistics = spread(values)
        lines.append(
            f"| {name} | {statistics['median']:.0f} ({statistics['least']:.0f} to {statistics['most']:.0f}) |"
        )
    replace(options.write, "evaluation", "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
