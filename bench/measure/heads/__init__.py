"""Metrics of heads, a family a file; `bench.core.objectives.METRICS` is their registry."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from bench.core.objectives import METRICS
from bench.core.schema import TaskKind
from bench.measure.heads.base import Head, MeanMetric, Weighted

__all__ = ["Head", "MeanMetric", "Weighted", "heads_of", "means_of", "metrics_of_held_rows"]

KEYED = ("auc", "gauc", "gauc_positives", "ece")
"""Metrics of binary tasks that are no means, but need no held rows: they come from sorted keys or
from bins."""


@cache
def heads_of(kind: TaskKind) -> dict[str, Head]:
    """By name every metric of a task of this kind: of a metric `brier` the attribute of that name
    in its file.
    """
    return {
        name: cast(Head, getattr(import_module(f"{__name__}.{metric.family}"), name))
        for name, metric in METRICS[kind].items()
    }


def means_of(kind: TaskKind) -> dict[str, MeanMetric]:
    """By name the metrics of a task of this kind that need only sums."""
    heads = heads_of(kind).items()
    return {name: head for name, head in heads if isinstance(head, MeanMetric)}


def metrics_of_held_rows(kind: TaskKind) -> dict[str, Head]:
    """By name the metrics of a task of this kind for which rows are held together."""
    keyed = KEYED if kind == "binary" else ()
    without_rows = {*means_of(kind), *keyed}
    return {name: head for name, head in heads_of(kind).items() if name not in without_rows}
