"""Early stopping on validation, with the best states of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.objectives import Objective


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
