"""Metrics of heads, a family a file; `bench.core.objectives.METRICS` is their registry."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import cast

from bench.core.objectives import METRICS
from bench.core.schema import TaskKind
from bench.measure.heads.base import Head, Mean, Weighted

__all__ = ["Head", "Mean", "Weighted", "heads_of"]


@cache
def heads_of(kind: TaskKind) -> dict[str, Head]:
    """By name every metric of a task of this kind: of a metric `brier` the attribute of that name in its file."""
    return {
        name: cast(Head, getattr(import_module(f"{__name__}.{metric.family}"), name))
        for name, metric in METRICS[kind].items()
    }
