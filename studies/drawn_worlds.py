"""A random world to decide in, drawn by a seed, with the true outcomes of every model under any
weights.

A world is a population of 8,000 rows with known probabilities of its tasks, and candidates that
predict them with errors of their own and of their seeds (`served_worlds`). True outcomes are means
over 24 seeds on the whole population, with probabilities for labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit
from served_worlds import DIVERGED, WAVES, Floats, Kind, Setup, World

from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.deciding.policy import LOSS
from bench.ledger.effect import MARGIN
from bench.ledger.fusion import FUSION_KINDS, LEAST_PREDICTION, Fusion

SEED = 50_271_828
WORLDS = ("mixed", "null", "one ahead", "values")
NAMES = ("click", "like", "share", "save", "follow", "comment", "hide", "buy")
POPULATION, OF_USER, SHARE = 8_000, 40, 0.1
"""Rows, rows of a user, and the share of rows that an outcome counts positives in."""
PAIRS, FEW = 12, 4
"""Pairs of seeds with opposite errors that the truth is a mean of, and while weights are
climbed.
"""
BIAS, MOST = (0.03, 0.2), 0.05
"""Sizes of biases, in logits; the most that the U of two seeds' models differs by, as a standard
error.
"""
NEAR = 0.05
"""Candidates that are further behind in U before they climb do not climb."""
LITTLE = 1e-4
"""Outcomes are at least this under a logarithm."""
Serve = tuple[str, Fusion]
"""A served ranking: a candidate's name, and how its predictions are fused."""


class Ranked:
    """Outcomes of predictions by several seeds on the same rows: of each task's positives the share
    in the first tenth.

    Args:
        predictions: of each seed (N, T).
        labels: (N, T), or probabilities of them.
        weights: of the seeds, of sum 1.
    """

    def __init__(
        self,
        predictions: Sequence[Floats],
        labels: Floats,
        rates: Sequence[float] | Floats,
        weights: Floats,
    ) -> None:
        stacked = np.concatenate(predictions)
        self._seeds = len(predictions)
        self._weights = weights
        self._first = round(SHARE * len(labels))
        self._shares = (labels / labels.sum(axis=0)).astype(np.float32)
        self._terms = {
            "power": np.log(np.maximum(stacked, LEAST_PREDICTION)).astype(np.float32),
            "sum": (stacked / rates).astype(np.float32),
        }

    def outcomes(self, fusion: Fusion) -> Floats:
        """(T,) means over seeds."""
        return np.asarray(self._weights @ self.by_seed(fusion))

    def by_seed(self, fusion: Fusion) -> Floats:
        """(seeds, T)."""
        scores = (self._terms[fusion.kind] @ np.array(fusion.weights, np.float32)).reshape(
            self._seeds, -1
        )
        threshold = np.partition(scores, -self._first, axis=1)[:, -self._first, None]
        return np.asarray((scores >= threshold).astype(np.float32) @ self._shares, dtype=float)


def utility(outcomes: Floats, weights: Floats | None = None) -> Floats:
    """The mean logarithm (...) of outcomes (..., T), weighted by (T,) importances if given."""
    return np.asarray(np.average(np.log(np.maximum(outcomes, LITTLE)), axis=-1, weights=weights))


Value = Callable[[Fusion], float]


def climbed(
    value: Value,
    start: Fusion,
    rng: np.random.Generator,
    size: float = 1.0,
    smallest_step: float = 0.03,
) -> tuple[float, Fusion]:
    """The best value and weights that steps in log-weights find, of one task or in a random
    direction: smaller ones where they no longer gain."""
    tasks = len(start.weights)
    log_weights = np.log(np.maximum(start.weights, LITTLE))
    best, best_fusion = value(start), start
    while size > smallest_step:
        before = best
        for direction in (*np.eye(tasks), *rng.normal(size=(tasks, tasks))):
            for sign in (1.0, -1.0):
                new = log_weights + sign * size * direction
                fusion = Fusion(start.kind, tuple((np.exp(new) / np.exp(new).sum()).tolist()))
                if (reached := value(fusion)) > best:
                    log_weights, best, best_fusion = new - new.max(), reached, fusion
                    break
        size *= 1.0 if best > before + 1e-3 else 0.5
    return best, best_fusion


def starts_of(tasks: int, count: int, rng: np.random.Generator) -> list[Fusion]:
    """Equal weights, and random ones."""
    weights = [np.ones(tasks), *np.exp(rng.normal(0, 1.5, (count - 1, tasks)))]
    return [
        Fusion(kind, tuple((vector / vector.sum()).tolist()))
        for kind in FUSION_KINDS
        for vector in weights
    ]


