"""How many rows each outcome needs to tell that one model is better than another, on real logs.

    python studies/cuts.py --raw FOLDER [--pairs 8] [--write docs/studies/statistics.md]

`FOLDER` has the raw files of hotel-bookings, census-income and kuairand-pure, each in a folder of
its name. A pair is LightGBM on all inputs, and on seven in ten of them, drawn for each pair. Both
predict test, and the gain of an outcome is divided by its deviation over 200 paired resamples of
whole units. As rows add up, that ratio grows with the root of their number. So outcome A needs as
many rows as B times (ratio of B / ratio of A)^2. Pairs add up by the sums of squares, less one each
for noise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import lightgbm
import numpy as np
from speed.table import replace, writer

from bench.core.arrays import Floats
from bench.core.system.progress import Silent
from bench.data import load_card, prepare
from bench.data.store import Store
from bench.measure.outcomes import Measure
from bench.measure.resamples import drawn_of
from bench.measure.spaces import Labelled

DATASETS = {
    "hotel-bookings": "hotel-bookings",
    "census-income": "census-income",
    "kuairand-pure@late-window": "kuairand-pure",
}
METRICS = ("recall@5%", "recall@10%", "recall@20%", "recall@5-20%", "recall@2-30%", "auc")
RESAMPLES = 200
LEFT_OUT = 0.3
HEADER = "| data | task | positives | " + " | ".join(METRICS) + " |"


def inputs_of(store: Store, split: str) -> Floats:
    """(N, ids + dense) of a split."""
    rows = store.split(split)
    return np.hstack([np.asarray(rows.ids, np.float32), np.asarray(rows.dense, np.float32)])


def pairs(store: Store, task: int, count: int) -> Iterator[tuple[Floats, Floats]]:
    """Predictions of test by a model of all inputs, and by one that lacks some."""
    train = inputs_of(store, "train")
    test = inputs_of(store, "test")
    labels = np.asarray(store.split("train").labels)[:, task]
    known = ~np.isnan(labels)
    for seed in range(count):
        draws = np.random.default_rng(seed)
        some = draws.random(train.shape[1]) >= LEFT_OUT
        predictions = []
        for columns in (np.ones(train.shape[1], bool), some):
            model = lightgbm.LGBMClassifier(
                n_estimators=100, random_state=seed, n_jobs=2, verbose=-1
            )
            model.fit(train[known][:, columns], labels[known])
            predictions.append(model.predict_proba(test[:, columns])[:, 1])
        yield predictions[0], predictions[1]


def rows_needed(store: Store, task: int, count: int) -> Floats:
    """(M,), as multiples of those of `recall@10%`."""
    split = store.split("test")
    labels = np.asarray(split.labels)[:, [task]]
    rows = Labelled(labels, np.asarray(split.group))
    names = [f"{store.schema.tasks[task].name}.{metric}" for metric in METRICS]
    measure = Measure(
        [store.schema.tasks[task]], names, rows, drawn=drawn_of(rows, "test", RESAMPLES)
    )
    information = np.zeros(len(METRICS))
    for better, worse in pairs(store, task, count):
        gains = np.log(measure.resampled(better)[:, 0] / measure.resampled(worse)[:, 0])
        ratios = gains[0] / gains[1:].std(axis=0, ddof=1)
        information += np.nan_to_num(ratios**2 - 1)  # where all models have the same share
    return information[METRICS.index("recall@10%")] / information


def main() -> None:
    """Writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=8)
    asked = parser.parse_args()
    lines = [HEADER, "|" + "---|" * (3 + len(METRICS))]
    print(HEADER)
    with tempfile.TemporaryDirectory() as home:
        for key, folder in DATASETS.items():
            store = prepare(load_card(key), Path(home), asked.raw / folder, Silent())
            for number, task in enumerate(store.schema.tasks):
                if task.kind == "regression":
                    continue
                positives = int(np.nansum(np.asarray(store.split("test").labels)[:, number]))
                needed = rows_needed(store, number, asked.pairs)
                cells = " | ".join(f"{value:.2f}" for value in needed)
                lines.append(f"| {key} | {task.name} | {positives:,} | {cells} |")
                print(lines[-1], flush=True)
    replace(asked.write, "cuts", "\n".join(lines))


if __name__ == "__main__":
    main()
