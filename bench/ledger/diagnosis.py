"""Finds the tasks of a point that are behind the best single-task model, and the cause, out of
three.

A confirmed point is compared with confirmed ones, by replicate means; any other by the one run that
the search saw.

Plain values in (`bench.core.records.TrialResult.diagnosis`), sentences with their evidence out. The
evidence is correlation, not proof of cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np

from bench.core.errors import listed
from bench.core.objectives import Objective
from bench.core.records import Point
from bench.core.rows import CONFIRM
from bench.ledger.points import TWIN, baselines, best, confirmed, estimate, replicated

SURE_ERRORS = 2.0
"""How many standard errors of a difference make it more than noise, where the noise is known."""


@dataclass(frozen=True)
class Gap:
    """The shortfall of a point in an objective, in the objective's unit: above 0 where the point is
    worse.

    Attributes:
        against: what it is compared with, in words; `single` where that is a single-task model.
        noise: of the difference; 0 where no point was confirmed on two seeds or more, so that it is
            not known.
    """

    objective: str
    short: float
    against: str
    single: bool
    noise: float

    @property
    def real(self) -> bool:
        """Whether it is more than noise."""
        return self.short > self.noise


class References:
    """The points of a run with which each objective's values are compared."""

    def __init__(self, points: Sequence[Point], objectives: Sequence[Objective]) -> None:
        self.metrics = [objective for objective in objectives if objective.is_metric]
        self._confirmed = self._of(points)
        self._seen = self._of([point.unconfirmed for point in points])
        self._deviation = {
            each.name: _deviation(points, each.key(CONFIRM)) for each in self.metrics
        }

    def gaps(self, point: Point) -> list[Gap]:
        """The point's gap in every metric that both sides have."""
        gaps = []
        for objective in self.metrics:
            against, single = (self._confirmed if confirmed(point) else self._seen).get(
                objective.name, (None, False)
            )
            value = estimate(point, objective.name)
            if against is not None and math.isfinite(value):
                short = objective.sign * (estimate(against, objective.name) - value)
                seeds = max(1, len(replicated(point, objective.key(CONFIRM))))
                noise = SURE_ERRORS * self._deviation[objective.name] * math.sqrt(2 / seeds)
                named = (
                    f"settings of trial {against.label}"
                    if against.kind == TWIN
                    else f"trial {against.number}"
                )
                gaps.append(Gap(objective.name, short, named, single, noise))
        return gaps

    def _of(self, points: Sequence[Point]) -> dict[str, tuple[Point | None, bool]]:
        """The best single-task point of each objective, else the best of all; and whether it is a
        single-task point.
        """
        single = baselines(points, self.metrics)
        return {
            each.name: (single[each.name], True)
            if each.name in single
            else (best(points, each), False)
            for each in self.metrics
        }


def _deviation(points: Sequence[Point], key: str) -> float:
    """What seeds do to a metric: the median of the standard deviations of confirmed points, 0 where
    there are none.
    """
    values = [
        [value for value in replicated(point, key) if math.isfinite(value)] for point in points
    ]
    return median([float(np.std(each, ddof=1)) for each in values if len(each) > 1] or [0.0])


OPPOSED, MOSTLY = -0.1, 0.5
"""Directions conflict where the mean cosine is below the one, and negative in more than the other
of the probes. Gradients of unrelated tasks are near a right angle, and negative as often as not:
neither alone says anything."""
DOMINATED = 3.0
"""Scales are unequal from this ratio of weighted gradients on: the weaker makes less than a quarter
of their sum.
"""
OUTWEIGHED = 10.0
"""A ratio that no sample of rows explains: so large, one probe is enough."""
EARLIER = 0.5
"""Speeds are unequal where one task is best after at most this part of what the other needs, ..."""
LOST = 0.002
"""... and from there on loses more than this, times its value where that is above 1: less is within
what one validation split lets an AUC move by between two evaluations of one training."""
TABLE = "table rows"
"""The block that is shown beside those that balancers look at, and decides nothing."""
FEWEST_PROBES = 3
"""Probes that it takes to speak of directions, and of scales below `OUTWEIGHED`."""

