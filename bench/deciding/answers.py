"""The answer of a verdict: its kind, its first sentence and its effects, before notes and
rivals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from bench.core.arrays import Floats
from bench.deciding.aims import PolicyAim
from bench.deciding.case import Case
from bench.deciding.verdict import Verdict, moves_nothing
from bench.deciding.words import verdict as words
from bench.ledger.effect import LEVEL, MARGIN, Effect
from bench.ledger.points import BASELINE
from bench.ledger.served.joint import Moves
from bench.ledger.served.lasting import lasting

DETECTED = -1.35 * float(ndtri((1 - LEVEL) / 2) + ndtri(0.2))
"""Standard errors of a gain that is shown four times in five. The factor is what drawing back the
best costs, by simulation."""


def answered(case: Case) -> Verdict:
    """Kind, first sentence, effects, and notes that belong to these."""
    return over_today(case) if case.served.today else over_models(case)


# over what is served today


@dataclass(frozen=True)
class Steps:
    """The effects of serving the pick in place of what is served today.

    Attributes:
        both: of its model and its weights.
        weights: of better weights for today's model; None where it has the best ones.
        model: of the pick over today's model at its best weights; None of today's model itself.
    """

    both: Moves
    weights: Moves | None
    model: Moves | None

    @property
    def model_gains(self) -> bool:
        """Whether another model gains by more than noise, alone or where its weights do not."""
        if self.model is None:
            return False
        if self.model.utility.gained:
            return True
        weights_gain = self.weights is not None and self.weights.utility.gained
        return self.both.utility.gained and not weights_gain


def over_today(case: Case) -> Verdict:
    """Where there is a current point: to switch the model, only the weights, to keep it, or nobody
    can tell.
    """
    steps = _steps_to_pick(case)
    if not case.served.known:
        return _untested(case, steps)
    verdict = _verdict_to_keep(case, steps)
    if steps.model_gains:
        gain = steps.both.utility
        answer = words.model(case.pick_title, gain, case.overall)
        verdict = _with_answer(verdict, answer, kind="model", row=case.pick)
        return _with_lasting(case, verdict, gain, case.pick)
    if steps.weights and steps.weights.utility.gained:
        least_gain = case.judge.policy.least_gain
        if steps.weights.utility.low < least_gain:
            return _keep(case, verdict, words.too_small(steps.weights.utility, least_gain))
        return _only_weights(case, verdict, steps.weights)
    if case.unlimited is not None:
        return _limited(case, verdict, case.unlimited)
    return _nothing_gained(case, verdict, steps.both)


def _steps_to_pick(case: Case) -> Steps:
    contest = case.first
    start = contest.start
    weights = model = None
    if start != case.current:
        weights = contest.moves(start, case.current)
    if case.pick_point != case.point(start):
        model = contest.moves(case.pick)
    both = contest.moves(case.pick, case.current)
    return Steps(both, weights, model)


def _untested(case: Case, steps: Steps) -> Verdict:
    """After one training each no intervals are known."""
    if case.pick == case.current:
        answer = words.KEEP.format(against=case.against, why=words.NO_OTHER_PICK)
        return Verdict("unknown", (answer,), (words.UNTESTED,))
    return Verdict(
        kind="unknown",
        answer=(words.UNTRAINED.format(what=case.pick_title),),
        row=case.pick,
        both=steps.both,
        weights=steps.weights,
        model=steps.model,
    )


def _verdict_to_keep(case: Case, steps: Steps) -> Verdict:
    """With all effects, and without an answer in words."""
    differences = case.first.utility_gains(case.pick, case.current, measured=True)
    return Verdict(
        kind="keep",
        answer=(),
        both=None if case.pick == case.current else steps.both,
        weights=steps.weights,
        model=steps.model,
        detectable=detectable_gain([differences], case.aim),
    )


def _with_answer(verdict: Verdict, answer: str, *notes: str, **changes: Any) -> Verdict:
    """The verdict with its first sentence, and notes of which some may be empty."""
    all_notes = (*filter(None, notes), words.SURE)
    return replace(verdict, answer=(answer,), notes=all_notes, **changes)


def _only_weights(case: Case, verdict: Verdict, weights: Moves) -> Verdict:
    """Better weights of today's model gain, and no other model surely adds to them."""
    contest, start = case.first, case.first.start
    gains_on_top = [contest.moves(row).utility for row in _rows_of_rivals(case)]
    best_on_top = max(gains_on_top, key=lambda gain: gain.value, default=None)
    against = ""
    if case.point(start) != case.current_point:  # a score may hold more than the model
        against = case.against
    answer = words.weights(weights.utility, case.overall, against)
    verdict = replace(verdict, kind="weights", row=start, both=weights, model=None)
    verdict = _with_answer(verdict, answer, words.added(best_on_top))
    return _with_lasting(case, verdict, weights.utility, start)


