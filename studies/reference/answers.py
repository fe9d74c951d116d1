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
from bench.app.reference.comparisons import Gain, gains
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
        scope: `heads` or `served`.
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
    scope: str
    verdict: Word
    lead: Effect
    margin: float
    unit: str
    best: str
    chance: float

    @property
    def margin_text(self) -> str:
        """The margin with its unit."""
        unit = "%" if self.unit.startswith("%") else f" thousandth{'' if self.margin == 1 else 's'}"
        return f"{self.margin:g}{unit}"


def fronts(
    datasets: Sequence[Data], sharing: Sequence[str], margins: Margins | None = None
) -> list[Front]:
    """The first question, for each data set and way of sharing that has enough static weights and a
    gradient method.

    Args:
        margins: those of `seesaw compare` and 1% where none are named.
    """
    return [comparison.front for comparison in measured(datasets, sharing, margins or {})]


def measured(datasets: Sequence[Data], sharing: Sequence[str], margins: Margins) -> list[Measured]:
    """How far gradient methods lie beyond static weights; arguments and order as of `fronts`."""
    comparisons = []
    for data in datasets:
        for kind in sharing:
            static = data.members_of(kind, STATIC, EQUAL)
            gradient = [
                member
                for member in data.members
                if member.sharing == kind
                and member.of_gradients
                and method(member.balancing, data.tasks) != STATIC
            ]
            if (
                len({member.label for member in static if member.balancing == STATIC})
                >= LEAST_WEIGHTS
                and gradient
            ):
                comparisons += [
                    (data, kind, scope, static, gradient) for scope in ("heads", "served")
                ]
    return [
        _measured(
            *comparison,
            margins.get(comparison[0].name, SuiteDataset(id=comparison[0].name)),
            questions=len(comparisons),
        )
        for comparison in comparisons
    ]


@dataclass(frozen=True)
class Measured:
    """A comparison, and what its answer follows from."""

    front: Front
    comparison: Beyond


def _measured(
    data: Data,
    sharing: str,
    scope: str,
    static: Sequence[Member],
    gradient: Sequence[Member],
    dataset: SuiteDataset,
    questions: int,
) -> Measured:
    if scope == "heads":
        samples = [[member.heads for member in group] for group in (static, gradient)]
        names = [member.label for member in gradient]
        means = np.array([sample.mean for group in samples for sample in group])
        scale, margin, unit = scale_of(data.objectives, data.reference, means)
        margin = dataset.margin or margin
    else:
        samples = [
            [point for member in group for point in member.served] for group in (static, gradient)
        ]
        names = [member.label for member in gradient for _ in member.served]
        scale = 100 / np.max([sample.mean for sample in samples[0]], axis=0)
        margin, unit = dataset.served_margin, "%"
    comparison = beyond(samples[0], samples[1], scale, margin, questions)
    assert comparison is not None  # every member has two seeds or more
    (farthest, lead), verdict = comparison.lead, comparison.verdict
    if scope == "heads":
        tried = [
            row
            for row in data.tried
            if row.sharing == sharing and len(row.valid) == len(data.objectives)
        ]
        static_values = [row.valid for row in tried if row.balancing in (STATIC, EQUAL)]
        gradient_values = [
            row.valid for row in tried if row.balancing in {member.balancing for member in gradient}
        ]
        verdict, _ = about_methods(comparison, static_values, gradient_values, scale)
    return Measured(
        Front(
            data.name,
            sharing,
            scope,
            verdict,
            lead,
            margin,
            unit,
            names[farthest],
            comparison.chances[0],
        ),
        comparison,
    )


def _gains(data: Data, left: Member, right: Member, within_groups: bool = False) -> list[Gain]:
    """Of the objectives; or of what the heads alone serve `within_groups`: nothing where that is not
    known.
    """
    objectives = data.outcomes if within_groups else data.objectives
    left_evidence, right_evidence = (
        member.heads_in_groups if within_groups else member.heads for member in (left, right)
    )
    if left_evidence is None or right_evidence is None:
        return []
    return gains(data.name, objectives, left.name, right.name, [left_evidence, right_evidence])


