"""From a log to a decision: its rows in splits, its models as candidates, and then the same as a
run does with its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import mul
from typing import Any

import numpy as np

from bench.core.arrays import Mask
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
from bench.deciding.logged.asked import SCORE, Asked
from bench.deciding.logged.columns import Numbers
from bench.deciding.logged.doubts import without_amount
from bench.deciding.logged.log_models import (
    RECALIBRATED,
    CalibrationQuality,
    Model,
    calibrations,
    models_of,
    recalibrated,
    suspicion,
)
from bench.deciding.logged.logged_rows import LoggedRows
from bench.deciding.logged.split_log import SplitLog, split_log
from bench.deciding.policy import Policy
from bench.deciding.serving import serving
from bench.ledger.effect import MARGIN
from bench.ledger.fusion import Fusion, fusion_in
from bench.ledger.heads import Frontier, frontier
from bench.ledger.served.climb import CLIMB_ROWS, Goal
from bench.ledger.served.measuring import Candidate, CurrentRanking, Meter, measure_of, sample_of
from bench.ledger.served.sweep import Sweep
from bench.measure.outcomes import Measure
from bench.measure.predictions import KeptRows
from bench.measure.resamples import Resamples, drawn_of

MOST_READ = 20
"""Sentences on how columns are read that are shown."""
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
        split: the log's rows, in those that choose and those that judge.
        candidates: what was weighed; today's ranking is of one of them.
        calibration: of the log's own predictions, on the rows that judge.
        notes: sentences on how the log was read, and on what nobody can know from it.
    """

    decision: Decision
    asked: Asked
    split: SplitLog
    candidates: Sequence[Candidate]
    current: CurrentRanking
    calibration: Sequence[CalibrationQuality]
    notes: tuple[str, ...]

    @property
    def rows(self) -> Mapping[str, KeptRows]:
        """By split."""
        return self.split.rows

    @property
    def document(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        calibration = [quality._asdict() for quality in self.calibration]
        return self.decision.document | {"calibration": calibration, "notes": list(self.notes)}


def decide(asked: Asked, log: LoggedRows) -> LogResult:
    """Decides on a log; raises UserError where rows, labels, predictions, an outcome or a policy do
    not allow it.
    """
    split = split_log(asked, log)
    models, reading_notes = models_of(asked, split)
    qualities = calibrations(models, split)
    policy = _policy(asked)
    choosing = split.rows[CONFIRM]
    tasks = []
    for name, kind in zip(asked.labels, choosing.kinds, strict=True):
        tasks.append(Task(name, kind, parent=asked.parents.get(name)))
    outcomes = _outcomes(asked, policy, tasks, choosing)
    rates = dict(zip(asked.labels, choosing.rates, strict=True))
    names = [objective.name for objective in outcomes]
    aim = aims_of(policy, names, rates, True)[0]
    if asked.recalibrate:
        models += _better_recalibrated(models, split, names, aim)

    today = _today(asked, models, split)
    candidates = _candidates(models, today, split)
    served = serving(
        candidates,
        split.rows,
        today.ranking,
        today.title,
        policy,
        lambda: outcomes,
        asked.seed,
        named=bool(asked.outcomes),
        forward=asked.time is not None,
    )
    front = _heads(candidates[: len(models)], split.rows, outcomes, tasks, asked.seed)
    decision = replace(
        decided(front, served, policy, asked.seed),
        terms={model.name: model.terms for model in models},
        todays_formula=(asked.weights or "").strip(),
        test=lambda: split.rows[TEST],
        units=asked.units,
        group=asked.group,
    )
    notes = [
        *split.notes,
        *_first(reading_notes),
        *_amounts_left_out(asked, models, today, split),
        *suspicion(qualities),
        served.note,
    ]
    if not any(model.seeds for model in models):
        notes.append(ONE_TRAINING)
    if not asked.unseen and asked.trained_until is None:
        notes.append(UNTOLD)
    return LogResult(
        decision,
        asked,
        split,
        candidates,
        today.ranking,
        qualities,
        tuple(filter(None, notes)),
    )


def _first(reading_notes: Sequence[str]) -> list[str]:
    """The first sentences on how columns are read: many models have too many."""
    further = len(reading_notes) - MOST_READ
    if further <= 0:
        return [*reading_notes]
    return [
        *reading_notes[:MOST_READ],
        f"{further:,} more sentences on how columns are read are left out.",
    ]


def _policy(asked: Asked) -> Policy:
    if not asked.values:
        return asked.policy
    if asked.policy.rule not in ("knee", "value"):
        raise UserError(
            f"values: expected the rule 'value', found '{asked.policy.rule}' in the policy"
        )
    options = asked.policy.model_dump(exclude_unset=True)
    return Policy.model_validate(options | {"rule": "value", "values": dict(asked.values)})


def _outcomes(
    asked: Asked, policy: Policy, tasks: Sequence[Task], rows: KeptRows
) -> tuple[Objective, ...]:
    """What is served: as asked, else recalls where events have values, else what groups are large
    enough for.
    """
    names = [*asked.outcomes, *policy.outcomes]
    counted = asked.propensity is not None
    if counted:
        check_counted(names, "outcomes")
    if asked.values and not asked.outcomes:
        counted = True
        names = [name for name in names if of_items(name)]
    default = default_outcomes(tasks, rows.group, counted)
    distinct = dict.fromkeys(beside_tasks(names, default))
    return tuple(outcome(name, tuple(tasks), "outcomes", asked.item_kinds) for name in distinct)


def _better_recalibrated(
    models: Sequence[Model], split: SplitLog, outcomes: Sequence[str], aim: PolicyAim
) -> list[Model]:
    """Recalibrated versions of the models that gain by it."""
    better = []
    for model in models:
        version = recalibrated(model, split)
        if version is not None:
            old, new = model.candidate(split.places), version.candidate(split.places)
            if _gains(old, new, split.rows[CONFIRM], outcomes, aim):
                better.append(version)
    return better


def _gains(
    old: Candidate, new: Candidate, rows: KeptRows, outcomes: Sequence[str], aim: PolicyAim
) -> bool:
    """Whether a recalibrated model reaches more than as good, on a sample of the rows that
    choose.
    """
    sample, in_sample = sample_of(rows, CONFIRM, CLIMB_ROWS)
    candidates = [_on_sample(old, in_sample), _on_sample(new, in_sample)]
    meter = Meter(candidates, sample, CONFIRM, outcomes, 0)
    by_replicate = meter.sweep(Sweep(len(rows.tasks)).settings)
    old_means, new_means = (values.mean(axis=0) for values in by_replicate)

    goal = Goal(aim, old_means[0], meter.measure.random()[0])
    old_best = old_means[int(goal.worth(old_means).argmax())]
    new_best = new_means[int(goal.worth(new_means).argmax())]
    return bool(aim.score(new_best, old_best) > aim.score(old_best, old_best) + MARGIN)


def _on_sample(candidate: Candidate, in_sample: Mask) -> Candidate:
    return replace(
        candidate,
        predictions=lambda split, replicate: candidate.predictions(split, replicate)[in_sample],
    )


@dataclass(frozen=True)
class Today:
    """What is served today, or stands for it.

    Attributes:
        title: in words.
        score: (N,), where it is no fusion of a model's predictions, but a score of its own.
    """

    ranking: CurrentRanking
    title: str
    score: Numbers | None = None


def _today(asked: Asked, models: Sequence[Model], split: SplitLog) -> Today:
    """What is served today: a formula of a model's predictions, or a score. Where nobody said it, a
    model that the others are compared with.
    """
    name, formula = asked.todays_model, asked.formula
    if formula is not None:
        for model in models:
            if model.name not in (name, f"{name}, {RECALIBRATED}"):
                continue
            fused = fusion_in(formula, model.terms)
            if fused is not None:
                kind, weights = fused
                if kind == "sum":
                    weights = [*map(mul, weights, split.rows[CONFIRM].rates)]
                ranking = CurrentRanking(model.name, Fusion.of(kind, weights))
                return Today(ranking, f"{model.name}, {asked.weights}")
    elif asked.score is None:
        return Today(CurrentRanking(name, today=False), f"{name} at its best weights")

    score = _todays_score(asked, split)
    is_named = formula is not None or bool(asked.today) or name == "today"
    ranking = CurrentRanking(SCORE, model=name if is_named else "")
    return Today(ranking, f"today's score ({asked.weights or asked.score})", score)


def _todays_score(asked: Asked, split: SplitLog) -> Numbers:
    """(N,), as the log or a formula has it."""
    if asked.formula is None:
        return split.log.numbers[str(asked.score)]
    score: Numbers = computed(asked.formula, split.log.numbers, "--weights")
    if score.min() == score.max():
        raise UserError(
            f"--weights: expected a score that differs between rows, found {score[0]:g} in all rows"
        )
    return score


def _candidates(models: Sequence[Model], today: Today, split: SplitLog) -> list[Candidate]:
    candidates = []
    for model in models:
        candidate = model.candidate(split.places)
        if today.ranking.fusion is not None and model.name == today.ranking.id:
            candidate = replace(candidate, role="current")
        candidates.append(candidate)
    score = today.score
    if score is not None:
        ranked_by_score = Candidate(
            SCORE,
            today.title,
            "today's score",
            "current",
            (),
            lambda name, replicate: score[split.places[name], None],
        )
        candidates.append(ranked_by_score)
    return candidates


def _amounts_left_out(
    asked: Asked, models: Sequence[Model], today: Today, split: SplitLog
) -> list[str]:
    """Sentences on amounts that today's score leaves out."""
    if today.score is None or not asked.amounts:
        return []
    model = next(model for model in models if model.name == asked.todays_model)
    return without_amount(asked, today.score, split.log.numbers, model.predictions[0])


@dataclass(frozen=True)
class Head:
    """An objective of one task's predictions on the rows of a split."""

    split: str
    column: int
    key: str
    measure: Measure


def _heads(
    candidates: Sequence[Candidate],
    rows: Mapping[str, KeptRows],
    outcomes: Sequence[Objective],
    tasks: Sequence[Task],
    seed: int,
) -> Frontier:
    """The front of heads."""
    objectives = _head_objectives(outcomes, tasks)
    seeded = any(candidate.seeds for candidate in candidates)
    resamples = RESAMPLES if seeded else 0  # without seeds it is unknown what is surely ahead
    heads = []
    rarer: dict[str, list[float]] = {}
    for split, kept_rows in rows.items():
        drawn = drawn_of(kept_rows, split, resamples)
        for column, name in enumerate(kept_rows.tasks):
            rarer[f"{split}/{name}.{RARER}"] = _rarer(kept_rows.labels[:, column] > 0, drawn)
        for name, objective in objectives.items():
            measure = measure_of(kept_rows, [objective.name], drawn)
            column = kept_rows.tasks.index(name)
            heads.append(Head(split, column, objective.key(split), measure))

    points = []
    for candidate in candidates:
        replicates = []
        for number in range(candidate.replicates):
            replicates.append(_replicate(candidate, number, heads, rarer))
        point = Point(
            "model",
            {},
            candidate.id,
            label=candidate.id,
            baseline=candidate.role == "baseline",
            replicates=tuple(replicates),
        )
        points.append(point)
    return frontier([], list(objectives.values()), seed=seed, baselines=points)


def _head_objectives(outcomes: Sequence[Objective], tasks: Sequence[Task]) -> dict[str, Objective]:
    """By task: of a binary one its area under the curve where all rows are ranked, else its
    outcome.
    """
    objectives: dict[str, Objective] = {}
    ranks_all_rows = True
    for objective in outcomes:
        if of_items(objective.name):
            continue
        objectives[objective.name.partition(".")[0]] = objective
        if ranked(metric_of(objective.name)) is None or "%" not in objective.name:
            ranks_all_rows = False
    if ranks_all_rows:
        for task in tasks:
            if task.kind == "binary":
                objectives[task.name] = Objective(f"{task.name}.auc", "maximize")
    return objectives


def _replicate(
    candidate: Candidate, number: int, heads: Sequence[Head], rarer: Mapping[str, list[float]]
) -> Replicate:
    """A candidate's heads by one of its seeds.

    Args:
        rarer: of each split and task, see `_rarer`.
    """
    metrics: dict[str, float] = {}
    resampled = dict(rarer)
    for head in heads:
        predictions = candidate.predictions(head.split, number)[:, head.column]
        values = head.measure.resampled(predictions.astype(np.float64))[:, 0, 0]
        metrics[head.key] = float(values[0])
        resampled[head.key] = (values[1:] - values[0]).tolist()
    seed = candidate.seeds[number] if candidate.seeds else number
    return Replicate(number + 1, seed, metrics, resampled=resampled)


def _rarer(positive: Mask, drawn: Resamples | None) -> list[float]:
    """How many rows of the rarer class each resample has, over their number, minus 1."""
    if drawn is None:
        return []
    in_rarer = positive if positive.mean() <= 0.5 else ~positive
    rows_in_rarer = in_rarer.astype(np.float64)
    sums = drawn.sums(np.arange(len(in_rarer)), [rows_in_rarer])[:, 0]
    return [float(share) - 1 for share in sums / max(1.0, float(rows_in_rarer.sum()))]
