"""Diagnosis of a training: when to probe it, and the summary of the probes as plain values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from bench.core.objectives import Objective
from bench.data.batches import Batch
from bench.models.assembly import MultiTaskModel
from bench.models.balancing.base import Balancer
from bench.models.training.probe import Probe

# rows of a batch in a probe: enough for the sign of a cosine, unless a task's label is rare
PROBE_ROWS = 512
MOST_PROBES = 32  # in a whole training
LEAST_PROBES = 4  # in a short training, at any cost: fewer are not conclusive
CLOSEST = 16  # minimum number of steps between probes
SHARE = 0.02  # of a training's time for probes
OVERHEAD = 0.3  # fixed cost of a probe, in steps, measured
Summary = dict[str, Any]
Probes = Sequence[Mapping[str, Any]]

# threshold of a gate's weight on one expert, and of the dead share of an expert's last layer
COLLAPSED = 0.9


class Diagnosis:
    """Probes a training at a fixed interval of steps, which depends only on its length, batch and
    tasks.

    `means` (T,) are of train's labels, each on its sample space; the training has `total` steps of
    `batch` samples.

    Attributes:
        every: steps between probes.
        probes: the result of each, with its `samples`.
        experts: the last result on experts.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        balancer: Balancer,
        means: Tensor,
        total: int,
        batch: int,
    ) -> None:
        self.model = model
        self.batch = batch
        self.tasks = [task.name for task in model.schema.tasks]
        self.every = interval(total, batch, len(self.tasks))
        self.base = base_losses(model, means.tolist())
        self.probes: list[Summary] = []
        self.experts: Summary = {}
        self._probe = Probe(model, balancer)

    def look(self, step: int, batch: Batch) -> None:
        """Probes the first rows of a step's batch, if it is due."""
        if step % self.every == 2 * self.every // 3:
            measured, experts = self._probe(batch.map(lambda tensor: tensor[:PROBE_ROWS]))
            self.probes.append({"samples": step * self.batch} | measured)
            self.experts |= experts

    def summary(
        self,
        curve: Sequence[Mapping[str, float]],
        objectives: Sequence[Objective],
    ) -> Summary:
        """Summary of all probes so far, as in `bench.core.records.TrialResult.diagnosis`."""
        return {
            "every": self.every,
            "rows": min(PROBE_ROWS, self.batch),
            **summary(self.tasks, self._probe.pairs, self.base, self.probes, self.experts),
            "course": course_of(self.tasks, curve, objectives),
        }

    def state_dict(self) -> Summary:
        """Results of the probes, as plain values."""
        return {"probes": self.probes, "experts": self.experts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Loads results of probes; older checkpoints have none."""
        self.probes = [dict(probe) for probe in state.get("probes", [])]
        self.experts = dict(state.get("experts", {}))


def base_losses(model: MultiTaskModel, means: Sequence[float]) -> list[float | None]:
    """Losses of a constant prediction: a task's base rate, or the joint one where a funnel trains
    that.

    For a regression on a fitted scale, its mean. None for other regressions, for one class only,
    and for losses that compare samples.
    """
    schema = model.schema
    rates = means if model.thinned is None else model.thinned.there(means)
    losses: list[float | None] = []
    for task, parent, rate in zip(schema.tasks, schema.parents, rates, strict=True):
        while model.funnel.ties_tasks and parent is not None:
            rate *= rates[parent]
            parent = schema.parents[parent]
        if task.scale is not None:
            losses.append(model.funnel.loss.regression.of_constant)
        elif task.kind == "binary" and 0 < rate < 1:
            losses.append(model.funnel.loss.binary.of_constant(rate))
        else:
            losses.append(None)
    return losses


def interval(total: int, batch: int, tasks: int) -> int:
    """Steps between probes, in a training of `total` steps on batches of `batch` samples.

    The first probe is two thirds of an interval in. A short training pays more than `SHARE` for its
    `LEAST_PROBES`.
    """
    # in steps: a forward pass is a third of a step's work, a backward pass two thirds
    cost = min(PROBE_ROWS, batch) / batch * (1 + 2 * tasks) / 3 + OVERHEAD
    steps = max(math.ceil(total / MOST_PROBES), math.ceil(cost / SHARE))
    return min(steps, max(total // LEAST_PROBES, CLOSEST))


def summary(
    tasks: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    base: Sequence[float | None],
    probes: Probes,
    experts: Mapping[str, Any],
) -> Summary:
    """Summary of a training's probes, see `bench.core.records.TrialResult.diagnosis`.

    `pairs` of tasks are in the order of a probe's cosines; `base` is each task's loss at its base
    rate, or None.
    """
    blocks = list(probes[0]["norms"]) if probes else []
    tasks_summary, pairs_summary = {}, []
    if probes:
        for index, task in enumerate(tasks):
            tasks_summary[task] = _of_task(index, base[index], blocks, probes)
        for index, pair in enumerate(pairs):
            angles = {block: _angle(block, index, probes) for block in blocks}
            pairs_summary.append({"tasks": [tasks[task] for task in pair], "blocks": angles})
    return {
        "probes": len(probes),
        "tasks": tasks_summary,
        "pairs": pairs_summary,
        "experts": _of_experts(tasks, experts),
    }


def course_of(
    tasks: Sequence[str],
    curve: Sequence[Mapping[str, float]],
    objectives: Sequence[Objective],
) -> Summary:
    """For each objective, its best value on validation, and the loss from there to the last
    evaluation.
    """
    course: Summary = {}
    for objective in objectives:
        key = objective.key("valid")
        points = [point for point in curve if math.isfinite(point.get(key, math.nan))]
        named = [task for task in tasks if objective.name.startswith(f"{task}.")]
        if not points or not named:
            continue
        values = [objective.sign * point[key] for point in points]
        best = points[values.index(max(values))]  # the first of equals
        course[objective.name] = {
            "task": max(named, key=len),
            "best_samples": int(best["samples"]),
            "last_samples": int(points[-1]["samples"]),
            "best": best[key],
            "lost": _short(max(values) - values[-1]),
        }
    return course


def _of_task(
    task: int,
    base_loss: float | None,
    blocks: Sequence[str],
    probes: Probes,
) -> Summary:
    """Mean loss, and geometric means of norms and weights, which differ by factors."""
    loss = _mean(probe["losses"][task] for probe in probes)
    weights = []
    for probe in probes:
        weights.append(probe["weights"][task] if probe["weights"] else None)
    norm, pull = {}, {}
    for block in blocks:
        norms = [probe["norms"][block][task] for probe in probes]
        norm[block] = _geometric(norms)
        pull[block] = _geometric(map(_product, weights, norms))
    loss_over_base = None
    if loss is not None and base_loss is not None:
        loss_over_base = _short(loss / base_loss)
    return {
        "loss": loss,
        "loss_over_base": loss_over_base,
        "weight": _geometric(weights),
        "norm": norm,
        "pull": pull,
    }


def _angle(block: str, pair: int, probes: Probes) -> Summary:
    """The cosine of two tasks' gradients over the probes where both have one."""
    cosines = _defined(probe["cosines"][block][pair] for probe in probes)
    below_zero = [float(cosine < 0) for cosine in cosines]
    return {"cosine": _mean(cosines), "below_zero": _mean(below_zero), "probes": len(cosines)}


def _of_experts(tasks: Sequence[str], experts: Mapping[str, Any]) -> Summary:
    gates = {}
    for name, shares_by_gate in experts.get("gates", {}).items():
        one_a_task = len(shares_by_gate) == len(tasks)
        gates[name] = {
            "of": list(tasks) if one_a_task else ["all tasks"] * len(shares_by_gate),
            "share": [list(map(_short, shares)) for shares in shares_by_gate],
            "entropy": list(map(_entropy, shares_by_gate)),
            "collapsed": [max(shares) > COLLAPSED for shares in shares_by_gate],
        }
    units = {}
    for name, shares in experts.get("units", {}).items():
        units[name] = {
            "dead": list(map(_short, shares["dead"])),
            "silent": [share > COLLAPSED for share in shares["silent"]],
        }
    return {"gates": gates, "units": units}


def _entropy(shares: Sequence[float]) -> float:
    """Relative to its maximum: 1 for equal weights, 0 if one expert has all."""
    entropy = -sum(share * math.log(share) for share in shares if share > 0)
    return _short(entropy / math.log(len(shares)))


def _product(weight: float | None, norm: float | None) -> float | None:
    if weight is None or norm is None:
        return None
    return abs(weight) * norm


def _defined(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    defined = _defined(values)
    if not defined:
        return None
    return _short(math.fsum(defined) / len(defined))


def _geometric(values: Iterable[float | None]) -> float | None:
    """Geometric mean of positive values: a probe without a sample of a task has no gradient of
    it.
    """
    logarithms = [math.log(value) for value in values if value]
    if not logarithms:
        return None
    return _short(math.exp(math.fsum(logarithms) / len(logarithms)))


def _short(value: float) -> float:
    """Rounds to six digits, as summaries are kept for every trial."""
    return float(f"{value:.6g}") + 0.0  # no negative zero
