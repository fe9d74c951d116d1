"""What the rows of the reference say: the answers to its questions, each with an interval or
"cannot tell".

All values are of test, of configurations that validation chose, over fresh seeds that all
configurations share. Differences are paired by seed and by resample.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.app.reference.cells import ALONE, COMPOSITE, DEFAULT, ENSEMBLE, EQUAL, STATIC, TREES
from bench.app.reference.gains import Gain, gains
from bench.app.reference.table import Row
from bench.app.runs.suite import SuiteDataset
from bench.core.errors import count
from bench.core.objectives import Objective
from bench.core.records import Point
from bench.core.seeds import derive
from bench.ledger.comparison.beyond import LEAST_WEIGHTS, Beyond, about_methods, beyond, scale_of
from bench.ledger.comparison.significance import LEAST_DATASETS, MeanRanks, Word, ranking
from bench.ledger.effect import Effect
from bench.ledger.errors.posterior import p_nondominated
from bench.ledger.importance import alone, importances
from bench.ledger.pareto import hypervolume
from bench.models.balancing import BALANCING, method
from reference.members import Data, Member, gather
from reference.papers import Claim, Seeds, Source, claims, seeds_needed

Floats = NDArray[np.float64]
Margins = Mapping[str, SuiteDataset]
"""By data set what has its margins."""
WHAT = {"heads": "predictions (heads)", "served": "served rankings"}
TOLD: dict[Word, str] = {"yes": "yes", "no": "surely no", "cannot tell": "cannot tell"}


@dataclass(frozen=True)
class Front:
    """Whether any gradient method lies beyond the tuned static weights of one way of sharing, on
    one data set.

    Attributes:
        what: `heads` or `served`.
        verdict: of heads about methods, see `luck`; of what is served about these points, as tries
            do not measure it.
        lead: of the farthest point; each bound holds with probability 95% at the least, the lower
            one in all comparisons together.
        unit: of the lead and the margin: thousandths of heads, per cent of what is served.
        best: the gradient method that lies farthest.
        chance: of "yes", were its front two margins beyond.
    """

    data: str
    sharing: str
    what: str
    verdict: Word
    lead: Effect
    margin: float
    unit: str
    best: str
    chance: float

    @property
    def within(self) -> str:
        """The margin with its unit."""
        unit = "%" if self.unit.startswith("%") else f" thousandth{'' if self.margin == 1 else 's'}"
        return f"{self.margin:g}{unit}"


def fronts(
    every: Sequence[Data], sharing: Sequence[str], margins: Margins | None = None
) -> list[Front]:
    """The first question, for each data set and way of sharing that has enough static weights and a
    gradient method.

    Args:
        margins: those of `seesaw compare` and 1% where none are named.
    """
    return [each.front for each in measured(every, sharing, margins or {})]


def measured(every: Sequence[Data], sharing: Sequence[str], margins: Margins) -> list[Measured]:
    """How far gradient methods lie beyond static weights; arguments and order as of `fronts`."""
    asked = []
    for data in every:
        for kind in sharing:
            static = data.of(kind, STATIC, EQUAL)
            gradient = [
                each
                for each in data.members
                if each.sharing == kind
                and each.of_gradients
                and method(each.balancing, data.tasks) != STATIC
            ]
            if (
                len({each.label for each in static if each.balancing == STATIC}) >= LEAST_WEIGHTS
                and gradient
            ):
                asked += [(data, kind, what, static, gradient) for what in ("heads", "served")]
    return [
        _measured(
            *each, margins.get(each[0].name, SuiteDataset(id=each[0].name)), questions=len(asked)
        )
        for each in asked
    ]


@dataclass(frozen=True)
class Measured:
    """A comparison, and what its answer follows from."""

    front: Front
    found: Beyond


def _measured(
    data: Data,
    sharing: str,
    what: str,
    static: Sequence[Member],
    gradient: Sequence[Member],
    given: SuiteDataset,
    questions: int,
) -> Measured:
    if what == "heads":
        here = [[each.heads for each in group] for group in (static, gradient)]
        names = [each.label for each in gradient]
        means = np.array([each.mean for group in here for each in group])
        scale, margin, unit = scale_of(data.objectives, data.reference, means)
        margin = given.margin or margin
    else:
        here = [[point for each in group for point in each.served] for group in (static, gradient)]
        names = [each.label for each in gradient for _ in each.served]
        scale = 100 / np.max([each.mean for each in here[0]], axis=0)
        margin, unit = given.served_margin, "%"
    found = beyond(here[0], here[1], scale, margin, questions)
    assert found is not None  # every member has two seeds or more
    (at, lead), verdict = found.lead, found.verdict
    if what == "heads":
        tried = [
            row
            for row in data.tried
            if row.sharing == sharing and len(row.valid) == len(data.objectives)
        ]
        theirs = [row.valid for row in tried if row.balancing in (STATIC, EQUAL)]
        ours = [
            row.valid for row in tried if row.balancing in {each.balancing for each in gradient}
        ]
        verdict, _ = about_methods(found, theirs, ours, scale)
    return Measured(
        Front(data.name, sharing, what, verdict, lead, margin, unit, names[at], found.chances[0]),
        found,
    )


def _gains(data: Data, left: Member, right: Member, within: bool = False) -> list[Gain]:
    """Of the objectives; or, `within` groups, of what the heads alone serve: nothing where that is
    not known.
    """
    objectives = data.outcomes if within else data.objectives
    ours, theirs = (each.within if within else each.heads for each in (left, right))
    if ours is None or theirs is None:
        return []
    return gains(data.name, objectives, left.name, right.name, [ours, theirs])


def task_of(gain: Gain) -> str:
    """The task of its objective."""
    return gain.objective.partition(".")[0]


def sharing_gains(
    every: Sequence[Data], sharing: Sequence[str], within: bool = False
) -> list[Gain]:
    """The best model that shares, of those with equal weights, less models that share nothing and
    less trees.

    Args:
        within: compare what heads alone serve within groups, of data where that is ranked.
    """
    found = []
    for data in every:
        shares = data.best([each for kind in sharing for each in data.of(kind, EQUAL)])
        if shares is not None:
            others = data.of(ALONE, COMPOSITE, ENSEMBLE, TREES)
            found += [gain for other in others for gain in _gains(data, shares, other, within)]
    return found


def turned(over_rows: Sequence[Gain], within: Sequence[Gain]) -> list[tuple[Gain, Gain]]:
    """Pairs of one comparison, over all rows and within groups, whose answers differ."""
    asked = {(each.data, task_of(each), each.left, each.right): each for each in over_rows}
    pairs = [(asked[each.data, task_of(each), each.left, each.right], each) for each in within]
    return [(over, own) for over, own in pairs if over.verdict != own.verdict]


def tuning_gains(every: Sequence[Data], sharing: Sequence[str]) -> list[Gain]:
    """Equal weights tuned less equal weights by defaults, for each way of sharing."""
    return [
        gain
        for data in every
        for kind in sharing
        for left in data.of(kind, EQUAL)
        for right in data.of(kind, DEFAULT)
        for gain in _gains(data, left, right)
    ]


def same_gains(every: Sequence[Data], sharing: Sequence[str]) -> list[Gain]:
    """Between balancers of one direction, for each way of sharing: a check of the whole, as the
    truth is 0.
    """
    found = []
    for data in every:
        alike: dict[tuple[str, str], list[Member]] = {}
        for each in data.members:
            if each.sharing in sharing and each.balancing in BALANCING:
                alike.setdefault((each.sharing, method(each.balancing, data.tasks)), []).append(
                    each
                )
        for (_, name), own in alike.items():
            if name != STATIC:
                found += [gain for other in own[1:] for gain in _gains(data, own[0], other)]
    return found


@dataclass(frozen=True)
class Standing:
    """A method's place on one data set.

    Attributes:
        method: a balancer, a way of sharing, or a kind of models that share nothing.
        p_front: of its configurations the largest probability that no other one dominates it.
    """

    data: str
    method: str
    p_front: float
    volume: float


def standings(
    every: Sequence[Data], of: Callable[[Member], str] = attrgetter("balancing")
) -> list[Standing]:
    """Every method on every data set.

    Args:
        of: a member's method.
    """
    found = []
    for data in every:
        chances = p_nondominated(
            [each.heads for each in data.members], data.objectives, derive(0, data.name)
        )
        if chances is None:
            continue
        own: dict[str, list[int]] = {}
        for at, each in enumerate(data.members):
            own.setdefault(of(each), []).append(at)
        for name, places in own.items():
            means = np.array([data.members[at].heads.mean for at in places])
            volume = hypervolume(means, data.objectives, data.reference)
            found.append(
                Standing(data.name, name, float(max(chances[at] for at in places)), volume)
            )
    return found


def ranks(found: Sequence[Standing]) -> MeanRanks | None:
    """Mean ranks by hypervolume of the methods that are on every data set; None on fewer than
    `LEAST_DATASETS`.
    """
    table = pd.DataFrame(found)
    if table.empty or table["data"].nunique() < LEAST_DATASETS:
        return None
    volumes = table.pivot(index="data", columns="method", values="volume").dropna(axis=1)
    return ranking(list(volumes.columns), volumes.to_numpy()) if volumes.shape[1] > 1 else None


@dataclass(frozen=True)
class Knob:
    """Share of variance between tries that a parameter explains alone: mean over cells' data sets,
    and its range.
    """

    name: str
    share: float
    low: float
    high: float
    datasets: int


def knobs(every: Sequence[Data], names: Sequence[str]) -> list[Knob]:
    """The importance of what is drawn, of the way of sharing and of the balancer, over data
    sets.
    """
    shares: dict[str, list[float]] = {}
    for data in every:
        rows = [
            row
            for row in data.tried
            if row.sharing != ALONE and len(row.valid) == len(data.objectives)
        ]
        points = [
            Point(
                "trial",
                row.config,
                "",
                params={name: row.config[name] for name in names if name in row.config}
                | {"sharing": row.sharing, "balancing": row.balancing},
            )
            for row in rows
        ]
        values = np.array([row.valid for row in rows], float).reshape(
            len(rows), len(data.objectives)
        )
        for each in importances(
            points, alone(values, data.objectives, data.reference), derive(0, data.name)
        ):
            shares.setdefault(each.name, []).append(each.share)
    found = [
        Knob(name, float(np.mean(own)), float(min(own)), float(max(own)), len(own))
        for name, own in shares.items()
    ]
    return sorted(found, key=lambda each: -each.share)


@dataclass(frozen=True)
class Answers:
    """All answers.

    Attributes:
        within: as `sharing`, within groups.
        cells: rows of fresh seeds by data set, sharing and balancing.
    """

    data: list[Data]
    fronts: list[Front]
    sharing: list[Gain]
    within: list[Gain]
    tuning: list[Gain]
    same: list[Gain]
    standings: list[Standing]
    ranking: MeanRanks | None
    knobs: list[Knob]
    seeds: list[Seeds]
    claims: list[Claim]
    cells: dict[tuple[str, str, str], int] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The answer to the first question."""
        return headline(self.fronts)


