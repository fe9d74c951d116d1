"""The effect of switching to a picked point on each outcome, on test: on all rows, by slice, and by the policy's rule.

A point that looked best on confirmation rows is tested with the same replicates, and may have been lucky in their
seeds. Intervals here allow for that (`Served.reach`): whichever point was picked, all its outcomes lie within theirs
with 90% confidence.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from bench.frontier.policy import LOSS, Worth
from bench.results.effect import LEVEL, MARGIN, Effect
from bench.results.served.front import gains
from bench.results.served.served import Served
from bench.results.statistics import error_of
from bench.rows import TEST

Changes = Mapping[str, Effect]
"""By outcome, as a fraction of the current point's: NaN where that is 0. No loss is larger than all, -1."""
ONE_ERROR = float(stats.norm.isf((1 - LEVEL) / 2))
"""Half the width of a plain interval, in standard errors."""


def doubtful(change: Effect) -> bool:
    """Whether a loss that matters is not ruled out: where it looks like one, beyond what policies allow, or where the
    current point has nothing to lose on these rows."""
    beyond = change.low < (-MARGIN if change.value < 0 else -LOSS)
    return not np.isfinite(change.value) or (beyond and change.high >= 0)


def changes_of(served: Served, row: int) -> Changes:
    """The effect of switching to a row on all rows of test; without intervals where nothing is known of seeds."""
    values = served.at(TEST, "gain")[row]
    half = np.full(len(values), np.nan)
    if served.known:
        half = served.reach * error_of(gains(served.draws[TEST], served.current)[:, row])
    return {name: _within(*each) for name, *each in zip(served.names, values, half, strict=True)}


def slice_changes(served: Served, row: int) -> dict[str, Changes]:
    """The effect of switching in each slice, on test; NaN where too few rows are positive.

    Intervals hold for whichever point was picked, in all slices of one kind together (Bonferroni).
    """
    plain = {name: served.gains(row, TEST, name) for name in served.slices(TEST)}
    found: dict[str, Changes] = {}
    for kind in dict.fromkeys(name.partition("=")[0] for name in plain):
        own = {name: changes for name, changes in plain.items() if name.partition("=")[0] == kind}
        count = sum(any(np.isfinite(each.value) for each in changes.values()) for changes in own.values())
        reach = float(stats.norm.isf(stats.norm.sf(served.reach) / max(1, count)))
        wider = reach / (2 * ONE_ERROR)  # a plain interval has `ONE_ERROR` standard errors to either side
        for name, changes in own.items():
            found[name] = {of: _within(each.value, wider * (each.high - each.low)) for of, each in changes.items()}
    return found


def worth_of(served: Served, row: int, worth: Worth | None) -> Effect | None:
    """How much better the policy's rule scores a row than the current point, on test; None where it is unknown."""
    if worth is None or not served.known:
        return None
    at, drawn = (
        found[..., row] - found[..., served.current]
        for found in (worth(gains(values, served.current)) for values in (served.at(TEST), served.draws[TEST]))
    )
    half = served.reach * float(error_of(drawn))
    found = Effect(float(at), float(at - half), float(at + half))
    return found if np.isfinite([found.low, found.high]).all() else None


def _within(value: float, half: float) -> Effect:
    return Effect(float(value), float(np.maximum(value - half, -1.0)), float(value + half))
