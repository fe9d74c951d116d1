"""Our boosted trees against LightGBM of ten random tries, on rows of test.

    pip install lightgbm python studies/trees.py --raw DIR [--data census-income ...] [--tries 10]
    [--seeds 2] [--out FOLDER]
        [--write docs/studies/inputs-tables.md]

`DIR` holds `census-income/`, `kuairand-pure/` and `hotel-bookings/`. Both learn from the same rows
of train and stop on the same rows of validation, which also chooses each task's settings by AUC.
Ours have as many tries as a small search gives them (`LEAST_TREES`). LightGBM takes fields as
categories, and the rates of large ones beside them; where a try says so, it has our columns. The
best settings are trained on `--seeds` fresh seeds. `FOLDER` keeps what is finished, which does not
run again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from speed.table import replace, writer
from trainings import CARDS, CPU, Trainings, mean, store_of

from bench.core.records import Replicate
from bench.core.seeds import derive
from bench.data import Store
from bench.measure.resampling import RESAMPLES
from bench.models.training.evaluation import measured
from bench.models.training.tree_data import RowLimits, TreeFeatures, draw, width

NAME = "lightgbm"
ROUNDS, PATIENCE = 3000, 50
PIECE = 1 << 14
"""Rows that are predicted at once."""
TUNING = "cpu seconds of the tries"
REACH = 1.645
"""Standard errors on each side of a 90% interval."""
Floats = NDArray[np.float32]


def drawn(count: int, seed: int) -> list[dict[str, Any]]:
    """Random settings; the first are LightGBM's own with a smaller learning rate."""
    rng, settings = np.random.default_rng(seed), [{"learning_rate": 0.05, "rates": False}]
    between = {
        "learning_rate": (0.02, 0.2),
        "num_leaves": (8, 128),
        "min_data_in_leaf": (5, 300),
        "lambda_l2": (0.001, 30),
        "cat_smooth": (1, 100),
        "cat_l2": (1, 100),
        "feature_fraction": (0.2, 1),
        "bagging_fraction": (0.5, 1),
    }
    while len(settings) < count:
        values = {name: low * (high / low) ** rng.random() for name, (low, high) in between.items()}
        whole = {name: round(values[name]) for name in ("num_leaves", "min_data_in_leaf")}
        settings.append({**values, **whole, "bagging_freq": 1, "rates": bool(rng.random() < 0.5)})
    return settings


class Columns:
    """Columns for LightGBM to learn a task from: numbers, categories, and rates of large fields; or
    our columns.
    """

    def __init__(self, store: Store, task: int) -> None:
        self.store, schema = store, store.schema
        limits = RowLimits.of(store.split("train"), width(schema))
        seed = derive(0, NAME, schema.tasks[task].name)
        self.train, self.valid = (
            draw(store.split(split), task, schema.parents[task], limits.train, seed)
            for split in ("train", "valid")
        )
        self.features, self.learnt = TreeFeatures.learn(
            schema, self.train.ids, self.train.dense, self.train.labels, seed
        )
        fields = schema.without_ranges.fields
        self.offsets = np.array(schema.offsets)[: len(fields)]
        self.places = np.cumsum([0, *(field.slots for field in fields)])[:-1]
        self.plain = [place for place, field in enumerate(fields) if field.slots == 1]
        self.several = [
            place
            for place in np.flatnonzero(~self.features.categorical)
            if place >= len(schema.dense)
        ]

    def categories(self, rates: bool) -> list[int]:
        """Places of the columns that are categories."""
        first = len(self.store.schema.dense)
        columns = (
            np.flatnonzero(self.features.categorical)
            if rates
            else first + np.arange(len(self.plain))
        )
        return [int(place) for place in columns]

    def of(
        self, ids: NDArray[Any], dense: NDArray[Any], rates: bool, encoded: Floats | None = None
    ) -> Floats:
        """(n, F) of some rows."""
        encoded = self.features.of(ids, dense) if encoded is None else encoded
        codes = ids[:, self.places[self.plain]] - self.offsets[self.plain]
        return (
            encoded
            if rates
            else np.concatenate([dense, codes, encoded[:, self.several]], axis=1).astype(np.float32)
        )

    def test(self, rates: bool) -> Iterator[Floats]:
        """Those of test, piece by piece."""
        test = self.store.split("test")
        for start in range(0, len(test), PIECE):
            rows = slice(start, start + PIECE)
            yield self.of(test.ids_of(rows), np.asarray(test.dense[rows]), rates)


