"""The test whether any gradient method beats tuned static weights: by how much, and the answer in a
sentence.

The static front is interpolated: with static points s_k it is the edge of all y <= sum_k lambda_k
s_k. A point g lies beyond it by d(g) = max over directions w (w >= 0, sum 1) of min over k of w .
(g - s_k): the value of a matrix game, which is also min over lambda of max over objectives m of
sum_k lambda_k (g - s_k)_m.

* Lower bound of d(g): in each of a few fixed directions w, the smallest over k of the lower bounds
  of w . (g - s_k). The error is shared over points and directions (Bonferroni); all k at once cost
  nothing (an intersection of tests).
* Upper bound of d(g): the least over lambda of max over m of sum_k lambda_k U_km, with U_km an
  upper bound of (g - s_k)_m. All U_km hold together (Bonferroni over points and objectives), so the
  bound holds for any lambda. Here lambda mixes at most two neighbours. Where the true front is
  convex, static weights do not reach a mix of points far apart. A gradient point below such a mix
  need not be within the margin. Two points are neighbours where no third lies within the ball of
  which they are ends (Gabriel and Sokal, 1969).
* A lower bound counts only where g is certainly better than some static point in every objective.
  Static points that all lie at one place say little of the front elsewhere: a point farther along
  the same front lies beyond them, too. But no two points of one front dominate each other, wherever
  they lie.
* All of this is about points. Where trials differ by more than the margin, points of one family may
  lie beyond those of another by luck in tuning alone. So an answer about methods must also survive
  a permutation of labels, see `luck`.

The question is Kurin et al.'s and Xin et al.'s (both NeurIPS 2022): whether manipulating gradients
gains anything that well chosen static weights do not. Models that share nothing have nothing to
weigh, and are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, compress

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import ndtr, stdtrit

from bench.core.arrays import Floats
from bench.core.errors import listed
from bench.core.objectives import (
    Objective,
    in_thousandths,
    names_of,
    only_metrics,
    signs_of,
    values_in,
)
from bench.core.rows import SEARCH
from bench.core.seeds import derive
from bench.ledger.comparison.families import FamilyPoint, trials_of
from bench.ledger.comparison.significance import (
    POWER_WANTED,
    SIZE,
    Word,
    against,
    permuted,
    smallest,
    unit,
)
from bench.ledger.effect import LEVEL, Effect
from bench.ledger.errors.evidence import Evidence, means_of
from bench.ledger.errors.intervals import Differences, differences
from bench.ledger.pareto import lattice, references_of, steps_within

MOST_REPLICATES = 100
MOST_DIRECTIONS = 15
PERMUTATIONS = 999


@dataclass(frozen=True)
class Reaches:
    """How far the bounds of differences are from them.

    Attributes:
        lower: (G, K, W), of lower bounds along the directions.
        dominating: (G, K, M), of lower bounds by objective, by which a point dominates.
        upper: (G, K, M), of upper bounds by objective.
    """

    lower: Floats
    dominating: Floats
    upper: Floats


@dataclass(frozen=True)
class Beyond:
    """How far G gradient points lie beyond the front of K static points, in the unit of the
    directions.

    Attributes:
        value: d of each point (G,), as estimated.
        ahead: differences (G, K, W + M), gradient minus static points: first along W `directions`,
            then by objective.
        neighbours: pairs (E, 2) of static points that may be mixed.
        margin: for the verdict and the chances.
        questions: how many are asked together.
        replicates: of each point, the fewest.
    """

    value: Floats
    ahead: Differences
    directions: int
    neighbours: NDArray[np.int64]
    margin: float
    questions: int
    replicates: int

    @property
    def by_objective(self) -> Floats:
        """Differences by objective (G, K, M)."""
        return self.ahead.value[..., self.directions :]

    @property
    def standard_error(self) -> Floats:
        """Of all differences (G, K, W + M)."""
        return np.asarray(np.sqrt(self.ahead.seed + self.ahead.rows))

    @cached_property
    def reaches(self) -> Reaches:
        """From differences to their bounds; the error is shared by all bounds of a kind."""
        points, front, columns = self.ahead.value.shape
        directions, objectives = self.directions, columns - self.directions
        return Reaches(
            lower=self._reach(points * directions * self.questions)[..., :directions],
            dominating=self._reach(points * front * self.questions)[..., directions:],
            upper=self._reach(front * objectives)[..., directions:],
        )

    def _reach(self, tests: int) -> Floats:
        """Of one-sided bounds that hold together with probability 1 - `SIZE`: (G, K, W + M)."""
        return np.asarray(stdtrit(self.ahead.freedom, 1 - SIZE / tests) * self.standard_error)

    @property
    def low(self) -> Floats:
        """Lower bounds (G,); all hold together with probability 1 - `SIZE`."""
        along_directions = self.ahead.value[..., : self.directions]
        return np.asarray((along_directions - self.reaches.lower).min(axis=1).max(axis=1))

    @cached_property
    def high(self) -> Floats:
        """Upper bounds (G,); each holds with probability 1 - `SIZE`."""
        upper = self.by_objective + self.reaches.upper
        values = []
        for game in upper:
            value, _ = _mix_of_neighbours(game, self.neighbours)
            values.append(value)
        return np.array(values)

    @property
    def least(self) -> Floats:
        """Lower bounds that count (G,): minus infinity where a point may be better than no static
        one in every objective."""
        surely_ahead = self.by_objective - self.reaches.dominating
        dominates = surely_ahead.min(axis=2).max(axis=1) > 0
        return np.where(dominates, self.low, -np.inf)

    @property
    def verdict(self) -> Word:
        """Whether any point lies beyond the front by more than the margin."""
        return against(self.margin, float(self.least.max()), float(self.high.max()))

    @property
    def lead(self) -> tuple[int, Effect]:
        """The farthest point, of a "yes" the surest, and how far it lies; else the upper bound is
        that of all.
        """
        if self.verdict == "yes":
            point = int(self.least.argmax())
            high = float(self.high[point])
        else:
            point = int(self.value.argmax())
            high = float(self.high.max())
        return point, Effect(float(self.value[point]), float(self.low[point]), high)

    @cached_property
    def chances(self) -> tuple[float, float]:
        """Of "yes", were every point two margins beyond the front as it is measured, and of "no",
        were it 0 beyond.

        To raise a point by c in every objective raises its d by c, from `value`. Errors are taken
        as Gaussian.
        """
        raised = self.ahead.value - self.value[:, None, None] + 2 * self.margin
        error = np.maximum(self.standard_error, 1e-12)
        raised_along, raised_by_objective = np.split(raised, [self.directions], axis=2)
        error_along, error_by_objective = np.split(error, [self.directions], axis=2)

        above_margin = ndtr((raised_along - self.margin - self.reaches.lower) / error_along)
        dominating = ndtr((raised_by_objective - self.reaches.dominating) / error_by_objective)
        yes = np.minimum(above_margin.min(axis=1).max(axis=1), dominating.min(axis=2).max(axis=1))
        no = 1.0
        for game, reach, error_of_point in zip(
            self.by_objective, self.reaches.upper, error_by_objective, strict=True
        ):
            level = game - _mix_of_neighbours(game, self.neighbours)[0] + reach
            high, mix = _mix_of_neighbours(level, self.neighbours)
            no *= float(ndtr((self.margin - high) / (mix @ error_of_point.max(axis=1))))
        return float(yes.max()), no

    def with_replicates(self, count: int) -> Beyond:
        """As if with `count` replicates of each point."""
        freedom = self.ahead.freedom * max(count - 1, 0.5) / max(self.replicates - 1, 0.5)
        of_seeds = self.ahead.seed * (self.replicates / count)
        ahead = replace(self.ahead, seed=of_seeds, freedom=freedom)
        return replace(self, ahead=ahead, replicates=count)

    @cached_property
    def needed(self) -> int | None:
        """Replicates of each point with which both chances are at least `POWER_WANTED`; None where
        no number up to `MOST_REPLICATES` is enough."""
        return smallest(
            lambda count: min(self.with_replicates(count).chances) >= POWER_WANTED, MOST_REPLICATES
        )


def beyond(
    static: Sequence[Evidence],
    gradient: Sequence[Evidence],
    scale: Floats,
    margin: float,
    questions: int = 1,
) -> Beyond | None:
    """Compares gradient points with the front of static points, paired by seed and by rows.

    Args:
        static, gradient: at least one point each.
        scale: (M,), by which metrics are multiplied to have one unit and to be better when larger.
        margin: in that unit.
        questions: how many are asked together, as of several data sets: the error rate of "yes" is
            for all of them.

    Returns:
        None where nothing is known of seeds.
    """
    directions = directions_of(len(scale))
    columns = np.hstack([directions.T, np.eye(len(scale))]) * scale[:, None]
    points = [*gradient, *static]
    compared = differences([evidence.along(columns) for evidence in points])
    if compared is None:
        return None
    is_ahead = slice(len(gradient)), slice(len(gradient), None)
    ahead = replace(
        compared,
        value=compared.value[is_ahead],
        seed=compared.seed[is_ahead],
        rows=compared.rows[is_ahead],
        freedom=compared.freedom[is_ahead],
    )
    by_objective = ahead.value[..., len(directions) :]
    value = np.array(list(map(surplus, by_objective)))
    pairs = neighbours(means_of(static) * scale)
    replicates = min(map(len, points))
    return Beyond(value, ahead, len(directions), pairs, margin, questions, replicates)


def neighbours(points: Floats) -> NDArray[np.int64]:
    """Pairs (E, 2) of rows of points (K, M) that are neighbours, and each point paired with
    itself.
    """
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    # a third point within the ball
    inside = squared[:, None] + squared[None] < squared[:, :, None] * (1 - 1e-12)
    are_neighbours = np.triu(~inside.any(axis=2))
    return np.argwhere(are_neighbours)


def directions_of(objectives: int) -> Floats:
    """Directions (W, M), evenly over the simplex: at most 5 of two objectives, else
    `MOST_DIRECTIONS`.
    """
    steps = 1
    if objectives > 1:
        steps = steps_within(objectives, 5 if objectives == 2 else MOST_DIRECTIONS)
    return lattice(objectives, steps) / steps


def surplus(game: Floats) -> float:
    """d of one point, from its differences (K, M) with the static points: the value of the game, by
    lambda.
    """
    rows, columns = game.shape
    if columns < 3:  # of two rows at the most
        all_pairs = np.column_stack(np.tril_indices(rows))
        value, _ = _mix_of_neighbours(game, all_pairs)
        return value
    solution = linprog(
        c=np.append(np.zeros(rows), 1.0),
        A_ub=np.hstack([game.T, -np.ones((columns, 1))]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * rows + [(None, None)],
    )
    return float(solution.fun)


def _mix_of_neighbours(game: Floats, pairs: NDArray[np.int64]) -> tuple[float, Floats]:
    """The least of max over m of sum_k lambda_k game_km, lambda mixing one of the pairs (E, 2) of
    rows; and it (K,).

    Along a pair it is least at an end, or where two columns are equal.
    """
    first, second = game[pairs[:, 0]], game[pairs[:, 1]]
    shares = [np.zeros(len(pairs)), np.ones(len(pairs))]
    for left, right in combinations(range(game.shape[1]), 2):
        gap_of_first = first[:, left] - first[:, right]
        gap_of_second = second[:, left] - second[:, right]
        turn = gap_of_first - gap_of_second
        equal = np.divide(-gap_of_second, turn, out=np.zeros_like(turn), where=turn != 0)
        shares.append(np.clip(equal, 0, 1))
    share = np.stack(shares, axis=1)  # (E, S) of the first row
    mixes = share[..., None] * first[:, None] + (1 - share[..., None]) * second[:, None]
    values = mixes.max(axis=2)
    pair, place = np.unravel_index(int(values.argmin()), values.shape)
    weights = np.zeros(len(game))
    weights[pairs[pair, 0]] += share[pair, place]
    weights[pairs[pair, 1]] += 1 - share[pair, place]
    return float(values[pair, place]), weights


def luck(
    verdict: Word,
    static: Sequence[Sequence[float]],
    gradient: Sequence[Sequence[float]],
    scale: Floats,
    margin: float,
) -> float:
    """P-value that luck in tuning explains a verdict about points; 1 where a side has no trial.

    A "yes" is held against trials of one distribution; a "no" against gradient trials of the same
    distribution, moved two margins ahead. Labels are permuted among all trials. The statistic is
    the lead of the best gradient trial over the best static one, in the direction in which it is
    largest.

    Args:
        verdict: yes or no.
        static, gradient: values of the search (N, M), finite.
        scale, margin: as in `beyond`.
    """
    if not len(static) or not len(gradient):
        return 1.0
    sign, moved = (1, 0.0) if verdict == "yes" else (-1, 2 * margin)
    along = scale[:, None] * directions_of(len(scale)).T

    def lead(ours: Floats, theirs: Floats) -> float:
        return sign * float((ours.max(axis=0) - theirs.max(axis=0)).max())

    # parts of a direction sum to 1
    ours = np.array(gradient) @ along - moved
    theirs = np.array(static) @ along
    return permuted(ours, theirs, lead, derive(0, "tuning"), PERMUTATIONS)


def about_methods(
    lead: Beyond,
    static: Sequence[Sequence[float]],
    gradient: Sequence[Sequence[float]],
    scale: Floats,
) -> tuple[Word, float]:
    """The verdict about methods, which luck in tuning must not explain, and its p-value; arguments
    as of `luck`.
    """
    if lead.verdict == "cannot tell":
        return lead.verdict, 1.0
    p = luck(lead.verdict, static, gradient, scale, lead.margin)
    questions = lead.questions if lead.verdict == "yes" else 1
    if p >= SIZE / questions:
        return "cannot tell", p
    return lead.verdict, p


MARGIN_THOUSANDTHS = 0.5
"""In thousandths, where all objectives are read so."""
MARGIN_OF_WAY = 0.2
"""Else in percent of the way from the reference to the best: that of .5e-3 in an AUC of .75."""
LEAST_WEIGHTS = 7


def scale_of(
    objectives: Sequence[Objective], reference: Mapping[str, float], means: Floats
) -> tuple[Floats, float, str]:
    """By what each objective is multiplied (M,), so that a step in one counts as much as in another
    and more is better; the margin in that unit, and the unit's name.

    Thousandths where all objectives are read so; else percent of the way from the reference to the
    best mean.

    Args:
        means: (N, M), of all that is compared.
    """
    signs = signs_of(objectives)
    if all(map(in_thousandths, names_of(objectives))):
        sizes, names = zip(*map(unit, objectives), strict=True)
        name = names[0] if len(set(names)) == 1 else "thousandths"
        return signs / np.array(sizes), MARGIN_THOUSANDTHS, name
    start = references_of(objectives, reference)
    ways = (signs * (means - start)).max(axis=0) / 100
    scale = signs / np.where(ways > 0, ways, 1.0)
    return scale, MARGIN_OF_WAY, "% of the way from the reference to the best"


@dataclass(frozen=True)
class Answer:
    """The answer (yes, no, cannot tell), and the sentence that gives it.

    Attributes:
        weights: how many different static weights were confirmed with two replicates or more.
    """

    verdict: Word
    sentence: str
    weights: int = 0

    def to_json(self) -> dict[str, str | int]:
        """The answer as every document has it."""
        return {"verdict": self.verdict, "sentence": self.sentence, "static_weights": self.weights}


def answer(
    members: Sequence[FamilyPoint],
    tries: Sequence[Mapping[str, float]],
    objectives: Sequence[Objective],
    reference: Mapping[str, float],
    split: str,
    run: str,
) -> Answer:
    """Answers it for points on one data set, of which those with two replicates or more on `split`
    count.

    Args:
        tries: metrics on validation of all that tuned the static weights; empty for one that
            failed.
    """
    metrics = names_of(only_metrics(objectives))
    tasks = {metric.partition(".")[0] for metric in metrics}
    if len(tasks) == 1:
        [task] = tasks
        return _silent(f"{task} is the only task measured; one task needs no balancing.")
    static, gradient, methods, weights = [], [], [], set()
    for member in members:
        evidence = member.evidence(objectives, split)
        if evidence is None or len(evidence) < 2:
            continue
        if member.weights is not None:
            static.append(evidence)
            weights.add(member.weights)
        if member.gradient:
            gradient.append(evidence)
            methods.append(member.method)
    if not gradient:
        reason = "no gradient method has a confirmed point with two replicates."
        return _silent(reason, len(weights))
    if len(weights) < LEAST_WEIGHTS:
        return _silent(_too_few_weights(len(weights), run), len(weights))

    means = means_of([*static, *gradient])
    scale, margin, unit_name = scale_of(objectives, reference, means)
    lead = beyond(static, gradient, scale, margin)
    assert lead is not None  # every point has two replicates
    searched = _searched(members, tries, objectives)
    verdict, p = about_methods(lead, searched.static, searched.gradient, scale)
    doubt = ""
    if verdict != lead.verdict:
        doubt = (
            f". Luck in tuning may be why (p = {p:.2g}; trials of gradient methods: "
            f"{len(searched.gradient)}, of static weights: {len(searched.static)}). A longer "
            "search has more of both."
        )
    front = f"the front of {len(weights)} static weights"
    sentence = _sentence(lead, methods, front, unit_name, doubt)
    return Answer(verdict, sentence, len(weights))


@dataclass(frozen=True)
class _Searched:
    """Values of the search (N, M), of all trials with static weights and of gradient methods."""

    static: list[list[float]]
    gradient: list[list[float]]


def _searched(
    members: Sequence[FamilyPoint],
    tries: Sequence[Mapping[str, float]],
    objectives: Sequence[Objective],
) -> _Searched:
    searched = _Searched([], [])
    for trial in trials_of(members):
        values = trial.searched(objectives)
        if values and trial.weights is not None:
            searched.static.append(values)
        if values and trial.gradient:
            searched.gradient.append(values)
    for metrics in tries:
        values = values_in(metrics, objectives, SEARCH)
        if np.isfinite(values).all():
            searched.static.append(values)
    return searched


def _too_few_weights(weights: int, run: str) -> str:
    static_weights = "1 static weight" if weights == 1 else f"{weights} static weights"
    return (
        f"{static_weights}, at least {LEAST_WEIGHTS} are needed; `seesaw run {run} --confirm "
        f"static={LEAST_WEIGHTS}` adds them."
    )


def _silent(reason: str, weights: int = 0) -> Answer:
    sentence = f"This run cannot say whether a gradient method beats tuned static weights: {reason}"
    return Answer("cannot say", sentence, weights)


def _sentence(lead: Beyond, methods: Sequence[str], front: str, unit_name: str, doubt: str) -> str:
    """The answer; of these points alone where there is a `doubt` about methods."""
    margin = f"{lead.margin:g} {unit_name}"
    if lead.verdict == "yes":
        return _sentence_of_yes(lead, methods, front, margin, doubt)
    value = _value(lead.value.max(), lead.low.max(), lead.high.max())
    if lead.verdict == "no":
        none = "Cannot tell: none of these gradient points" if doubt else "No: no gradient method"
        return (
            f"{none} lies beyond {front} by more than the margin of {margin}; the farthest lies "
            f"{value} beyond it{doubt or '.'}"
        )
    if lead.low.max() > lead.margin:
        remedy = (
            ". No gradient point is certainly better than a static one in every task: add "
            "static weights."
        )
    elif lead.needed is None:
        remedy = "; more replicates alone will not settle it."
    else:
        remedy = f"; about {lead.needed} replicates of each point would bring both to 80%."
    yes, no = lead.chances
    return (
        f"Cannot tell: the farthest gradient point lies {value} beyond {front}, the margin is "
        f"{margin}. Luck in tuning aside, a run with these replicates answers yes in {yes:.0%} of "
        f"cases if the gradient front lies two margins beyond, and no in {no:.0%} if the fronts "
        f"are equal{remedy}"
    )


def _sentence_of_yes(
    lead: Beyond, methods: Sequence[str], front: str, margin: str, doubt: str
) -> str:
    is_sure = lead.least > lead.margin
    names = sorted(set(compress(methods, is_sure)))
    verb = "lies" if len(names) == 1 else "lie"
    who = f"Yes: {listed(names)} {verb}"
    if doubt:
        who = f"Cannot tell: these points of {listed(names)} lie"
    best = int(lead.least.argmax())
    value = _value(lead.value[best], lead.low[best], lead.high[best])
    return f"{who} beyond {front} by more than the margin of {margin}: by {value}{doubt or '.'}"


def _value(value: float, low: float, high: float) -> str:
    return f"{value:+.2f} ({LEVEL:.0%} CI {low:+.2f} to {high:+.2f})"
