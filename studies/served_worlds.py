"""Rows with known probabilities, and candidates that predict them with errors of their own and of
the seed.

A world is a pool of rows: it is the population, and a run's rows are drawn from it with fresh
labels. A candidate's logits are the true ones, plus a smooth function of the inputs that is its own
(bias), plus one that is the seed's. The true outcome of a serving point is the mean over many seeds
on the whole pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaincinv

from bench.core.objectives import Objective
from bench.core.records import Role
from bench.core.rows import CONFIRM, TEST
from bench.data.synthetic import funnel
from bench.ledger.fusion import Fusion
from bench.ledger.served.measuring import Candidate, Meter
from bench.ledger.served.served import Served
from bench.measure.predictions import KeptRows

Floats = NDArray[np.float64]
WAVES = 40
"""Waves over the inputs that biases and seeds are sums of: half of them long, half short."""
DIVERGED = 1.5
"""The size of a diverged seed's errors, in logits."""


@dataclass(frozen=True)
class World:
    """A population.

    Attributes:
        logits: (N, T), each task's given its parent where `chain`.
        inputs: (N, F), what errors are smooth in.
        chain: whether each task needs the one before it to happen.
        users: (N,), -1 for none.
    """

    tasks: tuple[str, ...]
    logits: Floats
    inputs: Floats
    chain: bool
    users: NDArray[np.int32]

    def joint(self, logits: Floats) -> Floats:
        """Probabilities on all impressions."""
        conditional = expit(logits)
        return (
            np.asarray(np.cumprod(conditional, axis=1)) if self.chain else np.asarray(conditional)
        )


def conflicting(tasks: int, rows: int, users: int, seed: int) -> World:
    """Tasks that pull against each other: the effect of an input on one has about the opposite sign
    on another.
    """
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 6))
    effects = rng.normal(size=(6, tasks))
    effects -= 0.8 * effects.mean(axis=1, keepdims=True) * (tasks > 2) + 0.6 * effects[:, ::-1] * (
        tasks == 2
    )
    logits = np.linspace(-1.2, -2.6, tasks) + inputs @ effects * 0.5
    user_of_row = (
        np.arange(rows, dtype=np.int32) // (rows // users) if users else np.full(rows, -1, np.int32)
    )
    if users:
        logits += rng.normal(0, 0.5, (users, tasks))[user_of_row]
    return World(("click", "like", "share")[:tasks], logits, inputs, False, user_of_row)


def of_funnel(rows: int, seed: int) -> World:
    """The rows of synthetic-funnel: what sells best is rare among clicks."""
    table = funnel.generate(funnel.FunnelConfig(rows=rows, seed=seed)).to_pandas()
    logits = np.log(
        table[["p_click", "p_purchase"]] / (1 - table[["p_click", "p_purchase"]])
    ).to_numpy()
    inputs = np.stack(
        [
            table["affinity"],
            np.log(table["price"]) - 3,
            (table["rating"] - 3.7) / 0.8,
            np.nan_to_num((45 - table["age"]) / 18),
            np.sin(table["hour"] / 4),
            table["category"] - 4.0,
        ],
        axis=1,
    )
    return World(("click", "purchase"), logits, inputs, True, np.full(rows, -1, np.int32))


@dataclass(frozen=True)
class Kind:
    """A candidate: sizes of its bias and of its seeds' errors, in logits, and whether it shares
    seeds with others.

    Attributes:
        like: another's name, whose bias it has up to its size.
        twin: whether it has that one's seeds, too.
        tails: whether the sizes of its seeds' errors are such that they have Student's t with 3
            degrees of freedom.
        diverges: the share of its seeds whose errors are of size `DIVERGED`.
    """

    name: str
    bias: float
    noise: float
    replicates: int
    shared: bool = True
    role: Role = "trial"
    like: str = ""
    twin: bool = False
    tails: bool = False
    diverges: float = 0.0

    def size(self, quantile: float) -> float:
        """Of a seed's errors, by the quantile of what tells seeds apart; larger ones come first."""
        return (
            self.noise * float(2 * gammaincinv(1.5, quantile)) ** -0.5 if self.tails else self.noise
        )


