"""Diagnosis of a training: when it is probed, what the probes found, and their summary as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from bench.balancing.base import Balancer
from bench.data.batches import Batch
from bench.models.assembly import MultiTaskModel
from bench.objectives import Objective
from bench.training.probe import Probe

ROWS = 512  # of a batch that a probe sees: enough for the sign of a cosine, where a task's label is not rare
MOST = 32  # probes of a whole training
LEAST = 4  # probes of a short training, whatever they take: fewer say nothing sure
CLOSEST = 16  # steps from one probe to the next at the least
SHARE = 0.02  # of a training's time that probes may take
OVERHEAD = 0.3  # of a step: what a probe takes however few its rows are, measured
Probes = Sequence[Mapping[str, Any]]

COLLAPSED = 0.9  # of a gate's weight on one expert, or of an expert's last layer dead


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
            found, experts = self._probe(batch.map(lambda tensor: tensor[:ROWS]))
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

    Of a regression on a fitted scale that of its mean. None for other regressions, where there is one class only, and
    where the loss compares samples.
    """
    schema, rates = model.schema, means if model.thinned is None else model.thinned.there(means)
    found: list[float | None] = []
    for at, task in enumerate(schema.tasks):
        parent, rate = schema.parents[at], rates[at]
        while model.funnel.ties_tasks and parent is not None:
            rate, parent = rate * rates[parent], schema.parents[parent]
        if task.scale is not None:
            found.append(model.funnel.loss.regression.of_constant)
            continue
        known = task.kind == "binary" and 0 < rate < 1
        found.append(model.funnel.loss.binary.of_constant(rate) if known else None)
    return found


def probe_cost(batch: int, tasks: int) -> float:
    """What a probe takes, in steps: a forward pass is a third of a step's work, a backward pass two thirds."""
    return min(ROWS, batch) / batch * (1 + 2 * tasks) / 3 + OVERHEAD


def interval(total: int, batch: int, tasks: int) -> int:
    """Steps from one probe to the next, in a training of `total` steps on batches of `batch` samples.

    The first is two thirds of an interval in. A short training pays more than `SHARE` for its `LEAST` probes.
    """
    every = max(math.ceil(total / MOST), math.ceil(probe_cost(batch, tasks) / SHARE))
    return min(every, max(total // LEAST, CLOSEST))


def due(step: int, every: int) -> bool:
    """Whether to look before the step of that number, counted from 0."""
    return step % every == 2 * every // 3


def summary(
    tasks: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    base: Sequence[float | None],
    probes: Probes,
    experts: Mapping[str, Any],
) -> dict[str, Any]:
    """What the probes of a training found, see `bench.records.TrialResult.diagnosis`.

    Args:
        pairs: of tasks, by number, as cosines are ordered in a probe.
        base: each task's loss at its base rate, or None.
    """
    blocks = list(probes[0]["norms"]) if probes else []
    return {
        "probes": len(probes),
        "tasks": {name: _of_task(at, base[at], blocks, probes) for at, name in enumerate(tasks)} if probes else {},
        "pairs": [
            {"tasks": [tasks[one], tasks[other]], "blocks": {block: _angle(block, at, probes) for block in blocks}}
            for at, (one, other) in enumerate(pairs)
            if probes
        ],
        "experts": _of_experts(tasks, experts),
    }


def course_of(
    tasks: Sequence[str], curve: Sequence[Mapping[str, float]], objectives: Sequence[Objective]
) -> dict[str, Any]:
    """Of each objective on validation: where it was best, and what it lost from there to the last evaluation."""
    found: dict[str, Any] = {}
    for objective in objectives:
        key = objective.key("valid")
        points = [point for point in curve if math.isfinite(point.get(key, math.nan))]
        task = max((name for name in tasks if objective.name.startswith(f"{name}.")), key=len, default=None)
        if points and task is not None:
            best = max(points, key=lambda point: objective.sign * point[key])  # the first of equals
            lost = objective.sign * (best[key] - points[-1][key])
            found[objective.name] = {
                "task": task,
                "best_samples": int(best["samples"]),
                "last_samples": int(points[-1]["samples"]),
                "best": best[key],
                "lost": _short(lost),
            }
    return found


def _of_task(at: int, base: float | None, blocks: Sequence[str], probes: Probes) -> dict[str, Any]:
    """A mean loss, and means of logarithms: norms and weights differ by factors."""
    loss = _mean(probe["losses"][at] for probe in probes)
    weights = [probe["weights"][at] if probe["weights"] else None for probe in probes]
    norms = {block: [probe["norms"][block][at] for probe in probes] for block in blocks}
    pulls = {block: [_times(w, n) for w, n in zip(weights, of, strict=True)] for block, of in norms.items()}
    return {
        "loss": loss,
        "loss_over_base": None if loss is None or base is None else _short(loss / base),
        "weight": _geometric(weights),
        "norm": {block: _geometric(of) for block, of in norms.items()},
        "pull": {block: _geometric(of) for block, of in pulls.items()},
    }


def _angle(block: str, at: int, probes: Probes) -> dict[str, Any]:
    """The cosine of two tasks' gradients over the probes where both have one."""
    known = [probe["cosines"][block][at] for probe in probes if probe["cosines"][block][at] is not None]
    below = _short(sum(cosine < 0 for cosine in known) / len(known)) if known else None
    return {"cosine": _mean(known), "below_zero": below, "probes": len(known)}


def _of_experts(tasks: Sequence[str], experts: Mapping[str, Any]) -> dict[str, Any]:
    gates = {
        name: {
            "of": list(tasks) if len(shares) == len(tasks) else ["all tasks"] * len(shares),
            "share": [[_short(share) for share in of_gate] for of_gate in shares],
            "entropy": [_entropy(of_gate) for of_gate in shares],
            "collapsed": [max(of_gate) > COLLAPSED for of_gate in shares],
        }
        for name, shares in experts.get("gates", {}).items()
    }
    units = {
        name: {
            "dead": [_short(share) for share in of["dead"]],
            "silent": [share > COLLAPSED for share in of["silent"]],
        }
        for name, of in experts.get("units", {}).items()
    }
    return {"gates": gates, "units": units}


def _entropy(shares: Sequence[float]) -> float:
    """Over its largest value: 1 where all experts weigh the same, 0 where one has it all."""
    return _short(-sum(share * math.log(share) for share in shares if share > 0) / math.log(len(shares)))


def _times(weight: float | None, norm: float | None) -> float | None:
    return None if weight is None or norm is None else abs(weight) * norm


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _short(math.fsum(known) / len(known)) if known else None


def _geometric(values: Iterable[float | None]) -> float | None:
    """Of those above zero: a probe without a sample of a task has no gradient of it."""
    logarithms = [math.log(value) for value in values if value]
    return _short(math.exp(math.fsum(logarithms) / len(logarithms))) if logarithms else None


def _short(value: float) -> float:
    """Six digits: it is kept for every trial."""
    return float(f"{value:.6g}") + 0.0  # no negative zero
