"""How many seeds a claim needs, and what others published beside what we measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.app.reference.cells import COMPOSITE, EQUAL, SINGLE_TASK
from bench.core.objectives import in_thousandths
from bench.core.registry import Config
from bench.ledger.comparison.significance import replicates_needed
from bench.ledger.effect import Effect
from bench.ledger.errors.intervals import differences, intervals
from reference.members import Data

GAINS = (0.001, 0.0005, 0.0002)
"""Differences of AUC that papers report."""


@dataclass(frozen=True)
class Seeds:
    """How many seeds of each side show a gain of an objective with a chance of 80%; None where no
    number is enough.

    Attributes:
        seed, rows: standard deviation of a paired difference between two seeds, and standard error
            from rows of test.
    """

    data: str
    objective: str
    seed: float
    rows: float

    def needed_for(self, gain: float) -> int | None:
        """Seeds for a gain."""
        seed = max(self.seed, 1e-9)  # a variance that is estimated as 0 is small, and not unknown
        return replicates_needed(gain, seed**2 / 10, self.rows**2, 9.0, 10, 1)


def seeds_needed(datasets: Sequence[Data], sharing: Sequence[str]) -> list[Seeds]:
    """By data set and objective, from the differences between a gradient method and equal weights
    of one sharing.
    """
    all_seeds = []
    for data in datasets:
        pairs = [
            (left, right)
            for kind in sharing
            for right in data.members_of(kind, EQUAL)
            for left in data.members
            if left.sharing == kind and left.of_gradients
        ]
        pair_differences = [
            (differences([left.heads, right.heads]), len(left.heads)) for left, right in pairs
        ]
        usable = [(difference, n) for difference, n in pair_differences if difference is not None]
        for column, objective in enumerate(data.objectives):
            if not usable or not in_thousandths(objective.name):
                continue
            seed = float(
                np.median([difference.seed[0, 1, column] * n for difference, n in usable])
            )  # of one pair
            rows = float(np.median([difference.rows[0, 1, column] for difference, _ in usable]))
            all_seeds.append(Seeds(data.name, objective.name, math.sqrt(seed), math.sqrt(rows)))
    return all_seeds


class Source(Config):
    """What somebody published: a table of test AUC by model, `[[sources]]` of `papers.toml`.

    A model is a way of sharing, or a familiar name such as `esmm`. The data may be any: figures
    wait for rows of ours.
    """

    name: str
    url: str
    data: str
    why: str
    auc: dict[str, dict[str, float]]


class Papers(Config):
    """`papers.toml` beside a suite with a design."""

    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A published figure beside ours, and its lead over the row above it in the same source.

    Attributes:
        our_value: mean and interval of the best model of that way of sharing with equal weights;
            None without one.
        lead: of `their_value` over that of `over`; None in a source's first row.
        noise: of the objective on our rows; None where it is not known.
    """

    source: Source
    model: str
    objective: str
    their_value: float
    our_value: Effect | None
    over: str = ""
    lead: float | None = None
    noise: Seeds | None = None

    @property
    def judged(self) -> bool:
        """Whether it leads, and our rows tell how many seeds would show that."""
        return bool(self.lead) and self.noise is not None

    @property
    def needed(self) -> int | None:
        """Seeds of each side that would show the lead on our rows with a chance of 80%; None where
        none would.
        """
        return self.noise.needed_for(abs(self.lead)) if self.noise and self.lead else None


def claims(
    datasets: Sequence[Data], papers: Sequence[Source], known_noise: Sequence[Seeds]
) -> list[Claim]:
    """Published figures beside ours."""
    our_effects = {data.name: _equal(data) for data in datasets}
    noise = {(entry.data, entry.objective): entry for entry in known_noise}
    all_claims = []
    for source in papers:
        above: dict[str, float] = {}
        over = ""
        for model, table in source.auc.items():
            for objective, their_value in table.items():
                lead = their_value - above[objective] if objective in above else None
                our_effect = our_effects.get(source.data, {}).get((model, objective))
                objective_noise = noise.get((source.data, objective))
                all_claims.append(
                    Claim(
                        source,
                        model,
                        objective,
                        their_value,
                        our_effect,
                        over,
                        lead,
                        objective_noise,
                    )
                )
            above, over = table, model
    return all_claims


def _equal(data: Data) -> dict[tuple[str, str], Effect]:
    """By way of sharing and objective the best model with equal weights; under `single_task` each
    task's best.
    """
    effects: dict[tuple[str, str], Effect] = {}
    for member, row in zip(
        data.members, intervals([member.heads for member in data.members]) or (), strict=False
    ):
        sharing = SINGLE_TASK if member.balancing == COMPOSITE else member.sharing
        if member.balancing in (COMPOSITE, EQUAL):
            effects |= {
                (sharing, objective.name): effect
                for objective, effect in zip(data.objectives, row, strict=True)
            }
    return effects