def task_of(gain: Gain) -> str:
    """The task of its objective."""
    return gain.objective.partition(".")[0]


def sharing_gains(
    datasets: Sequence[Data], sharing: Sequence[str], within_groups: bool = False
) -> list[Gain]:
    """The best model that shares, of those with equal weights, less models that share nothing and
    less trees.

    Args:
        within_groups: compare what heads alone serve within groups, of data where that is ranked.
    """
    all_gains = []
    for data in datasets:
        shares = data.best([member for kind in sharing for member in data.members_of(kind, EQUAL)])
        if shares is not None:
            unshared = data.members_of(ALONE, COMPOSITE, ENSEMBLE, TREES)
            all_gains += [
                gain for model in unshared for gain in _gains(data, shares, model, within_groups)
            ]
    return all_gains


def turned(over_rows: Sequence[Gain], within_groups: Sequence[Gain]) -> list[tuple[Gain, Gain]]:
    """Pairs of one comparison, over all rows and within groups, whose answers differ."""
    gain_over_rows = {(gain.data, task_of(gain), gain.left, gain.right): gain for gain in over_rows}
    pairs = [
        (gain_over_rows[gain.data, task_of(gain), gain.left, gain.right], gain)
        for gain in within_groups
    ]
    return [(over, grouped) for over, grouped in pairs if over.verdict != grouped.verdict]


def tuning_gains(datasets: Sequence[Data], sharing: Sequence[str]) -> list[Gain]:
    """Equal weights tuned less equal weights by defaults, for each way of sharing."""
    return [
        gain
        for data in datasets
        for kind in sharing
        for left in data.members_of(kind, EQUAL)
        for right in data.members_of(kind, DEFAULT)
        for gain in _gains(data, left, right)
    ]


def same_gains(datasets: Sequence[Data], sharing: Sequence[str]) -> list[Gain]:
    """Between balancers of one direction, for each way of sharing: a check of the whole, as the
    truth is 0.
    """
    all_gains = []
    for data in datasets:
        by_method: dict[tuple[str, str], list[Member]] = {}
        for member in data.members:
            if member.sharing in sharing and member.balancing in BALANCING:
                by_method.setdefault(
                    (member.sharing, method(member.balancing, data.tasks)), []
                ).append(member)
        for (_, name), members in by_method.items():
            if name != STATIC:
                all_gains += [
                    gain for twin in members[1:] for gain in _gains(data, members[0], twin)
                ]
    return all_gains


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
    datasets: Sequence[Data], method_of: Callable[[Member], str] = attrgetter("balancing")
) -> list[Standing]:
    """Every method on every data set.

    Args:
        method_of: a member's method.
    """
    all_standings = []
    for data in datasets:
        chances = p_nondominated(
            [member.heads for member in data.members], data.objectives, derive(0, data.name)
        )
        if chances is None:
            continue
        places_by_method: dict[str, list[int]] = {}
        for place, member in enumerate(data.members):
            places_by_method.setdefault(method_of(member), []).append(place)
        for name, places in places_by_method.items():
            means = np.array([data.members[place].heads.mean for place in places])
            volume = hypervolume(means, data.objectives, data.reference)
            all_standings.append(
                Standing(data.name, name, float(max(chances[place] for place in places)), volume)
            )
    return all_standings


def ranks(standings: Sequence[Standing]) -> MeanRanks | None:
    """Mean ranks by hypervolume of the methods that are on every data set; None on fewer than
    `LEAST_DATASETS`.
    """
    table = pd.DataFrame(standings)
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


