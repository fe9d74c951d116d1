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
from bench.core.objectives import Objective, only_metrics
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


@dataclass(frozen=True)
class Reference:
    """A point that others are compared with, and whether it is a single-task one."""

    point: Point
    single: bool

    @property
    def words(self) -> str:
        """It in words."""
        if self.point.kind == TWIN:
            return f"settings of trial {self.point.label}"
        return f"trial {self.point.number}"


class References:
    """The points of a run with which each objective's values are compared."""

    def __init__(self, points: Sequence[Point], objectives: Sequence[Objective]) -> None:
        self.metrics = only_metrics(objectives)
        self._confirmed = self._by_metric(points)
        self._searched = self._by_metric([point.unconfirmed for point in points])
        self._deviation = {}
        for metric in self.metrics:
            self._deviation[metric.name] = _deviation(points, metric.key(CONFIRM))

    def gaps(self, point: Point) -> list[Gap]:
        """The point's gap in every metric that both sides have."""
        references = self._confirmed if confirmed(point) else self._searched
        gaps = []
        for metric in self.metrics:
            reference = references.get(metric.name)
            value = estimate(point, metric.name)
            if reference is None or not math.isfinite(value):
                continue
            short = metric.sign * (estimate(reference.point, metric.name) - value)
            seeds = max(1, len(replicated(point, metric.key(CONFIRM))))
            noise = SURE_ERRORS * self._deviation[metric.name] * math.sqrt(2 / seeds)
            gaps.append(Gap(metric.name, short, reference.words, reference.single, noise))
        return gaps

    def _by_metric(self, points: Sequence[Point]) -> dict[str, Reference]:
        """The best single-task point of each metric, else the best of all."""
        single_task = baselines(points, self.metrics)
        references = {}
        for metric in self.metrics:
            if metric.name in single_task:
                references[metric.name] = Reference(single_task[metric.name], single=True)
                continue
            best_of_all = best(points, metric)
            if best_of_all is not None:
                references[metric.name] = Reference(best_of_all, single=False)
        return references


def _deviation(points: Sequence[Point], key: str) -> float:
    """What seeds do to a metric: the median of the standard deviations of confirmed points, 0 where
    there are none.
    """
    deviations = []
    for point in points:
        values = list(filter(math.isfinite, replicated(point, key)))
        if len(values) > 1:
            deviations.append(float(np.std(values, ddof=1)))
    return median(deviations or [0.0])


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
    standing_out = [cause for cause in candidates if cause is not None]
    return sorted(standing_out, key=lambda cause: -cause.strength)


def overtraining(diagnosis: Mapping[str, Any]) -> list[str]:
    """A sentence on the objectives that lost more than `LOST` from their best state to the end;
    else nothing.
    """
    losing = []
    for name, course in diagnosis.get("course", {}).items():
        if _loses(course):
            losing.append(
                f"{name} is best after {course['best_samples']:,} of {course['last_samples']:,} "
                f"samples and loses {course['lost']:.4f} from there"
            )
    if not losing:
        return []
    return [
        f"Overtraining: {listed(losing)}. The best state on validation is kept, so a longer "
        "training gains nothing."
    ]


def sentences(diagnosis: Mapping[str, Any], gaps: Sequence[Gap]) -> list[str]:
    """For each task that is behind, by how much and what is seen beside it, or that none is; then
    overtraining.
    """
    return [*_behind(diagnosis, gaps), *overtraining(diagnosis)]


def _behind(diagnosis: Mapping[str, Any], gaps: Sequence[Gap]) -> list[str]:
    if not diagnosis:
        return ["No diagnosis was recorded."]
    if not gaps:
        return ["Nothing to compare it with was measured."]
    sentences = []
    for gap in gaps:
        if gap.real:
            because = _because(diagnosis, task_of(diagnosis, gap.objective))
            sentences.append(f"{_gap(gap)} {because}")
    if sentences:
        return sentences
    reference = "the best trial"
    if all(gap.single for gap in gaps):
        reference = "the best single-task model"
    return [f"No task is behind {reference} by more than noise."]


def numbers(diagnosis: Mapping[str, Any]) -> dict[str, float]:
    """A diagnosis as numbers by names, `<what>/<of what>`; docs/tracking.md lists them.

    What is not defined is left out; truth values are 0 and 1.
    """
    if not diagnosis:
        return {}
    values: dict[str, float | None] = {"probes": diagnosis["probes"]}
    for pair in diagnosis["pairs"]:
        tasks = "-".join(pair["tasks"])
        for block, angle in pair["blocks"].items():
            for name in ("cosine", "below_zero"):
                values[f"{name}/{tasks}/{block}"] = angle[name]
    for task, facts in diagnosis["tasks"].items():
        for name in ("loss", "loss_over_base", "weight"):
            values[f"{name}/{task}"] = facts[name]
        for name in ("norm", "pull"):
            for block, value in facts[name].items():
                values[f"{name}/{task}/{block}"] = value
    for metric, course in diagnosis["course"].items():
        for name in ("best", "best_samples", "lost"):
            values[f"{name}/{metric}"] = course[name]
    for path, gate in diagnosis["experts"]["gates"].items():
        values |= _numbers_of_gate(path, gate)
    for path, units in diagnosis["experts"]["units"].items():
        for name in ("dead", "silent"):
            for expert, value in enumerate(units[name]):
                values[f"{name}/{path}/{expert}"] = value
    return {name: float(value) for name, value in values.items() if value is not None}


