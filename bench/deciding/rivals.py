"""The other models of a verdict: what each gains, which are surely ahead of the answer, and why
none is advised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bench.deciding.case import Case
from bench.deciding.contest import Contest
from bench.deciding.judging import Judge
from bench.deciding.limits import Everywhere, Limit
from bench.deciding.remedies import remedies
from bench.deciding.verdict import ModelGain, Verdict
from bench.deciding.words import verdict as words
from bench.ledger.effect import Effect
from bench.ledger.served.joint import Moves

TREES = "trees"


def model_gains(case: Case) -> tuple[ModelGain, ...]:
    """Each model at its best weights against what is served; one that limits refuse with all
    weights at its best.

    Over several contests its gain of U is the mean, as in the answer.
    """
    models = []
    for point in case.first.unlimited:
        row, _ = case.first.best_of(point)
        if row != case.current:
            gain = _gain_of_model(case, point, row)
            refused = "" if case.judge.passing[row] else _refusal(case.judge, row)
            models.append(ModelGain(point, case.title(row), row, gain, refused))
    return tuple(sorted(models, key=lambda model: -model.gain.utility.value))


def _gain_of_model(case: Case, point: str, row: int) -> Moves:
    gain = case.first.moves(row, case.current)
    has_mean = len(case.contests) > 1 and case.served.known
    if has_mean and point in case.first.best:
        return replace(gain, utility=case.mean_gain(point, case.current_point))
    return gain


def with_rivals(case: Case, verdict: Verdict, row: int) -> Verdict:
    """With what is surely ahead of a row in the answer, by U or in every head, and why it is not
    advised.

    Args:
        row: what the answer says to serve.
    """
    if not case.served.known:
        return verdict
    leads = _leads(case, row)
    rivals = {}
    for rival, lead in leads.items():
        rivals[case.title(rival)] = f"by {lead}", _reason(case, rival)

    names_of_rows = case.served.table["name"]
    names = [str(names_of_rows.iloc[rival]) for rival in leads]
    for name in case.ahead_in_heads(case.point(row)):
        if name not in names:
            first_row = int(np.flatnonzero(names_of_rows == name)[0])
            rivals.setdefault(case.title(first_row), (words.BY_HEADS, ""))
            names.append(name)

    if not rivals:
        return verdict
    answer = (verdict.answer[0], words.ahead(rivals, _behind(case, verdict, leads)))
    notes = (*_allowances(case, leads), *verdict.notes)
    return replace(verdict, answer=answer, ahead=tuple(names), notes=notes)


def _leads(case: Case, row: int) -> dict[int, Effect]:
    """By row of another model, at its best weights, how far it is surely ahead of a row in U.

    A limit may refuse just the weights with which it is ahead.
    """
    contest = case.first
    rivals = [point for point in contest.unlimited if point != case.point(row)]
    leads = {}
    for point in rivals:
        best, _ = contest.best_of(point)
        lead = _lead(case, point, best, row)
        if lead.gained:
            leads[best] = lead

    for point in rivals:
        best, unlimited = contest.best_of(point)[0], contest.unlimited[point]
        if best not in leads and not case.judge.passing[unlimited]:
            lead = contest.moves(unlimited, row).utility
            if lead.gained:
                leads[unlimited] = lead
    return leads


def _lead(case: Case, point: str, row: int, advised: int) -> Effect:
    """How far a candidate is ahead of a row in U: at the row, or over several contests each time at
    its best.
    """
    if len(case.contests) > 1 and point in case.first.best:
        return case.mean_gain(point, case.point(advised))
    return case.first.moves(row, advised).utility


def _behind(case: Case, verdict: Verdict, leads: Mapping[int, Effect]) -> str:
    """The words for what the rivals are ahead of."""
    only_trees = list(leads) == [case.first.best.get(TREES)]
    if only_trees and _trees_lead_all_networks(case.first):
        return "every network"
    if not verdict.keep:
        return "the pick"
    return "what you keep" if case.served.today else words.reference(case.served)


def _trees_lead_all_networks(contest: Contest) -> bool:
    """Whether boosted trees are surely ahead of every network, each at its best weights."""
    trees = contest.best[TREES]
    roles = contest.served.table["role"]
    networks = [row for row in contest.best.values() if roles.iloc[row] == "trial"]
    return all(contest.moves(trees, network).utility.gained for network in networks)


def _reason(case: Case, row: int) -> str:
    """Why a row that is ahead is not advised: a limit refuses it, else the rows that chose; empty
    of the pick.
    """
    if case.judge.passing[row]:
        if case.point(row) == case.pick_point:
            return ""
        return words.CHOSE_ANOTHER.format(what=case.pick_title)

    changes = case.first.moves(row, case.current).outcomes
    for limit in _limits_broken_by_mean(case.judge, row):
        if limit.name in changes:
            asked = _without_confidence(limit).removeprefix(f"{limit.name} ")
            return words.refused(limit.name, changes[limit.name], asked)
    refusal = _refusal(case.judge, row)
    return refusal if refusal == words.NOT_SHOWN else f"a limit refuses it ({refusal})"


def _limits_broken_by_mean(judge: Judge, row: int) -> list[Limit]:
    return [limit for limit in judge.limits if not limit.kept(limit.means)[row]]


def _without_confidence(limit: Limit | Everywhere) -> str:
    return str(limit).partition(" with ")[0]


def _refusal(judge: Judge, row: int) -> str:
    """What refuses a row: the limit that its mean breaks, else noise."""
    broken: list[Limit | Everywhere] = [*_limits_broken_by_mean(judge, row)]
    broken += [segments for segments in judge.segments if not segments.passing[row]]
    return _without_confidence(broken[0]) if broken else words.NOT_SHOWN


def _allowances(case: Case, leads: Mapping[int, Effect]) -> list[str]:
    """By refused row a sentence with the options, or lines of a policy, that would admit it."""
    sentences = []
    for row in leads:
        if case.judge.passing[row]:
            continue
        needed = remedies(case.judge.broken(row))
        if needed:
            options = [remedy.option for remedy in needed]
            sentences.append(words.allowed_by(case.title(row), options))
    return sentences


def guarded(case: Case, gain_to_beat: float) -> list[str]:
    """A sentence on models that look better, on test as on the rows that chose, and fail the guard
    by noise alone.

    Args:
        gain_to_beat: what they must gain on test to look better.
    """
    contest, judge = case.first, case.judge
    scores = judge.scores(judge.choices.values(judge.scored))
    better = []
    for row in contest.best.values():
        if not judge.noise[row] or scores[row] <= scores[case.current]:
            continue
        gain = contest.moves(row, case.current).utility
        if gain.value > gain_to_beat:
            better.append(case.title(row))
    return [words.guarded(better)] if better else []
