"""Why a served model ranks as it does: what each input is worth to the order, and what part of it
each head makes.

An input's worth is its permutation importance (Breiman, Machine Learning 2001), or model reliance
(Fisher, Rudin and Dominici, JMLR 2019). Intervals resample units and shuffles, independently of
each other (Owen and Eckles, Annals of Applied Statistics 2012). All inputs and outcomes share both,
so that differences between them are paired.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from bench.core.arrays import Floats, Ints
from bench.core.objectives import default_outcomes
from bench.core.schema import SCORE, Schema
from bench.core.seeds import derive
from bench.core.system.progress import Progress, duration
from bench.data.store import StoredSplit, part_of
from bench.deciding.score import prediction_names
from bench.measure.outcomes import Measure, wanted_of
from bench.measure.resamples import Resamples, few_units, units_of
from bench.measure.spaces import Labelled, joint_labels
from bench.serve.judgements import effect_of
from bench.serve.package import Package
from bench.serve.scorer import Scorer

ROWS, SHUFFLES, RESAMPLES = 10_000, 3, 200
LIMIT = 0.9
"""Inputs that correlate above it are alike."""


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
        shuffled, or a head is its mean. A head also has its `share`: the covariance of its term in
        the score with the score, over the score's variance. Shares sum to 1.
    """
    order = _Order(package, part_of(split, rows, units=True), seed)
    inputs = inputs_of(package)
    groups = _groups(order, inputs, package.schema)
    units = len(np.unique(order.drawn.units))
    trials = len(groups) * shuffles
    few = few_units(order.drawn.units, f"; {package.manifest.name}")
    progress.note(
        f"{len(groups)} inputs x {shuffles} shuffles of {len(order.ids):,} rows: up to "
        f"{duration(order.seconds * trials)}{few}"
    )
    donors = []
    for k in range(shuffles):
        stream = np.random.default_rng(derive(seed, "explain", k))
        of_rows = stream.permutation(len(order.ids))
        donors.append(_Donors(of_rows, stream.permutation(len(order.first))))
    drawn_shuffles = np.random.default_rng(derive(seed, "explain")).integers(
        shuffles, size=(RESAMPLES, shuffles)
    )
    importances = []
    with progress.task("shuffling", trials, "shuffles") as advance:
        for names in groups:
            columns = InputColumns.joined(inputs[name] for name in names)
            lost_by_shuffle = []
            for donors_of_shuffle in donors:
                score = _shuffled(order, columns, donors_of_shuffle)
                lost_by_shuffle.append(order.lost(score))
                advance(1)
            lost = _mean_of_shuffles(np.stack(lost_by_shuffle), drawn_shuffles)
            measures = order.effects(lost)
            importances.append({"name": _title(names), "of": list(names), "measures": measures})
    importances.sort(key=_total, reverse=True)
    return {
        "rows": len(order.ids),
        "units": units,
        "shuffles": shuffles,
        "by_group": order.by_group,
        "inputs": importances,
        "heads": list(_heads(order, package)),
    }


def _groups(
    order: _Order, inputs: Mapping[str, InputColumns], schema: Schema
) -> list[tuple[str, ...]]:
    """Names of inputs that are shuffled together; a vector is like nothing."""
    values: dict[str, NDArray[np.generic]] = {}
    for name, columns in inputs.items():
        if columns.ids:
            values[name] = order.ids[:, columns.ids[0]]
    for number in schema.numbers:
        values[number.name] = order.dense[:, number.column]
    groups = alike(values)
    groups += [(name,) for name in inputs if name not in values]
    return groups


def _mean_of_shuffles(lost: Floats, drawn_shuffles: Ints) -> Floats:
    """(1 + B, M) of what each shuffle loses (shuffles, 1 + B, M); a resample has drawn its shuffles
    (B, shuffles).
    """
    resamples = 1 + np.arange(len(drawn_shuffles))[:, None]
    resampled = lost[drawn_shuffles, resamples].mean(axis=1)
    return np.vstack([lost[:, :1].mean(axis=0), resampled])


def _title(names: Sequence[str]) -> str:
    title = " + ".join(names[:2])
    return f"{title} + {len(names) - 2} more" if len(names) > 2 else title


def _total(importance: Mapping[str, Any]) -> float:
    """The sum of all that is lost, in any direction."""
    lost = [effect["value"] for effect in importance["measures"].values()]
    return float(np.nansum(np.abs(lost)))


@dataclass
class InputColumns:
    """Columns of an input in ids and in dense."""

    ids: list[int] = field(default_factory=list)
    dense: list[int] = field(default_factory=list)

    @classmethod
    def joined(cls, inputs: Iterable[InputColumns]) -> InputColumns:
        """Those of several inputs."""
        joined = cls()
        for columns in inputs:
            joined.ids += columns.ids
            joined.dense += columns.dense
        return joined


