"""A point that a user names by `--point`: its best weights by the policy, and what it gains on what
is served.

It is what a team takes to an A/B test where the answer is to keep what there is, or where another
point than the pick should be tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import UserError, check_known
from bench.deciding.contest import Contest
from bench.deciding.decision import Decision
from bench.deciding.pick import Pick
from bench.deciding.pick import challenger as pick_of
from bench.deciding.words.verdict import named, titles_of
from bench.ledger.points import untested
from bench.ledger.served.joint import Moves

OPTION = "--point"


@dataclass(frozen=True)
class Challenger:
    """A point at its best weights.

    Attributes:
        row: of the choices.
        keeps_limits: whether some of its weights keep the policy's limits; else `row` is the best
            of all its weights.
        who: its name in words.
        both: what it changes over what is served, on test; None without a served front, and of what
            is served itself.
    """

    row: int
    keeps_limits: bool
    who: str
    both: Moves | None


def challenger_of(decision: Decision, point: str) -> Challenger:
    """The named point at the weights that the verdict's contest has it with; raises UserError for
    an unknown one.
    """
    table, candidates = decision.choices.table, points_of(decision)
    trained_once = set(decision.frontier.table["point"].astype(str)) - {*candidates}
    if point in trained_once:
        raise UserError(
            f"{OPTION}: expected a point that was trained again on fresh seeds, found '{point}', "
            f"which was not; such points are {', '.join(candidates)}"
        )
    check_known("point", point, candidates, OPTION)
    first_row = int(np.flatnonzero(table["point"].astype(str) == point)[0])
    who = named(table.iloc[first_row], titles_of(decision.frontier.points))
    contest = _first_contest(decision)
    if contest is None:
        return Challenger(first_row, True, who, None)
    row, keeps_limits = contest.best_of(point)
    current = contest.served.current
    both = None
    if row != current:
        both = contest.moves(row, current)
    return Challenger(row, keeps_limits, who, both)


def pick_challenger(decision: Decision, point: str) -> Pick:
    """The named point in place of the pick; raises UserError for an unknown one."""
    asked = challenger_of(decision, point)
    points = untested(decision.frontier.points)
    return pick_of(decision.choices, points, decision.policy, asked.row, asked.keeps_limits)


def points_of(decision: Decision) -> Sequence[str]:
    """The ids that a user may name: those of the front that is chosen from."""
    return [*dict.fromkeys(decision.choices.table["point"].astype(str))]


def _first_contest(decision: Decision) -> Contest | None:
    """By the policy's own aim; None without a served front."""
    if decision.serving.served is None:
        return None
    return next(iter(decision.contests()), None)
