"""From a log to a decision: its rows in parts, its models as candidates, and then what a run does
with its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError
from bench.core.formula_languages import computed
from bench.core.objectives import (
    Objective,
    beside_tasks,
    check_counted,
    default_outcomes,
    metric_of,
    of_items,
    outcome,
    ranked,
)
from bench.core.records import RARER, Point, Replicate
from bench.core.rows import CONFIRM, TEST
from bench.core.schema import Task
from bench.deciding.aims import PolicyAim, aims_of
from bench.deciding.decision import Decision, decided
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.doubts import without_amount
from bench.deciding.logged.log import LoggedRows
from bench.deciding.logged.models import (
    RECALIBRATED,
    CalibrationQuality,
    Model,
    calibrations,
    models_of,
    recalibrated,
    suspicion,
)
from bench.deciding.logged.rows import Parted, parted
from bench.deciding.policy import Policy
from bench.deciding.serving import serving
from bench.ledger.effect import MARGIN
from bench.ledger.fusion import Fusion, fusion_in
from bench.ledger.heads import Frontier, frontier
from bench.ledger.served.climb import CLIMB_ROWS, Goal
from bench.ledger.served.measuring import Candidate, CurrentRanking, Meter, measure_of, sample_of
from bench.ledger.served.sweep import Sweep
from bench.measure.predictions import KeptRows
from bench.measure.resamples import Resamples, drawn_of

SCORE = "score"
"""The id of today's score."""
MOST_READ = 20
"""Sentences on how columns are read that are told."""
RESAMPLES = 100
"""Of rows, for heads."""
UNTOLD = (
    "Nobody said that the models were not trained on these rows, which would flatter them: "
    "--trained-until TIME leaves such rows out, --unseen says that there are none."
)
ONE_TRAINING = (
    "Each model is one training: intervals are of rows alone, and do not say what a "
    "retraining would change."
)


@dataclass(frozen=True)
class LogResult:
    """What is decided on a log, and how the log was read.

    Attributes:
        asked: what was asked.
        rows: by split.
        calibration: of the log's own predictions, on the rows that judge.
        notes: sentences on how the log was read, and on what nobody can know from it.
    """

    decision: Decision
    asked: Asked
    rows: Mapping[str, KeptRows]
    calibration: Sequence[CalibrationQuality]
    notes: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        calibration = [quality._asdict() for quality in self.calibration]
        return self.decision.document | {"calibration": calibration, "notes": list(self.notes)}


def decide(asked: Asked, log: LoggedRows) -> LogResult:
    """Decides on a log; raises UserError where rows, labels, predictions, an outcome or a policy do
    not allow it.
    """
    of = parted(asked, log)
    rows, parts = of.rows, of.parts
    models, read = models_of(asked, of)
    tasks = [
        Task(name, kind, parent=asked.parents.get(name))
        for name, kind in zip(asked.labels, rows[CONFIRM].kinds, strict=True)
    ]
    fits = calibrations(models, of)
    policy = _policy(asked)
    wanted = _outcomes(asked, policy, tasks, rows[CONFIRM])
    rates = dict(zip(asked.labels, rows[CONFIRM].rates, strict=True))
    aim = aims_of(policy, [each.name for each in wanted], rates, True)[0]
    for model in list(models) if asked.recalibrate else ():
        new = recalibrated(model, of)
        if new is not None and _gains(
            model.candidate(parts), new.candidate(parts), rows[CONFIRM], wanted, aim
        ):
            models.append(new)
    candidates = [each.candidate(parts) for each in models]
    own = next(each for each in models if each.name == asked.served)
    current, against = _current(asked, of, own, models, candidates)
    left_out = _left_out(asked, of, own, current)
    served = serving(
        candidates,
        rows,
        current,
        against,
        policy,
        lambda: wanted,
        asked.seed,
        named=bool(asked.outcomes),
        forward=asked.time is not None,
    )
    front = _heads(candidates, rows, wanted, tasks, asked.seed)
    decision = replace(
        decided(front, served, policy, asked.seed),
        terms={model.name: model.terms for model in models},
        todays_formula=(asked.weights or "").strip(),
        test=lambda: rows[TEST],
        units=asked.units,
        group=asked.group,
    )
    beside = [*of.notes, *_some(read), *left_out, *suspicion(fits), served.note]
    beside += [ONE_TRAINING] * (not any(each.seeds for each in models))
    beside += [UNTOLD] * (not asked.unseen and asked.trained_until is None)
    return LogResult(decision, asked, rows, fits, tuple(filter(None, beside)))


