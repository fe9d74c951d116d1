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
        verdict = replace(verdict, answer=(*verdict.answer, *_attributed(case, about)))
    if case.served.today or case.only_one_keeps_limits:
        in_force = words.limits_in_force(verdict.limits, bool(case.judge.policy.values))
        verdict = replace(verdict, notes=(*verdict.notes, in_force))
    return verdict


def with_facts(case: Case, verdict: Verdict, about: int) -> Verdict:
    """With whose effects these are, of what, the limits in force, and each model at its best
    weights.

    Args:
        about: the row that its effects are of.
    """
    return replace(
        verdict,
        about=about,
        who=case.title(about),
        overall=words.overall_row(case.aim),
        both_ways=case.first.both_ways,
        limits=tuple(str(limit) for limit in (*case.judge.limits, *case.judge.segments)),
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
    for name, outcome, change in losses(slices)[:1]:
        notes.insert(
            0, words.LOSES_MOST.format(who=who, slice=name, outcome=outcome, change=change)
        )
    if slices.keys() - {AS_LOGGED} and case.served.known:
        notes.append(words.SURE_IN_SLICES)
    if AS_LOGGED in slices:
        changes = ", ".join(f"{change} of {name}" for name, change in slices[AS_LOGGED].items())
        notes.append(f"If all rows counted alike: {changes}.")
    limited = case.judge.policy.losses(case.served.names)
    if not limited and not verdict.keep:  # nothing else says what is given up
        notes = [*_costs_most(both, who), *notes]
    return replace(verdict, slices=slices, notes=tuple(notes))


def _who_loses(verdict: Verdict) -> str:
    if verdict.keep:
        return "The pick loses"
    return "They lose" if words.several(verdict.who) else "It loses"


def _costs_most(both: Moves, who: str) -> list[str]:
    """The outcome that loses most, in words, where one surely loses."""
    name, change = min(both.outcomes.items(), key=lambda outcome: np.nan_to_num(outcome[1].value))
    return [words.COSTS_MOST.format(who=who, outcome=name, change=change)] if change.lost else []


def with_doubts(case: Case, verdict: Verdict, serves: int) -> Verdict:
    """With notes on retrainings, on what noise keeps back, on the pick that is not advised, and on
    the data.

    Args:
        serves: the row that the answer says to serve.
    """
    notes = list(verdict.notes)
    if case.holds is not None and not verdict.keep and verdict.about == case.pick != case.current:
        place = 0 if case.holds < SELDOM else len(notes)
        notes.insert(place, words.holding(case.holds, case.first_instead))
    if case.served.today and verdict.kind in ("keep", "unknown"):
        gain = verdict.both.utility.value if verdict.both and verdict.kind == "unknown" else 0.0
        notes = [*guarded(case, max(gain, 0.0)), *notes]
    moves = verdict.both is None or not moves_nothing(verdict.both)
    if verdict.kind in ("keep", "weights") and case.pick != serves and moves:
        notes.append(words.CHOSEN_FIRST.format(what=case.title(case.pick)))
    notes.append(words.left_out(case.aim.left_out))
    if case.first.both_ways and verdict.both:
        notes.append(words.BOTH_WAYS)
    notes.append(case.suspicion)
    return replace(verdict, notes=tuple(note for note in notes if note))


def with_first_note_in_answer(verdict: Verdict) -> Verdict:
    """The first note joins an answer of one sentence, unless it only says what intervals are."""
    if (
        len(verdict.answer) > 1
        or not verdict.notes
        or verdict.notes[0] in (words.SURE, words.UNTESTED)
    ):
        return verdict
    first, *rest = verdict.notes
    return replace(verdict, answer=(*verdict.answer, first), notes=tuple(rest))


def _attributed(case: Case, row: int) -> list[str]:
    """Sentences on what makes the gain of a row over single-task models."""

    def gain(point: str, base: str) -> Effect | None:
        return case.mean_gain(point, base) if case.compares(point, base) else None

    return list(case.attributed(case.point(row), gain, case.aim))


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
    return float(ndtri(tail / max(1, count)) / ndtri(tail))


def _wider(effect: Effect, factor: float) -> Effect:
    half = factor * (effect.high - effect.low) / 2
    return Effect(effect.value, float(np.maximum(effect.value - half, -1.0)), effect.value + half)
