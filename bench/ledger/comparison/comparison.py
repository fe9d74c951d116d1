"""Compares families on one data set: metric by metric, and front by front, with a test for luck in
tuning.

A family is what its search found. Of two families whose trials are drawn from one distribution, one
finds the better points by chance: they truly are better, and yet the family is not. The test is a
permutation test: it assigns the trials of both families to them at random, as many to each as it
had, and asks how often the difference is as large. It is exact for trials drawn from one
distribution, whatever noise the search's values have, and however many trials each family had.

A verdict about two families has to survive two explanations: noise of seeds and rows in what was
measured, and luck in tuning. The p-value of a test is the larger of both. Holm's correction covers
all tests of the data set, of metrics and fronts together.

A front is the best of many noisy means, so it looks better than it is, and a front of more points
even more so. The bias is estimated from posterior draws about the means and subtracted from
differences, see `reflected`.

In a metric the average of its k best members stands for a family, on a front the k that span the
most. The search's own values choose both; they share no seed with the replicates. k is the same for
all families: more members span more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from bench.core.errors import listed
from bench.core.objectives import Objective
from bench.core.plain import jsonable
from bench.core.seeds import derive
from bench.ledger.comparison.beyond import Answer
from bench.ledger.comparison.families import FamilyPoint, average, trials_of
from bench.ledger.comparison.significance import (
    CANNOT_TELL,
    SIZE,
    MeanRanks,
    Statistic,
    best,
    holm,
    p_value,
    replicates_needed,
    tuning_luck,
    unit,
)
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.intervals import differences, reflected
from bench.ledger.errors.posterior import posterior_draws
from bench.ledger.errors.seeds import seed_noise
from bench.ledger.pareto import hypervolume

TableRow = dict[str, Any]
"""Of a table, by column."""
FRONT_DRAWS = 1000
UNKNOWN = Effect(math.nan)


@dataclass(frozen=True)
class Contrast:
    """The difference of two families in one measure; NaN where nothing is known of the noise.

    Attributes:
        objective: what is measured; None for the hypervolume of the fronts.
        effect: left less right.
        noise: p-value that noise of seeds and rows explains the difference.
        shared: seeds that both sides share; fewer than two are not paired.
        needed: replicates of each point that would rule out noise if the true difference equalled
            the estimate.
    """

    left: str
    right: str
    objective: Objective | None
    effect: Effect = UNKNOWN
    noise: float = math.nan
    shared: int = 0
    needed: int | None = None

    @property
    def sign(self) -> float:
        """1 where left is better, -1 where right is."""
        return math.copysign(
            1.0, self.effect.value * (1 if self.objective is None else self.objective.sign)
        )

    def row(self, tuning: float, p: float, adjusted: float) -> TableRow:
        """Itself in the table of tests, its effect in the unit that stands beside it.

        Args:
            tuning: p-value that luck in tuning explains the difference; NaN where noise does
                already.
            p: the larger of both p-values.
            adjusted: the same by Holm over all tests of the comparison.
        """
        measure = "hypervolume" if self.objective is None else self.objective.name
        size, name = (1.0, measure) if self.objective is None else unit(self.objective)
        doubt = f": about {self.needed} replicates would" if self.needed else ""
        if math.isnan(self.noise):
            doubt = ": no point has two replicates"
        elif tuning > self.noise:
            doubt = f": luck in tuning is not ruled out (p = {tuning:.2g} before Holm)"
        better = f"{self.left if self.sign > 0 else self.right} is better"
        return (
            {"measure": measure, "left": self.left, "right": self.right}
            | {end: value / size for end, value in self.effect.to_json().items()}
            | {"unit": name, "p": p, "p_noise": self.noise, "p_tuning": tuning, "p_holm": adjusted}
            | {"paired": f"by {self.shared} seeds" if self.shared > 1 else ""}
            | {"verdict": better if adjusted < SIZE else f"{CANNOT_TELL}{doubt}"}
        )


def by_metric(
    families: Mapping[str, Sequence[FamilyPoint]], objective: Objective, split: str, k: int
) -> list[Contrast]:
    """All pairs of families in one metric."""
    averages: dict[str, Evidence] = {}
    datasets = list(
        dict.fromkeys(each.dataset for members in families.values() for each in members)
    )
    for name, members in families.items():
        seen = [
            (objective.sign * value[0], at, own)
            for at, each in enumerate(members)
            if (value := each.searched([objective])) and (own := each.evidence([objective], split))
        ]
        chosen = sorted(seen, key=itemgetter(0, 1), reverse=True)[:k]
        if len(chosen) == k:
            mean = average([own for _, _, own in chosen])
            place = datasets.index(members[chosen[0][1]].dataset)
            # resample b is other rows on other data: unpaired by a shift
            averages[name] = replace(mean, moves=np.roll(mean.moves, place, axis=1))
    between, pairs = (
        differences(list(averages.values())),
        list(combinations(enumerate(averages), 2)),
    )
    if between is None:
        return [Contrast(left, right, objective) for (_, left), (_, right) in pairs]
    tests = []
    for (i, left), (j, right) in pairs:
        (effect,), now = between.intervals(i, j), min(len(averages[name]) for name in (left, right))
        seed, data, freedom = (
            float(each[i, j, 0]) for each in (between.seed, between.rows, between.freedom)
        )
        noise = p_value(effect.value, math.sqrt(seed + data), freedom)
        needed = replicates_needed(effect.value, seed, data, freedom, now, len(pairs))
        tests.append(
            Contrast(left, right, objective, effect, noise, int(between.shared[i, j]), needed)
        )
    return tests


def by_front(
    families: Mapping[str, Sequence[Evidence]],
    volume: Statistic,
    seed: int,
    draws: int = FRONT_DRAWS,
) -> tuple[dict[str, float], list[Contrast]]:
    """The hypervolume of each family's front, and all pairs of families by it.

    Without what is known of the noise, hypervolumes are of the means, bias and all.

    Args:
        families: by name at least one configuration each.
        volume: of values (N, M).
    """
    every = [sample for members in families.values() for sample in members]
    means = {name: np.array([each.mean for each in members]) for name, members in families.items()}
    noise, seen = seed_noise(every), {name: volume(own) for name, own in means.items()}
    if noise is None:
        return seen, [Contrast(left, right, None) for left, right in combinations(families, 2)]
    drawn, freedom = posterior_draws(every, noise, seed, draws), float(np.median(noise.freedom))
    ends = np.cumsum([len(members) for members in families.values()])[:-1]
    moved = {
        name: np.array([volume(draw) for draw in part])
        for name, part in zip(families, np.split(drawn, ends, axis=1), strict=True)
    }
    tests = []
    for left, right in combinations(families, 2):
        apart = moved[left] - moved[right]
        effect = reflected(seen[left] - seen[right], apart)
        tests.append(
            Contrast(
                left, right, None, effect, p_value(effect.value, float(apart.std(ddof=1)), freedom)
            )
        )
    return {name: reflected(seen[name], moved[name]).value for name in families}, tests


def _spanning(
    members: Sequence[tuple[FamilyPoint, Evidence]],
    objectives: Sequence[Objective],
    volume: Statistic,
    k: int,
) -> list[Evidence]:
    """Of those k members, one after the other, that add most to the hypervolume of the search's
    values.
    """
    values = np.array([member.searched(objectives) for member, _ in members])
    chosen: list[int] = []
    for _ in range(k):
        rest = [at for at in range(len(members)) if at not in chosen]
        chosen.append(max(rest, key=lambda at: volume(values[[*chosen, at]])))
    return [members[at][1] for at in chosen]


MOST_MEMBERS = 3
"""The most members of a family that stand for it, its best."""


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison on one data set, as the tables that all surfaces show.

    Attributes:
        families: a row for each confirmed family: its name, the search's cost (`trials` with a
            result and `training_samples`), its confirmed `points` and the `hypervolume` of its
            front: of a tested family as the test of fronts has it, else of all confirmed points.
        tests: a row for each, see `Contrast.row`, the smallest p first.
        members: for how many of its best members a family stands in a test of a metric.
        notes: what to know: hypervolumes, unequal budgets, families that are not tested, what
            pairing by seed gained.
    """

    families: tuple[TableRow, ...] = ()
    tests: tuple[TableRow, ...] = ()
    members: int = 0
    notes: tuple[str, ...] = ()