def _some(read: Sequence[str]) -> list[str]:
    """The first sentences on how columns are read: many models have too many."""
    more = len(read) - MOST_READ
    left = [f"{more:,} more sentences on how columns are read are left out."] if more > 0 else []
    return [*read[:MOST_READ], *left]


def _current(
    asked: Asked, of: Parted, own: Model, models: Sequence[Model], candidates: list[Candidate]
) -> tuple[CurrentRanking, str]:
    """What is served today, and in words: a formula of a model's predictions, or a score, which
    joins the candidates. Where nobody said it, a model that the others are compared with.
    """
    name, formula = own.name, asked.formula
    recalibrated_today = [model for model in models if model.name == f"{name}, {RECALIBRATED}"]
    for model in (own, *recalibrated_today):
        fused = None if formula is None else fusion_in(formula, model.terms)
        if fused is not None:
            kind, weights = fused
            scale = of.rows[CONFIRM].rates if kind == "sum" else [1.0] * len(weights)
            candidates[:] = [
                replace(each, role="current") if each.id == model.name else each
                for each in candidates
            ]
            ranking = CurrentRanking(model.name, Fusion.of(kind, [*map(mul, weights, scale)]))
            return ranking, f"{model.name}, {asked.weights}"
    if formula is None and asked.score is None:
        return CurrentRanking(name, today=False), f"{name} at its best weights"
    score = _todays_score(asked, of)
    called = f"today's score ({asked.weights or asked.score})"

    def read(split: str, run: int) -> NDArray[Any]:
        return score[of.parts[split], None]

    candidates.append(Candidate(SCORE, called, "today's score", "current", (), read))
    return CurrentRanking(
        SCORE, model=name if formula or asked.today or name == "today" else ""
    ), called


def _todays_score(asked: Asked, of: Parted) -> NDArray[Any]:
    """(N,), as the log or a formula has it."""
    if asked.formula is None:
        return of.log.numbers[str(asked.score)]
    score = computed(
        asked.formula, {name: of.log.numbers[name] for name in asked.weighed}, "--weights"
    )
    if score.min() == score.max():
        raise UserError(
            f"--weights: expected a score that differs between rows, found {score[0]:g} in all rows"
        )
    return score


def _left_out(asked: Asked, of: Parted, own: Model, current: CurrentRanking) -> list[str]:
    """Sentences on amounts that today's score leaves out."""
    if current.id != SCORE or not asked.amounts:
        return []
    amounts = {task: of.log.numbers[column] for task, column in asked.amounts.items()}
    return without_amount(asked, _todays_score(asked, of), amounts, own.predictions[0])


def _policy(asked: Asked) -> Policy:
    if not asked.values:
        return asked.policy
    if asked.policy.rule not in ("knee", "value"):
        raise UserError(
            f"values: expected the rule 'value', found '{asked.policy.rule}' in the policy"
        )
    return Policy.model_validate(
        asked.policy.model_dump(exclude_unset=True)
        | {"rule": "value", "values": dict(asked.values)}
    )


def _outcomes(
    asked: Asked, policy: Policy, tasks: Sequence[Task], rows: KeptRows
) -> tuple[Objective, ...]:
    """What is served: as asked, else recalls where events have values, else what groups are large
    enough for.
    """
    names = [*asked.outcomes, *policy.outcomes]
    if asked.propensity is not None:
        check_counted(names, "outcomes")
    default = default_outcomes(tasks, rows.group, asked.propensity is not None)
    if asked.values and not asked.outcomes:
        default = default_outcomes(tasks, rows.group, counted=True)
        names = [*filter(of_items, names)]
    every = dict.fromkeys(beside_tasks(names, default))
    return tuple(outcome(name, tuple(tasks), "outcomes", asked.item_kinds) for name in every)


