"""What a way of sharing gains under equal weights over separate models and over other ways, by
paired intervals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.app.reference.cells import ALONE, COMPOSITE, EQUAL, Cell
from bench.app.reference.own import samples
from bench.app.reference.table import Row
from bench.core.errors import count
from bench.core.objectives import Objective
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.intervals import differences


@dataclass(frozen=True)
class Gain:
    """How much better one configuration is than another in one objective."""

    data: str
    objective: str
    left: str
    right: str
    effect: Effect

    @property
    def verdict(self) -> str:
        """In a word."""
        return (
            "better" if self.effect.low > 0 else "worse" if self.effect.high < 0 else "cannot tell"
        )


def gains(
    data: str, objectives: Sequence[Objective], left: str, right: str, of: Sequence[Evidence]
) -> list[Gain]:
    """By objective what `left`, the first sample, gains over `right`, the second; each has two
    seeds or more.
    """
    compared = differences(of)
    assert compared is not None
    each = zip(objectives, compared.improvements(0, 1, objectives), strict=True)
    return [Gain(data, objective.name, left, right, gain) for objective, gain in each]


def over_others(rows: Iterable[Row], cell: Cell, objectives: Sequence[Objective]) -> list[Gain]:
    """A way of sharing less the best separate models (`alone`), and less each other way; all with
    equal weights.
    """
    alike = [row for row in rows if row.balancing == (COMPOSITE if row.sharing == ALONE else EQUAL)]
    by_sharing = {
        name: samples(row for row in alike if row.sharing == name)
        for name in {row.sharing for row in alike}
    }
    known = {name: own[0] for name, own in sorted(by_sharing.items()) if own}
    own = known.pop(cell.sharing, None)
    if own is None or cell.balancing != EQUAL:
        return []
    return [
        each
        for name, one in known.items()
        for each in gains(cell.data, objectives, cell.sharing, name, [own, one])
    ]


def summary(gains: Sequence[Gain]) -> str:
    """The gains of one way of sharing as a sentence."""
    told = Counter((each.right == ALONE, each.verdict) for each in gains)
    parts = []
    for rival, alone in (("separate models", True), ("other ways of sharing", False)):
        many = count(sum(of for (side, _), of in told.items() if side == alone), "comparison")
        parts.append(
            f"{rival} in {told[alone, 'better']} of {many} and is surely worse in "
            f"{told[alone, 'worse']}"
        )
    where = f"With equal weights on {count(len({each.data for each in gains}), 'data set')}"
    return (
        f"{where}, {gains[0].left} surely beats {', '.join(parts)}; each is one objective, by "
        f"its {LEVEL:.0%} interval."
    )