@dataclass
class Case:
    """A drawn world.

    Attributes:
        today: what is compared with, and served if nothing is changed.
        current: whether it is a current model; else it is the composite of single-task models.
        facts: what was drawn, for the record.
        values: (T,), of all events of a task; then U is the logarithm of what is earned, and
            nothing is guarded.
    """

    setup: Setup
    today: Serve
    current: bool
    facts: dict[str, Any] = field(default_factory=dict)
    values: Floats | None = None
    _pools: dict[tuple[Any, int], Ranked] = field(default_factory=dict)
    _truths: dict[tuple[Any, Fusion], Floats] = field(default_factory=dict)

    def kind(self, name: str) -> Kind:
        """The candidate of that name."""
        return next(kind for kind in self.setup.kinds if kind.name == name)

    def pool(self, name: str, pairs: int) -> Ranked:
        """A candidate's predictions of the population by that many pairs of seeds."""
        kind, setup = self.kind(name), self.setup
        key = (_true(kind), pairs)
        if key not in self._pools:
            p = setup.world.joint(setup.world.logits)
            cut = np.linspace(0, 1, pairs + 1) ** (2 if kind.tails else 1)
            sizes, weights = (
                [kind.size(quantile) for quantile in (cut[1:] + cut[:-1]) / 2],
                np.diff(cut),
            )
            if kind.diverges:
                sizes = [*sizes, DIVERGED]
                weights = np.append((1 - kind.diverges) * weights, kind.diverges)
            drawn = np.random.default_rng([setup.seed, 9]).normal(
                size=(len(sizes), WAVES, p.shape[1])
            )
            errors = [
                sign * size * waves
                for size, waves in zip(sizes, drawn, strict=True)
                for sign in (1, -1)
            ]
            predictions = [
                setup.predicted(kind, error) for error in errors[: 1 if not kind.noise else None]
            ]
            weights = np.ones(1) if not kind.noise else np.repeat(weights / 2, 2)
            self._pools[key] = Ranked(predictions, p, p.mean(axis=0), weights)
        return self._pools[key]

    def truth(self, serve: Serve) -> Floats:
        """(T,) true outcomes."""
        key = (_true(self.kind(serve[0])), serve[1])
        if key not in self._truths:
            self._truths[key] = self.pool(serve[0], PAIRS).outcomes(serve[1])
        return self._truths[key]

    def u(self, outcomes: Floats) -> float:
        """U of outcomes (T,)."""
        return float(utility(outcomes) if self.values is None else np.log(outcomes @ self.values))

    @property
    def guards(self) -> bool:
        """Whether outcomes are guarded by shares of today's."""
        return self.current and self.values is None

    @cached_property
    def floor(self) -> Floats:
        """(T,) the least outcomes that the guard allows."""
        if self.guards:
            return (1 - LOSS) * self.truth(self.today)
        return np.full(len(self.setup.world.tasks), SHARE if self.values is None else LITTLE)

    def breaks(self, serve: Serve) -> bool:
        """Whether an outcome is truly below what the guard allows, by more than half a percent."""
        return bool((self.truth(serve) < (1 - MARGIN) * self.floor).any())

    def guarded(self, outcomes: Floats) -> float:
        """U, less a penalty where an outcome is below what the guard allows."""
        return self.u(outcomes) - 20 * float(
            np.maximum(0, np.log(self.floor / np.maximum(outcomes, LITTLE))).sum()
        )

    def best_of(self, name: str, starts: Iterable[Fusion], rng: np.random.Generator) -> Serve:
        """A candidate at the best weights that climbing finds: by few pairs of seeds, and then on
        by all.
        """
        few_pairs, all_pairs = self.pool(name, FEW), self.pool(name, PAIRS)
        climbs = [
            climbed(lambda fusion: self.guarded(few_pairs.outcomes(fusion)), start, rng)
            for start in starts
        ]
        best = max(climbs, key=lambda climb: climb[0])[1]
        return name, climbed(
            lambda fusion: self.guarded(all_pairs.outcomes(fusion)), best, rng, 0.12
        )[1]

    def best(self, rivals: Iterable[Serve], count: int = 10) -> Serve:
        """The best true ranking of all candidates within the guard; no worse than `rivals`, where
        that is within it.
        """
        rng = np.random.default_rng([self.setup.seed, 11])
        p = self.setup.world.joint(self.setup.world.logits)
        ideal = Ranked([p], p, p.mean(axis=0), np.ones(1))
        starts = starts_of(p.shape[1], count, rng)
        fusions = [self.today[1]]
        for kind in FUSION_KINDS:
            kind_starts = [start for start in starts if start.kind == kind]
            reached = [
                climbed(
                    lambda fusion: self.u(ideal.outcomes(fusion)), start, rng, smallest_step=0.1
                )
                for start in kind_starts
            ]
            fusions.append(max(reached, key=lambda climb: climb[0])[1])

        def value(serve: Serve) -> float:
            return self.guarded(self.truth(serve))

        def near(serve: Serve) -> float:
            return self.u(self.truth(serve))

        names = {_true(kind): kind.name for kind in self.setup.kinds}.values()
        serves = [max(((name, fusion) for fusion in fusions), key=near) for name in names]
        best = max([*serves, self.today], key=value)
        for serve in sorted(serves, key=near, reverse=True):
            if near(serve) > value(best) - NEAR:
                best = max(
                    best, self.best_of(serve[0], dict.fromkeys([serve[1], best[1]]), rng), key=value
                )
        return max([best, *rivals], key=value)