def inputs_of(package: Package) -> dict[str, InputColumns]:
    """Columns by the card's names, with ranges and rates; none of positions."""
    inputs: dict[str, InputColumns] = defaultdict(InputColumns)
    schema, first = package.schema, 0
    for part in package.encoder.dense:
        columns = range(first, first + len(part.names))
        inputs[part.name].dense += columns
        first = columns.stop
    names = [field.name for field in schema.without_ranges.fields]
    names += [number.name for number in schema.numbers]
    first = 0
    for name, shape in zip(names, schema.fields, strict=True):
        columns = range(first, first + shape.slots)
        if name != schema.position:
            inputs[name].ids += columns
        first = columns.stop
    return inputs


class _Order:
    """Rows as a model ranks them. `of_group` (N,) is the ranking group of each, `first` (G,) a
    group's first row.
    """

    def __init__(self, package: Package, data: StoredSplit, seed: int) -> None:
        schema = package.schema
        score = package.manifest.score
        group = np.asarray(data.group).astype(np.int64)
        self.ids = data.ids
        self.dense = np.array(data.dense)
        weights = None
        self.weights = np.ones(len(group))
        if data.weights is not None:
            weights = self.weights = data.weights.astype(np.float64).prod(axis=1)
        units = units_of(np.asarray(data.together), 0)
        self.drawn = Resamples(units, f"explain {seed}", RESAMPLES)
        labels = joint_labels(data.labels, schema)
        rows = Labelled(labels, group, weights, self.drawn.units)
        outcomes = tuple(package.manifest.outcomes) or default_outcomes(schema.tasks, group)
        self.measure = Measure(schema.tasks, outcomes, rows, drawn=self.drawn)
        grouped = bool((group >= 0).any())
        self.by_group = bool(wanted_of(schema.tasks, outcomes, grouped).by_group)
        _, self.first, self.of_group = np.unique(
            units_of(group, 0), return_index=True, return_inverse=True
        )
        calibrations = {} if score.on == "raw" else package.calibrations
        self.scorer = Scorer(
            schema, package.encoder, package.engine(), calibrations, score, package.manifest.name
        )
        self.scorer.predict_encoded(self.ids[:64], self.dense[:64])  # what is compiled is not timed
        started = time.perf_counter()
        self.predictions = self.scorer.predict_encoded(self.ids, self.dense)
        self._outcomes = self.measure.resampled(self.predictions[SCORE])[:, 0]
        self.seconds = time.perf_counter() - started

    def lost(self, score: Floats) -> Floats:
        """(1 + B, M), the part of each outcome that another score (N,) loses; on each resample,
        too.
        """
        outcomes = np.where(self._outcomes > 0, self._outcomes, np.nan)
        return 1 - self.measure.resampled(score)[:, 0] / outcomes

    def effects(self, lost: Floats) -> dict[str, dict[str, float]]:
        """By outcome."""
        effects = {}
        for column, name in enumerate(self.measure.names):
            effects[name] = effect_of(lost[:, column]).to_json()
        return effects

    def centred(self, values: Floats) -> Floats:
        """(N,), differences from the mean; where outcomes are by group, from that of the group."""
        groups = np.zeros(len(values), np.int64)
        if self.by_group:
            groups = self.of_group
        sums = np.bincount(groups, values * self.weights)
        means = sums / np.maximum(np.bincount(groups, self.weights), 1e-300)
        return values - means[groups]


class _Donors(NamedTuple):
    """A shuffle: from which row each row (N,), and from which group each group (G,) gets inputs."""

    of_rows: Ints
    of_groups: Ints


def _shuffled(order: _Order, columns: InputColumns, donors: _Donors) -> Floats:
    """(N,), the score where some inputs are another row's.

    What is the same for a whole group cannot change its order by itself; shuffled row by row it
    would. So where outcomes are by group, groups get it from other groups.
    """
    ids = order.ids.copy()
    dense = order.dense.copy()
    first = order.first[order.of_group]
    id_columns = np.array(columns.ids, np.int64)
    dense_columns = np.array(columns.dense, np.int64)
    constant = (ids[np.ix_(first, id_columns)] == ids[:, id_columns]).all()
    constant &= (dense[np.ix_(first, dense_columns)] == dense[:, dense_columns]).all()
    donor = donors.of_rows
    if order.by_group and constant:
        donor = order.first[donors.of_groups][order.of_group]
    ids[:, id_columns] = ids[np.ix_(donor, id_columns)]
    dense[:, dense_columns] = dense[np.ix_(donor, dense_columns)]
    changed = (ids != order.ids).any(axis=1)
    changed |= (dense != order.dense).any(axis=1)
    score = order.predictions[SCORE].copy()
    predictions = order.scorer.predict_encoded(ids[changed], dense[changed])
    score[changed] = predictions[SCORE]
    return score


