"""The verdict: what the pick gains and costs against the current point, and how sure that is.

Everything is told on test, which chose nothing, with the intervals of `bench.frontier.changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from bench.frontier.changes import ONE_ERROR, Changes, changes_of, doubtful, slice_changes, worth_of
from bench.frontier.policy import Worth
from bench.frontier.words import verdict as words
from bench.results.comparison.significance import SIZE, replicates_needed, rows_needed
from bench.results.effect import MARGIN, Effect
from bench.results.served.distance import ahead, gain_of_all, rows_of
from bench.results.served.front import gains
from bench.results.served.served import Served
from bench.results.statistics import error_of
from bench.rows import TEST

Kind = Literal["win", "trade", "tie", "baseline", "trees", "unknown"]

TREES = "trees"
SIMPLE = ("equal_weights", "single_task", "static_weights", TREES, "ensemble", "random_weights")
"""Baselines in the order in which one is preferred where several are as good as the pick."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on switching to the pick.

    Attributes:
        kind: `win`: something is gained, and no loss is seen, nor is one left open that policies forbid by default.
            `trade`: something is gained, something else is, or may be, lost. Both also where no outcome alone is
            surely gained, but all of them together are, by the policy's rule. `tie`: no outcome changes by more than
            `MARGIN`. `baseline`: a baseline is as good as the pick. `trees`: boosted trees are ahead of every network.
            `unknown`: cannot tell.
        told: sentences; the first one is the answer, whether to switch.
        keep: whether the answer is to keep the current point.
        changes: by outcome, of the pick; empty without a served front.
        worth: all of them together, as the policy's rule scores them; None where that is unknown.
        slices: by slice of the rows (`scenario=2`) the changes there; see `slice_changes`.
        needed: replicates of each point that would show the gain seen with a chance of 80%, where that is unknown and
            any number would.
    """

    kind: Kind
    told: tuple[str, ...]
    keep: bool = False
    changes: Changes = field(default_factory=dict)
    worth: Effect | None = None
    needed: int | None = None
    slices: Mapping[str, Changes] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The whole answer in words."""
        return " ".join(self.told)

    def to_json(self) -> dict[str, Any]:
        """Itself as every document has it."""
        more = {
            "changes": _plain(self.changes),
            "worth": self.worth and self.worth.to_json(),
            "segments": {name: _plain(changes) for name, changes in self.slices.items()},
            "replicates_needed": self.needed,
        }
        known = {name: value for name, value in more.items() if value}
        return {"kind": self.kind, "sentence": self.sentence, "keep": self.keep} | known


def _plain(changes: Changes) -> dict[str, dict[str, float] | None]:
    """By outcome; None where nobody can tell."""
    return {name: each.to_json() if np.isfinite(each.value) else None for name, each in changes.items()}


def unserved(reason: str) -> Verdict:
    """The verdict of a run without a served front."""
    return Verdict("unknown", (f"Cannot tell whether to switch: {reason}.",))


def verdict(
    served: Served,
    row: int,
    against: str,
    holds: float | None = None,
    others: tuple[str, ...] = (),
    unlimited: int | None = None,
    worth: Worth | None = None,
    suspicion: str = "",
) -> Verdict:
    """The verdict about a picked serving point.

    Args:
        row: of the pick in the table.
        against: what the current point is, in words: "the best single-task models under equal weights".
        holds: in which share of retrainings the pick holds, see `bench.frontier.stability`.
        others: points that do as well in the other retrainings, in words.
        unlimited: the row that the policy would pick without its limits, where these make it keep the current point.
        worth: the score of gains in the outcomes by the policy's rule; None where it reads anything else.
        suspicion: sentences on the data and the pick, see `Frontier.suspicion` and `bench.results.within`.
    """
    changes, slices, score = changes_of(served, row), slice_changes(served, row), worth_of(served, row, worth)
    if row == served.current or all(each.value == each.low == each.high == 0 for each in changes.values()):
        found = _kept(served, row, against, unlimited)
    else:
        found = _switched(served, row, changes, against, score)
    kind, (answer, *rest) = found.kind, found.told
    if trees := _trees(served):
        answer, far = words.trees(answer, trees)
        kind, rest, suspicion = "trees", [suspicion, *rest, far], ""
    if holds is not None and not found.keep:  # else it does not matter how often a retraining would pick the same
        rest.append(words.holding(holds, others))
    if row != served.current:
        rest.append(words.by_scenario(slices))
    told = tuple(filter(None, [answer, *rest, suspicion]))
    return replace(found, kind=kind, told=told, changes=changes, worth=score, slices=slices)


