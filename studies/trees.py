"""Our boosted trees against LightGBM of ten random tries, on rows of test.

    pip install lightgbm
    python studies/trees.py --raw DIR [--data census-income ...] [--tries 10] [--seeds 2] [--out FILE.jsonl]
        [--write docs/inputs.md]

`DIR` holds `census-income/`, `kuairand-pure/` and `hotel-bookings/`. Both learn from the same rows of train and stop
on the same rows of validation, which also chooses each task's settings by AUC. Ours have as many tries as a small
search gives them (`LEAST_TREES`). LightGBM takes fields as categories, and the rates of large ones beside them; where a
try says so, it has our columns. What was chosen is trained on `--seeds` fresh seeds. `FILE.jsonl` keeps each finished
training, which does not run again.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from speed.table import replace, writer

from bench.confirm.baselines import LEAST_TREES
from bench.data import Store, load_card, prepare
from bench.machine import tree_threads
from bench.measure.resampling import RESAMPLES
from bench.records import Job, Scalar
from bench.seeds import derive
from bench.training.evaluation import Predictions, measured
from bench.training.job import run_job
from bench.training.tree_data import Share, TreeFeatures, draw, width
from bench.training.tree_settings import best_by_task, configurations

NAME = "lightgbm"
OURS, THEIRS = "ours", "LightGBM"
CARDS = {
    "census-income": ("income", "never_married"),
    "census-income-education": ("education", "never_married"),
    "hotel-bookings": ("cancel", "request", "change", "parking"),
    "kuairand-pure@late-window": ("click", "long_view", "like"),
}
"""Tasks by card."""
RAW = {"census-income-education": "census-income"}
"""Folder of a card's raw files, where that is not named as the card is."""
ROUNDS, PATIENCE = 3000, 50
REACH = 1.645
"""Standard errors on each side of a 90% interval."""
Line = dict[str, Any]


def store_of(card: str, raw: Path, home: Path) -> Store:
    """The data set with its tasks."""
    known = load_card(card)
    return prepare(known, home, raw / RAW.get(card, known.id)).with_tasks(CARDS[card])


def ours(store: Store, seeds: Sequence[int]) -> list[Line]:
    """Our trees, tuned as the baseline of a small search is."""
    names = [task.name for task in store.schema.tasks]

    def job(config: dict[str, Scalar], seed: int, split: Any) -> Job:
        return Job(
            None, seed, config, str(store.path), derive(seed, NAME), (split,), (), tuple(names), 1,
            resamples=RESAMPLES if seed else 0, kind="trees",
        )  # fmt: skip

    started = process_time()
    asked = configurations(names, LEAST_TREES, derive(0, NAME))
    tried = [(config, run_job(job(config, 0, "valid")).metrics) for config in asked]
    best, tuning = best_by_task(names, tried), process_time() - started
    found = []
    for seed in seeds:
        started = process_time()
        result = run_job(job(best, seed, "test"))
        found.append(line(result.metrics, result.resampled, tuning, process_time() - started, result.config))
    return found


def theirs(store: Store, seeds: Sequence[int], tries: int) -> list[Line]:
    """LightGBM: each task with the best of its tries by AUC on validation."""
    schema, settings, tuning, last = store.schema, dict[str, Any](), 0.0, 0.0
    conditional: dict[int, list[NDArray[np.float32]]] = {seed: [] for seed in seeds}
    for at, task in enumerate(schema.tasks):
        started = process_time()
        fitted = of_task(store, at)
        tried = [(fitted(options, 0), options) for options in drawn(tries, derive(0, NAME, task.name))]
        (_, best) = max(tried, key=lambda each: each[0][0])
        tuning, started = tuning + process_time() - started, process_time()
        for seed in seeds:
            conditional[seed].append(fitted(best, seed)[1]())
        last += (process_time() - started) / len(seeds)
        settings[task.name] = best
    found = []
    for seed in seeds:
        given = np.stack(conditional[seed], axis=1)
        chains = [list(schema.chain(at)) for at in range(len(schema.tasks))]
        joint = np.stack([given[:, chain].prod(axis=1) for chain in chains], axis=1)
        said: Predictions = (given, joint)
        found.append(line(*measured(store, "test", [said], RESAMPLES), tuning, last, settings))
    return found


