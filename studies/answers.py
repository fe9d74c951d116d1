"""How often the answer about gradient methods is wrong, and how often it is given, where the true
fronts are known.

    python studies/answers.py [--runs 200] [--write docs/studies/statistics.md]

Each run has static points on a front and gradient points that lie on the same front, or two margins
beyond the interpolated static one. In a second table, of twice as many runs, points are the best of
some trials, each at its own distance from its method's front. `--write` puts the tables between the
marks in that file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from speed.table import simulation

from bench.ledger.comparison.beyond import MARGIN_THOUSANDTHS, Beyond, beyond, luck, surplus
from bench.ledger.comparison.significance import SIZE
from bench.ledger.errors.evidence import Evidence

Floats = NDArray[np.float64]
RESAMPLES = 40
MIDDLE = 0.75
UNIT = 1e-3


@dataclass(frozen=True)
class Setting:
    """How a run comes about; sizes in thousandths.

    Attributes:
        front: bulge of the front, 1 a quarter of a circle, 0 a line, below 0 convex; `width` is its
            extent.
        place: where static points lie: spread, clustered, ends (two clusters); or middle, where
            gradient points lie.
        ends: whether gradient points lie at the ends of the front, else they are drawn evenly over
            it.
        least_replicates, most_replicates: replicates of a point.
        seeds: standard deviation of a replicate; `seed_correlation` is the share of its variance
            that a seed does to all points.
        uneven: how much the deviations differ between points, of their logarithm; `heavy`: errors
            by Student's t_3.
        wild: how many times as noisy the first gradient point is.
        shared: whether the points are trained on the same seeds.
        rows: standard deviation of what the split does to one point; all together move ten times as
            far.
        tuning: standard deviation of a trial's distance from its method's front; `tries` of each
            static weight.
        trials: of gradient methods, of which the best are confirmed; `stopped` the share that is
            stopped early.
        carried: share of the variance of that distance that a configuration has under whatever
            weights or method. Each weight tries the same configurations, the first one that of the
            best gradient trial.
    """

    name: str
    static: int = 7
    gradient: int = 4
    objectives: int = 2
    front: float = 1.0
    width: float = 2.0
    place: str = "spread"
    ends: bool = False
    least_replicates: int = 3
    most_replicates: int = 3
    seeds: float = 0.3
    seed_correlation: float = 0.8
    uneven: float = 0.0
    heavy: bool = False
    wild: float = 1.0
    shared: bool = True
    rows: float = 0.0
    tuning: float = 0.0
    tries: int = 2
    trials: int = 14
    stopped: float = 0.0
    carried: float = 0.0


SETTINGS = (
    Setting("2 replicates", least_replicates=2, most_replicates=2),
    Setting("3 replicates"),
    Setting("5 replicates", least_replicates=5, most_replicates=5),
    Setting("10 replicates", least_replicates=10, most_replicates=10),
    Setting(
        "10 replicates, seeds not shared", least_replicates=10, most_replicates=10, shared=False
    ),
    Setting("3 replicates, seeds not shared", shared=False),
    Setting("1 gradient point", gradient=1),
    Setting("8 gradient points, 15 static", gradient=8, static=15),
    Setting("little noise", seeds=0.1, gradient=8, seed_correlation=0.5),
    Setting("much noise", seeds=1.0, gradient=8),
    Setting(
        "uneven noise, 2 replicates",
        uneven=0.9,
        least_replicates=2,
        most_replicates=2,
        gradient=8,
        seed_correlation=0.3,
    ),
    Setting("uneven noise, seeds not shared", uneven=0.9, gradient=8, shared=False),
    Setting(
        "t3 seeds, 2 replicates",
        heavy=True,
        least_replicates=2,
        most_replicates=2,
        gradient=8,
        seed_correlation=0.3,
    ),
    Setting(
        "t3 seeds, uneven, 2 to 10 replicates",
        heavy=True,
        uneven=0.7,
        least_replicates=2,
        most_replicates=10,
        gradient=8,
        shared=False,
    ),
    Setting(
        "1 gradient point, ten times as noisy, 2 replicates",
        7,
        1,
        least_replicates=2,
        most_replicates=2,
        seeds=0.1,
        wild=10,
        seed_correlation=0.3,
    ),
    Setting(
        "the same, seeds not shared",
        7,
        1,
        least_replicates=2,
        most_replicates=2,
        seeds=0.1,
        wild=10,
        shared=False,
    ),
    Setting("rows", rows=0.15, gradient=8),
    Setting(
        "rows more than seeds",
        rows=0.3,
        seeds=0.15,
        gradient=8,
        least_replicates=5,
        most_replicates=5,
    ),
    Setting(
        "static points at one place, gradient at the ends",
        place="clustered",
        ends=True,
        gradient=8,
        width=6.0,
    ),
    Setting(
        "at one place, seeds not shared",
        place="clustered",
        ends=True,
        gradient=8,
        width=6.0,
        shared=False,
    ),
    Setting(
        "static points at the two ends, wide front", place="ends", width=6.0, gradient=8, seeds=0.1
    ),
    Setting("gradient points at the ends", ends=True, gradient=8),
    Setting("linear front", front=0.0, gradient=8),
    Setting("convex front", front=-0.7, gradient=8),
    Setting("wide front", width=6.0, gradient=8),
    Setting("3 objectives", objectives=3, static=10, gradient=8),
    Setting(
        "3 objectives, one place, ends",
        objectives=3,
        place="clustered",
        ends=True,
        gradient=8,
        width=6.0,
    ),
    Setting(
        "3 objectives, 10 replicates",
        objectives=3,
        static=15,
        gradient=4,
        least_replicates=10,
        most_replicates=10,
    ),
)


TUNED = (
    *(
        Setting(f"tuning {spread:g}", tuning=spread, gradient=8, seeds=0.1)
        for spread in (0.0, 0.5, 1.0, 2.0, 4.0)
    ),
    Setting("tuning 4, seeds .3, 4 confirmed", tuning=4.0),
    Setting("tuning 4, seeds not shared", tuning=4.0, gradient=8, shared=False),
    Setting("tuning 4, wide front", tuning=4.0, gradient=8, seeds=0.1, width=6.0),
    Setting(
        "tuning 4, gradient trials in the middle", tuning=4.0, gradient=8, seeds=0.1, place="middle"
    ),
    Setting("tuning 4, gradient trials at the ends", tuning=4.0, gradient=8, seeds=0.1, ends=True),
    Setting(
        "tuning 4, 3 objectives",
        objectives=3,
        static=10,
        trials=20,
        tuning=4.0,
        gradient=8,
        seeds=0.1,
    ),
    Setting("tuning 4, 5 gradient trials", tuning=4.0, trials=5, seeds=0.1),
    Setting(
        "tuning 4, 56 gradient trials, 8 tries a weight",
        tuning=4.0,
        trials=56,
        tries=8,
        gradient=8,
        seeds=0.1,
    ),
    Setting(
        "the same, two thirds of the trials stopped",
        7,
        8,
        tuning=4.0,
        trials=56,
        tries=5,
        seeds=0.1,
        stopped=0.67,
    ),
    Setting(
        "tuning 4, half of it by the configuration", tuning=4.0, gradient=8, seeds=0.1, carried=0.5
    ),
    Setting(
        "tuning 4, nine tenths by the configuration", tuning=4.0, gradient=8, seeds=0.1, carried=0.9
    ),
)
"""Points that come from tuning."""


def front_of(setting: Setting, positions: Floats) -> Floats:
    """Points (N, M) of the front in thousandths, by places on the simplex (N, M)."""
    power = {True: 0.5, False: 1.0}[setting.front > 0]
    if setting.front > 0:  # the sphere, and its chord where the bulge is less than 1
        return setting.width * (setting.front * positions**power + (1 - setting.front) * positions)
    return setting.width * (positions**2 * -setting.front + (1 + setting.front) * positions)


def places(setting: Setting, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Of static points (K, M) and of gradient points (G, M) on the simplex."""
    m = setting.objectives
    if setting.place == "clustered":
        static = np.full((setting.static, m), 1 / m)
    elif setting.place == "ends":
        static = np.eye(m)[np.arange(setting.static) % m]
    elif m == 2:  # spread, or gradient points in the middle of those that are
        first = np.linspace(0, 1, setting.static)
        static = np.column_stack([first, 1 - first])
    else:
        static = np.vstack([np.eye(m), rng.dirichlet(np.ones(m), setting.static - m)])
    ends = np.eye(m)[np.arange(setting.gradient) % m]
    even = np.full(m, 20.0 if setting.place == "middle" else 1.0)
    return static, ends if setting.ends else rng.dirichlet(even, setting.gradient)


