"""Summarises probes for a trial's record. Plain values in and out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.objectives import Objective

Probes = Sequence[Mapping[str, Any]]

COLLAPSED = 0.9  # of a gate's weight on one expert, or of an expert's last layer dead


def summary(
    tasks: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    base: Sequence[float | None],
    probes: Probes,
    experts: Mapping[str, Any],
) -> dict[str, Any]:
    """What the probes of a training found, see `bench.records.TrialResult.diagnosis`.

    Args:
        pairs: of tasks, by number, as cosines are ordered in a probe.
        base: each task's loss at its base rate, or None.
    """
    blocks = list(probes[0]["norms"]) if probes else []
    return {
        "probes": len(probes),
        "tasks": {name: _of_task(at, base[at], blocks, probes) for at, name in enumerate(tasks)} if probes else {},
        "pairs": [
            {"tasks": [tasks[one], tasks[other]], "blocks": {block: _angle(block, at, probes) for block in blocks}}
            for at, (one, other) in enumerate(pairs)
            if probes
        ],
        "experts": _of_experts(tasks, experts),
    }


def course_of(
    tasks: Sequence[str], curve: Sequence[Mapping[str, float]], objectives: Sequence[Objective]
) -> dict[str, Any]:
    """Of each objective on validation: where it was best, and what it lost from there to the last evaluation."""
    found: dict[str, Any] = {}
    for objective in objectives:
        key = objective.key("valid")
        points = [point for point in curve if math.isfinite(point.get(key, math.nan))]
        task = max((name for name in tasks if objective.name.startswith(f"{name}.")), key=len, default=None)
        if points and task is not None:
            best = max(points, key=lambda point: objective.sign * point[key])  # the first of equals
            lost = objective.sign * (best[key] - points[-1][key])
            found[objective.name] = {
                "task": task,
                "best_samples": int(best["samples"]),
                "last_samples": int(points[-1]["samples"]),
                "best": best[key],
                "lost": _short(lost),
            }
    return found


def _of_task(at: int, base: float | None, blocks: Sequence[str], probes: Probes) -> dict[str, Any]:
    """A mean loss, and means of logarithms: norms and weights differ by factors."""
    loss = _mean(probe["losses"][at] for probe in probes)
    weights = [probe["weights"][at] if probe["weights"] else None for probe in probes]
    norms = {block: [probe["norms"][block][at] for probe in probes] for block in blocks}
    pulls = {block: [_times(w, n) for w, n in zip(weights, of, strict=True)] for block, of in norms.items()}
    return {
        "loss": loss,
        "loss_over_base": None if loss is None or base is None else _short(loss / base),
        "weight": _geometric(weights),
        "norm": {block: _geometric(of) for block, of in norms.items()},
        "pull": {block: _geometric(of) for block, of in pulls.items()},
    }


def _angle(block: str, at: int, probes: Probes) -> dict[str, Any]:
    """The cosine of two tasks' gradients over the probes where both have one."""
    known = [probe["cosines"][block][at] for probe in probes if probe["cosines"][block][at] is not None]
    below = _short(sum(cosine < 0 for cosine in known) / len(known)) if known else None
    return {"cosine": _mean(known), "below_zero": below, "probes": len(known)}


def _of_experts(tasks: Sequence[str], experts: Mapping[str, Any]) -> dict[str, Any]:
    gates = {
        name: {
            "of": list(tasks) if len(shares) == len(tasks) else ["all tasks"] * len(shares),
            "share": [[_short(share) for share in of_gate] for of_gate in shares],
            "entropy": [_entropy(of_gate) for of_gate in shares],
            "collapsed": [max(of_gate) > COLLAPSED for of_gate in shares],
        }
        for name, shares in experts.get("gates", {}).items()
    }
    units = {
        name: {
            "dead": [_short(share) for share in of["dead"]],
            "silent": [share > COLLAPSED for share in of["silent"]],
        }
        for name, of in experts.get("units", {}).items()
    }
    return {"gates": gates, "units": units}


def _entropy(shares: Sequence[float]) -> float:
    """Over its largest value: 1 where all experts weigh the same, 0 where one has it all."""
    return _short(-sum(share * math.log(share) for share in shares if share > 0) / math.log(len(shares)))


def _times(weight: float | None, norm: float | None) -> float | None:
    return None if weight is None or norm is None else abs(weight) * norm


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _short(math.fsum(known) / len(known)) if known else None


def _geometric(values: Iterable[float | None]) -> float | None:
    """Of those above zero: a probe without a sample of a task has no gradient of it."""
    logarithms = [math.log(value) for value in values if value]
    return _short(math.exp(math.fsum(logarithms) / len(logarithms))) if logarithms else None


def _short(value: float) -> float:
    """Six digits: it is kept for every trial."""
    return float(f"{value:.6g}") + 0.0  # no negative zero