def _with_lasting(case: Case, verdict: Verdict, gain: Effect, row: int) -> Verdict:
    """With what lasts of the announced gain of a row over today's ranking."""
    differences = case.first.utility_gains(row, case.current, measured=True)
    lasts = lasting(differences, case.aim.fraction)
    sentences = filter(None, [words.lasts(gain, lasts)])
    return replace(verdict, lasting=lasts, answer=(*verdict.answer, *sentences))


def _rows_of_rivals(case: Case) -> list[int]:
    """The best rows of candidates but today's model and score."""
    todays_rows = case.first.start, case.current
    return [row for row in case.first.best.values() if row not in todays_rows]


def _limited(case: Case, verdict: Verdict, unlimited: int) -> Verdict:
    """The limits allow nothing that is better."""
    gain = case.first.moves(unlimited, case.current).utility
    would_pick = words.LIMITED.format(would=case.title(unlimited), both=gain, overall=case.overall)
    return _keep(case, verdict, words.NOTHING_ALLOWED, would_pick)


def _keep(case: Case, verdict: Verdict, why: str, *notes: str) -> Verdict:
    answer = words.KEEP.format(against=case.against, why=why)
    return _with_answer(verdict, answer, *notes)


def _nothing_gained(case: Case, verdict: Verdict, both: Moves) -> Verdict:
    """Nothing surely gains: no model can gain what matters, the pick loses, or nobody can tell."""
    contest, judge = case.first, case.judge
    rows = [*_rows_of_rivals(case), contest.start]
    gains = [contest.moves(row, case.current).utility for row in rows]
    top = max(gains, key=lambda gain: gain.high)
    if top.high <= MARGIN:
        has_limits = bool(judge.limits or judge.segments)
        why = words.nothing(top, case.overall, has_limits)
        return _keep(case, verdict, why, *_note_on_same(case, both))
    if case.pick == case.current:
        return _keep(case, verdict, words.NO_OTHER_PICK)
    gain = both.utility
    if gain.high < 0:
        why = words.costs(case.pick_title, gain, case.overall)
        return _keep(case, verdict, why)
    answer = words.unsure(case.pick_title, gain, case.overall)
    shows = words.shows(verdict.detectable, seldom_found(verdict.detectable))
    return _with_answer(verdict, answer, shows, kind="unknown", row=case.pick)


def _note_on_same(case: Case, change: Moves) -> tuple[str, ...]:
    """That another point than the current one is picked, and ranks exactly alike."""
    if case.pick == case.current or not moves_nothing(change):
        return ()
    return (words.SAME.format(what=case.pick_title),)


# models alone


def over_models(case: Case) -> Verdict:
    """Where nobody said what is served: whether a model is ahead of the one that stands for it."""
    pick, what = case.pick, case.pick_title
    alone = case.first.moves(pick)
    verdict = Verdict("unknown", answer=(), row=pick, both=alone, model=alone)
    if len(case.first.best) == 1:
        return _nothing_compared(case, verdict)
    if not case.served.known:
        return replace(verdict, answer=(words.UNTRAINED.format(what=what),))

    mean = case.mean_gain(case.pick_point, case.current_point)
    anchors = {"on average": mean, **_gains_by_anchor(case)}
    verdict = replace(verdict, anchors=anchors)
    verdict = replace(verdict, notes=_notes_on_models(case, verdict))
    if not mean.gained:
        return _no_model_ahead(case, verdict, mean, alone)
    answer = words.alone(what, words.reference(case.served), mean, case.overall)
    return replace(verdict, kind="model", answer=(answer,))


