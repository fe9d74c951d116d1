"""What a trial went through, as plain values: its replicates, its curves, and what its tasks did to each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.objectives import Objective
from bench.records import Point
from bench.rows import CONFIRM, SEARCH, TEST

MOST_EVALUATIONS = 60
"""Of a curve; of more, evenly spaced ones are kept, and the last."""


@dataclass(frozen=True)
class Rerun:
    """A replicate: its values on confirmation rows and on test, or why it failed."""

    seed: int
    confirm: tuple[float | None, ...]
    test: tuple[float | None, ...]
    failure: str = ""


@dataclass(frozen=True)
class Curve:
    """An objective on validation, or a task's training loss, over training samples."""

    name: str
    loss: bool
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Angle:
    """Between the gradients of two tasks in one block, up to so many samples: mean cosine, share of probes below 0."""

    tasks: str
    block: str
    samples: int | None
    cosine: float
    below: float


@dataclass(frozen=True)
class Norm:
    """Of a task's gradient in one block, and of the same times the balancer's weight: geometric means."""

    task: str
    block: str
    norm: float
    pull: float


@dataclass(frozen=True)
class Gate:
    """How a task's gate spreads over experts."""

    name: str
    task: str
    shares: tuple[float, ...]
    collapsed: bool


@dataclass(frozen=True)
class Detail:
    """All of these; each empty where nothing was recorded. `angles` at rungs below the last have their `samples`."""

    replicates: tuple[Rerun, ...] = ()
    curves: tuple[Curve, ...] = ()
    angles: tuple[Angle, ...] = ()
    norms: tuple[Norm, ...] = ()
    gates: tuple[Gate, ...] = ()


NOTHING = Detail()


def detail(record: Point, objectives: Sequence[Objective]) -> Detail:
    """The detail of a point."""
    return Detail(_replicates(record, objectives), _curves(record), _angles(record), _norms(record), _gates(record))


def _replicates(record: Point, objectives: Sequence[Objective]) -> tuple[Rerun, ...]:
    return tuple(
        Rerun(
            run.seed,
            tuple(_finite(run.metrics.get(each.key(CONFIRM))) for each in objectives),
            tuple(_finite(run.metrics.get(each.key(TEST))) for each in objectives),
            "" if run.failure is None else run.failure.reason,
        )
        for run in record.replicates
    )


def _curves(record: Point) -> tuple[Curve, ...]:
    found = []
    rows = [row for row in record.curve if record.until is None or row["samples"] <= record.until]
    for name in dict.fromkeys(name for row in rows for name in row if name not in ("samples", "epoch")):
        points = [
            (int(row["samples"]), float(f"{row[name]:.6g}")) for row in rows if name in row and math.isfinite(row[name])
        ]
        step = math.ceil(len(points) / MOST_EVALUATIONS) or 1
        kept = tuple(points[len(points) - 1 :: -step][::-1]) if points else ()
        if kept:
            found.append(Curve(name.removeprefix("loss/").removeprefix(f"{SEARCH}/"), name.startswith("loss/"), kept))
    return tuple(found)


def _angles(record: Point) -> tuple[Angle, ...]:
    stages = [(rung.samples, rung.diagnosis) for rung in record.rungs[:-1]] + [(None, record.diagnosis)]
    return tuple(
        Angle(" and ".join(pair["tasks"]), block, samples, angle["cosine"], angle["below_zero"])
        for samples, diagnosis in stages
        for pair in diagnosis.get("pairs", [])
        for block, angle in pair["blocks"].items()
        if angle.get("probes")
    )


def _norms(record: Point) -> tuple[Norm, ...]:
    return tuple(
        Norm(task, block, norm, of.get("pull", {}).get(block, norm))
        for task, of in record.diagnosis.get("tasks", {}).items()
        for block, norm in of.get("norm", {}).items()
        if norm and math.isfinite(norm)
    )


def _gates(record: Point) -> tuple[Gate, ...]:
    return tuple(
        Gate(name, str(task), tuple(shares), bool(collapsed))
        for name, gate in record.diagnosis.get("experts", {}).get("gates", {}).items()
        for task, shares, collapsed in zip(gate["of"], gate["share"], gate["collapsed"], strict=False)
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
