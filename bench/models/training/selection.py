"""Which state of a model a training keeps: the best one on validation, or the average of the last
steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.objectives import Objective

LOOKS = 20
"""Maximum number of additions to the average: a table of embeddings may be large."""


@dataclass
class Selector:
    """Keeps the model at the best mean of some objectives.

    Tasks that are separate models have a selector each; all other models have one.

    Attributes:
        objectives: their mean on validation, signed, is maximised.
        task: the column of logits that this selector decides on; None for all.
        best: the largest mean so far.
        waited: evaluations since the best one.
        samples: training samples at the best one; 0 before the first evaluation.
        current: whether the model still is in its best state, which is copied only when the model
            moves on.
        snapshot: that copy.
        logits: (N,) of validation at the best one, if `task` is set.
    """

    objectives: tuple[Objective, ...]
    task: int | None = None
    best: float = -math.inf
    waited: int = 0
    samples: int = 0
    current: bool = False
    snapshot: dict[str, Tensor] | None = None
    logits: Tensor | None = None

    def judge(self, metrics: Mapping[str, float], samples: int) -> bool:
        """Takes the metrics of the model's current state; returns whether it is the best so far.

        An objective that is undefined on this split (one class only) counts as the worst possible.
        """
        values = []
        for objective in self.objectives:
            values.append(metrics.get(objective.key("valid"), math.nan) * objective.sign)
        score = sum(values) / len(values)
        if score > self.best or self.samples == 0:
            self.best = -math.inf if math.isnan(score) else score
            self.waited, self.samples, self.current = 0, samples, True
            return True
        self.waited += 1
        return False

    def forget(self) -> None:
        """Makes the next evaluation the best one."""
        self.best, self.waited, self.samples, self.current = -math.inf, 0, 0, False

    def keep(self, model: nn.Module) -> None:
        """Copies the model's state if it is the best one; call it before the model changes."""
        if not self.current:
            return
        self.current = False
        state = model.state_dict()
        if self.snapshot is None:
            self.snapshot = {name: tensor.clone() for name, tensor in state.items()}
        else:
            for name, tensor in state.items():
                self.snapshot[name].copy_(tensor)

    def state_dict(self) -> dict[str, Any]:
        """State needed to continue, not copied."""
        return {
            "best": self.best,
            "waited": self.waited,
            "samples": self.samples,
            "current": self.current,
            "snapshot": None if self.current else self.snapshot,
            "logits": self.logits,
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Copies a state, its snapshot to the model's device."""
        for name in ("best", "waited", "samples", "current"):
            setattr(self, name, state[name])
        self.snapshot = self.logits = None
        if state["snapshot"] is not None:
            self.snapshot = _copied(state["snapshot"], device)
        if state["logits"] is not None:
            self.logits = state["logits"].clone()


def selectors(
    objectives: Sequence[Objective], tasks: Sequence[str], separate: bool
) -> list[Selector]:
    """One selector for all tasks; or one for each task, in order, if several tasks are separate
    models.

    A separate task without an objective uses the mean of all objectives.
    """
    usable = tuple(objective for objective in objectives if objective.is_metric)
    if not separate or len(tasks) == 1:
        return [Selector(usable)]
    of_tasks = []
    for index, task in enumerate(tasks):
        named = tuple(objective for objective in usable if objective.name.split(".")[0] == task)
        of_tasks.append(Selector(named or usable, index))
    return of_tasks


class Averaging:
    """Averages the weights of the last steps, a `share` of `total`, and copies the average into the
    model after them.

    Stochastic weight averaging (Izmailov et al., UAI 2018), under any learning-rate schedule;
    serving costs no more. `means` has each parameter's average so far; share 0 does nothing.
    """

    def __init__(self, model: nn.Module, share: float, total: int) -> None:
        self._model = model
        self._total = total
        self._steps: set[int] = set()
        window = round(share * total)
        looks = min(LOOKS, window)
        if looks > 1:
            self._steps = {total - window * look // looks for look in range(looks)}
        self._count = 0
        self.means: dict[str, Tensor] = {}

    @property
    def on(self) -> bool:
        """Whether weights are averaged."""
        return bool(self._steps)

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Call it after each step, with the number of steps so far."""
        if step not in self._steps:
            return
        self._count += 1
        for name, weight in self._model.named_parameters():
            if name in self.means:
                self.means[name].lerp_(weight, 1 / self._count)
            else:
                self.means[name] = weight.clone()
            if step == self._total:
                weight.copy_(self.means[name])

    def state_dict(self) -> dict[str, Any]:
        """State needed to continue, not copied."""
        return {"count": self._count, "means": self.means}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Copies a state to the model's device."""
        self._count = state["count"]
        self.means = _copied(state["means"], device)


def _copied(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device, copy=True) for name, tensor in tensors.items()}
