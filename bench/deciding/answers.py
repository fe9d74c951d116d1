"""The answer of a verdict: its kind, its first sentence and its effects, before notes and
rivals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from bench.core.arrays import Floats
from bench.deciding.aims import PolicyAim
from bench.deciding.case import Case
from bench.deciding.verdict import Verdict, moves_nothing
from bench.deciding.words import verdict as words
from bench.ledger.effect import LEVEL, MARGIN, Effect
from bench.ledger.served.joint import Moves

DETECTED = -1.35 * float(ndtri((1 - LEVEL) / 2) + ndtri(0.2))
"""Standard errors of a gain that is shown four times in five. The factor is what drawing back the
best costs, by simulation."""
NOTHING = Effect(0.0, 0.0, 0.0)


def answered(case: Case) -> Verdict:
    """Kind, first sentence, effects, and notes that belong to these."""
    return over_today(case) if case.served.today else over_models(case)


# over what is served today


def over_today(case: Case) -> Verdict:
    """Where there is a current point: to switch the model, only the weights, to keep it, or nobody
    can tell.
    """
    contest, pick, start = case.first, case.pick, case.first.start
    both = contest.moves(pick, case.current)
    weights = contest.moves(start, case.current) if start != case.current else None
    model = contest.moves(pick) if case.point(pick) != case.point(start) else None
    if not case.served.known:
        return _untested(case, both, weights, model)
    least = least_shown([contest.utility_gains(pick, case.current, measured=True)], case.aim)
    verdict = Verdict("keep", (), (), None, None, weights, model, least=least)
    if pick != case.current:
        verdict = replace(verdict, both=both)
    gain_of_weights = weights.utility if weights else NOTHING
    if model and (model.utility.gained or (both.utility.gained and not gain_of_weights.gained)):
        answer = words.model(case.title(pick), both.utility, words.overall(case.aim))
        return _with_answer(verdict, answer, kind="model", row=pick)
    if weights and gain_of_weights.gained:
        return _only_weights(case, verdict, weights)
    if case.unlimited is not None:
        return _limited(case, verdict, case.unlimited)
    return _nothing_gained(case, verdict, both)


def _with_answer(verdict: Verdict, answer: str, *notes: str, **changes: Any) -> Verdict:
    """The verdict with its first sentence, and notes of which some may be empty."""
    return replace(verdict, answer=(answer,), notes=(*filter(None, notes), words.SURE), **changes)


def _untested(case: Case, both: Moves, weights: Moves | None, model: Moves | None) -> Verdict:
    """After one training each no intervals are known."""
    if case.pick == case.current:
        answer = words.KEEP.format(against=case.against, why="the policy picks no other point")
        return Verdict("unknown", (answer,), (words.UNTESTED,))
    answer = words.UNTRAINED.format(what=case.title(case.pick))
    return Verdict("unknown", (answer,), (), case.pick, both, weights, model)


def _only_weights(case: Case, verdict: Verdict, weights: Moves) -> Verdict:
    """Better weights of today's model gain, and no other model surely adds to them."""
    contest, start = case.first, case.first.start
    gains_on_top = [contest.moves(row).utility for row in _other_rows(case)]
    best_on_top = max(gains_on_top, key=lambda gain: gain.value, default=None)
    is_score = case.point(start) != case.point(case.current)  # a score may hold more than the model
    against = case.against if is_score else ""
    answer = words.weights(weights.utility, words.overall(case.aim), against)
    verdict = replace(verdict, kind="weights", row=start, both=weights, model=None)
    return _with_answer(verdict, answer, words.added(best_on_top))


def _other_rows(case: Case) -> list[int]:
    """The best rows of candidates but today's model and score."""
    return [row for row in case.first.best.values() if row not in (case.first.start, case.current)]


def _limited(case: Case, verdict: Verdict, unlimited: int) -> Verdict:
    """The limits allow nothing that is better."""
    gain = case.first.moves(unlimited, case.current).utility
    would = words.LIMITED.format(
        would=case.title(unlimited), both=gain, overall=words.overall(case.aim)
    )
    answer = words.KEEP.format(
        against=case.against, why="no point that the policy allows is better"
    )
    return _with_answer(verdict, answer, would)


