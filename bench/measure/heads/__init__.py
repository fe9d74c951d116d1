"""Metrics of heads, a family a file; `bench.core.objectives.METRICS` is their registry."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from bench.core.objectives import METRICS
from bench.core.schema import TaskKind
from bench.measure.heads.base import Head, MeanMetric, Weighted

__all__ = ["Head", "MeanMetric", "Weighted", "heads_of", "held_of"]

KEYED = ("auc", "gauc", "gauc_positives", "ece")
"""Of binary tasks: no means, and yet found without holding rows, from sorted keys or from bins."""


@cache
def heads_of(kind: TaskKind) -> dict[str, Head]:
    """By name every metric of a task of this kind: of a metric `brier` the attribute of that name
    in its file.
    """
    return {
        name: cast(Head, getattr(import_module(f"{__name__}.{metric.family}"), name))
        for name, metric in METRICS[kind].items()
    }


def held_of(kind: TaskKind) -> dict[str, Head]:
    """By name the metrics of a task of this kind for which rows are held together."""
    keyed = KEYED if kind == "binary" else ()
    return {
        name: each
        for name, each in heads_of(kind).items()
        if not isinstance(each, MeanMetric) and name not in keyed
    }