def compare(
    families: Mapping[str, Sequence[FamilyPoint]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    seed: int,
    metrics: Sequence[Objective] | None = None,
) -> Comparison:
    """Compares families by their confirmed trials; those of which two trials or more are confirmed
    are tested.

    In a metric a family stands for the average of its best members by the search's own value, which
    shares no seed with the replicates; as many of each family, at most `MOST_MEMBERS`.

    Args:
        families: all members, confirmed on `split` or not; each family has at least one that is.
        reference: of the hypervolume, complete.
        seed: of the draws behind the hypervolumes' intervals, and of permutations.
        metrics: other metrics than the objectives to test one by one.
    """
    volume = partial(hypervolume, objectives=objectives, reference=reference)
    confirmed = {
        name: [(each, own) for each in members if (own := each.evidence(objectives, split))]
        for name, members in families.items()
    }
    searched = {
        name: [pair for pair in own if pair[0].searched(objectives)]
        for name, own in confirmed.items()
    }
    tested = {name: own for name, own in searched.items() if len(own) > 1}
    sizes = [len(own) for own in tested.values()]
    k = min([MOST_MEMBERS, *sizes])
    members = {name: [each for each, _ in own] for name, own in tested.items()}
    tests = [
        test
        for objective in metrics or objectives
        for test in by_metric(members, objective, split, k)
    ]
    volumes = {
        name: volume(np.array([each.mean for _, each in own])) for name, own in confirmed.items()
    }
    if one := len({each.dataset for own in confirmed.values() for each, _ in own}) == 1:
        spanning = {
            name: _spanning(own, objectives, volume, min(sizes)) for name, own in tested.items()
        }
        of_tested, contrasts = by_front(spanning, volume, seed)
        volumes, tests = volumes | of_tested, tests + contrasts
    most = max(999, math.ceil(4 * len(tests) / SIZE))  # Holm leaves the smallest p SIZE / tests
    luck = [
        _luck(
            test,
            families,
            objectives,
            best(k, each.sign) if (each := test.objective) else volume,
            seed,
            most,
        )
        if test.noise < SIZE
        else math.nan
        for test in tests
    ]
    p = np.fmax([test.noise for test in tests], luck)
    columns, order = (luck, p.tolist(), holm(p).tolist()), np.argsort(p, kind="stable")
    every = differences([sample for own in confirmed.values() for _, sample in own])
    rows = tuple(
        _family(name, families[name], own, volumes[name]) for name, own in confirmed.items()
    )
    gain = 1.0 if every is None else float(every.saved.min())
    return Comparison(
        families=rows,
        tests=tuple(tests[at].row(*(column[at] for column in columns)) for at in order),
        members=k,
        notes=_notes(rows, list(tested), one and len(tested) > 1, gain),
    )


def _luck(
    test: Contrast,
    families: Mapping[str, Sequence[FamilyPoint]],
    objectives: Sequence[Objective],
    statistic: Statistic,
    seed: int,
    most: int,
) -> float:
    about, of = (
        ("front", objectives) if test.objective is None else (test.objective.name, [test.objective])
    )
    left, right = (
        np.array([value for each in trials_of(families[name]) if (value := each.searched(of))])
        for name in (test.left, test.right)
    )
    purpose = derive(seed, "tuning", test.left, test.right, about)
    return tuning_luck(left, right, statistic, test.sign, purpose, most)


def _family(
    name: str,
    members: Sequence[FamilyPoint],
    confirmed: Sequence[tuple[FamilyPoint, Evidence]],
    volume: float,
) -> TableRow:
    trials = trials_of(members)
    return {
        "name": name,
        "trials": len(trials),
        "training_samples": int(sum(each.point.speed.get("samples_trained", 0) for each in trials)),
        "points": [
            {"run": m.run, "trial": m.point.number, "until": m.point.until} for m, _ in confirmed
        ],
        "hypervolume": volume,
    }


def _notes(
    families: Sequence[TableRow], tested: Sequence[str], fronts: bool, gain: float
) -> tuple[str, ...]:
    """Those that apply; `fronts` were compared or not, and pairing needs `gain` times fewer seeds,
    1 where none is.
    """
    trials = {row["name"]: row["trials"] for row in families}
    counts = {name: trials[name] for name in tested}
    single = [row for row in families if row["name"] not in tested and row["trials"] > 1]
    lone = [name for name, count in trials.items() if count == 1]
    unequal = (
        ", ".join(f"{name} {count}" for name, count in counts.items())
        if len(set(counts.values())) > 1
        else ""
    )
    notes = [
        f"A hypervolume of {listed(tested)} is that of the test: of as many trials each, and "
        "without the bias from noise. The others have all their points and the bias."
        if fronts
        else "",
        f"Budgets are unequal ({unequal} trials): more trials find better points in any family."
        if unequal
        else "",
        f"Not tested, as only one point is confirmed: {listed([row['name'] for row in single])}. "
        f"`seesaw confirm {single[0]['points'][0]['run']} --members 2` confirms two of each family."
        if single
        else "",
        f"Not tested, as there is only one trial: {listed(lone)}." if lone else "",
        f"Paired by seed: as good as {gain:.3g} times the seeds." if 1 < gain < math.inf else "",
    ]
    return tuple(filter(None, notes))


COLUMNS = ["dataset", "measure", "left", "right", "value", "low", "high", "unit"]
COLUMNS += ["p", "p_noise", "p_tuning", "p_holm", "paired", "verdict"]


@dataclass(frozen=True)
class Group:
    """Runs on the same data with the same objectives.

    Attributes:
        dataset: its name; `fingerprints` of its stores, one unless data sets are what is compared.
        comparison: empty where fewer than two families have a confirmed point; `reason` says so
            then.
        unconfirmed: families without one, which cannot be compared.
    """

    dataset: str
    fingerprints: tuple[str, ...]
    runs: tuple[str, ...]
    answer: Answer
    comparison: Comparison
    reason: str
    unconfirmed: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Its part of the document of `seesaw compare --json`."""
        values = {**vars(self), **vars(self.comparison), "answer": self.answer.to_json()}
        return {key: value for key, value in values.items() if key not in ("comparison", "members")}


@dataclass(frozen=True)
class Compared:
    """The comparison of all groups.

    Attributes:
        by: what makes the families; `split` where they were compared.
        ranking: of families by the hypervolumes of their fronts, where there are data sets enough.
    """

    by: str
    split: str
    groups: tuple[Group, ...]
    ranking: MeanRanks | None
    notes: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each test, in the order of the groups; values in the unit that stands beside
        them.
        """
        rows = [
            {"dataset": group.dataset, **row}
            for group in self.groups
            for row in group.comparison.tests
        ]
        return pd.DataFrame(rows, columns=COLUMNS)

    def to_json(self) -> dict[str, object]:
        """The document of `seesaw compare --json`."""
        ranked, groups = (
            self.ranking and asdict(self.ranking),
            [group.to_json() for group in self.groups],
        )
        document: dict[str, object] = jsonable(
            vars(self) | {"level": LEVEL, "groups": groups, "ranking": ranked}
        )
        return document


FAMILY_HEADS = ("trials", "training samples", "confirmed points", "hypervolume")
TEST_HEADS = (
    "measure",
    "left",
    "right",
    "left minus right",
    "interval",
    "unit",
    "p (Holm)",
    "paired",
    "verdict",
)


def family_rows(comparison: Comparison) -> list[tuple[str, int, int, int, float]]:
    """Of each family its name, and what `FAMILY_HEADS` says."""
    return [
        (
            row["name"],
            row["trials"],
            row["training_samples"],
            len(row["points"]),
            row["hypervolume"],
        )
        for row in comparison.families
    ]


def texts_of(test: TableRow, minus: str = "-") -> list[str]:
    """What `TEST_HEADS` says of a test; empty where it is unknown."""
    forms = {"value": "+.4g", "low": "+.4g", "high": "+.4g", "p_holm": ".4g"}
    told = {
        at: "" if math.isnan(test[at]) else f"{test[at]:{form}}".replace("-", minus)
        for at, form in forms.items()
    }
    interval = " to ".join(filter(None, (told["low"], told["high"])))
    names = [test["measure"], test["left"], test["right"], told["value"], interval]
    return [*names, test["unit"], told["p_holm"], test["paired"], test["verdict"]]
