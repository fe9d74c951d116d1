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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, combinations
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from bench.core.arrays import Floats
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
from bench.ledger.errors.evidence import Evidence, means_of
from bench.ledger.errors.intervals import differences, reflected
from bench.ledger.errors.posterior import posterior_draws
from bench.ledger.errors.seed_noise import seed_noise
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
        effect: left minus right.
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
        direction = 1.0 if self.objective is None else self.objective.sign
        return math.copysign(1.0, self.effect.value * direction)

    def row(self, tuning: float, p: float, adjusted: float) -> TableRow:
        """Itself in the table of tests, its effect in the unit that stands beside it.

        Args:
            tuning: p-value that luck in tuning explains the difference; NaN where noise does
                already.
            p: the larger of both p-values.
            adjusted: the same by Holm over all tests of the comparison.
        """
        measure, size, unit_name = "hypervolume", 1.0, "hypervolume"
        if self.objective is not None:
            measure = self.objective.name
            size, unit_name = unit(self.objective)
        row: TableRow = {"measure": measure, "left": self.left, "right": self.right}
        row |= {end: value / size for end, value in self.effect.to_json().items()}
        return row | {
            "unit": unit_name,
            "p": p,
            "p_noise": self.noise,
            "p_tuning": tuning,
            "p_holm": adjusted,
            "paired": f"by {self.shared} seeds" if self.shared > 1 else "",
            "verdict": self._verdict(tuning, adjusted),
        }

    def _verdict(self, tuning: float, adjusted: float) -> str:
        if adjusted < SIZE:
            winner = self.left if self.sign > 0 else self.right
            return f"{winner} is better"
        if math.isnan(self.noise):
            return f"{CANNOT_TELL}: no point has two replicates"
        if tuning > self.noise:
            return f"{CANNOT_TELL}: luck in tuning is not ruled out (p = {tuning:.2g} before Holm)"
        if self.needed:
            return f"{CANNOT_TELL}: about {self.needed} replicates would"
        return CANNOT_TELL


@dataclass(frozen=True)
class ConfirmedMember:
    """A member of a family, with what its replicates say."""

    member: FamilyPoint
    evidence: Evidence


def _evidence_of(members: Iterable[ConfirmedMember]) -> list[Evidence]:
    return [confirmed.evidence for confirmed in members]


def by_metric(
    families: Mapping[str, Sequence[FamilyPoint]], objective: Objective, split: str, k: int
) -> list[Contrast]:
    """All pairs of families in one metric, each by the average of its k best members."""
    datasets = _datasets(chain.from_iterable(families.values()))
    averages: dict[str, Evidence] = {}
    for name, members in families.items():
        chosen = _best_members(members, objective, split, k)
        if len(chosen) == k:
            mean = average(_evidence_of(chosen))
            place = datasets.index(chosen[0].member.dataset)
            # resample b is other rows on other data: unpaired by a shift
            averages[name] = replace(mean, moves=np.roll(mean.moves, place, axis=1))
    names = list(averages)
    compared = differences(list(averages.values()))
    if compared is None:
        return _unknown_contrasts(names, objective)
    pairs = list(combinations(range(len(names)), 2))
    tests = []
    for left, right in pairs:
        [effect] = compared.intervals(left, right)
        of_seeds = float(compared.seed[left, right, 0])
        of_rows = float(compared.rows[left, right, 0])
        freedom = float(compared.freedom[left, right, 0])
        replicates = min(len(averages[names[left]]), len(averages[names[right]]))
        needed = replicates_needed(effect.value, of_seeds, of_rows, freedom, replicates, len(pairs))
        contrast = Contrast(
            left=names[left],
            right=names[right],
            objective=objective,
            effect=effect,
            noise=p_value(effect.value, math.sqrt(of_seeds + of_rows), freedom),
            shared=int(compared.shared[left, right]),
            needed=needed,
        )
        tests.append(contrast)
    return tests


def _unknown_contrasts(families: Iterable[str], objective: Objective | None) -> list[Contrast]:
    """All pairs of families, where nothing is known of the noise."""
    return [Contrast(left, right, objective) for left, right in combinations(families, 2)]


def _datasets(members: Iterable[FamilyPoint]) -> list[str]:
    return list(dict.fromkeys(member.dataset for member in members))