def _heads(order: _Order, package: Package) -> Iterator[dict[str, Any]]:
    """Every prediction that the score fuses, and those of tasks that it leaves out; see
    `explain`.
    """
    score = package.manifest.score
    rows = np.arange(len(order.ids))
    terms: dict[str, Floats] = {}
    for name, weight in score.weights.items():
        term = score.model_copy(update={"weights": {name: weight}})
        terms[name] = term.apply(order.predictions)
    for task in package.schema.tasks:
        names = prediction_names(task)
        if terms.keys().isdisjoint(names):
            terms[names[-1]] = np.zeros(len(rows))

    weighted = order.weights * order.centred(order.predictions[SCORE])
    products = [weighted * order.centred(term) for term in terms.values()]
    resampled = order.drawn.sums(rows, products)
    covariances = np.vstack([np.sum(products, axis=1), resampled])
    with np.errstate(invalid="ignore"):  # a score that is the same for all rows
        shares = covariances / covariances.sum(axis=1, keepdims=True)  # (1 + B, heads)
    for column, name in enumerate(terms):
        rest = [term for head, term in terms.items() if head != name]
        score_of_rest = np.sum([np.zeros(len(rows)), *rest], axis=0)
        share = effect_of(shares[:, column])
        measures = {"share": share.to_json()} | order.effects(order.lost(score_of_rest))
        yield {"name": f"p_{name.removesuffix('.ctcvr')}", "measures": measures}


def alike(values: Mapping[str, NDArray[np.generic]]) -> list[tuple[str, ...]]:
    """Groups of inputs that say nearly the same: to shuffle one of them alone would make rows that
    cannot be.

    Two are together if they correlate above `LIMIT`, or with the same third (single linkage). Two
    numbers have a rank correlation, two categories Cramér's V, a category and a number the
    correlation ratio of the number's ranks. V and the ratio are 1 where one follows from the other.
    They are large by chance where categories are many, so their squares are adjusted for it, as the
    Rand index is.

    Args:
        values: by input (N,) of the same rows: floats of a number, integers of a category.
    """
    ranks, codes = {}, {}
    for name, column in values.items():
        if column.dtype.kind == "f":
            ranks[name] = rankdata(column)
        else:
            codes[name] = np.unique(column, return_inverse=True)[1]
    groups = {name: {name} for name in values}
    for first, second in combinations([*ranks, *codes], 2):
        if first in codes:
            closeness = association(codes[first], codes[second])
        elif second in codes:
            closeness = ratio(ranks[first], codes[second])
        else:
            with np.errstate(invalid="ignore"):  # a constant is like nothing
                closeness = abs(np.corrcoef(ranks[first], ranks[second])[0, 1])
        if closeness > LIMIT:
            joined = groups[first] | groups[second]
            groups |= dict.fromkeys(joined, joined)
    distinct: dict[tuple[str, ...], None] = {}
    for group in groups.values():
        distinct[tuple(name for name in values if name in group)] = None
    return list(distinct)


def ratio(numbers: Floats, codes: Ints) -> float:
    """The correlation ratio of numbers (N,) by category, codes (N,) from 0 on, adjusted for chance:
    0 to 1.
    """
    counts = np.bincount(codes)
    means = np.bincount(codes, numbers) / counts
    between = counts @ (means - numbers.mean()) ** 2
    total = max(len(numbers) * numbers.var(), 1e-300)
    chance = (len(counts) - 1) / max(1, len(numbers) - 1)
    return _adjusted(float(between / total), chance, 1.0)


def association(first: Ints, second: Ints) -> float:
    """Cramér's V of two categories, codes (N,) from 0 on, adjusted for chance: 0 to 1."""
    counts = np.bincount(first)
    second_counts = np.bincount(second)
    rows = len(counts)
    columns = len(second_counts)
    pairs, observed = np.unique(first * columns + second, return_counts=True)
    expected = counts[pairs // columns] * second_counts[pairs % columns].astype(np.float64)
    squared = float((observed**2 / expected).sum()) - 1  # Pearson's chi² over N
    freedom = (rows - 1) * (columns - 1)
    chance = freedom / max(1, len(first) - 1)
    return _adjusted(squared, chance, min(rows, columns) - 1)


def _adjusted(squared: float, chance: float, maximum: float) -> float:
    """The root of a square that is `chance` on average by chance."""
    if maximum - chance <= 0.05 * maximum:  # a category for nearly each row, or one for all
        return 0.0
    adjusted = max(0.0, squared - chance) / (maximum - chance)
    return float(np.sqrt(min(1.0, adjusted)))
