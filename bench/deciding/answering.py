"""Makes a verdict: the answer, then what stands beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from bench.core.rows import TEST
from bench.deciding.answers import answered
from bench.deciding.case import Case
from bench.deciding.rivals import guarded, model_gains, with_rivals
from bench.deciding.stability import SELDOM
from bench.deciding.verdict import Verdict, losses, moves_nothing
from bench.deciding.words import verdict as words
from bench.deciding.words.verdict import Changes
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.served.joint import Moves
from bench.ledger.served.served import Served
from bench.ledger.served.slices import AS_LOGGED


def verdict_of(case: Case) -> Verdict:
    """The verdict about a picked serving point."""
    verdict = answered(case)
    about = case.pick if verdict.row is None else verdict.row
    serves = case.current if verdict.keep else about

    verdict = with_facts(case, verdict, about)
    verdict = with_rivals(case, verdict, serves)
    if verdict.both is not None and about != case.current:
        verdict = with_slices(case, verdict, verdict.both, about)
    verdict = with_doubts(case, verdict, serves)
    verdict = with_first_note_in_answer(verdict)

    if verdict.kind == "model" and case.served.over_single_task:
        attributed = case.attributed(case.point(about), case.gain_if_compared, case.aim)
        verdict = replace(verdict, answer=(*verdict.answer, *attributed))
    if case.served.today or case.only_one_keeps_limits:
        has_values = bool(case.judge.policy.values)
        verdict = _with_note(verdict, words.limits_in_force(verdict.limits, has_values))
    return verdict


def _with_note(verdict: Verdict, note: str) -> Verdict:
    return replace(verdict, notes=(*verdict.notes, note))


def with_facts(case: Case, verdict: Verdict, about: int) -> Verdict:
    """With whose effects these are, of what, the limits in force, and each model at its best
    weights.

    Args:
        about: the row that its effects are of.
    """
    limits = [*case.judge.limits, *case.judge.segments]
    return replace(
        verdict,
        about=about,
        who=case.title(about),
        overall=words.overall_row(case.aim),
        both_ways=case.first.both_ways,
        limits=tuple(map(str, limits)),
        models=model_gains(case),
    )


def with_slices(case: Case, verdict: Verdict, both: Moves, about: int) -> Verdict:
    """With the changes in each slice of the rows, and notes on the largest losses.

    Args:
        both: the effect of serving the row `about`.
    """
    slices = slice_changes(case.served, about)
    who = _who_loses(verdict)
    notes = list(verdict.notes)
    largest_loss = next(iter(losses(slices)), None)
    if largest_loss is not None:
        name, outcome, change = largest_loss
        loses = words.LOSES_MOST.format(who=who, slice=name, outcome=outcome, change=change)
        notes.insert(0, loses)
    if case.served.known and slices.keys() - {AS_LOGGED}:
        notes.append(words.SURE_IN_SLICES)
    if AS_LOGGED in slices:
        notes.append(words.as_logged(slices[AS_LOGGED]))

    has_limits = bool(case.judge.policy.losses(case.served.names))
    if not has_limits and not verdict.keep:  # nothing else says what is given up
        notes = [_costs_most(both, who), *notes]
    return replace(verdict, slices=slices, notes=tuple(filter(None, notes)))


def _who_loses(verdict: Verdict) -> str:
    if verdict.keep:
        return "The pick loses"
    return "They lose" if words.several(verdict.who) else "It loses"


def _costs_most(both: Moves, who: str) -> str:
    """The outcome that loses most, in words, where one surely loses."""
    changes = both.outcomes
    worst = min(changes, key=lambda outcome: np.nan_to_num(changes[outcome].value))
    if not changes[worst].lost:
        return ""
    return words.COSTS_MOST.format(who=who, outcome=worst, change=changes[worst])


def with_doubts(case: Case, verdict: Verdict, serves: int) -> Verdict:
    """With notes on retrainings, on what noise keeps back, on the pick that is not advised, and on
    the data.

    Args:
        serves: the row that the answer says to serve.
    """
    notes = list(verdict.notes)
    is_picked = verdict.about == case.pick != case.current
    if case.holds is not None and is_picked and not verdict.keep:
        holding = words.holding(case.holds, case.first_instead)
        notes.insert(0 if case.holds < SELDOM else len(notes), holding)
    if case.served.today and verdict.kind in ("keep", "unknown"):
        notes = [*guarded(case, _gain_to_beat(verdict)), *notes]

    ranks_alike = verdict.both is not None and moves_nothing(verdict.both)
    if verdict.kind in ("keep", "weights") and case.pick != serves and not ranks_alike:
        notes.append(words.CHOSEN_FIRST.format(what=case.pick_title))
    notes.append(words.left_out(case.aim.left_out))
    if case.first.both_ways and verdict.both:
        notes.append(words.BOTH_WAYS)
    notes.append(case.suspicion)
    return replace(verdict, notes=tuple(filter(None, notes)))


def _gain_to_beat(verdict: Verdict) -> float:
    """The gain of what nobody can tell about; 0 of what is kept."""
    if verdict.kind == "keep" or verdict.both is None:
        return 0.0
    return max(verdict.both.utility.value, 0.0)


def with_first_note_in_answer(verdict: Verdict) -> Verdict:
    """The first note joins an answer of one sentence, unless it only says what intervals are."""
    if len(verdict.answer) > 1 or not verdict.notes:
        return verdict
    first_note, *further_notes = verdict.notes
    if first_note in (words.SURE, words.UNTESTED):
        return verdict
    return replace(verdict, answer=(*verdict.answer, first_note), notes=tuple(further_notes))


def slice_changes(served: Served, row: int) -> dict[str, Changes]:
    """The effect of switching in each slice, on test; NaN where too few rows are positive.

    Intervals hold in all slices of one kind and outcomes together (Bonferroni).
    """
    slices_by_kind: dict[str, dict[str, Changes]] = {}
    for slice in served.slices(TEST):
        kind = slice.partition("=")[0]
        slices_by_kind.setdefault(kind, {})[slice] = served.effects(row, TEST, slice)
    changes_by_slice: dict[str, Changes] = {}
    for slices in slices_by_kind.values():
        factor = _factor_for_all(slices.values())
        for slice, changes in slices.items():
            wider = {outcome: _wider(change, factor) for outcome, change in changes.items()}
            changes_by_slice[slice] = wider
    return changes_by_slice


def _factor_for_all(slices: Iterable[Changes]) -> float:
    """The factor by which intervals are wider that hold together."""
    count = 0
    for changes in slices:
        count += sum(np.isfinite(effect.value) for effect in changes.values())
    tail = (1 - LEVEL) / 2
    tail_of_all = tail / max(1, count)
    return float(ndtri(tail_of_all) / ndtri(tail))


def _wider(effect: Effect, factor: float) -> Effect:
    half = factor * (effect.high - effect.low) / 2
    low = np.maximum(effect.value - half, -1.0)
    return Effect(effect.value, float(low), effect.value + half)
