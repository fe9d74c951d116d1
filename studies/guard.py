"""Error rates of guards where the truth is known: how often no point is left, and a harmful one is
excluded.

    python studies/guard.py [--runs 400] [--write docs/policy.md]

`--write` puts the table between the marks in that file.
"""

from __future__ import annotations

import numpy as np
from fronts import SETTINGS, Setting, run_of
from speed.table import simulation

from bench.core.records import Point, Replicate
from bench.core.rows import CONFIRM, SEARCH
from bench.deciding.choices import head_choices
from bench.deciding.judging import Judge
from bench.deciding.limits import Noise
from bench.deciding.policy import Policy
from bench.ledger.heads import frontier
from bench.ledger.points import composite

OBJECTIVES = SETTINGS[0].objectives

POINTS = 8
SINGLE = 2
"""Single-task points: the best of each task, as the search confirms them."""
SMALL = Setting(
    "small data",
    POINTS,
    seeds=4e-3,
    common_rows=9e-3,
    own_rows=3e-3,
    least_replicates=3,
    most_replicates=3,
)
LARGE = Setting(
    "large data",
    POINTS,
    seeds=3e-4,
    common_rows=1e-3,
    own_rows=2e-4,
    least_replicates=2,
    most_replicates=2,
)
HARM = {SMALL: (0.0, 0.005, 0.01, 0.02, 0.03), LARGE: (0.0, 0.0005, 0.001, 0.002, 0.003)}
"""What the last point loses in one task and gains in the other, in AUC."""
COUNTS = (1.0, 1.5, 2.0, 2.5, 3.0)
ABSOLUTE = 0.002
GUARDS = (
    f"loss of {ABSOLUTE:g}",
    *(f"{count:g} standard error{'s' * (count != 1)}" for count in COUNTS),
)


def points_of(setting: Setting, harm: float, rng: np.random.Generator) -> list[Point]:
    """All are equally good, except for the last."""
    truth = np.full((POINTS, 2), 0.8)
    truth[-1] += (harm, -harm)
    points = []
    for number, observed in enumerate(run_of(setting, truth, rng)):
        kind = "single_task" if number < SINGLE else "mmoe"
        runs = tuple(
            Replicate(
                place,
                place,
                {o.key(CONFIRM): float(value) for o, value in zip(OBJECTIVES, values, strict=True)},
                resampled={
                    o.key(CONFIRM): rows[:, column].tolist() for column, o in enumerate(OBJECTIVES)
                },
            )
            for place, (values, rows) in enumerate(
                zip(observed.values, observed.moves, strict=True), start=1
            )
        )
        config = {"sharing.kind": kind, "funnel.kind": "independent", "balancing.kind": "static"}
        search = truth[number] + rng.normal(0, setting.seeds, 2)
        metrics = {o.key(SEARCH): float(value) for o, value in zip(OBJECTIVES, search, strict=True)}
        points.append(Point("trial", config, kind, number, metrics=metrics, replicates=runs))
    return points


def shares(setting: Setting, harm: float, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """By guard (G,): how often no point is left, and how often the last point is excluded."""
    rng = np.random.default_rng(0)
    counts = np.zeros((2, len(GUARDS)))
    for _ in range(runs):
        points = points_of(setting, harm, rng)
        single = composite(points, OBJECTIVES)
        assert single is not None
        all_points = [*points, single]
        choices = head_choices(frontier([], OBJECTIVES, baselines=all_points), all_points)
        judge = Judge(Policy(), choices)
        values = choices.values(choices.names)[:POINTS]
        losses = choices.values(choices.names)[-1] - values
        errors = np.stack([limit.errors for limit in judge.limits if isinstance(limit, Noise)])[
            :, :POINTS
        ]
        broken = np.array(
            [
                (losses > ABSOLUTE).any(axis=1),
                *((losses > n * errors.T).any(axis=1) for n in COUNTS),
            ]
        )
        counts += broken.all(axis=1), broken[:, -1]
    return counts[0] / runs, counts[1] / runs


def table(setting: Setting, runs: int) -> str:
    """A row for each guard."""
    by_harm = {harm: shares(setting, harm, runs) for harm in HARM[setting]}
    heads = ["no point left", *(f"excluded at {harm:g}" for harm in HARM[setting])]
    lines = [f"| {setting.name} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for guard, name in enumerate(GUARDS):
        numbers = [by_harm[0.0][0][guard], *(by_harm[harm][1][guard] for harm in HARM[setting])]
        lines.append(f"| {name} | {' | '.join(f'{number:.1%}' for number in numbers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    simulation(
        __doc__,
        "guards",
        400,
        lambda runs: "\n\n".join(table(setting, runs) for setting in (SMALL, LARGE)),
    )