def _best_members(
    members: Sequence[FamilyPoint], objective: Objective, split: str, k: int
) -> list[ConfirmedMember]:
    """The k best by the search's own value, of those with evidence on a split; of equals the
    last.
    """
    measured = []
    for place, member in enumerate(members):
        searched, evidence = member.searched([objective]), member.evidence([objective], split)
        if searched and evidence:
            merit = objective.sign * searched[0]
            measured.append((merit, place, ConfirmedMember(member, evidence)))
    measured.sort(key=itemgetter(0, 1), reverse=True)
    return list(map(itemgetter(2), measured[:k]))


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
    measured = {name: volume(means_of(members)) for name, members in families.items()}
    evidence = list(chain.from_iterable(families.values()))
    noise = seed_noise(evidence)
    if noise is None:
        return measured, _unknown_contrasts(families, None)
    freedom = float(np.median(noise.freedom))
    drawn = _volumes_of_draws(families, posterior_draws(evidence, noise, seed, draws), volume)
    tests = []
    for left, right in combinations(families, 2):
        difference = drawn[left] - drawn[right]
        effect = reflected(measured[left] - measured[right], difference)
        p = p_value(effect.value, float(difference.std(ddof=1)), freedom)
        tests.append(Contrast(left, right, None, effect, p))
    corrected = {}
    for name, measured_volume in measured.items():
        corrected[name] = reflected(measured_volume, drawn[name]).value
    return corrected, tests


def _volumes_of_draws(
    families: Mapping[str, Sequence[Evidence]], draws: Floats, volume: Statistic
) -> dict[str, Floats]:
    """By family (D,) hypervolumes, of draws (D, N, M) of all families' members one after the
    other.
    """
    volumes, start = {}, 0
    for name, members in families.items():
        end = start + len(members)
        volumes[name] = np.array(list(map(volume, draws[:, start:end])))
        start = end
    return volumes


def _spanning(
    members: Sequence[ConfirmedMember],
    objectives: Sequence[Objective],
    volume: Statistic,
    k: int,
) -> list[Evidence]:
    """Of those k members, one after the other, that add most to the hypervolume of the search's
    values.
    """
    values = np.array([confirmed.member.searched(objectives) for confirmed in members])
    chosen: list[int] = []
    for _ in range(k):
        volumes = np.full(len(members), -np.inf)
        for place in range(len(members)):
            if place not in chosen:
                volumes[place] = volume(values[[*chosen, place]])
        chosen.append(int(volumes.argmax()))
    return _evidence_of(members[place] for place in chosen)


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
    confirmed: dict[str, list[ConfirmedMember]] = {}
    volumes: dict[str, float] = {}
    for name, members in families.items():
        confirmed[name] = _with_evidence(members, objectives, split)
        volumes[name] = volume(means_of(_evidence_of(confirmed[name])))
    tested = _tested(confirmed, objectives)
    smallest_family = min(map(len, tested.values()), default=MOST_MEMBERS)
    k = min(MOST_MEMBERS, smallest_family)

    tests: list[Contrast] = []
    tested_members = {name: _members_of(family) for name, family in tested.items()}
    for objective in metrics or objectives:
        tests += by_metric(tested_members, objective, split, k)
    all_confirmed = list(chain.from_iterable(confirmed.values()))
    has_fronts = len(_datasets(_members_of(all_confirmed))) == 1
    if has_fronts:
        spanning = {}
        for name, family in tested.items():
            spanning[name] = _spanning(family, objectives, volume, smallest_family)
        of_tested, of_fronts = by_front(spanning, volume, seed)
        volumes |= of_tested
        tests += of_fronts

    luck = _luck_of_all(tests, families, objectives, volume, k, seed)
    rows = []
    for name, family in confirmed.items():
        rows.append(_family(name, families[name], family, volumes[name]))
    paired = differences(_evidence_of(all_confirmed))
    saved = 1.0 if paired is None else float(paired.saved.min())
    return Comparison(
        families=tuple(rows),
        tests=_rows_of_tests(tests, luck),
        members=k,
        notes=_notes(rows, list(tested), has_fronts and len(tested) > 1, saved),
    )


def _members_of(family: Iterable[ConfirmedMember]) -> list[FamilyPoint]:
    return [confirmed.member for confirmed in family]


def _with_evidence(
    members: Sequence[FamilyPoint], objectives: Sequence[Objective], split: str
) -> list[ConfirmedMember]:
    """The members that were confirmed on a split."""
    confirmed = []
    for member in members:
        evidence = member.evidence(objectives, split)
        if evidence:
            confirmed.append(ConfirmedMember(member, evidence))
    return confirmed


def _tested(
    confirmed: Mapping[str, Sequence[ConfirmedMember]], objectives: Sequence[Objective]
) -> dict[str, list[ConfirmedMember]]:
    """The families with two confirmed trials or more, and these."""
    tested = {}
    for name, family in confirmed.items():
        trials = [trial for trial in family if trial.member.searched(objectives)]
        if len(trials) > 1:
            tested[name] = trials
    return tested


def _rows_of_tests(tests: Sequence[Contrast], luck: Sequence[float]) -> tuple[TableRow, ...]:
    """The table of tests, by noise and by luck in tuning (NaN where it was not asked), the smallest
    p first.
    """
    p_values = np.fmax([test.noise for test in tests], luck)
    adjusted = holm(p_values)
    rows = []
    for place in np.argsort(p_values, kind="stable").tolist():
        row = tests[place].row(luck[place], float(p_values[place]), float(adjusted[place]))
        rows.append(row)
    return tuple(rows)