def _gains(
    old: Candidate, new: Candidate, rows: KeptRows, outcomes: Sequence[Objective], aim: PolicyAim
) -> bool:
    """Whether a recalibrated model reaches more than as good, on a sample of the rows that
    choose.
    """
    few, kept = sample_of(rows, CONFIRM, CLIMB_ROWS)

    def some(of: Candidate) -> Candidate:
        return replace(of, predictions=lambda split, run: of.predictions(split, run)[kept])

    both = [some(old), some(new)]
    settings = Sweep(len(rows.tasks)).settings
    meter = Meter(both, few, CONFIRM, [each.name for each in outcomes], 0)
    means = [each.mean(axis=0) for each in meter.sweep(settings)]
    goal = Goal(aim, means[0][0], meter.measure.random()[0])
    before, after = (each[int(goal.worth(each).argmax())] for each in means)
    return bool(aim.score(after, before) > aim.score(before, before) + MARGIN)


def _heads(
    candidates: Sequence[Candidate],
    rows: Mapping[str, KeptRows],
    outcomes: Sequence[Objective],
    tasks: Sequence[Task],
    seed: int,
) -> Frontier:
    """The front of heads: of a binary task its area under the curve where all rows are ranked, else
    its outcome.
    """
    outcomes = [each for each in outcomes if not of_items(each.name)]
    grouped = any(ranked(metric_of(each.name)) is None or "%" not in each.name for each in outcomes)
    areas = (
        []
        if grouped
        else [Objective(f"{task.name}.auc", "maximize") for task in tasks if task.kind == "binary"]
    )
    of_tasks = {each.name.partition(".")[0]: each for each in (*outcomes, *areas)}
    seeded = any(each.seeds for each in candidates)  # else nobody can tell what is surely ahead
    drawn = {split: drawn_of(own, split, RESAMPLES if seeded else 0) for split, own in rows.items()}
    measures = {
        (split, name): measure_of(own, [each.name], drawn[split])
        for split, own in rows.items()
        for name, each in of_tasks.items()
    }
    rarer = {
        f"{split}/{task.name}.{RARER}": _rarer(own.labels[:, at] > 0, drawn[split])
        for split, own in rows.items()
        for at, task in enumerate(tasks)
    }
    points = []
    for each in candidates:
        runs = []
        for run in range(each.replicates if each.id != SCORE else 0):
            metrics: dict[str, float] = {}
            moved: dict[str, list[float]] = dict(rarer)
            for (split, name), measure in measures.items():
                said = each.predictions(split, run)[:, [task.name for task in tasks].index(name)]
                of = measure.resampled(said.astype(np.float64))[:, 0, 0]
                metrics[of_tasks[name].key(split)] = float(of[0])
                moved[of_tasks[name].key(split)] = (of[1:] - of[0]).tolist()
            runs.append(
                Replicate(run + 1, each.seeds[run] if each.seeds else run, metrics, resampled=moved)
            )
        if runs:
            yardstick = each.role == "baseline"
            points.append(
                Point(
                    "model", {}, each.id, label=each.id, baseline=yardstick, replicates=tuple(runs)
                )
            )
    return frontier([], [*of_tasks.values()], seed=seed, baselines=points)


def _rarer(positive: NDArray[np.bool_], drawn: Resamples | None) -> list[float]:
    """How many rows of the rarer class each resample has, over their number, less 1."""
    if drawn is None:
        return []
    of = positive if positive.mean() <= 0.5 else ~positive
    sums = drawn.sums(np.arange(len(of)), [of.astype(np.float64)])[:, 0]
    return [float(each) for each in sums / max(1.0, float(of.sum())) - 1]
