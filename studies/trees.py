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


def drawn(many: int, seed: int) -> list[dict[str, Any]]:
    """Random settings; the first are LightGBM's own with a smaller learning rate."""
    rng, found = np.random.default_rng(seed), [{"learning_rate": 0.05, "rates": False}]
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
    while len(found) < many:
        values = {name: low * (high / low) ** rng.random() for name, (low, high) in between.items()}
        whole = {name: round(values[name]) for name in ("num_leaves", "min_data_in_leaf")}
        found.append({**values, **whole, "bagging_freq": 1, "rates": bool(rng.random() < 0.5)})
    return found


class Columns:
    """Columns for LightGBM to learn a task from: numbers, categories, and rates of large fields; or
    our columns.
    """

    def __init__(self, store: Store, at: int) -> None:
        self.store, schema = store, store.schema
        limits, seed = (
            RowLimits.of(store.split("train"), width(schema)),
            derive(0, NAME, schema.tasks[at].name),
        )
        self.train, self.valid = (
            draw(store.split(split), at, schema.parents[at], limits.train, seed)
            for split in ("train", "valid")
        )
        self.features, self.learnt = TreeFeatures.learn(
            schema, self.train.ids, self.train.dense, self.train.labels, seed
        )
        fields = schema.without_ranges.fields
        self.offsets = np.array(schema.offsets)[: len(fields)]
        self.places = np.cumsum([0, *(field.slots for field in fields)])[:-1]
        self.plain = [at for at, field in enumerate(fields) if field.slots == 1]
        self.several = [
            at for at in np.flatnonzero(~self.features.categorical) if at >= len(schema.dense)
        ]

    def categories(self, rates: bool) -> list[int]:
        """Places of the columns that are categories."""
        first = len(self.store.schema.dense)
        found = (
            np.flatnonzero(self.features.categorical)
            if rates
            else first + np.arange(len(self.plain))
        )
        return [int(each) for each in found]

    def of(
        self, ids: NDArray[Any], dense: NDArray[Any], rates: bool, made: Floats | None = None
    ) -> Floats:
        """(n, F) of some rows."""
        made = self.features.of(ids, dense) if made is None else made
        codes = ids[:, self.places[self.plain]] - self.offsets[self.plain]
        return (
            made
            if rates
            else np.concatenate([dense, codes, made[:, self.several]], axis=1).astype(np.float32)
        )

    def test(self, rates: bool) -> Iterator[Floats]:
        """Those of test, piece by piece."""
        test = self.store.split("test")
        for start in range(0, len(test), PIECE):
            rows = slice(start, start + PIECE)
            yield self.of(test.ids_of(rows), np.asarray(test.dense[rows]), rates)


def of_task(store: Store, at: int, tries: int, seeds: int) -> tuple[Floats, list[float]]:
    """Predictions (seeds, N) of test by the best of LightGBM's tries; CPU seconds of the tries and
    of one training.
    """
    import lightgbm  # type: ignore[import-not-found, unused-ignore]

    columns = Columns(store, at)
    train, valid = columns.train, columns.valid
    given: dict[bool, tuple[Floats, Floats]] = {
        rates: (
            columns.of(train.ids, train.dense, rates, columns.learnt),
            columns.of(valid.ids, valid.dense, rates),
        )
        for rates in (False, True)
    }

    def fitted(options: Mapping[str, Any], seed: int) -> Any:
        own = {name: value for name, value in options.items() if name != "rates"}
        learnt, judged = given[options["rates"]]
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
        return lightgbm.train(own | fixed, data, ROUNDS, [judges], callbacks=[stop])

    started = process_time()
    tried = [
        (fitted(options, 0).best_score["valid_0"]["auc"], options)
        for options in drawn(tries, derive(0, NAME, store.schema.tasks[at].name))
    ]
    _, best = max(tried, key=lambda each: float(each[0]))
    tuning, started, said = process_time() - started, process_time(), []
    for seed in range(1, seeds + 1):
        model = fitted(best, seed)
        said.append(np.concatenate([model.predict(piece) for piece in columns.test(best["rates"])]))
    return np.stack(said).astype(np.float32), [tuning, (process_time() - started) / seeds]


def theirs(of: Trainings, tries: int) -> tuple[list[Replicate], float]:
    """LightGBM's trainings, and CPU seconds of all tries."""
    files = [of.folder / f"lightgbm-{seed}.json" for seed in of.seeds]
    if not all(file.exists() for file in files):
        each, taken = [], np.zeros(2)
        for at, task in enumerate(of.tasks):
            kept = of.folder / f"lightgbm-{task}.npz"
            if not kept.exists():
                said, seconds = of_task(of.store, at, tries, len(of.seeds))
                np.savez(kept, said=said, seconds=seconds)
            with np.load(kept) as found:
                each.append(found["said"])
                taken += found["seconds"]
        chains = [list(of.store.schema.chain(at)) for at in range(len(each))]
        for place, file in enumerate(files):
            given = np.stack([own[place] for own in each], axis=1)
            joint = np.stack([given[:, chain].prod(axis=1) for chain in chains], axis=1)
            metrics, resampled = measured(of.store, "test", [(given, joint)], RESAMPLES)
            file.write_text(json.dumps([metrics | {CPU: taken[1], TUNING: taken[0]}, resampled]))
    told = [json.loads(file.read_text()) for file in files]
    runs = [
        Replicate(seed, seed, metrics, resampled=moved)
        for seed, (metrics, moved) in zip(of.seeds, told, strict=True)
    ]
    return runs, mean(runs, TUNING)


def rows(card: str, of: Trainings, tries: int) -> Iterator[tuple[float, str]]:
    """By task the upper end of the difference's interval, and the row of the table."""
    (_, own, tuning), (other, tuning_there) = of.trees(), theirs(of, tries)
    for task, parent in zip(of.tasks, of.store.schema.parents, strict=True):
        key = f"test/{task}.auc" if parent is None else f"test/{task}.cvr.auc"
        moved = [np.mean([run.resampled[key] for run in some], axis=0) for some in (own, other)]
        value, reach = (
            mean(own, key) - mean(other, key),
            REACH * float(np.nanstd(moved[0] - moved[1], ddof=1)),
        )
        cells = [
            card,
            key.removeprefix("test/"),
            f"{mean(own, key):.5f}",
            f"{mean(other, key):.5f}",
        ]
        cells += [
            f"{1e4 * value:+.1f} ({1e4 * (value - reach):+.1f} to {1e4 * (value + reach):+.1f})"
        ]
        cells += [
            f"{first:.0f} + {mean(some, CPU):.0f}"
            for first, some in ((tuning, own), (tuning_there, other))
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
    given = parser.parse_args()
    try:
        import lightgbm  # noqa: F401
    except ImportError:
        sys.exit("expected LightGBM, which only this study needs, found none: pip install lightgbm")
    head = (
        "data | AUC | ours | LightGBM | ours less LightGBM, .0001 | CPU s, ours | CPU s, LightGBM"
    )
    lines, highs = [f"| {head} |", "|---" * 7 + "|"], []
    for card in given.data:
        of = Trainings(store_of(card, given.raw, given.home), given.out / card, given.seeds)
        for high, row in rows(card, of, given.tries):
            highs.append(high)
            lines.append(row)
    lines += [
        "",
        f"Intervals wholly below -.001: {sum(high < -0.001 for high in highs)} of {len(highs)}.",
    ]
    print("\n".join(lines))
    replace(given.write, NAME, "\n".join(lines))


if __name__ == "__main__":
    main()
