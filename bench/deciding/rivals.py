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
from bench.deciding.remedies import remedies
from bench.deciding.verdict import ModelGain, Verdict
from bench.deciding.words import verdict as words
from bench.ledger.effect import Effect

TREES = "trees"


def model_gains(case: Case) -> tuple[ModelGain, ...]:
    """Each model at its best weights against what is served; one that limits refuse with all
    weights at its best.

    Over several contests its gain of U is the mean, as in the answer.
    """
    contest, current = case.first, case.current
    models = []
    for point, unlimited in contest.unlimited.items():
        row = contest.best.get(point, unlimited)
        if row == current:
            continue
        gain = contest.moves(row, current)
        if len(case.contests) > 1 and case.served.known and point in contest.best:
            gain = replace(gain, utility=case.mean_gain(point, case.point(current)))
        refused = "" if case.judge.passing[row] else _refusal(case.judge, row)
        models.append(ModelGain(point, case.title(row), row, gain, refused))
    return tuple(sorted(models, key=lambda model: -model.gain.utility.value))


def with_rivals(case: Case, verdict: Verdict, row: int) -> Verdict:
    """With what is surely ahead of a row in the answer, by U or in every head, and why it is not
    advised.

    Args:
        row: what the answer says to serve.
    """
    if not case.served.known:
        return verdict
    table = case.served.table
    leads = _leads(case, row)
    rivals = {
        case.title(rival): (f"by {lead}", _reason(case, rival)) for rival, lead in leads.items()
    }
    names = [str(table["name"].iloc[rival]) for rival in leads]
    for name in case.ahead_in_heads(case.point(row)):
        if name not in names:
            first_row = int(np.flatnonzero(table["name"] == name)[0])
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
    contest, served_point = case.first, case.point(row)
    leads = {}
    for point, unlimited in contest.unlimited.items():
        best = contest.best.get(point, unlimited)
        if point != served_point:
            lead = _lead(case, point, best, row)
            if lead.gained:
                leads[best] = lead
    for point, unlimited in contest.unlimited.items():
        best = contest.best.get(point, unlimited)
        if point != served_point and best not in leads and not case.judge.passing[unlimited]:
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
    if list(leads) == [case.first.best.get(TREES)] and _trees_lead_all_networks(case.first):
        return "every network"
    if not verdict.keep:
        return "the pick"
    return "what you keep" if case.served.today else words.reference(case.served)


def _trees_lead_all_networks(contest: Contest) -> bool:
    """Whether boosted trees are surely ahead of every network, each at its best weights."""
    table, trees = contest.served.table, contest.best[TREES]
    networks = [row for row in contest.best.values() if table["role"].iloc[row] == "trial"]
    return all(contest.moves(trees, network).utility.gained for network in networks)


def _reason(case: Case, row: int) -> str:
    """Why a row that is ahead is not advised: a limit refuses it, else the rows that chose; empty
    of the pick.
    """
    judge = case.judge
    if judge.passing[row]:
        same = case.point(row) == case.point(case.pick)
        return "" if same else words.CHOSE_ANOTHER.format(what=case.title(case.pick))
    changes = case.first.moves(row, case.current).outcomes
    for limit in judge.limits:
        if limit.name in changes and not limit.kept(limit.means)[row]:
            asked = str(limit).removeprefix(f"{limit.name} ").partition(" with ")[0]
            return words.refused(limit.name, changes[limit.name], asked)
    refusal = _refusal(judge, row)
    return refusal if refusal == words.NOT_SHOWN else f"a limit refuses it ({refusal})"


def _refusal(judge: Judge, row: int) -> str:
    """What refuses a row: the limit that its mean breaks, else noise."""
    broken = [str(limit) for limit in judge.limits if not limit.kept(limit.means)[row]]
    broken += [str(limit) for limit in judge.segments if not limit.passing[row]]
    return broken[0].partition(" with ")[0] if broken else words.NOT_SHOWN


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


def guarded(case: Case, least: float) -> list[str]:
    """A sentence on models that look better, on test as on the rows that chose, and fail the guard
    by noise alone.

    Args:
        least: what they must gain on test to look better.
    """
    contest, judge = case.first, case.judge
    scores = judge.scores(judge.choices.values(judge.scored))
    better = []
    for row in contest.best.values():
        looked_better = judge.noise[row] and scores[row] > scores[case.current]
        if looked_better and contest.moves(row, case.current).utility.value > least:
            better.append(case.title(row))
    return [words.guarded(better)] if better else []