def _true(kind: Kind) -> tuple[Any, ...]:
    """Equal for candidates that are equal in truth."""
    return kind.like or kind.name, kind.bias, kind.noise, kind.tails, kind.diverges


def population(
    tasks: int, users: bool, rates: Floats, rng: np.random.Generator, rows: int
) -> World:
    """Tasks of some rates, and effects of inputs that have about opposite signs on them."""
    inputs, effects = rng.normal(size=(rows, 6)), rng.normal(size=(6, tasks))
    effects -= effects.mean(axis=1, keepdims=True) * rng.uniform(0.2, 0.6)
    logits = inputs @ effects * rng.uniform(0.6, 1.1)
    user_of_row = np.full(rows, -1, np.int32)
    if users:
        user_of_row = np.arange(rows, dtype=np.int32) // OF_USER
        logits += rng.normal(0, 0.5, (rows // OF_USER, tasks))[user_of_row]
    for task, rate in enumerate(rates):
        for _ in range(30):  # a fixed point: the mean probability is the rate
            logits[:, task] += np.log(rate / expit(logits[:, task]).mean())
    return World(NAMES[:tasks], logits, inputs, False, user_of_row)


def drawn(tasks: int, world_kind: str, number: int, times: int = 1) -> Case:
    """A world of a kind, by its number, with that many times as many rows.

    Kinds: `mixed`; `null`: all models are equal, and today's weights are the best; `one ahead`: as
    `null`, and candidate 1 is better by a drawn 1 to 10%; `values`: today's model and candidate 1
    predict the true probabilities.
    """
    rng = np.random.default_rng([SEED, tasks, WORLDS.index(world_kind), number])
    small, users = bool(rng.random() < 0.25), bool(rng.random() < 0.3)
    rows = int(rng.uniform(800, 2_500) if small else 2_500 * 4 ** rng.random())
    replicates = int(rng.choice([2, 3, 10], p=[0.4, 0.4, 0.2]))
    candidates = int(rng.integers(1, 13)) if replicates < 10 else int(rng.integers(1, 6))
    least_rate = max(0.01, (8 if small else 60) / rows)
    rates = np.exp(rng.uniform(np.log(least_rate), np.log(0.3), tasks))
    current = bool(number % 2) or world_kind == "values"
    ratio = float(rng.choice([0.2, 1.0, 5.0]))
    tails = bool(rng.random() < 0.25)
    alone, correlation = current and bool(rng.random() < 0.5), float(rng.choice([0.0, 0.3, 0.6]))
    name = "current" if current else "single_task"
    first = Kind(name, float(rng.uniform(*BIAS)), 0.2, 1 if alone else replicates, tails=tails)
    kinds = [replace(first, role="current" if current else "baseline")]
    kinds += [
        Kind(str(place + 1), float(bias), 0.2, replicates, tails=tails)
        for place, bias in enumerate(rng.uniform(*BIAS, candidates))
    ]
    rows *= times
    setup = Setup(
        world_kind,
        population(tasks, users, rates, rng, POPULATION * times),
        kinds,
        "recall@10%",
        rows,
        correlation,
        seed=int(rng.integers(1 << 31)),
        splits=(SEARCH, CONFIRM, TEST),
        grouped=False,
    )
    noise, errors = _noise(setup, ratio, rng)
    facts = {
        "rows": rows,
        "users": users,
        "candidates": candidates,
        "replicates": replicates,
        "alone": alone,
        "positives": round(float(rates.min() * rows)),
        "ratio": ratio,
        "noise": noise,
        "tails": tails,
        "current": current,
        "odd": "",
        "weights": "",
        **errors,
        "error": (errors["by_rows"] ** 2 / 2 + errors["by_seeds"] ** 2 / replicates) ** 0.5,
    }
    spread = 0.3 if world_kind == "mixed" else 0.0
    setup.kinds = [
        replace(kind, noise=noise * float(np.exp(rng.normal(0, spread)))) for kind in kinds
    ]
    if world_kind == "mixed":
        setup.kinds = _odd(setup.kinds, rng, facts)
    elif world_kind == "values":
        setup.kinds[:2] = [
            replace(kind, bias=0.0, noise=0.0, replicates=1) for kind in setup.kinds[:2]
        ]
    else:
        setup.kinds = [replace(kind, bias=kinds[0].bias, like=name) for kind in setup.kinds]
    weights, good = _weights(tasks, rng), world_kind != "mixed" or bool(rng.random() < 0.5)
    case = Case(setup, (name, weights), current, facts)
    if world_kind == "one ahead":
        case = _ahead(case, float(rng.uniform(0.01, 0.1)), rng)
    if world_kind == "values":
        case.values = rates * np.exp(rng.normal(0, 1.5, tasks))
    elif good or not current:
        case.today, facts["weights"] = _tuned(case, rng), "good"
    return case


def _tuned(case: Case, rng: np.random.Generator) -> Serve:
    """Today's candidate at its best weights."""
    free = Case(case.setup, case.today, False)
    return free.best_of(case.today[0], starts_of(len(case.setup.world.tasks), 3, rng), rng)


def _weights(tasks: int, rng: np.random.Generator) -> Fusion:
    return Fusion.of(FUSION_KINDS[int(rng.integers(2))], np.exp(rng.normal(0, 0.8, tasks)).tolist())


def _odd(kinds: Sequence[Kind], rng: np.random.Generator, facts: dict[str, Any]) -> list[Kind]:
    """By turns nothing; one candidate in five is unstable; one diverges; one is today's model
    again.
    """
    changed = list(kinds)
    chosen = int(rng.integers(1, len(kinds)))
    odd = ["", "unstable", "diverges", "tie"][rng.integers(4)]
    facts["odd"] = odd
    if odd == "unstable":
        for place in range(1 + (chosen - 1) % 5, len(changed), 5):
            changed[place] = replace(changed[place], noise=min(1.0, 4 * changed[place].noise))
    elif odd == "diverges":
        changed[chosen] = replace(changed[chosen], diverges=0.15)
    elif odd == "tie":
        now, tied = changed[0], changed[chosen]
        changed[chosen] = replace(
            now, name=tied.name, role="trial", replicates=tied.replicates, like=now.name, twin=True
        )
    return changed


def _noise(setup: Setup, ratio: float, rng: np.random.Generator) -> tuple[float, dict[str, float]]:
    """The size of seeds' errors by which U differs `ratio` times as much as by rows, between two
    models with one seed.

    Also the standard errors of that difference by seeds and by rows; that by seeds is `MOST` at
    most.
    """
    first, second = setup.kinds[:2]
    p = setup.world.joint(setup.world.logits)
    equal = Fusion.of("power", [1.0] * len(setup.world.tasks))
    rates: Floats = p.mean(axis=0)
    of_seeds = first.noise * rng.normal(size=(24, WAVES, p.shape[1]))
    by_seed = Ranked(
        [setup.predicted(first, waves) for waves in of_seeds], p, rates, np.full(24, 1 / 24)
    )
    predictions, utilities = (
        [setup.predicted(kind, 0 * of_seeds[0]) for kind in (first, second)],
        [],
    )
    for _ in range(24):
        sampled = rng.integers(0, len(p), setup.rows)
        labels = np.asarray((rng.random((setup.rows, p.shape[1])) < p[sampled]) + 1e-9, dtype=float)
        measured = Ranked(
            [prediction[sampled] for prediction in predictions], labels, rates, np.full(2, 0.5)
        ).by_seed(equal)
        utilities.append(utility(np.maximum(measured, 0.5 / labels.sum(axis=0))))
    rows = float(np.diff(utilities, axis=1).std())
    seeds = float(np.sqrt(2) * utility(by_seed.by_seed(equal)).std())
    scale = min(ratio * rows / seeds, MOST / seeds, 0.6 / first.noise)
    return first.noise * scale, {"by_seeds": seeds * scale, "by_rows": rows}


def _ahead(case: Case, gain: float, rng: np.random.Generator) -> Case:
    """The case with larger biases of all candidates but the first trial, which is ahead in U by so
    much, about.
    """

    def with_(share: float) -> Case:
        kinds = [
            kind if kind.name == "1" else replace(kind, bias=kind.bias * share)
            for kind in case.setup.kinds
        ]
        return replace(case, setup=replace(case.setup, kinds=kinds), _pools={}, _truths={})

    fusion, low, high = _tuned(case, rng)[1], 1.0, 6.0
    for _ in range(7):
        moved = with_((low + high) / 2)
        reached = float(
            utility(moved.truth(("1", fusion))) - utility(moved.truth((moved.today[0], fusion)))
        )
        low, high = ((low + high) / 2, high) if reached < gain else (low, (low + high) / 2)
    return with_((low + high) / 2)
