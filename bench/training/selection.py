"""Which state of a model a training keeps: the best one on validation, or the average of the last steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.objectives import Objective

LOOKS = 20
"""The most times that weights are added to the average: a table of embeddings may be large."""


@dataclass
class Selector:
    """Keeps the model at the best mean of some objectives.

    Tasks that are separate models have a selector each; all other models have one.

    Attributes:
        objectives: whose signed mean on validation is to be largest.
        task: the column of logits that this selector decides on; None for all of them.
        best: that mean at its largest so far.
        waited: evaluations since then.
        samples: training samples seen then; 0 before the first evaluation.
        current: whether the model still is as it was then. Only when it moves on is its state copied, so that a
            training that ends at its best never is.
        snapshot: that copy.
        logits: what the model said of validation then, (N,), where `task` is set.
    """

    objectives: tuple[Objective, ...]
    task: int | None = None
    best: float = -float("inf")
    waited: int = 0
    samples: int = 0
    current: bool = False
    snapshot: dict[str, Tensor] | None = None
    logits: Tensor | None = None

    def judge(self, metrics: Mapping[str, float], samples: int) -> bool:
        """Looks at one evaluation of the model as it is; whether it is the best so far.

        An objective that is undefined on this split (one class only) counts as the worst possible.
        """
        values = [metrics.get(objective.key("valid"), float("nan")) * objective.sign for objective in self.objectives]
        score = sum(values) / len(values)
        if score > self.best or self.samples == 0:
            self.best = score if score == score else -float("inf")
            self.waited, self.samples, self.current = 0, samples, True
            return True
        self.waited += 1
        return False

    def forget(self) -> None:
        """Takes the next evaluation for the best, whatever it is."""
        self.best, self.waited, self.samples, self.current = -float("inf"), 0, 0, False

    def keep(self, model: nn.Module) -> None:
        """Copies the model's state if it is the best one; to be called before the model moves on."""
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
        """What continuing needs; no copy is made."""
        plain = {"best": self.best, "waited": self.waited, "samples": self.samples, "current": self.current}
        return plain | {"snapshot": None if self.current else self.snapshot, "logits": self.logits}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Takes over a copy of a state, its snapshot on the model's device."""
        for name in ("best", "waited", "samples", "current"):
            setattr(self, name, state[name])
        snapshot, logits = state["snapshot"], state["logits"]
        self.snapshot = snapshot and {name: tensor.to(device, copy=True) for name, tensor in snapshot.items()}
        self.logits = None if logits is None else logits.clone()


def selectors(objectives: Sequence[Objective], tasks: Sequence[str], separate: bool) -> list[Selector]:
    """One selector for all tasks; or one a task, in task order, where several tasks are separate models.

    A separate task without an objective follows the mean of all objectives.
    """
    usable = tuple(objective for objective in objectives if objective.is_metric)
    if not separate or len(tasks) == 1:
        return [Selector(usable)]
    own = [tuple(o for o in usable if o.name.split(".")[0] == task) for task in tasks]
    return [Selector(of_task or usable, at) for at, of_task in enumerate(own)]


class Averaging:
    """Averages the weights of the last steps, and gives them to the model after the last one.

    As stochastic weight averaging (Izmailov et al., UAI 2018), under whatever schedule the learning rate has. The
    result is one model, at no cost in serving.

    Args:
        share: of all steps, the last ones; 0 does nothing.
        total: steps of the training.

    Attributes:
        means: by parameter, of what was taken in so far.
    """

    def __init__(self, model: nn.Module, share: float, total: int) -> None:
        self._model, self._total = model, total
        window = round(share * total)
        many = min(LOOKS, window)
        self._steps = {total - window * at // many for at in range(many)} if many > 1 else set()
        self._count = 0
        self.means: dict[str, Tensor] = {}

    @property
    def on(self) -> bool:
        """Whether weights are averaged at all."""
        return bool(self._steps)

    @torch.no_grad()
    def after(self, step: int) -> None:
        """To be called after each step, with how many there were."""
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
        """What continuing needs; no copy is made."""
        return {"count": self._count, "means": self.means}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Takes over a copy of a state, on the model's device."""
        self._count = state["count"]
        self.means = {name: mean.to(device, copy=True) for name, mean in state["means"].items()}