def _luck_of_all(
    tests: Sequence[Contrast],
    families: Mapping[str, Sequence[FamilyPoint]],
    objectives: Sequence[Objective],
    volume: Statistic,
    k: int,
    seed: int,
) -> list[float]:
    """By test the p-value that luck in tuning explains it; NaN where noise does already."""
    # Holm leaves the smallest p SIZE / tests
    permutations = max(999, math.ceil(4 * len(tests) / SIZE))
    p_values = []
    for test in tests:
        if not test.noise < SIZE:
            p_values.append(math.nan)
            continue
        statistic = volume if test.objective is None else best(k, test.objective.sign)
        p_values.append(_luck(test, families, objectives, statistic, seed, permutations))
    return p_values


def _luck(
    test: Contrast,
    families: Mapping[str, Sequence[FamilyPoint]],
    objectives: Sequence[Objective],
    statistic: Statistic,
    seed: int,
    permutations: int,
) -> float:
    measure = "front"
    if test.objective is not None:
        measure, objectives = test.objective.name, [test.objective]
    left = _searched_values(families[test.left], objectives)
    right = _searched_values(families[test.right], objectives)
    seed_of_test = derive(seed, "tuning", test.left, test.right, measure)
    return tuning_luck(left, right, statistic, test.sign, seed_of_test, permutations)


def _searched_values(members: Sequence[FamilyPoint], objectives: Sequence[Objective]) -> Floats:
    """(N, M), of the trials of the search with a value of each objective."""
    rows = []
    for trial in trials_of(members):
        values = trial.searched(objectives)
        if values:
            rows.append(values)
    return np.array(rows)


def _family(
    name: str,
    members: Sequence[FamilyPoint],
    confirmed: Sequence[ConfirmedMember],
    volume: float,
) -> TableRow:
    trials = trials_of(members)
    samples = sum(trial.point.speed.get("samples_trained", 0) for trial in trials)
    points = []
    for member in _members_of(confirmed):
        point = member.point
        points.append({"run": member.run, "trial": point.number, "until": point.until})
    return {
        "name": name,
        "trials": len(trials),
        "training_samples": int(samples),
        "points": points,
        "hypervolume": volume,
    }


def _notes(
    families: Sequence[TableRow], tested: Sequence[str], fronts: bool, gain: float
) -> tuple[str, ...]:
    """Those that apply; `fronts` were compared or not, and pairing needs `gain` times fewer seeds,
    1 where none is.
    """
    notes = []
    if fronts:
        notes.append(
            f"A hypervolume of {listed(tested)} is that of the test: of as many trials each, and "
            "without the bias from noise. The others have all their points and the bias."
        )
    trials = {row["name"]: row["trials"] for row in families}
    if len(set(map(trials.__getitem__, tested))) > 1:
        budgets = ", ".join(f"{name} {trials[name]}" for name in tested)
        notes.append(
            f"Budgets are unequal ({budgets} trials): more trials find better points in any family."
        )
    single = [row for row in families if row["name"] not in tested and row["trials"] > 1]
    if single:
        names = [row["name"] for row in single]
        run = single[0]["points"][0]["run"]
        notes.append(
            f"Not tested, as only one point is confirmed: {listed(names)}. `seesaw run {run} "
            "--confirm members=2` confirms two of each family."
        )
    lone = [name for name, count in trials.items() if count == 1]
    if lone:
        notes.append(f"Not tested, as there is only one trial: {listed(lone)}.")
    if 1 < gain < math.inf:
        notes.append(f"Paired by seed: as good as {gain:.3g} times the seeds.")
    return tuple(notes)


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
        del values["comparison"], values["members"]
        return values


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
        rows = []
        for group in self.groups:
            for row in group.comparison.tests:
                rows.append({"dataset": group.dataset, **row})
        return pd.DataFrame(rows, columns=COLUMNS)

    def to_json(self) -> dict[str, object]:
        """The document of `seesaw compare --json`."""
        document: dict[str, object] = vars(self) | {
            "level": LEVEL,
            "groups": [group.to_json() for group in self.groups],
            "ranking": self.ranking and asdict(self.ranking),
        }
        return dict(jsonable(document))


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
    rows = []
    for row in comparison.families:
        points = len(row["points"])
        rows.append(
            (row["name"], row["trials"], row["training_samples"], points, row["hypervolume"])
        )
    return rows


def texts_of(test: TableRow, minus: str = "-") -> list[str]:
    """What `TEST_HEADS` says of a test; empty where it is unknown."""
    formats = {"value": "+.4g", "low": "+.4g", "high": "+.4g", "p_holm": ".4g"}
    texts = {}
    for column, format in formats.items():
        number = test[column]
        texts[column] = "" if math.isnan(number) else f"{number:{format}}".replace("-", minus)
    interval = " to ".join(filter(None, [texts["low"], texts["high"]]))
    names = [test["measure"], test["left"], test["right"]]
    numbers = [texts["value"], interval, test["unit"], texts["p_holm"]]
    return [*names, *numbers, test["paired"], test["verdict"]]
