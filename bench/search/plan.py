"""The plan of a search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench.frontier.pareto import resolve_reference
from bench.objectives import Objective
from bench.records import Scalar
from bench.search.promotion import Rules
from bench.search.space import Space

SHARING = "sharing.kind"
SINGLE_TASK = "single_task"


def missing_tries(first: Sequence[Mapping[str, Scalar]], kinds: Sequence[str], tries: int) -> list[dict[str, Scalar]]:
    """What gives each kind `tries` trials besides its first, all else left to the sampler; the kinds in turn."""
    there = Counter(params[SHARING] for params in first)
    return [{SHARING: kind} for n in range(tries) for kind in kinds if there[kind] <= n + 1]


@dataclass(frozen=True)
class Plan:
    """A search of one space on one data set.

    Attributes:
        tasks: names of the data set's tasks, in order.
        trials: how many in total, openings and the trials of an earlier, interrupted search included; None for no
            limit.
        seed: of the run; all that a sampler draws derives from it.
        sampler: a name in `samplers.SAMPLERS`.
        portfolio: searched parameters to begin with, see `portfolio.openings`.
        tries: how many further trials each kind of sharing gets before the sampler may choose among kinds. A kind
            judged by its defaults alone, or a baseline tuned less than what is held against it, is no fair comparison.
        seconds: nothing is begun once a search took so long, in total as `trials`; None for no limit. What takes the
            single-task baseline to full length is begun all the same: without it nothing can be compared.
        budget: training samples in total, as `trials`; None for no limit.
        ladder: training samples at each rung, the last of them full length; see `rungs.ladder`. With one rung, or none
            named, every trial is trained to full length.
        eta: at each rung one trial in eta is promoted; see `promotion.Rules`.
        share: of all training samples, what the floor may take; see `promotion`.
        reference: of the hypervolume, by objective name; defaults fill what it leaves out.
        checkpoint_bytes: what checkpoints of waiting trials may take on disk; see `driver.Checkpoints`.
    """

    space: Space
    tasks: tuple[str, ...]
    objectives: tuple[Objective, ...]
    trials: int | None
    seed: int
    sampler: str = "tpe"
    portfolio: tuple[Mapping[str, Scalar], ...] = ()
    tries: int = 0
    seconds: float | None = None
    budget: int | None = None
    ladder: tuple[int, ...] = ()
    eta: tuple[float, ...] = (4.0,)
    share: float = 0.1
    reference: Mapping[str, float] = field(default_factory=dict)
    checkpoint_bytes: float = math.inf

    @property
    def by_rungs(self) -> bool:
        """Whether trials are judged before full length."""
        return len(self.ladder) > 1

    @property
    def lengths(self) -> float:
        """The budget in trainings of full length: of its samples, else of its trials."""
        if self.budget is not None and self.ladder:
            return self.budget / self.ladder[-1]
        return float(self.trials or 0)

    @cached_property
    def rules(self) -> Rules:
        """What decides on promotions. The floor looks at a kind's defaults and its tries.

        Raises:
            UserError: an objective has no reference.
        """
        reference = resolve_reference(self.objectives, self.reference)
        rungs = self.ladder or (1,)
        return Rules(rungs, self.eta, self.objectives, reference, 1 + self.tries, self.share)

    @cached_property
    def openings(self) -> tuple[Mapping[str, Scalar], ...]:
        """Parameters of the first trials that are not left to the sampler, which fills in the rest.

        They are the single-task baseline, the portfolio, other kinds of sharing by their defaults, and tries: each kind
        has `tries` trials besides the first, those of the portfolio included.
        """
        kinds = self.space.branches(SHARING)
        if not kinds:
            return self.portfolio or (self.space.defaults(self.tasks),)
        there = {params[SHARING] for params in self.portfolio}
        others = [self.space.defaults(self.tasks, {SHARING: kind}) for kind in kinds if kind not in there]
        first: list[Mapping[str, Scalar]] = [*self.portfolio, *others]
        single = [at for at, params in enumerate(first) if params[SHARING] == SINGLE_TASK][:1]
        first = [*(first[at] for at in single), *(params for at, params in enumerate(first) if at not in single)]
        return (*first, *missing_tries(first, kinds, self.tries))

    def identity(self) -> dict[str, Any]:
        """The settings that decide trial n, which must not change when a search is resumed.

        Limits are left out: a search may be given more trials, time or samples.
        """
        rungs = {"ladder": list(self.ladder), "eta": list(self.eta), "share": self.share} if self.by_rungs else {}
        return {
            "seed": self.seed,
            "sampler": self.sampler,
            "space": self.space.digest(),
            "tasks": list(self.tasks),
            "objectives": [[objective.name, objective.direction] for objective in self.objectives],
            "tries": self.tries,
            "portfolio": [dict(params) for params in self.portfolio],
            "reference": dict(self.rules.reference),
            **rungs,
        }