def _nothing_gained(case: Case, verdict: Verdict, both: Moves) -> Verdict:
    """Nothing surely gains: no model can gain what matters, the pick loses, or nobody can tell."""
    contest, pick, overall = case.first, case.pick, words.overall(case.aim)
    rows = [*_other_rows(case), contest.start]
    gains = [contest.moves(row, case.current).utility for row in rows]
    top = max(gains, key=lambda gain: gain.high)
    if top.high <= MARGIN or pick == case.current:
        why = "the policy picks no other point"
        if top.high <= MARGIN:
            limited = bool(contest.judge.limits or contest.judge.segments)
            why = words.nothing(top, overall, limited)
        alike = ""
        if pick != case.current and moves_nothing(both):
            alike = words.SAME.format(what=case.title(pick))
        return _with_answer(verdict, words.KEEP.format(against=case.against, why=why), alike)
    if both.utility.high < 0:
        why = words.costs(case.title(pick), both.utility, overall)
        return _with_answer(verdict, words.KEEP.format(against=case.against, why=why))
    answer = words.unsure(case.title(pick), both.utility, overall)
    return _with_answer(verdict, answer, words.shows(verdict.least), kind="unknown", row=pick)


# models alone


def over_models(case: Case) -> Verdict:
    """Where nobody said what is served: whether a model is ahead of the one that stands for it."""
    pick, current = case.pick, case.current
    alone = case.first.moves(pick)
    verdict = Verdict("unknown", (), (), pick, alone, None, alone)
    what, overall = case.title(pick), words.overall(case.aim)
    if len(case.first.best) == 1:
        template = words.ONLY_ONE_KEEPS_LIMITS if case.only_one_keeps_limits else words.SINGLE
        return replace(verdict, both=None, model=None, answer=(template.format(what=what),))
    if not case.served.known:
        return replace(verdict, answer=(words.UNTRAINED.format(what=what),))
    mean = case.mean_gain(case.point(pick), case.point(current))
    verdict = replace(verdict, anchors={"on average": mean, **_by_anchor(case)})
    reference = words.reference(case.served)
    notes = _notes_on_models(case, verdict)
    if mean.gained:
        return replace(
            verdict,
            kind="model",
            answer=(words.alone(what, reference, mean, overall),),
            notes=notes,
        )
    return _no_model_ahead(case, verdict, mean, notes)


def _by_anchor(case: Case) -> dict[str, Effect]:
    """By aim the gain of the picked model at its best weights."""
    point = case.point(case.pick)
    gains = {}
    for contest in case.contests:
        if point in contest.best:
            gains[contest.aim.title] = contest.moves(contest.best[point]).utility
    return gains


def _notes_on_models(case: Case, verdict: Verdict) -> tuple[str, ...]:
    weights: Mapping[str, float] = case.served.table["weights"].iloc[case.pick]
    averaged = words.averaged(verdict.weightings)
    return words.SURE, averaged, words.start(weights, len(case.contests) > 1)


def _no_model_ahead(case: Case, verdict: Verdict, mean: Effect, notes: tuple[str, ...]) -> Verdict:
    """No model surely gains over the reference: they are level, or nobody can tell."""
    contest, pick, current = case.first, case.pick, case.current
    reference = words.reference(case.served)
    behind = {}
    for point in contest.best:
        if point not in (case.point(current), case.point(pick)):
            gain = case.mean_gain(point, case.point(current))
            if not gain.gained:  # what is ahead stands in the first sentence
                behind[point] = gain
    same = pick == current or (verdict.both is not None and moves_nothing(verdict.both))
    notes_on_pick: tuple[str, ...] = ()
    if same and pick != current:
        notes_on_pick = (words.SAME.format(what=case.title(pick)),)
    top = max([mean, *behind.values()], key=lambda gain: gain.high)
    if top.high <= MARGIN:
        level = words.level(reference, top)
        notes = (*notes_on_pick, *notes)
        return replace(verdict, kind="keep", row=None, answer=(level,), notes=notes)
    point, what = case.point(pick), case.title(pick)
    if same and behind:  # the pick says nothing of the models that differ
        point = max(behind, key=lambda candidate: behind[candidate].value)
        what, mean = case.title(contest.best[point]), behind[point]
    differences = [
        contest.utility_gains(contest.best[point], measured=True)
        for contest in case.contests
        if point in contest.best
    ]
    least = least_shown(differences, case.aim)
    answer = words.UNDECIDED.format(
        what=what, reference=reference, mean=mean, overall=words.overall(case.aim)
    )
    notes = (words.shows(least), *notes_on_pick, *notes)
    return replace(verdict, answer=(answer,), notes=notes, least=least)


def least_shown(differences: Sequence[Floats], aim: PolicyAim) -> float:
    """The gain of U that a test shows four times in five, by draws (D,) of differences, one of each
    aim.
    """
    return float(aim.fraction(np.array(DETECTED * np.mean(differences, axis=0).std())))