def samples_of(setting: Setting, truth: Floats, rng: np.random.Generator) -> list[Evidence]:
    """What is measured of points (N, M) in thousandths."""
    n, m = truth.shape

    def noise(*shape: int) -> Floats:
        draws = (
            rng.standard_t(3, shape) / np.sqrt(3) if setting.heavy else rng.standard_normal(shape)
        )
        return np.asarray(draws)

    mixed = np.linalg.cholesky(0.7 * np.eye(m) + 0.3)
    size = setting.seeds * np.exp(rng.normal(0, setting.uneven, n))
    size[setting.static] *= setting.wild
    common = noise(setting.most_replicates, m) @ mixed.T
    split = rng.normal(0, 10 * setting.rows, (1 + RESAMPLES, m))
    samples = []
    for point in range(n):
        count = int(rng.integers(setting.least_replicates, setting.most_replicates + 1))
        own_noise = noise(count, m) @ mixed.T
        common_noise = common[:count] if setting.shared else noise(count, m) @ mixed.T
        seeds = size[point] * (
            np.sqrt(setting.seed_correlation) * common_noise
            + np.sqrt(1 - setting.seed_correlation) * own_noise
        )
        rows = split + rng.normal(0, setting.rows, (1 + RESAMPLES, m))
        moved = (
            np.broadcast_to(rows[1:] * UNIT, (count, RESAMPLES, m))
            if setting.rows
            else np.zeros((count, 0, m))
        )
        first = 0 if setting.shared else 100 * point
        values = MIDDLE + UNIT * (truth[point] + seeds + rows[0])
        samples.append(Evidence(values, moved, tuple(range(first, first + count))))
    return samples