def headline(found: Sequence[Front]) -> str:
    """Does any gradient method lie beyond tuned static weights, over all data sets and ways of
    sharing?
    """
    if not found:
        return (
            "Cannot say yet: no data set has seven tuned static weights and a gradient method "
            "on fresh seeds."
        )
    counts = Counter(each.verdict for each in found)
    where = (
        f"In {count(len(found), 'comparison')} on "
        f"{count(len({each.data for each in found}), 'data set')}"
    )
    first = (
        f"gradient methods surely beat tuned static weights in {counts['yes']}"
        if counts["yes"]
        else "no gradient method surely beats tuned static weights"
    )
    parts = [
        f"{where}, {first}: {', '.join(f'{counts[word]} {told}' for word, told in TOLD.items())}."
    ]
    for what in WHAT:
        by_unit: dict[str, list[Front]] = {}
        for each in found:
            if each.what == what:
                by_unit.setdefault(each.unit, []).append(each)
        if far := [
            max(own, key=lambda each: (each.verdict == "yes", each.lead.value))
            for own in by_unit.values()
        ]:
            parts.append(f"The largest lead in {WHAT[what]} is {', and '.join(map(_lead, far))}.")
    return " ".join([*parts, "Bounds are 95%."])


def _lead(far: Front) -> str:
    sure = "a sure " if far.verdict == "yes" else ""
    bounds = f"({far.lead.low:+.2f} to {far.lead.high:+.2f})"
    return (
        f"{sure}{far.lead.value:+.2f}{_in_words(far.unit)} {bounds} by {far.best} with "
        f"{far.sharing} on {far.data}"
    )


