"""Metrics' names in MLflow, which takes no `@` and `%`, and shows charts by the part before the slash, from a to z.

`valid/like.recall@10%` is `valid/like.recall_at_10_percent` there, and `cost/latency_ms` is `what it costs/latency_ms`,
so that costs come after what was measured on data.
"""

from __future__ import annotations

import re

VIEW = "seesaw"
"""Name of the view that holds the runs table's columns."""

_RANKED = re.compile(r"\b(ndcg|recall|value)@(\d+(?:\.\d+)?)(%?)")
_THERE = re.compile(r"\b(ndcg|recall|value)_at_(\d+(?:\.\d+)?)((?:_percent)?)")
_COST, _LAST = "cost/", "what it costs/"


def outward(name: str) -> str:
    """A metric's name in MLflow."""
    found = _RANKED.sub(lambda cut: f"{cut[1]}_at_{cut[2]}{'_percent' if cut[3] else ''}", name)
    return _LAST + found.removeprefix(_COST) if found.startswith(_COST) else found


def inward(name: str) -> str:
    """The inverse of `outward`."""
    found = _THERE.sub(lambda cut: f"{cut[1]}@{cut[2]}{'%' if cut[3] else ''}", name)
    return _COST + found.removeprefix(_LAST) if found.startswith(_LAST) else found