def _numbers_of_gate(path: str, gate: Mapping[str, Any]) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    tasks = gate["of"]
    for place, task in enumerate(tasks):
        owner = task if tasks.count(task) == 1 else f"{task}.{place}"
        for name in ("entropy", "collapsed"):
            values[f"{name}/{path}/{owner}"] = gate[name][place]
        for expert, share in enumerate(gate["share"][place]):
            values[f"share/{path}/{owner}/{expert}"] = share
    return values


def task_of(diagnosis: Mapping[str, Any], objective: str) -> str:
    """The task that an objective measures."""
    course = diagnosis.get("course", {}).get(objective)
    if course:
        return str(course["task"])
    names = [name for name in diagnosis.get("tasks", {}) if objective.startswith(f"{name}.")]
    return max(names, key=len, default=objective.partition(".")[0])


def _gap(gap: Gap) -> str:
    against = "the best single-task model" if gap.single else "the best in it"
    noise = f", more than the {gap.noise:.4f} of noise" if gap.noise else ""
    return f"{gap.objective} is {gap.short:.4f} behind {against}, {gap.against}{noise}."


def _because(diagnosis: Mapping[str, Any], task: str) -> str:
    likely = causes(diagnosis, task)
    if likely:
        first, *rest = likely
        sentences = [f"Best supported cause: {first.name}: {first.evidence}."]
        for cause in rest:
            sentences.append(f"Also {cause.name}: {cause.evidence}.")
        return " ".join(sentences)
    if len(diagnosis.get("tasks", {})) == 1:
        return "No cause stands out: it is the only task, so that none other holds it back."
    if diagnosis.get("probes", 0) < FEWEST_PROBES:
        probes = diagnosis.get("probes", 0)
        return f"No cause stands out, but directions and scales were seen in {probes} probes only."
    return "No cause stands out."


def _directions(diagnosis: Mapping[str, Any], task: str) -> Cause | None:
    opposed = []
    for pair in diagnosis.get("pairs", []):
        if task not in pair["tasks"]:
            continue
        [rival] = [name for name in pair["tasks"] if name != task]
        for block, angle in pair["blocks"].items():
            if block != TABLE and _is_opposed(angle):
                below, cosine = angle["below_zero"], angle["cosine"]
                opposed.append((below, -cosine, angle["probes"], block, rival))
    if not opposed:
        return None
    below, opposition, probes, block, rival = max(opposed)
    evidence = (
        f"its gradient and that of {rival} conflict in {below:.0%} of {probes} probes, with a mean "
        f"cosine of {-opposition:.2f} ({block})"
    )
    return Cause("conflicting directions", (below - MOSTLY) / (1 - MOSTLY), evidence)


def _is_opposed(angle: Mapping[str, Any]) -> bool:
    is_seen = angle["probes"] >= FEWEST_PROBES
    return bool(is_seen and angle["cosine"] < OPPOSED and angle["below_zero"] > MOSTLY)


def _scale(diagnosis: Mapping[str, Any], task: str) -> Cause | None:
    tasks: Mapping[str, Any] = diagnosis.get("tasks", {})
    if task not in tasks or not diagnosis["probes"]:
        return None
    block = "all shared" if "all shared" in tasks[task]["pull"] else "representation"
    pulls = {}
    for name, facts in tasks.items():
        if facts["pull"][block]:
            pulls[name] = facts["pull"][block]
    if task not in pulls or not diagnosis["pairs"]:
        return None
    strongest = max(pulls, key=pulls.__getitem__)
    ratio = pulls[strongest] / pulls[task]
    limit = DOMINATED if diagnosis["probes"] >= FEWEST_PROBES else OUTWEIGHED
    if ratio <= limit:
        return None
    evidence = (
        f"the norm of the weighted gradient of {strongest} is {ratio:.1f} times its own ({block})"
    )
    return Cause("unequal scale", 1 - DOMINATED / ratio, evidence)


def _speed(diagnosis: Mapping[str, Any], task: str) -> Cause | None:
    courses: dict[str, Any] = {}
    for course in diagnosis.get("course", {}).values():
        courses.setdefault(course["task"], course)
    if task not in courses:
        return None
    causes = []
    for rival, course in courses.items():
        cause = None if rival == task else _faster(courses[task], rival, course)
        if cause is not None:
            causes.append(cause)
    return max(causes, key=lambda cause: cause.strength, default=None)


def _loses(course: Mapping[str, Any]) -> bool:
    return bool(course["lost"] > LOST * max(1.0, abs(course["best"])))


def _faster(
    course: Mapping[str, Any], rival: str, course_of_rival: Mapping[str, Any]
) -> Cause | None:
    early, late = sorted((course, course_of_rival), key=lambda course: int(course["best_samples"]))
    part = early["best_samples"] / max(1, late["best_samples"])
    if part > EARLIER or not _loses(early):
        return None
    falls = (
        f"best after {early['best_samples']:,} samples and loses {early['lost']:.4f} by "
        f"{early['last_samples']:,}"
    )
    if early is course:
        evidence = f"it is {falls}, while {rival} is best after {late['best_samples']:,}"
    else:
        evidence = (
            f"it is best only after {late['best_samples']:,} samples, while {rival} is {falls}"
        )
    return Cause("unequal speed", 1 - part, evidence)