FindingName = Literal["conflicting directions", "unequal scale", "unequal speed"]


@dataclass(frozen=True)
class Cause:
    """A cause that may hold a task back.

    Attributes:
        strength: from 0, where it begins to count, to 1: in how many probes beyond half directions
            conflict, or what part of the other's gradient, or of its training, the task lacks.
    """

    name: FindingName
    strength: float
    evidence: str


def causes(diagnosis: Mapping[str, Any], task: str) -> list[Cause]:
    """The causes that stand out for a task, the best supported first."""
    candidates = [_directions(diagnosis, task), _scale(diagnosis, task), _speed(diagnosis, task)]
    return sorted((cause for cause in candidates if cause), key=lambda cause: -cause.strength)


def overtraining(diagnosis: Mapping[str, Any]) -> list[str]:
    """A sentence on the objectives that lost more than `LOST` from their best state to the end;
    else nothing.
    """
    tasks = [
        f"{name} is best after {course['best_samples']:,} of {course['last_samples']:,} samples "
        f"and loses {course['lost']:.4f} from there"
        for name, course in diagnosis.get("course", {}).items()
        if _loses(course)
    ]
    kept = "The best state on validation is kept, so a longer training gains nothing"
    return [f"Overtraining: {listed(tasks)}. {kept}."] if tasks else []


def sentences(diagnosis: Mapping[str, Any], gaps: Sequence[Gap]) -> list[str]:
    """For each task that is behind, by how much and what is seen beside it, or that none is; then
    overtraining.
    """
    than = "the best single-task model" if all(gap.single for gap in gaps) else "the best trial"
    lines = [
        f"{_gap(gap)} {_because(diagnosis, task_of(diagnosis, gap.objective))}"
        for gap in gaps
        if gap.real
    ]
    if not diagnosis:
        lines = ["No diagnosis was recorded."]
    elif not gaps:
        lines = ["Nothing to compare it with was measured."]
    return [*(lines or [f"No task is behind {than} by more than noise."]), *overtraining(diagnosis)]


def numbers(diagnosis: Mapping[str, Any]) -> dict[str, float]:
    """A diagnosis as numbers by names, `<what>/<of what>`; docs/tracking.md lists them.

    What is not defined is left out; truth values are 0 and 1.
    """
    if not diagnosis:
        return {}
    values: dict[str, float | None] = {"probes": diagnosis["probes"]}
    for pair in diagnosis["pairs"]:
        for block, angle in pair["blocks"].items():
            values |= {
                f"{name}/{'-'.join(pair['tasks'])}/{block}": angle[name]
                for name in ("cosine", "below_zero")
            }
    for task, of in diagnosis["tasks"].items():
        values |= {f"{name}/{task}": of[name] for name in ("loss", "loss_over_base", "weight")}
        values |= {
            f"{name}/{task}/{block}": of[name][block]
            for name in ("norm", "pull")
            for block in of[name]
        }
    for metric, course in diagnosis["course"].items():
        values |= {f"{name}/{metric}": course[name] for name in ("best", "best_samples", "lost")}
    for path, gate in diagnosis["experts"]["gates"].items():
        for at, task in enumerate(gate["of"]):
            of = task if gate["of"].count(task) == 1 else f"{task}.{at}"
            values |= {f"{name}/{path}/{of}": gate[name][at] for name in ("entropy", "collapsed")}
            values |= {
                f"share/{path}/{of}/{expert}": share
                for expert, share in enumerate(gate["share"][at])
            }
    for path, units in diagnosis["experts"]["units"].items():
        for name in ("dead", "silent"):
            values |= {f"{name}/{path}/{expert}": value for expert, value in enumerate(units[name])}
    return {name: float(value) for name, value in values.items() if value is not None}


def task_of(diagnosis: Mapping[str, Any], objective: str) -> str:
    """The task that an objective measures."""
    of = diagnosis.get("course", {}).get(objective)
    names = [name for name in diagnosis.get("tasks", {}) if objective.startswith(f"{name}.")]
    return str(of["task"]) if of else max(names, key=len, default=objective.partition(".")[0])


