"""What Optuna's samplers are shown of a search: a bounded part, so that the thousandth proposal takes no longer than
the three hundredth.

TPE parts trials into a good tenth and the rest. Of `BEST` + `OTHERS` trials the good ones are at most 26, all of them
among the best; and as many others at random as there are best are enough to tell where there is nothing to gain.
Shorter searches are shown whole.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from bench.objectives import Objective
from bench.search.ranking import Order
from bench.search.standing import Standing
from bench.search.tie_breaks import epsilon_net

BEST, OTHERS = 128, 128


def shown(standings: Sequence[Standing], objectives: tuple[Objective, ...], seed: int) -> list[int]:
    """Numbers of the trials that a sampler is shown, rising: the best, some others, and all that are under way.

    Best is by non-dominated rank, and within a rank what covers it: as TPE would choose them, and without a reference.

    Args:
        standings: of every trial of a search without rungs, by number.
        seed: of the draw of the others.
    """
    done = np.array([each.number for each in standings if each.results], dtype=np.int64)
    if len(done) > BEST + OTHERS:
        values = np.array([standings[number].results[-1] for number in done])
        order = Order(values, objectives, {objective.name: 0.0 for objective in objectives}, epsilon_net)
        best = order.at(np.arange(BEST))
        others = np.random.default_rng(seed).permutation(np.delete(np.arange(len(done)), best))[:OTHERS]
        done = done[np.concatenate([best, others])]
    return sorted([*done.tolist(), *(each.number for each in standings if each.progress == "running")])


class PartlyShown(BaseStorage):
    """To be put before one of Optuna's storages, which is then as it was but for what it shows when asked to."""

    _part: list[FrozenTrial] | None = None

    @contextmanager
    def showing(self, trials: list[FrozenTrial] | None) -> Iterator[None]:
        """Within, these are all trials that there are; None shows every one."""
        self._part = trials
        try:
            yield
        finally:
            self._part = None

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As Optuna's."""
        if self._part is None:
            return super().get_all_trials(study_id, deepcopy, states)  # type: ignore[safe-super]
        found = [trial for trial in self._part if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found