def _in_words(unit: str) -> str:
    if unit.startswith("%"):
        return "% of the best outcome" if unit == "%" else unit
    name = unit.removesuffix(" x 1000")
    return " thousandths" if name == unit else f" thousandths of {name}"


def answer(
    rows: Iterable[Row],
    objectives: Mapping[str, tuple[Objective, ...]],
    given: Mapping[str, Mapping[str, float]],
    sharing: Sequence[str],
    ranges: Sequence[str],
    papers: Sequence[Source] = (),
    margins: Margins | None = None,
) -> Answers:
    """All answers from the rows.

    Args:
        objectives, given: as for `gather`.
        margins: as for `fronts`.
    """
    every = list(rows)
    found = gather(every, objectives, given)
    standing, noise = standings(found), seeds_needed(found, sharing)
    return Answers(
        data=found,
        fronts=fronts(found, sharing, margins),
        sharing=sharing_gains(found, sharing),
        within=sharing_gains(found, sharing, within=True),
        tuning=tuning_gains(found, sharing),
        same=same_gains(found, sharing),
        standings=standing,
        ranking=ranks(standing),
        knobs=knobs(found, ranges),
        seeds=noise,
        claims=claims(found, papers, noise),
        cells=Counter(
            (row.data, row.sharing, row.balancing) for row in every if row.seed and not row.failure
        ),
    )
