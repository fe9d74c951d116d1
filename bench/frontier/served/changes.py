"""The effect of switching on each outcome, on test: on all rows and by segment, and in words by scenario."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from bench.errors import listed
from bench.frontier.policy import LOSS
from bench.frontier.served.distance import Effect
from bench.frontier.served.front import gains
from bench.frontier.served.served import Served
from bench.frontier.stability import MARGIN
from bench.frontier.statistics import LEVEL, error_of
from bench.rows import TEST
from bench.schema import SCENARIO

NAMED = 4
"""The most scenarios that a sentence names; more are counted."""


@dataclass(frozen=True)
class Change(Effect):
    """The effect of switching on one outcome, as a fraction of the current point's.

    Attributes:
        value: NaN where the current point has 0.
        low, high: ends of an interval that holds whichever point was picked, -1 at the least: nothing loses more than
            all; NaN where nothing is known of seeds.
    """

    @property
    def lost(self) -> bool:
        """Whether it is a loss that matters, by more than noise."""
        return self.high < 0 and self.low < -MARGIN

    @property
    def doubtful(self) -> bool:
        """Whether a loss that matters is not ruled out: where it looks like one, beyond what policies allow, or where
        the current point has nothing to lose on these rows."""
        beyond = self.low < (-MARGIN if self.value < 0 else -LOSS)
        return not np.isfinite(self.value) or (beyond and self.high >= 0)


def changes_of(served: Served, row: int) -> tuple[Change, ...]:
    """The effect of switching to a row on all rows of test; without intervals where nothing is known of seeds."""
    values = gains(served.means(TEST), served.current)[row]
    half = np.full(len(values), np.nan)
    if served.known:
        half = served.reach * error_of(gains(served.test_draws, served.current)[:, row])
    return tuple(
        Change(outcome.name, float(value), float(np.maximum(value - own, -1.0)), float(value + own))
        for outcome, value, own in zip(served.outcomes, values, half, strict=True)
    )


def segment_changes(served: Served, row: int) -> dict[str, tuple[Change, ...]]:
    """The effect of switching in each segment, on test; NaN where too few rows are positive.

    Intervals hold for whichever point was picked, in all segments of one kind together (Bonferroni).
    """
    cells = served.segments
    if cells.empty:
        return {}
    cells = cells[(cells["row"] == row) & (cells["split"] == TEST)]
    kinds = cells["segment"].astype(str).str.split("=", n=1).str[0]
    one_error = 2 * float(stats.norm.isf((1 - LEVEL) / 2))
    found: dict[str, tuple[Change, ...]] = {}
    for kind in dict.fromkeys(kinds):
        own = cells[kinds == kind]
        count = max(1, own.dropna(subset="gain")["segment"].nunique())
        reach = float(stats.norm.isf(stats.norm.sf(served.reach) / count))
        half = reach * (own["gain.high"] - own["gain.low"]) / one_error
        ends = own.assign(low=(own["gain"] - half).clip(lower=-1.0), high=own["gain"] + half)
        for name, of in ends.groupby("segment", sort=False):
            found[str(name)] = tuple(
                Change(str(outcome), float(gain), float(low), float(high))
                for outcome, gain, low, high in zip(of["outcome"], of["gain"], of["low"], of["high"], strict=True)
            )
    return found


def by_scenario(segments: Mapping[str, tuple[Change, ...]]) -> str:
    """In which scenarios something is gained or lost, as a sentence; empty without scenarios or intervals."""
    own = {name.partition("=")[2]: all_ for name, all_ in segments.items() if name.partition("=")[0] == SCENARIO}
    if not any(np.isfinite(each.low) for changes in own.values() for each in changes):
        return ""
    gained = [name for name, changes in own.items() if any(each.gained for each in changes)]
    lost = {name: ", ".join(str(each) for each in changes if each.lost) for name, changes in own.items()}
    lost = {name: what for name, what in lost.items() if what}
    same = [
        name
        for name, changes in own.items()
        if name not in gained and all(each.low >= -MARGIN and each.high <= MARGIN for each in changes)
    ]
    rest = [name for name in own if name not in {*gained, *lost, *same}]
    few = sum(not any(np.isfinite(each.value) for each in own[name]) for name in rest)
    parts = [f"it gains in {_named(gained)}"] if gained else []
    if len(lost) > NAMED:
        parts.append(f"it costs in {_named(list(lost))}")
    else:
        parts += [f"it costs {what} in {name}" for name, what in lost.items()]
    parts += [f"nothing changes in {_named(same)}"] if same else []
    parts += [f"cannot tell in {_named(rest)}" + (f" ({few} with too few positives)" if few else "")] if rest else []
    sure = " These intervals hold in all scenarios together." if gained or lost else ""
    return f"By scenario: {'; '.join(parts)}.{sure}"


def _named(names: list[str]) -> str:
    return listed(names) if len(names) <= NAMED else f"{len(names)} scenarios"
