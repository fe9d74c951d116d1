"""Outcomes in plain Python: every order of equal scores is tried, and their mean taken.

A metric of lists has a slow twin here: the metric of one order of one list, given by what its rows
count from the top, and the cut; None where the list does not define it. `names` writes every way in
which a metric can be asked for.
"""

import math
from itertools import chain, permutations, product

import numpy as np

from bench.core.objectives import LISTS, ranked
from bench.measure.lists import measure_of

Row = tuple[float, float, int]
"""Score, label (or code, or number) and group."""
AREAS = ("auc", "gauc", "gauc_positives")


def names(metric, kind):
    """Of a task of a kind, or of items of a kind: `recall@2`, `recall@25%`, ..; without a task."""
    entry = LISTS[metric]
    if entry.items != (kind if kind in ("category", "number") else "") or (
        kind == "regression" and entry.binary
    ):
        return []
    metric += "2.5" if entry.items == "number" else ""
    percent = ("@25%", "@7.5%", "@100%") if entry.percent else ()
    if entry.share:
        percent += ("@5-40%",)
    return [
        f"{metric}{cut}"
        for cut in ("@1", "@3", "@50", *percent, *(() if entry.needs_cut else ("",)))
    ]


def every_name(kind):
    """The outcomes with a cut of a kind."""
    return [name for metric in LISTS for name in names(metric, kind)]


def outcome(metric, rows, binary=True):
    """An outcome's metric (`ndcg@5`) of rows; NaN where it is not defined."""
    grouped = any(group >= 0 for *_, group in rows)
    rows = [row for row in rows if not math.isnan(row[1])]
    spec = ranked(metric)
    if spec is None:
        return _area(metric, rows)
    if spec.first < spec.cut:
        return _mean_over_cuts(spec, rows, binary)
    over_all = spec.percent or not grouped
    if over_all and not measure_of(spec.measure).over_all:
        return math.nan
    groups = [None] if over_all else sorted({group for *_, group in rows if group >= 0})
    results = []
    for group in groups:
        group_rows = [row for row in rows if group is None or row[2] == group]
        counted = [_counted(spec, row[1], binary) for row in group_rows]
        cut = min(spec.cut / 100 * len(group_rows) if spec.percent else spec.cut, len(group_rows))
        values = (
            [
                TWINS[spec.measure]([counted[row] for row in order], cut)
                for order in _orders(group_rows)
            ]
            if group_rows
            else [None]
        )
        if values[0] is not None:
            results.append(sum(values) / len(values))
    return sum(results) / len(results) if results else math.nan


def _mean_over_cuts(spec, rows, binary):
    """Between two places a share grows evenly with the cut: trapezoids are exact."""
    edges = {spec.first, spec.cut}
    for place in range(len(rows)):
        if spec.first < 100 * place / len(rows) < spec.cut:
            edges.add(100 * place / len(rows))
    cuts = sorted(edges)
    shares = [outcome(f"{spec.measure}@{cut!r}%", rows, binary) for cut in cuts]
    return np.trapezoid(shares, cuts) / (spec.cut - spec.first)


def _counted(spec, label, binary):
    if LISTS[spec.measure].items == "number":
        return float(label < spec.limit)
    if LISTS[spec.measure].items:
        return label
    return float(label > 0) if binary or LISTS[spec.measure].binary else max(label, 0.0)


def _area(metric, rows):
    groups = [None] if metric == "auc" else sorted({group for *_, group in rows if group >= 0})
    above, below = 0.0, 0.0
    for group in groups:
        part = [row for row in rows if group is None or row[2] == group]
        up, down = (
            [row[0] for row in part if (row[1] > 0) is positive] for positive in (True, False)
        )
        if up and down:
            won = sum((high > low) + (high == low) / 2 for high in up for low in down)
            weight = len(up) if metric == "gauc_positives" else len(part)
            above, below = above + weight * won / (len(up) * len(down)), below + weight
    return above / below if below else math.nan


def _orders(rows):
    """Every order of the rows with descending scores."""
    scores = sorted({score for score, *_ in rows}, reverse=True)
    ties = [[number for number, row in enumerate(rows) if row[0] == score] for score in scores]
    return (list(chain(*parts)) for parts in product(*(list(permutations(tie)) for tie in ties)))


def _within(cut, place):
    """The part of a place that is within the cut."""
    return min(max(cut - place, 0.0), 1.0)


def ndcg(gains, cut):
    if len(set(gains)) < 2:
        return None

    def dcg(gains):
        return sum(
            gain * _within(cut, place) / math.log2(place + 2) for place, gain in enumerate(gains)
        )

    return dcg(gains) / dcg(sorted(gains, reverse=True))


def share(gains, cut):
    return (
        sum(gain * _within(cut, place) for place, gain in enumerate(gains)) / sum(gains)
        if any(gains)
        else None
    )


def average_precision(gains, cut):
    precisions = [
        sum(gains[: number + 1]) / (number + 1)
        for number, gain in enumerate(gains)
        if gain and number < cut
    ]
    return sum(precisions) / min(sum(gains), cut) if any(gains) else None


def reciprocal(gains, cut):
    return (
        next((1 / (number + 1) for number, gain in enumerate(gains) if gain and number < cut), 0.0)
        if any(gains)
        else None
    )


def distinct(values, cut):
    return (
        sum(
            _within(cut, place) for place, value in enumerate(values) if value not in values[:place]
        )
        / cut
    )


def below(small, cut):
    return sum(_within(cut, place) for place, flag in enumerate(small) if flag) / cut


TWINS = {
    "ndcg": ndcg,
    "recall": share,
    "value": share,
    "map": average_precision,
    "mrr": reciprocal,
    "distinct": distinct,
    "below": below,
}