@dataclass(frozen=True)
class Tally:
    """Shares of "yes" and "no" where the gradient points lie 0, 1 and 2 margins beyond; what was
    predicted of both.
    """

    yes: tuple[float, ...]
    no: tuple[float, ...]
    chances: tuple[float, ...]


def tally_of(setting: Setting, runs: int, seed: int = 0) -> Tally:
    """The results of `runs` runs of each truth. Equal fronts: gradient points lie where the front
    is.
    """
    rng = np.random.default_rng(seed)
    yes, no, chances = np.zeros((runs, 3)), np.zeros((runs, 3)), np.zeros((runs, 2))
    scale = np.full(setting.objectives, 1 / UNIT)
    for run in range(runs):
        static, gradient = (front_of(setting, group) for group in places(setting, rng))
        surpluses = np.array([surplus(point - static) for point in gradient])
        for ahead in (0, 1, 2):
            moved = (
                gradient + (ahead * MARGIN_THOUSANDTHS - surpluses)[:, None] if ahead else gradient
            )
            samples = samples_of(setting, np.vstack([static, moved]), rng)
            comparison = beyond(
                samples[: setting.static], samples[setting.static :], scale, MARGIN_THOUSANDTHS
            )
            assert comparison is not None
            yes[run, ahead], no[run, ahead] = (
                comparison.verdict == "yes",
                comparison.verdict == "no",
            )
            if ahead == 0:
                chances[run] = comparison.chances
    return Tally(*(tuple(tallied.mean(axis=0).tolist()) for tallied in (yes, no, chances)))


@dataclass(frozen=True)
class Trials:
    """Values of the search of static tries (N, M) and of gradient trials (G, M) in thousandths;
    what was confirmed.
    """

    static: Floats
    gradient: Floats
    comparison: Beyond


def trials_of(setting: Setting, ahead: float, rng: np.random.Generator) -> Trials:
    """One run whose points come from tuning; each gradient trial lies `ahead` margins before its
    place.
    """
    k, m, own_share = setting.static, setting.objectives, 1 - setting.carried
    static, gradient = places(replace(setting, gradient=setting.trials), rng)
    configs = rng.normal(size=setting.trials)
    off = setting.tuning * np.abs(
        np.sqrt(setting.carried) * configs + np.sqrt(own_share) * rng.normal(size=setting.trials)
    )
    truth = front_of(setting, gradient) - off[:, None] + ahead * MARGIN_THOUSANDTHS
    observed = truth + rng.normal(0, setting.seeds, truth.shape)
    # a stopped trial was trained less, and is worse for it
    early = observed + rng.normal(0, 1, observed.shape)
    out = np.argsort(early.sum(axis=1))[: round(setting.stopped * setting.trials)]
    observed[out] -= np.abs(rng.normal(0, 2, (len(out), 1)))
    tried = rng.normal(size=setting.tries)
    tried[0] = configs[observed.sum(axis=1).argmax()]
    distances = setting.tuning * np.abs(
        np.sqrt(setting.carried) * tried + np.sqrt(own_share) * rng.normal(size=(k, len(tried)))
    )
    tries = front_of(setting, static)[:, None] - distances[..., None]  # (K, T, M)
    seed_noise = np.sqrt(setting.seed_correlation) * rng.normal(
        size=m
    )  # all tries are trained on one seed
    measured = tries + setting.seeds * (
        seed_noise + np.sqrt(1 - setting.seed_correlation) * rng.normal(size=tries.shape)
    )
    best = np.einsum("ktm,km->kt", measured, static).argmax(axis=1)
    confirmed = np.argsort(-observed.sum(axis=1))[: setting.gradient]
    samples = samples_of(setting, np.vstack([tries[np.arange(k), best], truth[confirmed]]), rng)
    comparison = beyond(samples[:k], samples[k:], np.full(m, 1 / UNIT), MARGIN_THOUSANDTHS)
    assert comparison is not None
    return Trials(measured.reshape(-1, m), observed, comparison)


