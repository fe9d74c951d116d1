"""Collects the probes of one training, and summarises them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from bench.balancing.base import Balancer
from bench.data.batches import Batch
from bench.models.assembly import MultiTaskModel
from bench.objectives import Objective
from bench.training.diagnosis.plan import ROWS, due, interval
from bench.training.diagnosis.probe import Probe
from bench.training.diagnosis.summary import course_of, summary


class Diagnosis:
    """Probes a training at a fixed interval of steps, which follows from its length, batch and tasks alone.

    Args:
        means: (T,) of train's labels, each on its sample space.
        total: steps of the whole training.
        batch: samples of a step.

    Attributes:
        every: steps from one probe to the next.
        probes: what each of them found, beside its `samples`.
        experts: what the last one found of experts.
    """

    def __init__(self, model: MultiTaskModel, balancer: Balancer, means: Tensor, total: int, batch: int) -> None:
        self.model, self.batch = model, batch
        self.tasks = [task.name for task in model.schema.tasks]
        self.every = interval(total, batch, len(self.tasks))
        self.base = base_losses(model, means.tolist())
        self.probes: list[dict[str, Any]] = []
        self.experts: dict[str, Any] = {}
        self._probe = Probe(model, balancer)

    def look(self, step: int, batch: Batch) -> None:
        """Looks at the first rows of a step's batch, if it is time."""
        if due(step, self.every):
            found, experts = self._probe(Batch(*(tensor[:ROWS] for tensor in batch.tensors)))
            self.probes.append({"samples": step * self.batch} | found)
            self.experts |= experts

    def summary(self, curve: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> dict[str, Any]:
        """All that was seen so far, as in `bench.records.TrialResult.diagnosis`."""
        about = {"every": self.every, "rows": min(ROWS, self.batch)}
        seen = summary(self.tasks, self._probe.pairs, self.base, self.probes, self.experts)
        return about | seen | {"course": course_of(self.tasks, curve, objectives)}

    def state_dict(self) -> dict[str, Any]:
        """What was seen, as plain values."""
        return {"probes": self.probes, "experts": self.experts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what was seen; nothing, where a checkpoint was left before there were probes."""
        self.probes = [dict(each) for each in state.get("probes", [])]
        self.experts = dict(state.get("experts", {}))


def base_losses(model: MultiTaskModel, means: Sequence[float]) -> list[float | None]:
    """The loss of a constant prediction: at a task's base rate, the joint one where a funnel trains that.

    Of a regression on a fitted scale half its variance, 1/2. None for other regressions, and where there is one class
    only.
    """
    schema, rates = model.schema, list(means)
    found: list[float | None] = []
    for at, task in enumerate(schema.tasks):
        parent, rate = schema.parents[at], means[at]
        while model.funnel.ties_tasks and parent is not None:
            rate, parent = rate * means[parent], schema.parents[parent]
        rates[at] = rate
        if task.scale is not None:
            found.append(0.5)
            continue
        known = task.kind == "binary" and 0 < rate < 1
        found.append(-rate * math.log(rate) - (1 - rate) * math.log1p(-rate) if known else None)
    return found