def of_task(store: Store, task: int, tries: int, seeds: int) -> tuple[Floats, list[float]]:
    """Predictions (seeds, N) of test by the best of LightGBM's tries; CPU seconds of the tries and
    of one training.
    """
    import lightgbm  # type: ignore[import-not-found, unused-ignore]

    columns = Columns(store, task)
    train, valid = columns.train, columns.valid
    inputs: dict[bool, tuple[Floats, Floats]] = {
        rates: (
            columns.of(train.ids, train.dense, rates, columns.learnt),
            columns.of(valid.ids, valid.dense, rates),
        )
        for rates in (False, True)
    }

    def fitted(options: Mapping[str, Any], seed: int) -> Any:
        parameters = {name: value for name, value in options.items() if name != "rates"}
        learnt, judged = inputs[options["rates"]]
        kinds = columns.categories(options["rates"])
        data = lightgbm.Dataset(
            learnt, train.labels, categorical_feature=kinds, params={"verbose": -1}
        )
        judges = lightgbm.Dataset(judged, valid.labels, reference=data)
        fixed = {
            "objective": "binary",
            "metric": "auc",
            "num_threads": 1,
            "seed": seed,
            "verbose": -1,
        }
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        return lightgbm.train(parameters | fixed, data, ROUNDS, [judges], callbacks=[stop])

    started = process_time()
    tried = [
        (fitted(options, 0).best_score["valid_0"]["auc"], options)
        for options in drawn(tries, derive(0, NAME, store.schema.tasks[task].name))
    ]
    _, best = max(tried, key=lambda trial: float(trial[0]))
    tuning, started, predictions = process_time() - started, process_time(), []
    for seed in range(1, seeds + 1):
        model = fitted(best, seed)
        predictions.append(
            np.concatenate([model.predict(piece) for piece in columns.test(best["rates"])])
        )
    return np.stack(predictions).astype(np.float32), [tuning, (process_time() - started) / seeds]


def theirs(trainings: Trainings, tries: int) -> tuple[list[Replicate], float]:
    """LightGBM's trainings, and CPU seconds of all tries."""
    files = [trainings.folder / f"lightgbm-{seed}.json" for seed in trainings.seeds]
    if not all(file.exists() for file in files):
        by_task, cpu_seconds = [], np.zeros(2)
        for number, task in enumerate(trainings.tasks):
            archive = trainings.folder / f"lightgbm-{task}.npz"
            if not archive.exists():
                predicted, seconds = of_task(trainings.store, number, tries, len(trainings.seeds))
                np.savez(archive, said=predicted, seconds=seconds)
            with np.load(archive) as arrays:
                by_task.append(arrays["said"])
                cpu_seconds += arrays["seconds"]
        chains = [list(trainings.store.schema.chain(number)) for number in range(len(by_task))]
        for place, file in enumerate(files):
            conditional = np.stack(
                [task_predictions[place] for task_predictions in by_task], axis=1
            )
            joint = np.stack([conditional[:, chain].prod(axis=1) for chain in chains], axis=1)
            metrics, resampled = measured(
                trainings.store, "test", [(conditional, joint)], RESAMPLES
            )
            file.write_text(
                json.dumps([metrics | {CPU: cpu_seconds[1], TUNING: cpu_seconds[0]}, resampled])
            )
    recorded = [json.loads(file.read_text()) for file in files]
    runs = [
        Replicate(seed, seed, metrics, resampled=moved)
        for seed, (metrics, moved) in zip(trainings.seeds, recorded, strict=True)
    ]
    return runs, mean(runs, TUNING)


def rows(card: str, trainings: Trainings, tries: int) -> Iterator[tuple[float, str]]:
    """By task the upper end of the difference's interval, and the row of the table."""
    (_, our_runs, tuning), (their_runs, tuning_there) = trainings.trees(), theirs(trainings, tries)
    for task, parent in zip(trainings.tasks, trainings.store.schema.parents, strict=True):
        key = f"test/{task}.auc" if parent is None else f"test/{task}.cvr.auc"
        moved = [
            np.mean([run.resampled[key] for run in some], axis=0) for some in (our_runs, their_runs)
        ]
        value = mean(our_runs, key) - mean(their_runs, key)
        reach = REACH * float(np.nanstd(moved[0] - moved[1], ddof=1))
        cells = [
            card,
            key.removeprefix("test/"),
            f"{mean(our_runs, key):.5f}",
            f"{mean(their_runs, key):.5f}",
        ]
        cells += [
            f"{1e4 * value:+.1f} ({1e4 * (value - reach):+.1f} to {1e4 * (value + reach):+.1f})"
        ]
        cells += [
            f"{first:.0f} + {mean(some, CPU):.0f}"
            for first, some in ((tuning, our_runs), (tuning_there, their_runs))
        ]
        yield value + reach, f"| {' | '.join(cells)} |"


def main() -> None:
    """Trains what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--data", nargs="+", choices=CARDS, default=list(CARDS))
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("trainings"))
    options = parser.parse_args()
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        sys.exit("expected LightGBM, which only this study needs, found none: pip install lightgbm")
    head = (
        "data | AUC | ours | LightGBM | ours less LightGBM, .0001 | CPU s, ours | CPU s, LightGBM"
    )
    lines, highs = [f"| {head} |", "|---" * 7 + "|"], []
    for card in options.data:
        trainings = Trainings(
            store_of(card, options.raw, options.home), options.out / card, options.seeds
        )
        for high, row in rows(card, trainings, options.tries):
            highs.append(high)
            lines.append(row)
    lines += [
        "",
        f"Intervals wholly below -.001: {sum(high < -0.001 for high in highs)} of {len(highs)}.",
    ]
    print("\n".join(lines))
    replace(options.write, NAME, "\n".join(lines))


if __name__ == "__main__":
    main()