def drawn(many: int, seed: int) -> list[dict[str, Any]]:
    """Random settings: the first are LightGBM's own with a smaller learning rate."""
    rng, found = np.random.default_rng(seed), [{"learning_rate": 0.05, "rates": False}]
    while len(found) < many:
        between = {
            "learning_rate": (0.02, 0.2), "num_leaves": (8, 128), "min_data_in_leaf": (5, 300),
            "lambda_l2": (0.001, 30), "cat_smooth": (1, 100), "cat_l2": (1, 100), "feature_fraction": (0.2, 1),
            "bagging_fraction": (0.5, 1),
        }  # fmt: skip
        values = {name: low * (high / low) ** rng.random() for name, (low, high) in between.items()}
        whole = {name: round(values[name]) for name in ("num_leaves", "min_data_in_leaf")}
        found.append({**values, **whole, "bagging_freq": 1, "rates": bool(rng.random() < 0.5)})
    return found


Fitted = Callable[[Mapping[str, Any], int], tuple[float, Callable[[], NDArray[np.float32]]]]
"""Options and a seed -> AUC on validation, and what predicts test."""


def of_task(store: Store, at: int) -> Fitted:
    """What trains LightGBM for a task."""
    import lightgbm  # type: ignore[import-not-found, unused-ignore]

    schema = store.schema
    task, parent = schema.tasks[at], schema.parents[at]
    share, seed = Share.of(store.split("train"), width(schema)), derive(0, NAME, task.name)
    train, valid = (draw(store.split(split), at, parent, share.train, seed) for split in ("train", "valid"))
    features, rates = TreeFeatures.learn(schema, train.ids, train.dense, train.labels, seed)
    test = store.split("test")
    offsets = np.array(schema.offsets)
    places = np.cumsum([0, *(field.slots for field in schema.fields)])[:-1]
    plain = [k for k, field in enumerate(schema.without_ranges.fields) if field.slots == 1]
    several = [k for k in np.flatnonzero(~features.categorical) if k >= len(schema.dense)]  # and rates of large fields

    def columns(ids: NDArray[Any], dense: NDArray[Any], as_rates: bool, learnt: Any = None) -> NDArray[np.float32]:
        made = learnt if learnt is not None else features.of(ids, dense)
        if as_rates:
            return np.asarray(made)
        codes = ids[:, places[plain]] - offsets[plain]
        return np.concatenate([dense, codes, made[:, several]], axis=1).astype(np.float32)

    sets: dict[bool, tuple[NDArray[Any], NDArray[Any], list[int]]] = {}
    for as_rates in (False, True):
        kinds = np.flatnonzero(features.categorical) if as_rates else len(schema.dense) + np.arange(len(plain))
        sets[as_rates] = (
            columns(train.ids, train.dense, as_rates, rates), columns(valid.ids, valid.dense, as_rates), kinds.tolist()
        )  # fmt: skip

    def fitted(options: Mapping[str, Any], seed: int) -> tuple[float, Callable[[], NDArray[np.float32]]]:
        own, as_rates = dict(options), bool(options["rates"])
        del own["rates"]
        learnt, judged, kinds = sets[as_rates]
        data = lightgbm.Dataset(learnt, train.labels, categorical_feature=kinds, params={"verbose": -1})
        judges = lightgbm.Dataset(judged, valid.labels, reference=data)
        fixed = {"objective": "binary", "metric": "auc", "num_threads": 1, "seed": seed, "verbose": -1}
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        model = lightgbm.train(own | fixed, data, ROUNDS, [judges], callbacks=[stop])
        best = float(model.best_score["valid_0"]["auc"])

        def predict() -> NDArray[np.float32]:
            pieces = range(0, len(test), 1 << 14)
            parts = [columns(test.ids_of(slice(k, k + (1 << 14))), np.asarray(test.dense[k : k + (1 << 14)]), as_rates)
                     for k in pieces]  # fmt: skip
            return np.asarray(np.concatenate([model.predict(part) for part in parts]), np.float32)

        return best, predict

    return fitted


