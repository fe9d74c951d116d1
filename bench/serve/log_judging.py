"""Judges one model of a log against what is served today: the package as it is, or the pick.

Rows that judge are resampled by units, both models on the same ones. Outcomes of the ranking are
measured, and each prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError
from bench.core.rows import TEST
from bench.core.schema import SCORE, Schema, Task
from bench.deciding.logged.asked import SEED, made_column
from bench.deciding.logged.log_decision import LogResult
from bench.deciding.score import prediction_names
from bench.ledger.effect import LEVEL
from bench.ledger.fusion import Fusion, FusionTerms
from bench.ledger.ledger import ALL
from bench.ledger.served.measuring import Candidate, measure_of
from bench.ledger.served.served import Served
from bench.measure.predictions import KeptRows
from bench.measure.resamples import drawn_of
from bench.serve.fail_if import Rule, outcomes_asked
from bench.serve.judgements import (
    RESAMPLE_NAME,
    RESAMPLES,
    Judged,
    Judgement,
    judgement_of,
    judgements,
    sentence,
)


@dataclass(frozen=True)
class LogJudgement:
    """A model of a log against today's.

    Attributes:
        model: which is judged, in words.
        against: what it is compared with.
        rows: how many judge.
        outcomes: of the ranking, as measured; by no expectation.
        predictions: metrics of each; compared where today's model predicts, too.
    """

    model: str
    against: str
    rows: int
    outcomes: list[Judgement]
    predictions: list[Judgement]

    @property
    def sentence(self) -> str:
        """Which outcomes gain, lose and stay equal."""
        return sentence(self.outcomes, self.model, self.against)


def judged_in(result: LogResult, rules: Sequence[Rule]) -> LogJudgement:
    """Judges the first package that does not serve today by its own score; without any, the pick.

    Args:
        rules: whose outcomes are measured, too.

    Raises:
        UserError: a rule that nothing measures; or there is neither a package nor a pick.
    """
    served = result.decision.serving.served
    if served is None:
        raise UserError(f"expected a front to judge by, found none: {result.decision.no_pick}")
    asked, rows = result.asked, result.rows[TEST]
    tasks = [
        Task(name, kind, parent=asked.parents.get(name))
        for name, kind in zip(asked.labels, rows.kinds, strict=True)
    ]
    model = _Model.judged(result, served)
    today = _Model.of_row(result, served, served.current, result.decision.against)
    predictions = _judged_predictions(result, tasks, rows, model, today)
    extra = outcomes_asked(rules, tasks, served.names, predictions)
    names = list(dict.fromkeys([*served.names, *extra]))
    drawn = drawn_of(rows, RESAMPLE_NAME.format(asked.seed), RESAMPLES)
    measure = measure_of(rows, names, drawn)
    values = np.array([measure.resampled(score)[:, 0] for score in (model.score, today.score)])
    outcomes = []
    for column, name in enumerate(measure.names):
        outcomes.append(judgement_of(name, "larger", values[..., column], LEVEL))
    return LogJudgement(model.title, today.title, len(rows.labels), outcomes, predictions)


@dataclass(frozen=True)
class _Model:
    """A model on the rows that judge.

    Attributes:
        score: (n,).
        predictions: (n, T), joint chances; None of orders, and of a score that nobody says the
            model of.
    """

    title: str
    score: Floats
    predictions: NDArray[np.float32] | None

    @classmethod
    def judged(cls, result: LogResult, served: Served) -> _Model:
        """The first package as it is, else the pick."""
        if not result.asked.packages:
            pick = result.decision.pick
            if pick is None:
                raise UserError(f"expected a pick to judge, found none: {result.decision.no_pick}")
            return cls.of_row(result, served, pick.row, pick.name)
        asked = result.asked
        others = [name for name in asked.packages if name.partition(SEED)[0] != asked.todays_model]
        name = [*others, *asked.packages][0]
        score = result.split.log.numbers[made_column(name, SCORE)][result.split.places[TEST]]
        chances = _chances(result, name.partition(SEED)[0])
        return cls(f"{name} as packaged", score.astype(np.float64), chances)

    @classmethod
    def of_row(cls, result: LogResult, served: Served, row: int, title: str) -> _Model:
        """A row of the served front."""
        point = served.table.iloc[row]
        candidate = _candidate(result, point["point"])
        predictions = candidate.predictions(TEST, 0)
        if predictions.shape[1] == 1:
            made_of = result.current.model
            chances = _chances(result, made_of) if made_of else None
            return cls(title, predictions[:, 0].astype(np.float64), chances)
        rows = result.rows[TEST]
        weights = [point["weights"].get(task, 0.0) for task in rows.tasks]
        fusion = Fusion.of(point["kind"], weights)
        score = FusionTerms(predictions, rows.rates).fused(fusion.kind, fusion.weights)
        return cls(title, score, _chances(result, point["point"]))


def _candidate(result: LogResult, point: str) -> Candidate:
    return next(candidate for candidate in result.candidates if candidate.id == point)


def _chances(result: LogResult, model: str) -> NDArray[np.float32] | None:
    """(n, T), what a model predicts; None if one of them is an order, or an amount times it."""
    if result.asked.amounts:
        return None
    for quality in result.calibration:
        if quality.model == model and quality.slice == ALL and np.isnan(quality.pcoc):
            return None
    return _candidate(result, model).predictions(TEST, 0)


def _judged_predictions(
    result: LogResult, tasks: Sequence[Task], rows: KeptRows, model: _Model, today: _Model
) -> list[Judgement]:
    """Metrics of each prediction of a model, compared with today's where that predicts, too."""
    if model.predictions is None:
        return []
    named = [_by_name(model.predictions, tasks)]
    if today.predictions is not None:
        named.append(_by_name(today.predictions, tasks))
    labels = []
    for task in tasks:
        labels.append(result.split.log.numbers[task.name][result.split.places[TEST]])
    judged = Judged(
        np.stack(labels, axis=1).astype(np.float32),
        tuple(named),
        rows.group,
        rows.counts,
        rows.units,
    )
    return judgements(judged, Schema((), (), tuple(tasks)), seed=result.asked.seed)


def _by_name(predictions: NDArray[np.float32], tasks: Sequence[Task]) -> dict[str, Floats]:
    """Joint predictions (n, T) by name, and those given the parent."""
    joint = {}
    for column, task in enumerate(tasks):
        joint[task.name] = predictions[:, column].astype(np.float64)
    named = {}
    for task in tasks:
        names = prediction_names(task)
        if task.parent is not None:
            named[names[0]] = joint[task.name] / np.maximum(joint[task.parent], 1e-12)
        named[names[-1]] = joint[task.name]
    return named
