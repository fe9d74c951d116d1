"""Outcomes in plain Python: every order of equal scores is tried, and their mean taken."""

import math
from itertools import chain, permutations, product

from bench.core.objectives import LISTS, ranked

Row = tuple[float, float, int]
"""Score, label and group."""


def outcome(metric, rows):
    """An outcome's metric (`ndcg@5`) of rows; NaN where it is not defined."""
    grouped = any(group >= 0 for *_, group in rows)
    rows = [row for row in rows if not math.isnan(row[1])]
    of = ranked(metric)
    if of is not None and LISTS[of.measure].items:
        return _of_items(of, rows, grouped)
    if of is not None and of.measure in ("map", "mrr") and not grouped:
        return math.nan
    if metric == "auc" or (of is not None and (of.percent or not grouped)):
        parts = [rows]
    else:
        parts = [[row for row in rows if row[2] == group] for group in sorted({row[2] for row in rows if row[2] >= 0})]
    found = [each for part in parts if (each := _of(metric, part)) is not None]
    weight = sum(weight for weight, _ in found)
    return sum(weight * value for weight, value in found) / weight if found else math.nan


def _of_items(of, rows, grouped):
    """Of rows whose label is a code or a number: a mean over places within the cut; one that is cut counts in part."""
    every = sorted({group for *_, group in rows if group >= 0}) if grouped and not of.percent else [None]
    found = []
    for group in every:
        own = [row for row in rows if group is None or row[2] == group]
        cut = min(of.cut / 100 * len(own) if of.percent else of.cut, len(own))
        values = [[own[at][1] for at in order] for order in _orders(own)]
        shown = [
            sum(_shown(of, each, place) * min(cut - place, 1) for place in range(math.ceil(cut))) for each in values
        ]
        if cut > 0:
            found.append(sum(shown) / len(shown) / cut)
    return sum(found) / len(found) if found else math.nan


def _shown(of, values, place):
    """What a place adds: a new value, or a small number."""
    if of.measure == "below":
        return values[place] < of.limit
    return values[place] not in values[:place]


def _of(metric, rows):
    """Weight and value of one ranking."""
    gains = [max(label, 0.0) for _, label, _ in rows]
    of = ranked(metric)
    if of is None:
        up, down = ([row[0] for row in rows if (row[1] > 0) is positive] for positive in (True, False))
        if not up or not down:
            return None
        won = sum((high > low) + (high == low) / 2 for high in up for low in down)
        return len(up) if metric == "gauc_positives" else len(rows), won / (len(up) * len(down))
    if of.measure in ("recall", "map", "mrr"):
        gains = [float(gain > 0) for gain in gains]
    if not any(gains) or (of.measure == "ndcg" and len(set(gains)) == 1):
        return None
    if of.measure in ("map", "mrr"):
        of_order = _average_precision if of.measure == "map" else _reciprocal
        reached = [of_order([gains[row] for row in order], of.cut) for order in _orders(rows)]
        return 1.0, sum(reached) / len(reached)
    cut = of.cut / 100 * len(rows) if of.percent else of.cut
    shares = [min(max(cut - place, 0.0), 1.0) for place in range(len(rows))]
    if of.measure == "ndcg":
        shares = [share / math.log2(place + 2) for place, share in enumerate(shares)]
        best = sum(map(math.prod, zip(sorted(gains, reverse=True), shares, strict=True)))
    else:
        best = sum(gains)
    reached = [sum(gains[row] * share for row, share in zip(order, shares, strict=True)) for order in _orders(rows)]
    return 1.0, sum(reached) / len(reached) / best


def _average_precision(gains, cut):
    found = [sum(gains[: at + 1]) / (at + 1) for at, gain in enumerate(gains) if gain and at < cut]
    return sum(found) / min(sum(gains), cut)


def _reciprocal(gains, cut):
    return next((1 / (at + 1) for at, gain in enumerate(gains) if gain and at < cut), 0.0)


def _orders(rows):
    """Every order of the rows with descending scores."""
    scores = sorted({score for score, *_ in rows}, reverse=True)
    ties = [[at for at, row in enumerate(rows) if row[0] == score] for score in scores]
    return (list(chain(*parts)) for parts in product(*(list(permutations(tie)) for tie in ties)))
