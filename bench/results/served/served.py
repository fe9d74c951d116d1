"""The served front: candidates under all fusions, measured by outcomes of their rankings.

Weights are chosen on `valid` and `confirm`, what is chosen is told on `test`: a point that was chosen on a split looks
too good there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.core.arrays import Floats
from bench.core.errors import UserError, check_known
from bench.core.objectives import Objective, of_items
from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.core.seeds import derive
from bench.measure.outcomes import Measure
from bench.measure.predictions import KeptRows
from bench.results.effect import Effect
from bench.results.fusion import FUSION_KINDS, Fusion
from bench.results.ledger import ALL, PARTS, VALUE, Ledger, as_cells
from bench.results.points import BASELINE
from bench.results.served.climb import ROOM, Aim, Goal, climbed
from bench.results.served.errors import Points, Seeds, draws_of, on_more_rows, seeds_of
from bench.results.served.expected import NOISE, choosing_values, expected, together
from bench.results.served.front import gains, kept, on_front, unequal, volume_of
from bench.results.served.measuring import RESAMPLES, Candidate, CurrentRanking, Meter
from bench.results.served.slices import slices_of
from bench.results.served.sweep import ROUNDS, STEPS, Sweep

SERVED_DRAWS = 2000
SPLITS = (CONFIRM, TEST)


@dataclass(frozen=True)
class Served(Ledger):
    """The served front with its uncertainty: S kept serving points in M outcomes, all to be maximised; those of items
    are among them.

    Points are on the front by means on confirmation rows. There are cells of validation, values alone, where
    predictions of its rows are kept; of confirmation rows and test; and of slices of both, where a task has `LEAST`
    positives there.

    Draws of confirmation rows have the errors of the values that choose: means of validation and confirmation rows.

    Attributes:
        hypervolume: of the front on test in the tasks' outcomes, over a random order, as a share of the ideal's.
        replicates: of the candidates, the median.
        today: whether `current` is what is served today; else a baseline that stands for it, at its best weights.
        random: (M,), outcomes of a random order, on confirmation rows; 0 of items: such an order is the most varied.
        model: the point whose weights alone may change: that of `current`, or that which today's score is made of.
        seeded: whether intervals are of trainings, too, and not of rows alone.
        expected: (S, M), outcomes by expected labels on the rows that choose, at a level of their own; else empty. See
            `bench.results.served.expected`.
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
        aims: what weights are chosen for, the first one first: each candidate's are climbed towards each. Without any,
            they are those of the sweep.

    Raises:
        UserError: fewer than two tasks or more than eight, an outcome that is undefined on these rows, or an unknown
            current point.
    """
    names, tasks = [each.name for each in outcomes], rows[CONFIRM].tasks
    at = _checked(candidates, tasks, current)
    meters = {split: Meter(candidates, rows[split], split, names, resamples) for split in SPLITS}
    for split, meter in meters.items():
        _defined(meter.measure, names, split)
    fusion = current.fusion or Fusion.of("power", [1.0] * len(tasks))
    sweep, values = _swept(meters[CONFIRM], rows[CONFIRM], outcomes, fusion)
    by_label = np.array([not of_items(name) for name in names])
    chance = meters[CONFIRM].measure.random()[0] * by_label
    goals = [Goal(aim, values[at].mean(axis=0)[sweep.settings.index(fusion)], chance, ROOM) for aim in aims]
    chosen = {split: own for split, own in rows.items() if split != TEST}
    likely = expected(candidates, chosen, names)
    climb = partial(climbed, candidates, chosen, names, now=(at, fusion), likely=likely)
    ends = _climbed(climb, sweep, values, goals, meters[CONFIRM])
    means = np.array([each.mean(axis=0) for each in values])
    if not current.today and goals:
        fusion = sweep.settings[int(goals[0].worth(means[at]).argmax())]
    valid = unequal(values)
    shape = seeds_of(values, [each.seeds for each in candidates])

    def place(candidate: int, setting: Fusion) -> tuple[int, int]:
        """The first setting with the same outcomes (n, K, M) as one."""
        own, k = values[candidate], sweep.settings.index(setting)
        return candidate, int(np.flatnonzero((own == own[:, k : k + 1]).all(axis=(0, 2)))[0])

    base = place(at, fusion)
    # by each goal also the best of all settings: a candidate may have what another one's climb found
    best = [(c, int(goal.worth(own).argmax())) for c, own in enumerate(means) if ends[c] for goal in goals]
    also = [*(place(c, own[0]) for c, own in enumerate(ends) if own), *(place(c, sweep.settings[k]) for c, k in best)]
    places = kept(means, valid, outcomes, base, [each for each in also if valid[each]])
    of, settings = [c for c, _ in places], [k for _, k in places]
    points = {split: meter.parts(of, settings, sweep.settings, meter.measure)[0] for split, meter in meters.items()}
    known = shape is not None or not any(each.seeds for each in candidates)  # else nobody knows what seeds do
    purpose = derive(seed, "served")
    drawn = {split: _drawn(each, shape, known, purpose, draws) for split, each in points.items()}
    of_chosen = drawn[CONFIRM]
    if SEARCH in rows:  # values that choose are means of both splits
        share = math.sqrt((1 + rows[CONFIRM].kept / max(1, rows[SEARCH].kept)) / 4)
        within = np.where(by_label, NOISE, 1.0) if likely else 1.0  # what is shown needs no label
        more = on_more_rows(points[CONFIRM], shape, share, within)
        of_chosen = _drawn(more, shape, known, purpose, draws)
    front = on_front(means, valid, outcomes)[of, settings]
    table = _table(candidates, tasks, sweep.settings, places, front, meters[CONFIRM].scores)
    cells: dict[tuple[str, str], Floats] = {}
    searched = np.full(points[CONFIRM].means.shape, np.nan)
    if SEARCH in rows:
        used = sorted(set(settings))
        swept = Meter(candidates, rows[SEARCH], SEARCH, names, 0).sweep([sweep.settings[k] for k in used])
        searched[:] = [swept[c][:, used.index(k)].mean(axis=0) for c, k in places]
        cells[SEARCH, ALL] = np.full((len(places), len(names), len(PARTS)), np.nan)
        cells[SEARCH, ALL][..., VALUE] = searched
    by_expected = likely.values(candidates, of, [sweep.settings[k] for k in settings]) if likely else np.zeros((0, 0))
    row = places.index(base)
    if not current.today and goals:  # what stands for it ranks by its best weights, as those that are compared with it
        choosing = choosing_values(together(points[CONFIRM].means, searched), by_expected, of)
        scores = np.where(np.array(of) == at, goals[0].worth(choosing), -np.inf)
        row = int(scores.argmax())
    for split, each in points.items():
        cells[split, ALL] = _cells(each, drawn[split], row)
    for split, meter in meters.items():
        for name, (enough, part) in slices_of(meter, rows[split], of, settings, sweep.settings, outcomes).items():
            cells[split, name] = np.full_like(cells[split, ALL], np.nan)
            if part is not None:
                of_part = _cells(part, _drawn(part, shape, known, purpose, draws), row)
                cells[split, name][:, enough] = of_part[:, enough]
    own, measure = np.flatnonzero(by_label), meters[TEST].measure
    return Served(
        measures=tuple(outcomes),
        table=table,
        cells=cells,
        draws={CONFIRM: of_chosen.astype(np.float32), TEST: drawn[TEST].astype(np.float32)},
        current=row,
        hypervolume=volume_of(points[TEST].means[front][:, own], drawn[TEST][:, front][..., own],
                              [outcomes[at] for at in own.tolist()], measure.random()[0, own],
                              _ideal(measure, rows[TEST], outcomes)[own], known),
        replicates=round(float(np.median([each.replicates for each in candidates]))),
        today=current.today,
        random=chance,
        model=current.model or current.id,
        seeded=shape is not None,
        expected=by_expected,
    )  # fmt: skip


def _cells(points: Points, draws: Floats, current: int) -> Floats:
    """(S, M, parts) of measured points and their draws."""
    sd = np.array([each.std(axis=0, ddof=1) if len(each) > 1 else each[0] * np.nan for each in points.values])
    return as_cells(points.means, draws, sd, gains(points.means, current), gains(draws, current))


def _drawn(points: Points, seeds: Seeds | None, known: bool, seed: int, draws: int) -> Floats:
    """Draws in the precision that is kept, so that equal points are equal; none where nothing is known of seeds."""
    if not known:
        return np.zeros((0, *points.means.shape))
    return draws_of(points, seeds, seed, draws).astype(np.float32).astype(np.float64)


def _checked(candidates: Sequence[Candidate], tasks: Sequence[str], current: CurrentRanking) -> int:
    if len(tasks) not in STEPS:
        raise UserError(f"a served front weighs 2 to 8 tasks, found {len(tasks)}; `seesaw pick` compares the heads")
    ids = [each.id for each in candidates]
    check_known("current point", current.id, ids, "served front")
    return ids.index(current.id)


def _defined(measure: Measure, names: Sequence[str], split: str) -> None:
    for name, value in zip(names, measure.random()[0], strict=True):
        if not np.isfinite(value):
            what = "a value of the column" if of_items(name) else "and without a positive label"
            raise UserError(
                f"served front: '{name}' is not defined on {split}: expected rows with {what} (and a group, for an "
                "outcome by group); choose another outcome"
            )


def _swept(meter: Meter, rows: KeptRows, outcomes: Sequence[Objective], fusion: Fusion) -> tuple[Sweep, list[Floats]]:
    """All settings, that of the current point first, and by candidate the outcomes (n, K, M) of its replicates."""
    kinds = FUSION_KINDS if all(rate > 0 for rate in rows.rates) else FUSION_KINDS[:1]  # a sum divides by the rates
    equal = [Fusion.of(kind, [1.0] * len(rows.tasks)) for kind in kinds]  # no coarse lattice has them
    sweep = Sweep(len(rows.tasks), kinds, [fusion, *equal])
    values = meter.sweep(sweep.settings)
    for _ in range(ROUNDS):
        means = np.array([each.mean(axis=0) for each in values])
        new = sweep.refine(means, on_front(means, unequal(values), outcomes))
        if not new:
            break
        more = meter.sweep(new)
        values = [np.concatenate(both, axis=1) for both in zip(values, more, strict=True)]
    return sweep, values


def _climbed(
    climb: Callable[[Sequence[Sequence[tuple[Sequence[Fusion], Goal]]]], list[list[Fusion]]],
    sweep: Sweep,
    values: list[Floats],
    goals: Sequence[Goal],
    meter: Meter,
) -> list[list[Fusion]]:
    """By candidate the weights that its climbs end at, for each goal; none of a score that is not fused.

    Where they end joins the sweep, and the values of all candidates. Twice for the first goal: the second climb begins
    at the best of all, as a candidate may have what another one's climb found.
    """
    fusions: list[list[Fusion]] = [[] for _ in values]

    def first(means: Floats, goal: Goal, again: bool) -> list[Fusion]:
        of_kind = [[k for k, setting in enumerate(sweep.settings) if setting.kind == kind] for kind in FUSION_KINDS]
        scores = goal.worth(means)
        best = [own[int(scores[own].argmax())] for own in of_kind if own]
        return [sweep.settings[k] for k in ([max(best, key=lambda k: float(scores[k]))] if again else best)]

    for again in (False, True):
        asked = [
            [(first(each.mean(axis=0), goal, again), goal) for goal in goals[: 1 if again else None]]
            * (at not in meter.scores)
            for at, each in enumerate(values)
        ]
        ends = climb(asked)
        fusions = [[*own, *before] for own, before in zip(ends, fusions, strict=True)]
        if new := sweep.add(end for own in ends for end in own):
            values[:] = [np.concatenate(both, axis=1) for both in zip(values, meter.sweep(new), strict=True)]
    return fusions


def _ideal(measure: Measure, rows: KeptRows, outcomes: Sequence[Objective]) -> Floats:
    """(M,) outcomes of ranking by each outcome's own labels; NaN of items."""
    by_task = {name: measure.values(np.nan_to_num(rows.labels[:, at].astype(np.float64)))[0]
               for at, name in enumerate(rows.tasks)}  # fmt: skip
    unknown = np.full(len(outcomes), np.nan)
    return np.array([by_task.get(each.name.partition(".")[0], unknown)[at] for at, each in enumerate(outcomes)])


def _table(
    candidates: Sequence[Candidate],
    tasks: Sequence[str],
    settings: Sequence[Fusion],
    places: Sequence[tuple[int, int]],
    front: NDArray[np.bool_],
    scores: set[int],
) -> pd.DataFrame:
    lines: list[dict[str, object]] = []
    for at, (c, k) in enumerate(places):
        each, setting = candidates[c], settings[k]
        lines.append({
            "point": each.id, "name": each.name, "architecture": each.architecture, "role": each.role,
            "kind": setting.kind,
            "weights": {} if c in scores else dict(zip(tasks, setting.weights, strict=True)),
            "on_front": bool(front[at]), "p_nondominated": np.nan,
        })  # fmt: skip
    return pd.DataFrame(lines)
