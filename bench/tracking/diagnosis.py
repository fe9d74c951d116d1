"""A diagnosis (`bench.records.TrialResult.diagnosis`) as named numbers, so that trials can be searched by it.

Names are `diagnosis/<what>/<of what>`; docs/tracking.md lists them. MLflow takes no other signs in them than letters,
digits, `_`, `-`, `.`, `/` and spaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ALL = "diagnosis"


def numbers(diagnosis: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Each name with its value; what is not defined is left out, truth values are 0 and 1."""
    for name, value in _named(diagnosis) if diagnosis else ():
        if value is not None:
            yield f"{ALL}/{name}", float(value)


def _named(diagnosis: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield "probes", diagnosis["probes"]
    for pair in diagnosis["pairs"]:
        for block, angle in pair["blocks"].items():
            for name in ("cosine", "below_zero"):
                yield f"{name}/{'-'.join(pair['tasks'])}/{block}", angle[name]
    for task, of in diagnosis["tasks"].items():
        yield from ((f"{name}/{task}", of[name]) for name in ("loss", "loss_over_base", "weight"))
        yield from ((f"{name}/{task}/{block}", of[name][block]) for name in ("norm", "pull") for block in of[name])
    for metric, course in diagnosis["course"].items():
        yield from ((f"{name}/{metric}", course[name]) for name in ("best", "best_samples", "lost"))
    yield from _of_experts(diagnosis["experts"])


def _of_experts(experts: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for path, gate in experts["gates"].items():
        for at, task in enumerate(gate["of"]):
            of = task if gate["of"].count(task) == 1 else f"{task}.{at}"
            yield from ((f"{name}/{path}/{of}", gate[name][at]) for name in ("entropy", "collapsed"))
            yield from ((f"share/{path}/{of}/{expert}", share) for expert, share in enumerate(gate["share"][at]))
    for path, units in experts["units"].items():
        for name in ("dead", "silent"):
            yield from ((f"{name}/{path}/{expert}", value) for expert, value in enumerate(units[name]))