def line(
    metrics: Mapping[str, float], resampled: Mapping[str, Sequence[float]], tuning: float, last: float, settings: Any
) -> Line:
    """What is kept of a training: areas and how they move, CPU seconds of the tries and of itself."""
    keys = [key for key in metrics if key.endswith(".auc") and not key.endswith(".ctcvr.auc")]
    moved = {key: [round(value, 7) for value in resampled[key]] for key in keys}
    return {"metrics": {key: metrics[key] for key in keys}, "moved": moved, "cpu": [tuning, last], "settings": settings}


def table(lines: Sequence[Line], data_sets: Sequence[str]) -> str:
    """A row for each task: areas of both, the difference and its interval over resampled rows of test."""
    head = f"data | task | {OURS} | {THEIRS} | ours less theirs, .0001 | CPU s, ours | CPU s, theirs"
    rows, sure = [], 0
    for data in data_sets:
        own, other = ([each for each in lines if each["key"][:2] == [data, who]] for who in (OURS, THEIRS))
        for key in own[0]["metrics"] if own and other else ():
            means = [np.mean([each["metrics"][key] for each in some]) for some in (own, other)]
            moved = [np.mean([each["moved"][key] for each in some], axis=0) for some in (own, other)]
            value, reach = means[0] - means[1], REACH * np.nanstd(moved[0] - moved[1], ddof=1)
            sure += bool(value + reach < -0.001)
            cells = [data, key.removeprefix("test/").removesuffix(".auc"), f"{means[0]:.5f}", f"{means[1]:.5f}"]
            cells += [f"{1e4 * value:+.1f} ({1e4 * (value - reach):+.1f} to {1e4 * (value + reach):+.1f})"]
            cells += [f"{some[0]['cpu'][0]:.0f} + {some[0]['cpu'][1]:.0f}" for some in (own, other)]
            rows.append(f"| {' | '.join(cells)} |")
    last = f"Intervals wholly below -.001: {sure} of {len(rows)}."
    return "\n".join([f"| {head} |", "|---" * 7 + "|", *rows, "", last])


def main() -> None:
    """Trains what is missing, and prints or writes the table."""
    parser = writer(__doc__)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    parser.add_argument("--data", nargs="+", choices=CARDS, default=list(CARDS))
    parser.add_argument("--who", nargs="+", choices=[OURS, THEIRS], default=[OURS, THEIRS])
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("trees.jsonl"))
    given = parser.parse_args()
    lines = [json.loads(text) for text in given.out.read_text().splitlines()] if given.out.exists() else []
    for data in given.data:
        for who in given.who:
            lines += trained(data, who, given, {tuple(each["key"]) for each in lines})
    text = table(lines, given.data)
    print(text)
    replace(given.write, NAME, text)


def trained(data: str, who: str, given: Namespace, known: set[tuple[str, str, int]]) -> list[Line]:
    """The trainings of one data set and one of both that are not known."""
    seeds = [seed for seed in range(1, given.seeds + 1) if (data, who, seed) not in known]
    if not seeds:
        return []
    if who == THEIRS:
        try:
            import lightgbm  # noqa: F401
        except ImportError:
            sys.exit("expected LightGBM, which only this study needs, found none: pip install lightgbm")
    store = store_of(data, given.raw, given.home)
    with tree_threads(1):
        found = ours(store, seeds) if who == OURS else theirs(store, seeds, given.tries)
    found = [{"key": [data, who, seed], **each} for seed, each in zip(seeds, found, strict=True)]
    with given.out.open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in found)
    return found


if __name__ == "__main__":
    main()