def _nothing_compared(case: Case, verdict: Verdict) -> Verdict:
    """There is one model, or the others keep no limits."""
    template = words.ONLY_ONE_KEEPS_LIMITS if case.only_one_keeps_limits else words.SINGLE
    answer = template.format(what=case.pick_title)
    return replace(verdict, both=None, model=None, answer=(answer,))


def _gains_by_anchor(case: Case) -> dict[str, Effect]:
    """By aim the gain of the picked model at its best weights."""
    point = case.pick_point
    gains = {}
    for contest in case.contests:
        if point in contest.best:
            gains[contest.aim.title] = contest.moves(contest.best[point]).utility
    return gains


def _notes_on_models(case: Case, verdict: Verdict) -> tuple[str, ...]:
    weights: Mapping[str, float] = case.served.table["weights"].iloc[case.pick]
    averaged = words.averaged(verdict.weightings)
    counts_alike = len(case.contests) > 1
    return words.SURE, averaged, words.start(weights, counts_alike)


def _no_model_ahead(case: Case, verdict: Verdict, mean: Effect, alone: Moves) -> Verdict:
    """No model surely gains over the reference: they are level, or nobody can tell.

    Args:
        mean: the gain of the pick over the reference, on average over anchors; `alone` by the
            policy's own aim.
    """
    reference = words.reference(case.served)
    rivals = _rivals_not_ahead(case)
    note_on_same = _note_on_same(case, alone)
    top = max([mean, *rivals.values()], key=lambda gain: gain.high)
    if top.high <= MARGIN:
        answer = words.level(reference, top)
        notes = (*note_on_same, *verdict.notes)
        return replace(verdict, kind="keep", row=None, answer=(answer,), notes=notes)

    row, gain = case.pick, mean
    is_same = moves_nothing(alone) or _is_single_task_as_reference(case, case.pick)
    if is_same and rivals:  # the pick says nothing of the models that differ
        best_rival = max(rivals, key=lambda point: rivals[point].value)
        row, gain = case.first.best[best_rival], rivals[best_rival]
    detectable = _detectable_gain_of(case, case.point(row))
    answer = words.UNDECIDED.format(
        what=case.title(row), reference=reference, mean=gain, overall=case.overall
    )
    notes = (words.shows(detectable, seldom_found(detectable)), *note_on_same, *verdict.notes)
    return replace(verdict, answer=(answer,), notes=notes, detectable=detectable)


def _rivals_not_ahead(case: Case) -> dict[str, Effect]:
    """By point the gain of each model but the pick and the reference, and but single-task models
    where they are the reference; those that are surely ahead stand in the first sentence.
    """
    reference, pick = case.current_point, case.pick_point
    gains = {}
    for point, row in case.first.best.items():
        if point not in (reference, pick) and not _is_single_task_as_reference(case, row):
            gain = case.mean_gain(point, reference)
            if not gain.gained:
                gains[point] = gain
    return gains


def _is_single_task_as_reference(case: Case, row: int) -> bool:
    """Whether a row is of the reference, or both are single-task models."""
    if row == case.current:
        return True
    architectures = case.served.table["architecture"]
    return bool(architectures.iloc[row] == architectures.iloc[case.current] == BASELINE)


def _detectable_gain_of(case: Case, point: str) -> float:
    """That of a model over the reference, each time at its best weights."""
    differences = []
    for contest in case.contests:
        if point in contest.best:
            differences.append(contest.utility_gains(contest.best[point], measured=True))
    return detectable_gain(differences, case.aim)


def detectable_gain(differences: Sequence[Floats], aim: PolicyAim) -> float:
    """The gain of U that a test shows four times in five, by draws (D,) of differences, one of each
    aim.
    """
    deviation = np.mean(differences, axis=0).std()
    return float(aim.fraction(np.array(DETECTED * deviation)))


def seldom_found(detectable: float | None) -> float | None:
    """How often a test finds a gain of `words.SMALL`, given the gain that it shows four times in
    five; None where it finds it more often than not.
    """
    if not detectable:
        return None
    deviations = -float(ndtri((1 - LEVEL) / 2) + ndtri(0.2)) * words.SMALL / detectable
    found = float(ndtr(deviations + ndtri((1 - LEVEL) / 2)))
    return found if found < 0.5 else None
