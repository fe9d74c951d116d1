"""The served front: candidates under all fusions, measured by outcomes of their rankings.

Weights are chosen on `valid` and `confirm`, what is chosen is told on `test`: a point that was
chosen on a split looks too good there.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.arrays import Floats, Mask
from bench.core.errors import UserError, check_known
from bench.core.objectives import Objective, names_of, of_items
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.seeds import derive
from bench.ledger.effect import Effect
from bench.ledger.errors.evidence import Evidence
from bench.ledger.errors.rankings import (
    Rankings,
    Seeds,
    draws_of,
    moves_on_more_rows,
    seeds_of,
)
from bench.ledger.fusion import Fusion
from bench.ledger.ledger import ALL, PARTS, VALUE, Ledger, as_cells, fractions_over
from bench.ledger.points import BASELINE
from bench.ledger.served.climb import ROOM, Aim, ClimbRows, CurrentPoint, Goal, climb_all
from bench.ledger.served.expected import NOISE, Expected, choosing_values, expected, together
from bench.ledger.served.front import kept, on_front, unequal, volume_of
from bench.ledger.served.measuring import RESAMPLES, Candidate, CurrentRanking, Meter, Place
from bench.ledger.served.slices import slices_of
from bench.ledger.served.sweep import STEPS, Swept, swept
from bench.measure.outcomes import Measure
from bench.measure.predictions import KeptRows

SERVED_DRAWS = 2000
SPLITS = (CONFIRM, TEST)


@dataclass(frozen=True)
class Served(Ledger):
    """The served front with its uncertainty: S kept serving points in M outcomes, all to be
    maximised; those of items are among them.

    Points are on the front by means on confirmation rows. There are cells of validation, values
    alone, where predictions of its rows are kept; of confirmation rows and test; and of slices of
    both, where a task has `LEAST` positives there.

    Draws of confirmation rows have the errors of the values that choose: means of validation and
    confirmation rows.

    Attributes:
        hypervolume: of the front on test in the tasks' outcomes, over a random order, as a share of
            the ideal's.
        replicates: of the candidates, the median.
        today: whether `current` is what is served today; else a baseline that stands for it, at its
            best weights.
        random: (M,), outcomes of a random order, on confirmation rows; 0 of items: such an order is
            the most varied.
        model: the point whose weights alone may change: that of `current`, or that which today's
            score is made of.
        seeded: whether intervals are of trainings, too, and not of rows alone.
        expected: (S, M), outcomes by expected labels on the rows that choose, at a level of their
            own; else empty. See `bench.ledger.served.expected`.
    """

    current: int
    hypervolume: Effect
    replicates: int
    today: bool = True
    random: Floats = field(default_factory=lambda: np.zeros(0))
    model: str = ""
    seeded: bool = True
    expected: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def known(self) -> bool:
        """Whether there are intervals: whether any candidate has two replicates."""
        return len(self.draws[CONFIRM]) > 0

    @property
    def over_single_task(self) -> bool:
        """Whether gains are over the best single-task models, as nobody said what is served."""
        return not self.today and self.table["point"].iloc[self.current] == BASELINE


@dataclass(frozen=True)
class Inputs:
    """The arguments of `served_front` that its steps read."""

    candidates: Sequence[Candidate]
    rows: Mapping[str, KeptRows]
    outcomes: Sequence[Objective]
    current: CurrentRanking
    aims: Sequence[Aim] = ()

    @property
    def names(self) -> list[str]:
        """Of the outcomes."""
        return names_of(self.outcomes)

    @property
    def by_label(self) -> Mask:
        """(M,), which outcomes are of tasks, not of items."""
        return np.array([not of_items(name) for name in self.names])

    @property
    def tasks(self) -> tuple[str, ...]:
        """That a fusion weighs."""
        return self.rows[CONFIRM].tasks

    @property
    def ids(self) -> list[str]:
        """Of the candidates."""
        return [candidate.id for candidate in self.candidates]

    @property
    def now(self) -> CurrentPoint:
        """The current point; at equal weights where it has none."""
        fusion = self.current.fusion or Fusion.of("power", [1.0] * len(self.tasks))
        return CurrentPoint(self.ids.index(self.current.id), fusion)

    @property
    def stands_at_its_best(self) -> bool:
        """Whether a baseline stands for what is served, at the weights that are best for it."""
        return not self.current.today and bool(self.aims)

    @property
    def choosing(self) -> dict[str, KeptRows]:
        """The rows that choose weights, by split."""
        choosing = dict(self.rows)
        choosing.pop(TEST, None)
        return choosing


@dataclass(frozen=True)
class Errors:
    """What is known of the errors of outcomes.

    Attributes:
        seeds: what seeds do; None where nothing is known of it.
        drawable: whether there are draws: not where candidates have seeds of which nothing is
            known.
        seed: of the random numbers.
        draws: how many.
    """

    seeds: Seeds | None
    drawable: bool
    seed: int
    draws: int

    def drawn(self, rankings: Rankings, moves: Floats | None = None) -> Floats:
        """(D, S, M) in the precision that is kept, so that equal points are equal.

        Args:
            moves: see `draws_of`.
        """
        if not self.drawable:
            return np.zeros((0, *rankings.means.shape))
        drawn = draws_of(rankings, self.seeds, self.seed, self.draws, moves)
        return drawn.astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Measured:
    """The kept serving points on the rows of confirmation and test.

    Attributes:
        settings: of all that were tried; places refer to them.
        places: of the S points.
        rankings, draws: by split.
        searched: (S, M), outcomes on validation rows; NaN where no predictions of them are kept.
        by_expected: (S, M), see `Served.expected`.
    """

    settings: Sequence[Fusion]
    places: Sequence[Place]
    rankings: Mapping[str, Rankings]
    draws: Mapping[str, Floats]
    searched: Floats
    by_expected: Floats


def served_front(
    candidates: Sequence[Candidate],
    rows: Mapping[str, KeptRows],
    outcomes: Sequence[Objective],
    current: CurrentRanking,
    seed: int,
    resamples: int = RESAMPLES,
    draws: int = SERVED_DRAWS,
    aims: Sequence[Aim] = (),
) -> Served:
    """Draws the served front.

    Args:
        rows: by split, `confirm` and `test`; `valid` where predictions of its rows are kept.
        aims: what weights are chosen for, the first one first: each candidate's are climbed towards
            each. Without any, they are those of the sweep.

    Raises:
        UserError: fewer than two tasks or more than eight, an outcome that is undefined on these
            rows, or an unknown current point.
    """
    inputs = checked(Inputs(candidates, rows, outcomes, current, aims))
    meters = meters_of(inputs, resamples)
    tried = swept(meters[CONFIRM], rows[CONFIRM].rates, outcomes, inputs.now.fusion)
    chance = random_of(inputs, meters[CONFIRM])
    goals = goals_of(inputs, tried, chance)
    likely = expected(candidates, inputs.choosing, inputs.names)
    ends = climbed_fusions(inputs, tried, goals, likely)
    base = base_of(inputs, tried, goals)
    places = kept_places(inputs, tried, goals, ends, base)
    errors = errors_of(inputs, tried, derive(seed, "served"), draws)
    measured = measured_at(places, inputs, tried.settings, meters, errors, likely)
    row = row_of_current(inputs, measured, goals, base)
    front = on_front(tried.means, unequal(tried.values), outcomes)[tuple(np.array(places).T)]
    replicates = np.median([candidate.replicates for candidate in candidates])
    return Served(
        measures=tuple(outcomes),
        table=table_of(inputs, measured, front, tried.meter.scores),
        cells=cells_of(inputs, measured, meters, errors, row),
        draws=kept_draws(inputs, measured, errors, likely),
        current=row,
        hypervolume=front_volume(inputs, measured, meters[TEST], front, errors.drawable),
        replicates=round(float(replicates)),
        today=current.today,
        random=chance,
        model=current.model or current.id,
        seeded=errors.seeds is not None,
        expected=measured.by_expected,
    )


def checked(inputs: Inputs) -> Inputs:
    """Itself; raises UserError if there are too few or too many tasks, or the current point is
    unknown.
    """
    if len(inputs.tasks) not in STEPS:
        raise UserError(
            f"a served front weighs 2 to 8 tasks, found {len(inputs.tasks)}; `seesaw pick` "
            "compares the heads"
        )
    check_known("current point", inputs.current.id, inputs.ids, "served front")
    return inputs


def meters_of(inputs: Inputs, resamples: int) -> dict[str, Meter]:
    """By split; raises UserError if an outcome is undefined on its rows."""
    meters = {}
    for split in SPLITS:
        meter = Meter(inputs.candidates, inputs.rows[split], split, inputs.names, resamples)
        meters[split] = meter
        for name, value in zip(inputs.names, meter.measure.random()[0], strict=True):
            if not np.isfinite(value):
                needed = (
                    "a value of the column" if of_items(name) else "and without a positive label"
                )
                raise UserError(
                    f"served front: '{name}' is not defined on {split}: expected rows with "
                    f"{needed} (and a group, for an outcome by group); choose another outcome"
                )
    return meters


def random_of(inputs: Inputs, meter: Meter) -> Floats:
    """(M,), outcomes of a random order; 0 of items."""
    return np.asarray(meter.measure.random()[0] * inputs.by_label)


def goals_of(inputs: Inputs, tried: Swept, chance: Floats) -> list[Goal]:
    """Of each aim, over the current point and a random order (M,) on confirmation rows."""
    now = inputs.now
    means = tried.values[now.candidate].mean(axis=0)
    base = means[tried.settings.index(now.fusion)]
    return [Goal(aim, base, chance, ROOM) for aim in inputs.aims]


def climbed_fusions(
    inputs: Inputs, tried: Swept, goals: Sequence[Goal], likely: Expected | None
) -> list[list[Fusion]]:
    """By candidate the weights that its climbs end at, which join what was tried."""
    if not goals:
        return [[] for _ in inputs.candidates]
    rows = ClimbRows.of(inputs.candidates, inputs.choosing, inputs.names, likely)
    return climb_all(tried, rows, goals, inputs.now)


def base_of(inputs: Inputs, tried: Swept, goals: Sequence[Goal]) -> Place:
    """The place of the current point, or of the best weights of what stands for it."""
    now = inputs.now
    fusion = now.fusion
    if inputs.stands_at_its_best:
        means = tried.values[now.candidate].mean(axis=0)
        fusion = tried.settings[int(goals[0].worth(means).argmax())]
    return tried.place(now.candidate, fusion)


def kept_places(
    inputs: Inputs,
    tried: Swept,
    goals: Sequence[Goal],
    ends: Sequence[Sequence[Fusion]],
    base: Place,
) -> list[Place]:
    """The places of the points that are kept: spread over fronts, and each candidate's best
    weights.

    Args:
        ends: by candidate where its climbs ended. By each goal also the best of all settings is
            kept, as a candidate may have what another one's climb found.
    """
    means, valid = tried.means, unequal(tried.values)
    best: list[Place] = []
    for candidate, fusions in enumerate(ends):
        if not fusions:
            continue
        best.append(tried.place(candidate, fusions[0]))
        for goal in goals:
            setting = int(goal.worth(means[candidate]).argmax())
            best.append(tried.place(candidate, tried.settings[setting]))
    always = [place for place in best if valid[place]]
    return kept(means, valid, inputs.outcomes, base, always)


def errors_of(inputs: Inputs, tried: Swept, seed: int, draws: int) -> Errors:
    """What replicates on confirmation rows tell of the errors."""
    seeds = [candidate.seeds for candidate in inputs.candidates]
    effects = seeds_of(tried.values, seeds)
    return Errors(effects, effects is not None or not any(seeds), seed, draws)


def measured_at(
    places: Sequence[Place],
    inputs: Inputs,
    settings: Sequence[Fusion],
    meters: Mapping[str, Meter],
    errors: Errors,
    likely: Expected | None,
) -> Measured:
    """The serving points at some places."""
    rankings, draws = {}, {}
    for split, meter in meters.items():
        [rankings[split]] = meter.rankings(places, settings, meter.measure)
        draws[split] = errors.drawn(rankings[split])
    by_expected = np.zeros((0, 0))
    if likely is not None:
        by_expected = likely.values(inputs.candidates, places, settings)
    return Measured(
        settings, places, rankings, draws, searched_values(inputs, places, settings), by_expected
    )


def searched_values(inputs: Inputs, places: Sequence[Place], settings: Sequence[Fusion]) -> Floats:
    """(S, M), outcomes on validation rows; NaN where no predictions of them are kept."""
    if SEARCH not in inputs.rows:
        return np.full((len(places), len(inputs.outcomes)), np.nan)
    distinct = sorted({place.setting for place in places})
    meter = Meter(inputs.candidates, inputs.rows[SEARCH], SEARCH, inputs.names, 0)
    values = meter.sweep([settings[setting] for setting in distinct])
    rows = []
    for place in places:
        of_replicates = values[place.candidate][:, distinct.index(place.setting)]  # (n, M)
        rows.append(of_replicates.mean(axis=0))
    return np.array(rows)


def row_of_current(inputs: Inputs, measured: Measured, goals: Sequence[Goal], base: Place) -> int:
    """The row of the current point; what stands for it ranks by its best weights, as those compared
    with it do.
    """
    if not inputs.stands_at_its_best:
        return measured.places.index(base)
    candidates = [place.candidate for place in measured.places]
    values = together(measured.rankings[CONFIRM].means, measured.searched)
    worths = goals[0].worth(choosing_values(values, measured.by_expected, candidates))
    return int(np.where(np.array(candidates) == base.candidate, worths, -np.inf).argmax())


def kept_draws(
    inputs: Inputs, measured: Measured, errors: Errors, likely: Expected | None
) -> dict[str, NDArray[np.float32]]:
    """(D, S, M) by split; of confirmation rows with the errors of the values that choose: means
    with validation.
    """
    choosing = measured.draws[CONFIRM]
    if SEARCH in inputs.rows:
        size, searched_size = inputs.rows[CONFIRM].kept, max(1, inputs.rows[SEARCH].kept)
        share = math.sqrt((1 + size / searched_size) / 4)
        spread: float | Floats = 1.0
        if likely is not None:
            spread = np.where(inputs.by_label, NOISE, 1.0)  # what is shown needs no label
        rankings = measured.rankings[CONFIRM]
        moves = moves_on_more_rows(rankings, errors.seeds, share, spread)
        choosing = errors.drawn(rankings, moves)
    return {CONFIRM: choosing.astype(np.float32), TEST: measured.draws[TEST].astype(np.float32)}


def cells_of(
    inputs: Inputs, measured: Measured, meters: Mapping[str, Meter], errors: Errors, current: int
) -> dict[tuple[str, str], Floats]:
    """(S, M, parts) by split and slice: values alone of validation, and all parts of the other
    splits.
    """
    cells: dict[tuple[str, str], Floats] = {}
    shape = *measured.searched.shape, len(PARTS)
    if SEARCH in inputs.rows:
        cells[SEARCH, ALL] = np.full(shape, np.nan)
        cells[SEARCH, ALL][..., VALUE] = measured.searched
    for split, rankings in measured.rankings.items():
        cells[split, ALL] = _cells(rankings, measured.draws[split], current)
    for split, meter in meters.items():
        slices = slices_of(
            meter, inputs.rows[split], measured.places, measured.settings, inputs.outcomes
        )
        for name, part in slices.items():
            cells[split, name] = np.full(shape, np.nan)
            if part.rankings is not None:
                of_part = _cells(part.rankings, errors.drawn(part.rankings), current)
                cells[split, name][:, part.enough] = of_part[:, part.enough]
    return cells


def _cells(rankings: Rankings, draws: Floats, current: int) -> Floats:
    """(S, M, parts) of measured points and their draws."""
    means = rankings.means
    deviations = np.array(list(map(_deviation, rankings.evidence)))
    gained, gain_draws = fractions_over(means, current), fractions_over(draws, current)
    return as_cells(means, draws, deviations, gained, gain_draws)


def _deviation(point: Evidence) -> Floats:
    """(M,), the standard deviation of replicates; NaN of one alone."""
    if len(point) == 1:
        return np.full(point.values.shape[1], np.nan)
    return np.asarray(point.values.std(axis=0, ddof=1))


def front_volume(
    inputs: Inputs, measured: Measured, meter: Meter, front: Mask, interval: bool
) -> Effect:
    """The hypervolume of the front on test, in the outcomes of tasks."""
    by_label = np.flatnonzero(inputs.by_label).tolist()
    return volume_of(
        measured.rankings[TEST].means[front][:, by_label],
        measured.draws[TEST][:, front][..., by_label],
        [inputs.outcomes[outcome] for outcome in by_label],
        meter.measure.random()[0, by_label],
        ideal_of(meter.measure, inputs.rows[TEST], inputs.outcomes)[by_label],
        interval,
    )


def ideal_of(measure: Measure, rows: KeptRows, outcomes: Sequence[Objective]) -> Floats:
    """(M,) outcomes of ranking by each outcome's own labels; NaN of items."""
    ideal = np.full(len(outcomes), np.nan)
    columns = np.array([objective.name.partition(".")[0] for objective in outcomes])
    for task, name in enumerate(rows.tasks):
        labels = np.nan_to_num(rows.labels[:, task].astype(np.float64))
        [values] = measure.values(labels)
        of_task = columns == name
        ideal[of_task] = values[of_task]
    return ideal


def table_of(
    inputs: Inputs, measured: Measured, front: Mask, scores: Collection[int]
) -> pd.DataFrame:
    """Facts of the points, see `Ledger.table`.

    Args:
        scores: candidates that are not fused.
    """
    lines: list[dict[str, object]] = []
    for place, on in zip(measured.places, front.tolist(), strict=True):
        candidate, setting = inputs.candidates[place.candidate], measured.settings[place.setting]
        weights: dict[str, float] = {}
        if place.candidate not in scores:
            weights = dict(zip(inputs.tasks, setting.weights, strict=True))
        lines.append(
            {
                "point": candidate.id,
                "name": candidate.name,
                "architecture": candidate.architecture,
                "role": candidate.role,
                "kind": setting.kind,
                "weights": weights,
                "on_front": on,
                "p_nondominated": np.nan,
            }
        )
    return pd.DataFrame(lines)