def knobs(datasets: Sequence[Data], names: Sequence[str]) -> list[Knob]:
    """The importance of what is drawn, of the way of sharing and of the balancer, over data
    sets.
    """
    shares: dict[str, list[float]] = {}
    for data in datasets:
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
        for importance in importances(
            points, alone(values, data.objectives, data.reference), derive(0, data.name)
        ):
            shares.setdefault(importance.name, []).append(importance.share)
    results = [
        Knob(
            name,
            float(np.mean(knob_shares)),
            float(min(knob_shares)),
            float(max(knob_shares)),
            len(knob_shares),
        )
        for name, knob_shares in shares.items()
    ]
    return sorted(results, key=lambda knob: -knob.share)


@dataclass(frozen=True)
class Answers:
    """All answers.

    Attributes:
        within_groups: as `sharing`, within groups.
        cells: rows of fresh seeds by data set, sharing and balancing.
    """

    data: list[Data]
    fronts: list[Front]
    sharing: list[Gain]
    within_groups: list[Gain]
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


def headline(comparisons: Sequence[Front]) -> str:
    """Does any gradient method lie beyond tuned static weights, over all data sets and ways of
    sharing?
    """
    if not comparisons:
        return (
            "Cannot say yet: no data set has seven tuned static weights and a gradient method "
            "on fresh seeds."
        )
    counts = Counter(comparison.verdict for comparison in comparisons)
    where = (
        f"In {count(len(comparisons), 'comparison')} on "
        f"{count(len({comparison.data for comparison in comparisons}), 'data set')}"
    )
    first = (
        f"gradient methods surely beat tuned static weights in {counts['yes']}"
        if counts["yes"]
        else "no gradient method surely beats tuned static weights"
    )
    parts = [
        f"{where}, {first}: {', '.join(f'{counts[word]} {phrase}' for word, phrase in TOLD.items())}."
    ]
    for scope in WHAT:
        by_unit: dict[str, list[Front]] = {}
        for comparison in comparisons:
            if comparison.scope == scope:
                by_unit.setdefault(comparison.unit, []).append(comparison)
        if largest_leads := [
            max(
                same_unit,
                key=lambda comparison: (comparison.verdict == "yes", comparison.lead.value),
            )
            for same_unit in by_unit.values()
        ]:
            parts.append(
                f"The largest lead in {WHAT[scope]} is {', and '.join(map(_lead, largest_leads))}."
            )
    return " ".join([*parts, "Bounds are 95%."])


def _lead(front: Front) -> str:
    sure = "a sure " if front.verdict == "yes" else ""
    bounds = f"({front.lead.low:+.2f} to {front.lead.high:+.2f})"
    return (
        f"{sure}{front.lead.value:+.2f}{_in_words(front.unit)} {bounds} by {front.best} with "
        f"{front.sharing} on {front.data}"
    )


def _in_words(unit: str) -> str:
    if unit.startswith("%"):
        return "% of the best outcome" if unit == "%" else unit
    name = unit.removesuffix(" x 1000")
    return " thousandths" if name == unit else f" thousandths of {name}"


def answer(
    rows: Iterable[Row],
    objectives: Mapping[str, tuple[Objective, ...]],
    references: Mapping[str, Mapping[str, float]],
    sharing: Sequence[str],
    ranges: Sequence[str],
    papers: Sequence[Source] = (),
    margins: Margins | None = None,
) -> Answers:
    """All answers from the rows.

    Args:
        objectives, references: as for `gather`.
        margins: as for `fronts`.
    """
    all_rows = list(rows)
    datasets = gather(all_rows, objectives, references)
    standing, noise = standings(datasets), seeds_needed(datasets, sharing)
    return Answers(
        data=datasets,
        fronts=fronts(datasets, sharing, margins),
        sharing=sharing_gains(datasets, sharing),
        within_groups=sharing_gains(datasets, sharing, within_groups=True),
        tuning=tuning_gains(datasets, sharing),
        same=same_gains(datasets, sharing),
        standings=standing,
        ranking=ranks(standing),
        knobs=knobs(datasets, ranges),
        seeds=noise,
        claims=claims(datasets, papers, noise),
        cells=Counter(
            (row.data, row.sharing, row.balancing)
            for row in all_rows
            if row.seed and not row.failure
        ),
    )
