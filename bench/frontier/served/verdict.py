"""Should you switch? One sentence: what the pick gains and costs against the current point, and how sure that is.

Everything is told on test, which chose nothing. But a point that looked best on confirmation rows is tested with the
same replicates, and may have been lucky in their seeds. Intervals here are therefore simultaneous: with 90% confidence
all gains of all kept points, in all outcomes, lie within theirs at once (by the largest standardised error over joint
draws, as in the methods of Tukey and Dunnett). Whichever point is picked, its claims hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import listed
from bench.frontier.comparison.needed import replicates_needed
from bench.frontier.intervals import LEVEL
from bench.frontier.served.distance import ahead, rows_of
from bench.frontier.served.front import band, gains
from bench.frontier.served.served import Served
from bench.rows import CONFIRM, TEST

Floats = NDArray[np.float64]
Kind = Literal["win", "trade", "tie", "baseline", "unknown"]

MARGIN = 0.005
"""A change of half a per cent of the current point's outcome does not matter."""
HOLDS = 0.8
"""A pick that holds in fewer retrainings is told with the points that do as well."""
TREES = "trees"
SIMPLE = ("equal_weights", "single_task", "static_weights", TREES, "ensemble", "random_weights")
"""Baselines in the order in which one is preferred where several are as good as the pick."""
STEPS: Mapping[Kind, str] = {
    "win": "switch", "trade": "switch, if the gain is worth its cost", "tie": "keep what you have",
    "baseline": "take the baseline", "unknown": "keep what you have until more is known",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What switching does to one outcome, as a fraction of the current point's: .012 is 1.2% more.

    Attributes:
        low, high: ends of the simultaneous interval; NaN where nothing is known of seeds.
    """

    outcome: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        ends = f" ({100 * self.low:+.1f} to {100 * self.high:+.1f})" if np.isfinite(self.low) else ""
        return f"{self.outcome} {100 * self.value:+.1f}%{ends}"


@dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        kind: `win`: something is gained and nothing lost. `trade`: something is gained, something else is, or may be,
            lost. `tie`: no outcome changes by more than `MARGIN`. `baseline`: a baseline is as good as the pick, or
            better. `unknown`: cannot tell.
        sentence: the whole answer in words.
        changes: by outcome, of the pick; empty without a served front.
        needed: replicates of each point that would show the gain seen with a chance of 80%, where that is unknown and
            any number would.
    """

    kind: Kind
    sentence: str
    changes: tuple[Change, ...] = ()
    needed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Itself as every document has it."""
        found: dict[str, Any] = {"kind": self.kind, "sentence": self.sentence}
        if self.changes:
            found["changes"] = {
                each.outcome: {"value": each.value, "low": each.low, "high": each.high} for each in self.changes
            }
        return found if self.needed is None else found | {"replicates_needed": self.needed}


def unserved(reason: str) -> Verdict:
    """The verdict of a run without a served front."""
    return Verdict("unknown", f"Cannot tell whether to switch: {reason}.")


def verdict(
    served: Served, row: int, against: str, holds: float | None = None, others: tuple[str, ...] = ()
) -> Verdict:
    """The verdict about a picked serving point.

    Args:
        row: of the pick in the table.
        against: what the current point is, in words: "the best single-task models under equal weights".
        holds: in which share of retrainings the pick holds, see `bench.frontier.stability`.
        others: points that do as well in the other retrainings, in words.
    """
    changes = _changes(served, row)
    first = _trees(served)
    text, needed = "", None
    baseline = None if first or row == served.current else _as_good(served, row)
    kind = _kind(served, row, changes)
    if kind == "unknown":
        needed = _needed(served, row, changes)
    body = _body(served, row, kind, changes, against, needed)
    if first:
        kind, text = "baseline", f"{first} Without them: "
    elif baseline and baseline[0]:
        kind, text = "baseline", f"A baseline is as good as the pick: {baseline[1]}. "
    elif baseline:
        body += f" It cannot be told from a baseline: {baseline[1]}."
    if holds is not None and holds < HOLDS and row != served.current:
        instead = f"; {listed(list(others))} did as well in others" if others else ""
        body += f" The choice is not settled: this point holds in {holds:.0%} of retrainings{instead}."
    elif holds is not None and row != served.current:
        body += f" It holds in {holds:.0%} of retrainings."
    return Verdict(kind, text + body, changes, needed)


def simultaneous(served: Served) -> tuple[Floats, Floats]:
    """Ends (S, M) of intervals for gains on test that hold at once, at `LEVEL`; NaN where nothing is known."""
    centre = gains(served.means(TEST), served.current)
    nothing = np.full_like(centre, np.nan)
    if not served.known:
        return nothing, nothing
    errors = gains(served.test_draws, served.current)
    errors -= errors.mean(axis=0)
    sd = errors.std(axis=0)
    moving = sd > 1e-12
    if not moving.any():
        return centre, centre
    largest = np.abs(errors[:, moving] / sd[moving]).max(axis=1)
    reach = float(np.quantile(largest, LEVEL)) * sd
    return centre - reach, centre + reach


def describe(served: Served, row: int) -> str:
    """A serving point in words: `trial 7 (mmoe), power of click .8, like .2`."""
    line = served.table.iloc[row]
    name = line["name"] if line["role"] != "trial" else f"{line['name']} ({line['architecture']})"
    if not line["weights"]:
        return str(name)
    weights = ", ".join(f"{task} {weight:.3g}" for task, weight in line["weights"].items())
    return f"{name}, {line['kind']} of {weights}"


def _changes(served: Served, row: int) -> tuple[Change, ...]:
    low, high = simultaneous(served)
    values = gains(served.means(TEST), served.current)[row]
    names = [each.name for each in served.outcomes]
    return tuple(
        Change(*each) for each in zip(names, values.tolist(), low[row].tolist(), high[row].tolist(), strict=True)
    )


def _kind(served: Served, row: int, changes: tuple[Change, ...]) -> Kind:
    if row == served.current:
        _, high = simultaneous(served)
        rest = np.delete(high, row, axis=0)
        return "tie" if served.known and (rest[np.isfinite(rest).all(axis=1)] <= MARGIN).all() else "unknown"
    if not served.known:
        return "unknown"
    if served.table["role"][row] == "baseline":
        return "baseline"
    if any(each.low > 0 for each in changes):
        return "trade" if any(each.low < -MARGIN for each in changes) else "win"
    return "tie" if all(each.low >= -MARGIN and each.high <= MARGIN for each in changes) else "unknown"


def _body(served: Served, row: int, kind: Kind, changes: tuple[Change, ...], against: str, needed: int | None) -> str:
    what = describe(served, row)
    told = ", ".join(map(str, changes))
    sure = f"{LEVEL:.0%} intervals on test, for all points at once" if served.known else "one retraining: no interval"
    if row == served.current:
        if kind == "tie":
            return f"Keep {against}: no point found gains more than {MARGIN:.1%} in any outcome."
        return f"Keep {against} ({what}): the policy picks no other point."
    if kind == "win":
        return f"Switch to {what}: against {against}, {told} ({sure})."
    if kind == "trade":
        up = ", ".join(str(each) for each in changes if each.low > 0)
        down = ", ".join(str(each) for each in changes if each.low <= 0 and each.low < -MARGIN)
        rest = [str(each) for each in changes if each.low <= 0 and each.low >= -MARGIN]
        unmoved = f"; {', '.join(rest)}" if rest else ""
        verb = "costs" if all(each.high < 0 for each in changes if each.low < -MARGIN and each.low <= 0) else "may cost"
        return f"A trade: {what} gains {up} and {verb} {down}{unmoved}, against {against} ({sure})."
    if kind == "tie":
        return f"Keep {against}: {what} changes no outcome by more than {MARGIN:.1%}: {told} ({sure})."
    if kind == "baseline":
        return f"The pick is a baseline, {what}: against {against}, {told} ({sure})."
    more = f" About {needed} replicates of each point would show such a gain." if needed else ""
    return f"Cannot tell whether to switch to {what}: against {against}, {told} ({sure}).{more}"


def _as_good(served: Served, row: int) -> tuple[bool, str] | None:
    """A baseline that is as good as the pick, or that cannot be told from it: whether it is, and what is known.

    As good: by no outcome worse by more than `MARGIN`. Each baseline is compared at the weights at which, on
    confirmation rows, it comes nearest to the pick in its worst outcome.
    """
    table = served.table
    if not served.known or table["role"][row] != "trial":
        return None
    doubts = []
    for point in sorted(set(table["point"][table["role"] == "baseline"]), key=_preference):
        mine = np.flatnonzero((table["point"] == point).to_numpy())
        if served.current in mine and len(mine) == 1:
            continue
        chosen = gains(served.means(CONFIRM), row)[mine]
        at = int(mine[np.nan_to_num(chosen, nan=-np.inf).min(axis=1).argmax()])
        low, high = (ends[at] for ends in band(gains(served.test_draws, row)))
        value = gains(served.means(TEST), row)[at]
        names = [each.name for each in served.outcomes]
        told = ", ".join(str(Change(*each)) for each in zip(names, value, low, high, strict=True))
        text = f"{describe(served, at)}, has {told} against it"
        if (low >= -MARGIN).all():
            return True, text
        if (high >= 0).all():
            doubts.append(text)
    return (False, doubts[0]) if doubts else None


def _preference(point: str) -> int:
    name = point.partition(" ")[0]
    return SIMPLE.index(name) if name in SIMPLE else len(SIMPLE)


def _trees(served: Served) -> str:
    """A sentence where boosted trees are ahead of every network in every outcome; else empty."""
    trees = rows_of(served, points=[TREES])
    networks = rows_of(served, roles=["trial"])
    if not trees.any() or not networks.any() or not served.known:
        return ""
    found = ahead(served, trees, networks)
    if len(found) < len(served.outcomes) or not all(each.ahead for each in found):
        return ""
    return f"Boosted trees are ahead of every network: {'; '.join(each.sentence for each in found)}."


def _needed(served: Served, row: int, changes: tuple[Change, ...]) -> int | None:
    """Replicates that would show the largest gain seen; None where more of them would not."""
    if not served.known or row == served.current:
        return None
    errors = gains(served.test_draws, served.current)[:, row].var(axis=0)
    data = served.row_variance[row]
    best = max(range(len(changes)), key=lambda at: changes[at].value / max(float(errors[at]), 1e-30) ** 0.5)
    if changes[best].value <= 0:
        return None
    seed, now = max(0.0, float(errors[best] - data[best])), served.replicates
    return replicates_needed(changes[best].value, seed, float(data[best]), max(1, now - 1) * 4.0, now, len(changes))