def tuned_of(setting: Setting, runs: int, seed: int = 0) -> Floats:
    """Shares of "yes" of these points, of the methods, and of "no" likewise (2, 4): fronts equal,
    two margins ahead.
    """
    rng = np.random.default_rng(seed)
    shares = np.zeros((runs, 2, 4))
    for run in range(runs):
        for place, ahead in enumerate((0, 2)):
            trials = trials_of(setting, ahead, rng)
            verdict = trials.comparison.verdict
            if verdict != "cannot tell":
                of_methods = (
                    luck(
                        verdict,
                        trials.static,
                        trials.gradient,
                        np.ones(setting.objectives),
                        MARGIN_THOUSANDTHS,
                    )
                    < SIZE
                )
                shares[run, place, 2 * (verdict == "no") :][:2] = True, of_methods
    return np.asarray(shares.mean(axis=0))


HEADS = (
    "runs",
    "largest error",
    "yes, two margins beyond",
    "predicted",
    "no, fronts equal",
    "predicted",
)
SURE = 0.9
"""Settings without an error, that say "yes" at least as often where it is right, have one row."""


def answer_table(settings: tuple[Setting, ...], runs: int) -> str:
    """A row for each setting with an error or little power, and one for all others: the largest of
    the four errors, then what is right.
    """
    lines = [f"| {' | '.join(HEADS)} |", "|" + "---|" * len(HEADS)]
    others = []
    for setting in settings:
        tally = tally_of(setting, runs)
        error = max(*tally.yes[:2], *tally.no[1:])
        right = (tally.yes[2], tally.chances[0], tally.no[0], tally.chances[1])
        shares = [f"{share:.1%}" for share in (error, *right)]
        print(setting.name, tally, file=sys.stderr, flush=True)
        if error == 0 and tally.yes[2] >= SURE:
            others.append(right)
        else:
            lines.append(f"| {setting.name} | {' | '.join(shares)} |")
    if others:
        lines.append(f"| {len(others)} others | 0.0% | {_ranges(others)} |")
    return "\n".join(lines)


def _ranges(rows: list[tuple[float, ...]]) -> str:
    """Cells with the ends of each column."""
    columns = zip(*rows, strict=True)
    return " | ".join(f"{min(column):.1%} to {max(column):.1%}" for column in columns)


TUNED_HEADS = (
    "runs",
    "yes of these points, equal",
    "yes, equal",
    "no of these points, two margins ahead",
    "no, two margins ahead",
    "yes, two margins ahead",
    "no, equal",
)


def tuned_table(settings: tuple[Setting, ...], runs: int) -> str:
    """Of points alone, and of methods: a row for each setting that differs in tuning alone, and one
    for all others.
    """
    lines = [f"| {' | '.join(TUNED_HEADS)} |", "|" + "---|" * len(TUNED_HEADS)]
    others = []
    for setting in settings:
        equal, ahead = tuned_of(setting, runs)
        shares = (*equal[:2], *ahead[2:], ahead[1], equal[3])
        print(setting.name, shares, file=sys.stderr, flush=True)
        if "," in setting.name:
            others.append(shares)
        else:
            lines.append(f"| {setting.name} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    if others:
        lines.append(f"| {len(others)} others, of tuning 4 | {_ranges(others)} |")
    return "\n".join(lines)


def tables(runs: int) -> str:
    """Both."""
    return f"{answer_table(SETTINGS, runs)}\n\n{tuned_table(TUNED, 2 * runs)}"


if __name__ == "__main__":
    simulation(__doc__, "answer", 200, tables)