def _gap(gap: Gap) -> str:
    against = "the best single-task model" if gap.single else "the best in it"
    noise = f", more than the {gap.noise:.4f} of noise" if gap.noise else ""
    return f"{gap.objective} is {gap.short:.4f} behind {against}, {gap.against}{noise}."


def _because(diagnosis: Mapping[str, Any], task: str) -> str:
    likely = causes(diagnosis, task)
    if likely:
        first, *more = likely
        also = "".join(f" Also {cause.name}: {cause.evidence}." for cause in more)
        return f"Best supported cause: {first.name}: {first.evidence}.{also}"
    if len(diagnosis.get("tasks", {})) == 1:
        return "No cause stands out: it is the only task, so that none other holds it back."
    if diagnosis.get("probes", 0) < FEWEST_PROBES:
        probes = diagnosis.get("probes", 0)
        return f"No cause stands out, but directions and scales were seen in {probes} probes only."
    return "No cause stands out."


def _directions(diagnosis: Mapping[str, Any], task: str) -> Cause | None:
    opposed = [
        (angle["below_zero"], -angle["cosine"], angle["probes"], block, other)
        for pair in diagnosis.get("pairs", [])
        if task in pair["tasks"]
        for other in pair["tasks"]
        if other != task
        for block, angle in pair["blocks"].items()
        if block != TABLE
        if angle["probes"] >= FEWEST_PROBES
        and angle["cosine"] < OPPOSED
        and angle["below_zero"] > MOSTLY
    ]
    if not opposed:
        return None
    below, cosine, probes, block, other = max(opposed)
    evidence = f"its gradient and that of {other} conflict in {below:.0%} of {probes} probes, "
    evidence += f"with a mean cosine of {-cosine:.2f} ({block})"
    return Cause("conflicting directions", (below - MOSTLY) / (1 - MOSTLY), evidence)


def _scale(diagnosis: Mapping[str, Any], task: str) -> Cause | None:
    tasks: Mapping[str, Any] = diagnosis.get("tasks", {})
    if task not in tasks or not diagnosis["probes"]:
        return None
    block = "all shared" if "all shared" in tasks[task]["pull"] else "representation"
    pulls = {name: of["pull"][block] for name, of in tasks.items() if of["pull"][block]}
    if task not in pulls or not diagnosis["pairs"]:
        return None
    other = max(pulls, key=lambda name: pulls[name])
    ratio = pulls[other] / pulls[task]
    if ratio <= (DOMINATED if diagnosis["probes"] >= FEWEST_PROBES else OUTWEIGHED):
        return None
    evidence = (
        f"the norm of the weighted gradient of {other} is {ratio:.1f} times its own ({block})"
    )
    return Cause("unequal scale", 1 - DOMINATED / ratio, evidence)


def _speed(diagnosis: Mapping[str, Any], task: str) -> Cause | None:
    courses: dict[str, Any] = {}
    for course in diagnosis.get("course", {}).values():
        courses.setdefault(course["task"], course)
    if task not in courses:
        return None
    candidates = [
        _faster(courses[task], other, course) for other, course in courses.items() if other != task
    ]
    return max(
        (cause for cause in candidates if cause), key=lambda cause: cause.strength, default=None
    )


def _loses(course: Mapping[str, Any]) -> bool:
    return bool(course["lost"] > LOST * max(1.0, abs(course["best"])))


def _faster(own: Mapping[str, Any], other: str, theirs: Mapping[str, Any]) -> Cause | None:
    early, late = sorted((own, theirs), key=lambda course: int(course["best_samples"]))
    part = early["best_samples"] / max(1, late["best_samples"])
    if part > EARLIER or not _loses(early):
        return None
    falls = (
        f"best after {early['best_samples']:,} samples and loses {early['lost']:.4f} by "
        f"{early['last_samples']:,}"
    )
    if early is own:
        evidence = f"it is {falls}, while {other} is best after {late['best_samples']:,}"
    else:
        evidence = (
            f"it is best only after {late['best_samples']:,} samples, while {other} is {falls}"
        )
    return Cause("unequal speed", 1 - part, evidence)