def _kept(served: Served, row: int, against: str, unlimited: int | None) -> Verdict:
    """Kind and sentences where the pick is the current point, or ranks just as it does; its changes are not in it."""
    kind: Kind = "unknown"
    told: tuple[str, ...] = words.kept(against, "The policy picks no other point.")
    rest = rows_of(served)
    rest[row] = False
    if served.table["role"][served.current] == "baseline":
        kind, told = "baseline", words.kept(against, "The policy finds no better point.")
    elif served.known and rest.any() and (best := gain_of_all(served, rest, row)[0]).high <= MARGIN:
        kind, told = "tie", words.kept(against, *words.nothing_gains(best))
    if unlimited is not None:
        told = words.limited(served, against, unlimited, changes_of(served, unlimited))
    if row != served.current:
        told = *told, words.same(served, row)
    return Verdict(kind, told, keep=True)


def _switched(served: Served, row: int, changes: Changes, against: str, worth: Effect | None) -> Verdict:
    """Kind, sentences and replicates needed where the pick is another point; its changes are not in it."""
    what, every = words.described(served, row), list(changes.values())
    if not served.known:
        return Verdict("unknown", words.untested(what, against, changes))
    gained, lost = any(each.gained for each in every), any(each.lost for each in every)
    if all(each.unchanged for each in every):
        return Verdict("tie", words.unchanged(what, against, changes), keep=True)
    worthy = worth is not None and worth.gained
    if not gained and (lost or not worthy):
        replicates, rows = _needed(served, row, changes)
        kind: Kind = "baseline" if lost and served.table["role"][served.current] == "baseline" else "unknown"
        told = (words.costs if lost else words.unsure)(what, against, changes)
        return Verdict(kind, (*told, words.enough(replicates, rows)), keep=lost, needed=replicates)
    trade = lost or any(map(doubtful, every))
    if trade and worth and worth.lost:
        told = words.kept(against, words.not_worth(what, worth), *words.effects("It", against, changes, worth))
        return Verdict("trade", told, keep=True)
    own, rival = _own(served, row), None
    if not own and served.table["role"][row] != "baseline":
        rival = _rival(served, row)
    at = rival[0] if rival and rival[1].low >= -MARGIN else row
    kind = "trade" if trade else "win"
    if served.table["role"][at] == "baseline" or not (at == row or _own(served, at)):
        kind = "baseline"
    told = words.effects("It" if at == row else f"The pick, {what},", against, changes, worth)
    by_rule = words.by_rule(worth, gained) if trade and worth else ""
    return Verdict(kind, words.switch(served, row, at, trade and not worthy, rival, *told, by_rule))


def _rival(served: Served, row: int) -> tuple[int, Effect] | None:
    """The simplest baseline, or the current model under other weights, that is as good as a trial, else the simplest
    that cannot be told from it: its nearest row, and its gain.

    As good: in every outcome at once, worse by `MARGIN` at most.
    """
    table, wider = served.table, served.reach / ONE_ERROR  # the pick was chosen for its luck
    now = str(table["point"][served.current])
    told = {now, TREES} if _trees(served) else {now}  # trees that are ahead are told first, and apart
    points = [each for each in dict.fromkeys(table["point"][table["role"] == "baseline"]) if each not in told]
    found = []
    for point in [now, *sorted(points, key=_preference)]:
        if point != table["point"][row]:
            plain, by = gain_of_all(served, rows_of(served, points=[point]), row)
            ends = (plain.value + wider * (end - plain.value) for end in (plain.low, plain.high))
            gain = Effect(plain.value, *(float(np.maximum(-1.0, end)) for end in ends))
            if by != served.current and gain.high >= 0:
                found.append((by, gain))
    return min(found, key=lambda each: not each[1].low >= -MARGIN, default=None)


def _own(served: Served, row: int) -> bool:
    """Whether a row is of the current point's own models."""
    return bool(served.table["point"][row] == served.table["point"][served.current])


def _preference(point: str) -> int:
    name = point.partition(" ")[0]
    return SIMPLE.index(name) if name in SIMPLE else len(SIMPLE)


def _trees(served: Served) -> Changes:
    """By outcome how far boosted trees are ahead of every network, where they are so in every outcome; else empty."""
    trees = rows_of(served, points=[TREES])
    networks = rows_of(served, roles=["trial"])
    if not trees.any() or not networks.any() or not served.known:
        return {}
    found = ahead(served, trees, networks)
    every = len(found) == len(served.measures) and all(each.gained for each in found.values())
    return found if every else {}


def _needed(served: Served, row: int, changes: Changes) -> tuple[int | None, int | None]:
    """Replicates of each point, or times as many rows of test, that would show the largest gain seen."""
    errors = error_of(gains(served.draws[TEST], served.current)[:, row]) ** 2
    data, values = served.row_variance[row], [each.value for each in changes.values()]
    best = int((np.nan_to_num(values) / np.sqrt(np.fmax(errors, 1e-30))).argmax())
    if values[best] <= 0:
        return None, None
    tests = max(1, round(SIZE / (2 * float(stats.norm.sf(served.reach)))))  # of which each would be so strict
    seed, now = max(0.0, float(errors[best] - data[best])), served.replicates
    size = values[best], seed, float(data[best]), max(1, now - 1) * 4.0
    needed = replicates_needed(*size, now, tests) or None
    return needed, None if needed else rows_needed(*size, tests)
