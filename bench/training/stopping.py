"""Early stopping on validation, and the snapshots it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bench.objectives import Objective


@dataclass
class Selector:
    """Keeps the model at the best mean of some objectives.

    Tasks that are separate models have a selector each; all other models have one.

    Attributes:
        objectives: whose signed mean on validation is to be largest.
        best: that mean at its largest so far.
        waited: evaluations since then.
        snapshot: the model's state then.
        samples: training samples seen then.
    """

    objectives: tuple[Objective, ...]
    best: float = -float("inf")
    waited: int = 0
    snapshot: dict[str, Tensor] | None = None
    samples: int = 0

    def judge(self, metrics: dict[str, float], model: nn.Module, samples: int) -> None:
        """Looks at one evaluation; takes a snapshot if it is the best.

        An objective that is undefined on this split (one class only) counts as the worst possible.
        """
        values = [metrics.get(objective.key("valid"), float("nan")) * objective.sign for objective in self.objectives]
        score = sum(values) / len(values)
        if score > self.best or self.snapshot is None:
            self.best = score if score == score else -float("inf")
            self.waited, self.samples = 0, samples
            self.snapshot = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        else:
            self.waited += 1


def selectors(objectives: Sequence[Objective], tasks: Sequence[str], separate: bool) -> list[Selector]:
    """One selector for all tasks; or one a task, in task order, where the tasks are separate models.

    A separate task without an objective follows the mean of all objectives.
    """
    usable = tuple(objective for objective in objectives if objective.is_metric)
    if not separate:
        return [Selector(usable)]
    own = [tuple(o for o in usable if o.name.split(".")[0] == task) for task in tasks]
    return [Selector(of_task or usable) for of_task in own]
