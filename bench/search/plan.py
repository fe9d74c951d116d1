"""What a search is to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import UserError
from bench.objectives import Objective
from bench.records import Scalar
from bench.search.space import Space

SHARING = "sharing.kind"
SINGLE_TASK = "single_task"


def familiar_name(config: Mapping[str, Scalar]) -> str:
    """The architecture of a dotted configuration, as in "mmoe" or "ple+entire_space".

    Raises:
        UserError: it is no configuration.
    """
    from bench.training.config import TrialConfig  # imports torch: only where it is needed

    return TrialConfig.parse(config).architecture


@dataclass(frozen=True)
class Opening:
    """A trial that is not left to the sampler, or not all of it.

    Attributes:
        params: parameters with their values; the sampler fills in the rest.
        baseline: whether it stands for the single-task baseline.
    """

    params: dict[str, Scalar]
    baseline: bool


@dataclass(frozen=True)
class Plan:
    """A search of one space on one data set.

    Attributes:
        tasks: names of the data set's tasks, in order.
        trials: how many in total, openings and the trials of an earlier, interrupted search included.
        seed: of the run; all that a sampler draws derives from it.
        sampler: a name in `samplers.SAMPLERS`.
        tries: how many further trials each kind of sharing gets before the sampler may choose among kinds. A kind
            judged by its defaults alone, or a baseline tuned less than what is held against it, is no fair comparison.
        seconds: no trial is asked for later than this after the start; None for no limit.
        architecture: names a configuration's architecture for records.
    """

    space: Space
    tasks: tuple[str, ...]
    objectives: tuple[Objective, ...]
    trials: int
    seed: int
    sampler: str = "tpe"
    tries: int = 0
    seconds: float | None = None
    architecture: Callable[[Mapping[str, Scalar]], str] = familiar_name

    def name(self, config: Mapping[str, Scalar]) -> str:
        """The configuration's architecture, or "?" where it is no configuration: then the trial itself will say why."""
        try:
            return self.architecture(config)
        except UserError:
            return "?"

    def openings(self) -> tuple[Opening, ...]:
        """The first trials: every kind of sharing by its defaults, then the sampler's tries within each in turn."""
        kinds = self.space.branches(SHARING)
        if not kinds:
            baseline = self.space.fixed.get(SHARING) == SINGLE_TASK
            return (Opening(self.space.defaults(self.tasks), baseline),)
        defaults = (Opening(self.space.defaults(self.tasks, {SHARING: kind}), kind == SINGLE_TASK) for kind in kinds)
        tries = tuple(Opening({SHARING: kind}, kind == SINGLE_TASK) for kind in kinds) * self.tries
        return (*defaults, *tries)

    def identity(self) -> dict[str, Any]:
        """What must not change when a search is resumed: all that decides what trial n is."""
        return {
            "seed": self.seed,
            "sampler": self.sampler,
            "space": self.space.digest(),
            "tasks": list(self.tasks),
            "objectives": [[objective.name, objective.direction] for objective in self.objectives],
            "tries": self.tries,
        }
