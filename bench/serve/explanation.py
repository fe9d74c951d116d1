"""Why a served model ranks as it does: what each input is worth to the order, and what part of it
each head makes.

An input's worth is its permutation importance (Breiman, Machine Learning 2001), or model reliance
(Fisher, Rudin and Dominici, JMLR 2019). Intervals resample units and shuffles, independently of
each other (Owen and Eckles, Annals of Applied Statistics 2012). All inputs and outcomes share both,
so that differences between them are paired.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats, Ints
from bench.core.objectives import default_outcomes
from bench.core.schema import SCORE
from bench.core.seeds import derive
from bench.core.system.progress import Progress, duration
from bench.data.store import StoredSplit, part_of
from bench.deciding.score import prediction_names
from bench.measure.outcomes import Measure, wanted_of
from bench.measure.resamples import Resamples, few_units, units_of
from bench.measure.spaces import Labelled, joint_labels
from bench.serve.alike import alike
from bench.serve.evaluation import effect_of
from bench.serve.package import Package
from bench.serve.scorer import Scorer

ROWS, SHUFFLES, RESAMPLES = 10_000, 3, 200


def explain(
    package: Package,
    split: StoredSplit,
    progress: Progress,
    rows: int = ROWS,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Explains the order of about `rows` rows with labels, of whole units; equal arguments give an
    equal answer.

    Args:
        split: encoded by the package's encoder, with the labels of its tasks.

    Returns:
        Plain values: how many `rows`, `units` and `shuffles`, whether outcomes are `by_group`, and
        what the order owes to `inputs` (the most first) and `heads`. Their `measures` are outcomes,
        with the part of each that is lost, .34 for 34%, where the inputs `of`, which are alike, are
        shuffled, or a head is its mean. A head also has its
        `share`: the covariance of its term in the score with the score, over the score's variance.
            Shares sum to 1.
    """
    order = _Order(package, part_of(split, rows, units=True), seed)
    inputs = inputs_of(package)
    said: dict[str, NDArray[Any]] = {
        name: order.ids[:, ids[0]] for name, (ids, _) in inputs.items() if ids
    }
    said |= {each.name: order.dense[:, each.column] for each in package.schema.numbers}
    together = [
        *alike(said),
        *((name,) for name in inputs if name not in said),
    ]  # a vector is like nothing
    many, units = len(together) * shuffles, len(np.unique(order.drawn.units))
    cost = f"{len(together)} inputs x {shuffles} shuffles of {len(order.ids):,} rows"
    few = few_units(order.drawn.units, f"; {package.manifest.name}")
    progress.note(f"{cost}: up to {duration(order.seconds * many)}{few}")
    streams = [np.random.default_rng(derive(seed, "explain", k)) for k in range(shuffles)]
    donors = [
        (each.permutation(len(order.ids)), each.permutation(len(order.first))) for each in streams
    ]
    drawn = np.random.default_rng(derive(seed, "explain")).integers(
        shuffles, size=(RESAMPLES, shuffles)
    )
    importances = list[dict[str, Any]]()
    with progress.task("shuffling", many, "shuffles") as advance:
        for names in together:
            lost = np.empty((shuffles, 1 + RESAMPLES, len(order.measure.names)))
            for k, each in enumerate(donors):
                lost[k] = order.lost(_shuffled(order, [inputs[name] for name in names], *each))
                advance(1)
            resampled = lost[drawn, 1 + np.arange(RESAMPLES)[:, None]].mean(axis=1)
            measures = order.effects(np.vstack([lost[:, :1].mean(axis=0), resampled]))
            name = " + ".join(names[:2]) + (f" + {len(names) - 2} more" if len(names) > 2 else "")
            importances.append({"name": name, "of": list(names), "measures": measures})
    importances.sort(
        key=lambda each: -np.nansum([abs(own["value"]) for own in each["measures"].values()])
    )
    about = {
        "rows": len(order.ids),
        "units": units,
        "shuffles": shuffles,
        "by_group": order.by_group,
    }
    return about | {"inputs": importances, "heads": list(_heads(order, package))}


def inputs_of(package: Package) -> dict[str, tuple[list[int], list[int]]]:
    """By the card's names, columns in ids and in dense, with ranges and rates; none of
    positions.
    """
    inputs, schema, at = dict[str, tuple[list[int], list[int]]](), package.schema, 0
    for part in package.encoder.dense:
        inputs.setdefault(part.name, ([], []))[1].extend(range(at, at := at + len(part.names)))
    names, at = [each.name for each in schema.without_ranges.fields], 0
    for name, shape in zip(
        [*names, *(each.name for each in schema.numbers)], schema.fields, strict=True
    ):
        places = range(at, at := at + shape.slots)
        if name != schema.position:
            inputs.setdefault(name, ([], []))[0].extend(places)
    return inputs


