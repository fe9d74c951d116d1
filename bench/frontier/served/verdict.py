"""The verdict: what the pick gains and costs against the current point, and how sure that is.

Everything is told on test, which chose nothing. But a point that looked best on confirmation rows is tested with the
same replicates, and may have been lucky in their seeds. Intervals here allow for that (`Served.reach`): whichever
point was picked, all its outcomes lie within theirs with 90% confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from bench.errors import listed
from bench.frontier.comparison.verdict import SIZE, replicates_needed, rows_needed
from bench.frontier.policy import Worth
from bench.frontier.score import in_words
from bench.frontier.served.changes import Change, by_scenario, changes_of, segment_changes
from bench.frontier.served.distance import ahead, gain_of_all, in_percent, percent, rows_of
from bench.frontier.served.front import gains
from bench.frontier.served.served import Served
from bench.frontier.stability import ENOUGH, MARGIN
from bench.frontier.statistics import LEVEL, error_of
from bench.rows import CONFIRM, SHORT, TEST

Kind = Literal["win", "trade", "tie", "baseline", "trees", "unknown"]

ONLY_WEIGHTS = "Change only the weights of the score"
SURE = f"Intervals are {LEVEL:.0%}, on test."
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
        sentence: the whole answer in words; the first sentence says whether to switch.
        keep: whether the answer is to keep the current point.
        changes: by outcome, of the pick; empty without a served front.
        worth: all of them together, as the policy's rule scores them; None where that is unknown.
        segments: by segment of the rows (`scenario=2`) the changes there; see `segment_changes`.
        needed: replicates of each point that would show the gain seen with a chance of 80%, where that is unknown and
            any number would.
    """

    kind: Kind
    sentence: str
    keep: bool = False
    changes: tuple[Change, ...] = ()
    worth: Change | None = None
    needed: int | None = None
    segments: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)

    @property
    def answer(self) -> str:
        """The first sentence."""
        return f"{self.sentence.partition('. ')[0].removesuffix('.')}."

    def to_json(self) -> dict[str, Any]:
        """Itself as every document has it."""
        found: dict[str, Any] = {"kind": self.kind, "sentence": self.sentence, "keep": self.keep}
        if self.changes:
            found["changes"] = _plain(self.changes)
        if self.worth:
            found["worth"] = {"value": self.worth.value, "low": self.worth.low, "high": self.worth.high}
        if self.segments:
            found["segments"] = {name: _plain(changes) for name, changes in self.segments.items()}
        return found if self.needed is None else found | {"replicates_needed": self.needed}


def _plain(changes: tuple[Change, ...]) -> dict[str, dict[str, float] | None]:
    """By outcome; None where nobody can tell."""
    return {
        each.outcome: {"value": each.value, "low": each.low, "high": each.high} if np.isfinite(each.value) else None
        for each in changes
    }