@dataclass
class Setup:
    """Candidates on a world, their true outcomes, and runs.

    Attributes:
        seed_correlation: the correlation of what one seed does to two candidates.
        rows: of each split of a run.
        splits: those that a run has.
        grouped: whether rows are ranked within users; else users are only drawn, and resampled, as
            a whole.
    """

    name: str
    world: World
    kinds: Sequence[Kind]
    metric: str
    rows: int
    seed_correlation: float = 0.0
    truth_seeds: int = 48
    seed: int = 0
    splits: tuple[str, ...] = (CONFIRM, TEST)
    grouped: bool = True
    _truth: dict[tuple[str, Fusion], Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        width = self.world.inputs.shape[1]
        directions = rng.normal(size=(width, WAVES)) * np.repeat([0.4, 2.0], WAVES // 2)
        self._waves = np.cos(
            self.world.inputs @ directions + rng.uniform(0, 2 * np.pi, WAVES)
        ) * np.sqrt(2 / WAVES)
        t = len(self.world.tasks)
        self._own = {kind.name: rng.normal(size=(WAVES, t)) for kind in self.kinds}
        self._p = self.world.joint(self.world.logits)

    @property
    def outcomes(self) -> tuple[Objective, ...]:
        """One of each task."""
        return tuple(Objective(f"{task}.{self.metric}", "maximize") for task in self.world.tasks)

    def predicted(
        self, kind: Kind, errors: Floats, rows: NDArray[np.int64] | slice = slice(None)
    ) -> Floats:
        """(N, T) joint probabilities by a candidate with some errors (WAVES, T) of a seed."""
        bias = kind.bias * self._own[kind.like or kind.name]
        return self.world.joint(self.world.logits[rows] + self._waves[rows] @ (bias + errors))

    def _predicted(self, kind: Kind, seed: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        t, name = len(self.world.tasks), kind.like if kind.twin else kind.name
        number = [kind.name for kind in self.kinds].index(name)
        together = np.random.default_rng([self.seed, seed, 0]).normal(size=(WAVES, t))
        rng = np.random.default_rng([self.seed, seed, 1 + number])
        own_noise = rng.normal(size=(WAVES, t))
        drawn = (
            np.sqrt(self.seed_correlation) * together
            + np.sqrt(1 - self.seed_correlation) * own_noise
        )
        size = DIVERGED if rng.random() < kind.diverges else kind.size(rng.random())
        return self.predicted(kind, size * drawn, rows).astype(np.float32)

    def _rows(self, rows: NDArray[np.int64], labels: Floats) -> KeptRows:
        group = self.world.users[rows]
        units = np.arange(len(rows), dtype=np.uint64)
        if group[0] >= 0:  # a user that was drawn twice is two users
            group = (np.arange(len(rows)) // self._per_user).astype(np.int32)
            units = group.astype(np.uint64)
        if not self.grouped:
            group = np.full(len(rows), -1, np.int32)
        rates = tuple(self._p.mean(axis=0).tolist())
        kinds = (
            ("binary",) * len(rates)
            if np.isin(labels, (0, 1)).all()
            else ("regression",) * len(rates)
        )
        return KeptRows(
            labels.astype(np.float32),
            group,
            tasks=self.world.tasks,
            kinds=kinds,
            rates=rates,
            units=units,
            segments={},
            codes=np.empty((len(rows), 0), np.int16),
            logged={},
            of=len(rows),
        )

    @property
    def _per_user(self) -> int:
        return int((self.world.users == 0).sum())

    def run(self, number: int) -> tuple[list[Candidate], dict[str, KeptRows]]:
        """Candidates with fresh seeds, and fresh rows of all splits, each with a positive of every
        task.
        """
        rng, places, rows = np.random.default_rng([self.seed, number, 7]), {}, {}
        for split in self.splits:
            if self.world.users[0] >= 0:
                size = self._per_user
                users = rng.integers(0, len(self.world.users) // size, self.rows // size)
                places[split] = (users[:, None] * size + np.arange(size)).ravel()
            else:
                places[split] = rng.integers(0, len(self._p), self.rows)
            labels = self._labels(places[split], rng)
            while not labels.any(axis=0).all():
                labels = self._labels(places[split], rng)
            rows[split] = self._rows(places[split], labels)
        first = 1000 * (number + 1)
        candidates = []
        for place, kind in enumerate(self.kinds):
            start = first + (0 if kind.shared else 100 * (place + 1))
            seeds = tuple(range(start, start + kind.replicates)) if kind.noise else ()
            candidates.append(self._candidate(kind, seeds, places))
        return candidates, rows

    def _labels(self, places: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        conditional = rng.random((len(places), self._p.shape[1])) < expit(self.world.logits[places])
        return (np.cumprod(conditional, axis=1) if self.world.chain else conditional).astype(float)

    def _candidate(
        self, kind: Kind, seeds: tuple[int, ...], places: dict[str, NDArray[np.int64]]
    ) -> Candidate:
        def predictions(split: str, replicate: int) -> NDArray[np.float32]:
            return self._predicted(kind, seeds[replicate] if seeds else 0, places[split])

        return Candidate(kind.name, kind.name, kind.name, kind.role, seeds, predictions)

    def _alike(self, name: str) -> str:
        """The first candidate that is the same except for its seeds."""
        named = next(kind for kind in self.kinds if kind.name == name)
        return next(
            kind.name
            for kind in self.kinds
            if kind is named or (kind.bias == named.bias == 0 and kind.noise == named.noise)
        )

    def truth(self, points: Sequence[str], settings: Sequence[Fusion]) -> Floats:
        """(S, M) true outcomes of serving points; each is computed once, and of equal candidates
        once for all.
        """
        points = [self._alike(name) for name in points]
        serving_points = dict.fromkeys(zip(points, settings, strict=True))
        missing = {
            name: [
                setting
                for point, setting in serving_points
                if point == name and (point, setting) not in self._truth
            ]
            for name in dict.fromkeys(points)
        }
        everything = np.arange(len(self._p))
        smooth = self.metric.startswith("recall") and self.metric.endswith("%")
        rng = np.random.default_rng(self.seed)
        rows = self._rows(everything, self._p if smooth else self._labels(everything, rng))
        names = [
            outcome.name.replace("recall", "value") if smooth else outcome.name
            for outcome in self.outcomes
        ]
        for kind in self.kinds:
            if fusions := missing.get(kind.name):
                seeds = tuple(range(1, 1 + self.truth_seeds)) if kind.noise else ()
                meter = Meter(
                    [self._candidate(kind, seeds, {CONFIRM: everything})], rows, CONFIRM, names, 0
                )
                values = meter.sweep(fusions)[0].mean(axis=0)
                self._truth |= {
                    (kind.name, setting): value
                    for setting, value in zip(fusions, values, strict=True)
                }
        return np.array([self._truth[key] for key in zip(points, settings, strict=True)])


def settings_of(served: Served) -> list[Fusion]:
    """The fusion of each row of its table."""
    table = served.table
    return [
        Fusion.of(kind, tuple(weights.values()))
        for kind, weights in zip(table["kind"], table["weights"], strict=True)
    ]


def setups() -> list[Setup]:
    """The setups on which coverage is measured."""
    oracle = Kind("oracle", 0, 0, 1)

    def four(replicates: int, noise: float = 0.3, shared: bool = True) -> tuple[Kind, ...]:
        return (
            oracle,
            Kind("narrow", 0.25, noise, replicates, shared),
            Kind("wide", 0.45, noise, replicates, shared),
            Kind("other", 0.3, noise, replicates, shared),
            Kind("trees", 0.4, noise / 2, replicates, False, "baseline"),
        )

    two, users = conflicting(2, 20_000, 0, 1), conflicting(2, 32_000, 4_000, 2)
    uneven = (
        oracle,
        Kind("narrow", 0.25, 0.2, 2),
        Kind("wide", 0.45, 0.4, 5),
        Kind("other", 0.3, 0.3, 3),
        Kind("alone", 0.3, 0.3, 1),
        Kind("trees", 0.4, 0.2, 1, False, "baseline"),
    )
    return [
        Setup(
            "`recall@10%`, 3 replicates on shared seeds",
            two,
            four(3),
            "recall@10%",
            2000,
            seed_correlation=0.5,
        ),
        Setup("2 replicates, seeds not shared", two, four(2, shared=False), "recall@10%", 2000),
        Setup(
            "1 to 5 replicates, uneven seeds", two, uneven, "recall@10%", 2000, seed_correlation=0.3
        ),
        Setup(
            "seeds matter more than rows",
            two,
            four(3, 0.6),
            "recall@10%",
            10_000,
            seed_correlation=0.3,
        ),
        Setup("800 rows", two, four(3), "recall@10%", 800, seed_correlation=0.5),
        Setup(
            "`ndcg@5` by user", users, four(3), "ndcg@5", 2000, seed_correlation=0.5, truth_seeds=32
        ),
        Setup(
            "three tasks",
            conflicting(3, 20_000, 0, 3),
            four(3),
            "recall@10%",
            2000,
            seed_correlation=0.5,
            truth_seeds=32,
        ),
        Setup(
            "synthetic-funnel",
            of_funnel(20_000, 0),
            four(3),
            "recall@10%",
            2000,
            seed_correlation=0.5,
        ),
    ]