class _Order:
    """Rows as a model ranks them. `of_group` (N,) is the ranking group of each, `first` (G,) a
    group's first row.
    """

    def __init__(self, package: Package, data: StoredSplit, seed: int) -> None:
        schema, score, group = (
            package.schema,
            package.manifest.score,
            np.asarray(data.group).astype(np.int64),
        )
        self.ids, self.dense = data.ids, np.array(data.dense)
        weights = None if data.weights is None else data.weights.astype(np.float64).prod(axis=1)
        self.weights = np.ones(len(group)) if weights is None else weights
        self.drawn = Resamples(units_of(np.asarray(data.together), 0), f"explain {seed}", RESAMPLES)
        rows = Labelled(joint_labels(data.labels, schema), group, weights, self.drawn.units)
        outcomes = tuple(package.manifest.outcomes) or default_outcomes(schema.tasks, group)
        self.measure = Measure(schema.tasks, outcomes, rows, drawn=self.drawn)
        self.by_group = bool(wanted_of(schema.tasks, outcomes, bool((group >= 0).any())).by_group)
        _, self.first, self.of_group = np.unique(
            units_of(group, 0), return_index=True, return_inverse=True
        )
        calibrations = {} if score.on == "raw" else package.calibrations
        self.scorer = Scorer(
            schema, package.encoder, package.engine(), calibrations, score, package.manifest.name
        )
        self.scorer.predict_encoded(self.ids[:64], self.dense[:64])  # what is compiled is not timed
        started = time.perf_counter()
        self.said = self.scorer.predict_encoded(self.ids, self.dense)
        self._whole = self.measure.resampled(self.said[SCORE])[:, 0]
        self.seconds = time.perf_counter() - started

    def lost(self, score: Floats) -> Floats:
        """(1 + B, M), the part of each outcome that another score (N,) loses; on each resample,
        too.
        """
        return 1 - self.measure.resampled(score)[:, 0] / np.where(
            self._whole > 0, self._whole, np.nan
        )

    def effects(self, lost: Floats) -> dict[str, dict[str, float]]:
        """By outcome."""
        return {
            name: effect_of(lost[:, at]).to_json() for at, name in enumerate(self.measure.names)
        }

    def apart(self, values: Floats) -> Floats:
        """(N,), differences from the mean; where outcomes are by group, from that of the group."""
        of = self.of_group if self.by_group else np.zeros(len(values), np.int64)
        means = np.bincount(of, values * self.weights) / np.maximum(
            np.bincount(of, self.weights), 1e-300
        )
        return values - means[of]


def _shuffled(
    order: _Order, inputs: Sequence[tuple[list[int], list[int]]], of_rows: Ints, of_groups: Ints
) -> Floats:
    """(N,), the score where some inputs are another row's: of `of_rows` (N,).

    What is the same for a whole group cannot change its order by itself; shuffled row by row it
    would. So where outcomes are by group, groups get it from other groups: of `of_groups` (G,).
    """
    places, columns = (
        np.array([at for each in inputs for at in each[kind]], np.int64) for kind in (0, 1)
    )
    ids, dense, home = order.ids.copy(), order.dense.copy(), order.first[order.of_group]
    constant = (ids[np.ix_(home, places)] == ids[:, places]).all()
    constant &= (dense[np.ix_(home, columns)] == dense[:, columns]).all()
    donor = order.first[of_groups][order.of_group] if order.by_group and constant else of_rows
    ids[:, places], dense[:, columns] = ids[np.ix_(donor, places)], dense[np.ix_(donor, columns)]
    changed = (ids != order.ids).any(axis=1) | (dense != order.dense).any(axis=1)
    score = order.said[SCORE].copy()
    score[changed] = order.scorer.predict_encoded(ids[changed], dense[changed])[SCORE]
    return score


def _heads(order: _Order, package: Package) -> Iterator[dict[str, Any]]:
    """Every prediction that the score fuses, and those of tasks that it leaves out; see
    `explain`.
    """
    score, terms = package.manifest.score, dict[str, Floats]()
    for name, weight in score.weights.items():
        terms[name] = score.model_copy(update={"weights": {name: weight}}).apply(order.said)
    for names in map(prediction_names, package.schema.tasks):
        if not terms.keys() & set(names):
            terms[names[-1]] = np.zeros(len(order.ids))
    whole = order.weights * order.apart(order.said[SCORE])
    rows, products = np.arange(len(whole)), [whole * order.apart(each) for each in terms.values()]
    sums = np.vstack([np.sum(products, axis=1), order.drawn.sums(rows, products)])  # (1 + B, heads)
    with np.errstate(invalid="ignore"):  # a score that is the same for all rows
        shares = sums / sums.sum(axis=1, keepdims=True)
    for at, name in enumerate(terms):
        rest = np.sum(
            [np.zeros(len(rows)), *(each for other, each in terms.items() if other != name)], axis=0
        )
        measures = {"share": effect_of(shares[:, at]).to_json()} | order.effects(order.lost(rest))
        yield {"name": f"p_{name.removesuffix('.ctcvr')}", "measures": measures}