def unserved(reason: str) -> Verdict:
    """The verdict of a run without a served front."""
    return Verdict("unknown", f"Cannot tell whether to switch: {reason}.")


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
        suspicion: sentences on the data and the pick, see `Frontier.suspicion` and `bench.frontier.within`.
    """
    changes, by_segment, score = changes_of(served, row), segment_changes(served, row), _worth(served, row, worth)
    if row == served.current or all(each.value == each.low == each.high == 0 for each in changes):
        found = _kept(served, row, against, unlimited)
    else:
        found = _switched(served, row, changes, against, score)
    kind, text = found.kind, found.sentence
    if trees := _trees(served):
        answer, _, rest = text.partition(". ")
        answer = f"Boosted trees are ahead of every network; without them: {answer[0].lower()}{answer[1:]}."
        kind, text, suspicion = "trees", " ".join(filter(None, [answer, suspicion, rest, trees])), ""
    if holds is not None and not found.keep:  # else it does not matter how often a retraining would pick the same
        text += f" {_holding(holds, others)}"
    if row != served.current and (told := by_scenario(by_segment)):
        text += f" {told}"
    if suspicion:
        text += f" {suspicion}"
    return replace(found, kind=kind, sentence=text, changes=changes, worth=score, segments=by_segment)


def describe(served: Served, row: int) -> str:
    """A serving point in words: `trial 7 (mmoe), power of click 0.8, like 0.2`."""
    line = served.table.iloc[row]
    name = line["name"] if line["role"] != "trial" else f"{line['name']} ({line['architecture']})"
    if not line["weights"]:
        return str(name)
    return f"{name}, {line['kind']} of {in_words(line['weights'])}"


def _worth(served: Served, row: int, worth: Worth | None) -> Change | None:
    """The pick's score on test over the current point's; None where it is unknown."""
    if worth is None or not served.known:
        return None
    at, drawn = (
        found[..., row] - found[..., served.current]
        for found in (worth(gains(values, served.current)) for values in (served.means(TEST), served.test_draws))
    )
    half = served.reach * float(error_of(drawn))
    found = Change("all in all", float(at), float(at - half), float(at + half))
    return found if np.isfinite([found.low, found.high]).all() else None


def _kept(served: Served, row: int, against: str, unlimited: int | None) -> Verdict:
    """Kind and sentence where the pick is the current point, or ranks just as it does; its changes are not in it."""
    kind: Kind = "unknown"
    text = f"Keep {against}. The policy picks no other point."
    rest = rows_of(served)
    rest[row] = False
    if served.table["role"][served.current] == "baseline":
        kind, text = "baseline", f"Keep {against}. The policy finds no better point."
    elif served.known and rest.any() and (best := gain_of_all(served, rest, row)).high <= MARGIN:
        kind, text = "tie", f"Keep {against}. No point gains more than {MARGIN:.1%} in every outcome."
        if best.high < -MARGIN:
            behind = in_percent(100 * best.value, 100 * best.low, 100 * best.high)
            others = f"Every other point loses in some outcome, the one nearest on {SHORT[CONFIRM]} {behind}"
            text = f"Keep {against}. {others}. {SURE}"
    if unlimited is not None:
        told = ", ".join(map(str, changes_of(served, unlimited)))
        sure = SURE if served.known else "After one training each, no intervals are known."
        text = (
            f"Keep {against}: no point that the policy allows is better. Without its limits it would pick "
            f"{describe(served, unlimited)}: {told}. {sure}"
        )
    same = "" if row == served.current else f" The pick, {describe(served, row)}, ranks exactly alike."
    return Verdict(kind, text + same, keep=True)


def _switched(served: Served, row: int, changes: tuple[Change, ...], against: str, worth: Change | None) -> Verdict:
    """Kind, sentences and replicates needed where the pick is another point; its changes are not in it."""
    what, told = describe(served, row), ", ".join(map(str, changes))
    if not served.known:
        text = f"Against {against} it has {told}, after one training each: no intervals are known."
        return Verdict("unknown", f"Cannot tell whether to switch to {what}. {text}")
    told = f"Against {against} it has {told}. {SURE}"
    gained, lost, doubtful = (any(getattr(each, name) for each in changes) for name in ("gained", "lost", "doubtful"))
    if all(each.low >= -MARGIN and each.high <= MARGIN for each in changes):
        text = f"Keep {against}. No outcome changes by more than {MARGIN:.1%} with {what}. {told}"
        return Verdict("tie", text, keep=True)
    if lost and not gained:
        kind: Kind = "baseline" if served.table["role"][served.current] == "baseline" else "unknown"
        costs, rest = (", ".join(str(each) for each in changes if each.lost == is_lost) for is_lost in (True, False))
        more = f": {rest}" if rest else ""
        text = f"Keep {against}. Switching to {what} costs {costs}, and no gain is shown{more}"
        needed, enough = _needed(served, row, changes)
        return Verdict(kind, f"{text}. {SURE}{enough}", keep=True, needed=needed)
    if not gained and not (worth and worth.gained):
        needed, enough = _needed(served, row, changes)
        return Verdict("unknown", f"Cannot tell whether to switch to {what}. {told}{enough}", needed=needed)
    balance = f"{_effects(changes, worth)}, against {against}. {SURE}"
    kind, condition = ("trade", " if the gain is worth its cost to you") if lost or doubtful else ("win", "")
    if kind == "trade" and worth:
        if worth.lost:
            text = f"Keep {against}. By the policy's rule {what} is not worth its cost: {worth}. {balance}"
            return Verdict(kind, text, keep=True)
        if worth.gained:
            condition = ""
            balance += f" By the policy's rule the gain is worth its cost: {worth}." if gained else ""
        else:
            balance += f" By the policy's rule this cannot be told: {worth}."
    if _own(served, row) or served.table["role"][row] == "baseline":
        first = ONLY_WEIGHTS if _own(served, row) else "Switch to a baseline"
        kind = "baseline" if served.table["role"][row] == "baseline" else kind
        return Verdict(kind, f"{first}: {what}{condition}. {balance}")
    return _with_baseline(served, row, kind, condition, balance)


def _effects(changes: tuple[Change, ...], worth: Change | None) -> str:
    """What is gained, by an outcome or by all of them together, what is lost, and what is open."""
    effects = {"gains": [f"{worth} by the policy's rule"]} if not any(each.gained for each in changes) else {}
    for each in changes:
        if each.gained or each.lost:
            effect = "gains" if each.gained else "costs"
        elif each.doubtful:
            effect = "may cost" if each.value < 0 else "does not rule out a loss in"
        else:
            effect = "shows no clear change in"
        effects.setdefault(effect, []).append(str(each))
    order = ("gains", "costs", "may cost", "does not rule out a loss in", "shows no clear change in")
    return f"It {listed([f'{effect} ' + ', '.join(effects[effect]) for effect in order if effect in effects])}"


def _with_baseline(served: Served, row: int, kind: Kind, condition: str, balance: str) -> Verdict:
    """The same, told with the simplest model that is as good as a picked trial, or that cannot be told from it."""
    as_good, doubts = _rivals(served, row)
    what = f"{describe(served, row)}{condition}"
    if as_good:
        at, gain = as_good[0]
        name = f"{describe(served, at)}{condition}"
        balance = balance.replace("It ", f"The pick, {describe(served, row)}, ", 1)
        if _own(served, at):
            kind = "baseline" if served.table["role"][at] == "baseline" else kind
            text = f"{ONLY_WEIGHTS}: {name}. They do as well as the pick ({gain}), and no model has to be trained."
            return Verdict(kind, f"{text} {balance}")
        return Verdict("baseline", f"Switch to a baseline: {name}. It is as good as the pick ({gain}). {balance}")
    if doubts:
        at, gain = doubts[0]
        what += f", or to {served.table['name'][at]}, which may be as good"
        balance += f" Compared with the pick: {describe(served, at)}, {gain}."
    return Verdict(kind, f"Switch to {what}. {balance}")


def _rivals(served: Served, row: int) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Baselines, and the current model under other weights, that are as good as a trial, or cannot be told from it.

    As good: in every outcome at once, worse by `MARGIN` at most. Of each its nearest row, and its gain in words.
    """
    table = served.table
    now = str(table["point"][served.current])
    told = {now, TREES} if _trees(served) else {now}  # trees that are ahead are told first, and apart
    points = [each for each in dict.fromkeys(table["point"][table["role"] == "baseline"]) if each not in told]
    good: list[tuple[int, str]] = []
    doubtful: list[tuple[int, str]] = []
    for point in [now, *sorted(points, key=_preference)]:
        if point == table["point"][row]:
            continue
        gain = gain_of_all(served, rows_of(served, points=[point]), row)
        wider = served.reach / float(stats.norm.isf((1 - LEVEL) / 2))  # the pick was chosen for its luck
        low, high = (np.maximum(-1.0, gain.value + wider * (end - gain.value)) for end in (gain.low, gain.high))
        if gain.by is None or gain.by == served.current or high < 0:
            continue
        value, *ends = (percent(100 * each) for each in (gain.value, low, high))
        text = (
            f"at least {value}% ({' to '.join(ends)}) in every outcome"
            if {value, *ends} != {"+0.0"}
            else "equal in all outcomes"
        )
        (good if low >= -MARGIN else doubtful).append((gain.by, text))
    return good, doubtful


def _own(served: Served, row: int) -> bool:
    """Whether a row is of the current point's own models."""
    return bool(served.table["point"][row] == served.table["point"][served.current])


def _preference(point: str) -> int:
    name = point.partition(" ")[0]
    return SIMPLE.index(name) if name in SIMPLE else len(SIMPLE)


def _holding(holds: float, others: tuple[str, ...]) -> str:
    if holds >= ENOUGH:
        return f"The pick holds in {holds:.0%} of retrainings."
    verb = "comes" if len(others) == 1 else "come"
    instead = f"; {listed(list(others))} {verb} first in the others" if others else ""
    return f"Retraining may change the pick: it holds in {holds:.0%} of retrainings{instead}."


def _trees(served: Served) -> str:
    """A sentence where boosted trees are ahead of every network in every outcome; else empty."""
    trees = rows_of(served, points=[TREES])
    networks = rows_of(served, roles=["trial"])
    if not trees.any() or not networks.any() or not served.known:
        return ""
    found = ahead(served, trees, networks)
    if len(found) < len(served.outcomes) or not all(each.gained for each in found):
        return ""
    return f"Trees are ahead of the networks by {', '.join(map(str, found))}, each at equal other outcomes."


def _needed(served: Served, row: int, changes: tuple[Change, ...]) -> tuple[int | None, str]:
    """Replicates that would show the largest gain seen, None where any number would not; and what would, in words."""
    errors = error_of(gains(served.test_draws, served.current)[:, row]) ** 2
    data = served.row_variance[row]
    best = int((np.nan_to_num([each.value for each in changes]) / np.sqrt(np.fmax(errors, 1e-30))).argmax())
    if changes[best].value <= 0:
        return None, ""
    tests = max(1, round(SIZE / (2 * float(stats.norm.sf(served.reach)))))  # of which each would be so strict
    seed, now = max(0.0, float(errors[best] - data[best])), served.replicates
    size = changes[best].value, seed, float(data[best]), max(1, now - 1) * 4.0
    if needed := replicates_needed(*size, now, tests):
        return needed, f" About {needed} replicates of each point would show such a gain."
    if times := rows_needed(*size, tests):
        return None, f" About {times} times as many rows of test would show such a gain; more replicates would not."
    return None, ""
