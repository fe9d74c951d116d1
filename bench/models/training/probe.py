"""One probe of a training: the tasks' gradients on shared parameters, their losses, and the use of
experts.

A probe is one forward pass and a backward pass for each task on a part of a batch, in evaluation
mode and before the batch's own step. It draws no random numbers and changes nothing that training
reads, so trainings with and without probes are equal bit for bit.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from types import UnionType
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.batches import Batch
from bench.models.assembly import MultiTaskModel
from bench.models.balancing.base import Balancer, GradientAggregation, LossWeighting
from bench.models.contracts import Sharing
from bench.models.layers import BatchedLinear, BatchedMLP, Gates, softmax
from bench.models.training.aggregation import gradients_of_task, gramian
from bench.models.training.row_adam import sum_by_row

REPRESENTATION = "representation"  # the embedding output, which balancers read
TABLE = "table rows"  # the table's rows that the probe's samples touch
SHARED = "all shared"  # all shared dense parameters


@dataclass(frozen=True)
class TaskGradient:
    """A task's gradient at the embedding output (B, S, W), and at parameters by their `id`."""

    output: Tensor
    by_id: Mapping[int, Tensor]

    def of(self, block: Sequence[nn.Parameter]) -> list[Tensor]:
        """The gradient at the parameters of a block."""
        return [self.by_id[id(parameter)] for parameter in block]


class Probe:
    """Probes a model and its balancer without changing them; gradients are compared for `pairs` of
    tasks.
    """

    def __init__(self, model: MultiTaskModel, balancer: Balancer) -> None:
        self.model = model
        self.balancer = balancer
        self.blocks = shared_blocks(model)
        self.units = hidden_units(model.sharing)
        self.pairs: list[tuple[int, int]] = []
        if model.funnel.ties_tasks or not model.sharing.shares_nothing:
            self.pairs = list(combinations(range(len(model.schema.tasks)), 2))
        self._parameters: dict[int, nn.Parameter] = {}
        for parameters in (*self.blocks.values(), *self.units.values()):
            for parameter in parameters:
                self._parameters[id(parameter)] = parameter

    def __call__(self, batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
        """Measures a batch; values are plain, None where undefined.

        Returns `losses` and `weights` by task, `norms` by block and task, `cosines` by block and
        pair; and for experts mean weights `gates` by gate and expert, and `units`, see
        `dead_units`.
        """
        with watched(self.model.sharing) as scores:
            losses, gradients = self._gradients(batch)
        products = self._products(batch, gradients)
        at_all = products[REPRESENTATION]
        if self.blocks:
            at_all = at_all + products[SHARED]
        weights = self._weights(losses, at_all)

        norms, cosines = {}, {}
        for name, matrix in products.items():
            plain = matrix.tolist()
            norms[name] = [_finite(math.sqrt(row[task])) for task, row in enumerate(plain)]
            cosines[name] = [_cosine(plain, *pair) for pair in self.pairs]
        measured = {
            "losses": _all_finite(losses),
            "weights": None if weights is None else _all_finite(weights),
            "norms": norms,
            "cosines": cosines,
        }

        gates = {name: softmax(gate.float()).mean(1).tolist() for name, gate in scores.items()}
        experts: dict[str, Any] = {"gates": gates}
        every_task_has_samples = bool((products[REPRESENTATION].diagonal() > 0).all())
        if every_task_has_samples:
            experts["units"] = {
                name: dead_units(gradients, biases) for name, biases in self.units.items()
            }
        return measured, experts

    def _products(self, batch: Batch, gradients: Sequence[TaskGradient]) -> dict[str, Tensor]:
        """Products (T, T) of the tasks' gradients by block."""
        products = {REPRESENTATION: gramian([[gradient.output] for gradient in gradients])}
        for name, block in self.blocks.items():
            products[name] = gramian([gradient.of(block) for gradient in gradients])
        if self.blocks:
            products[SHARED] = torch.stack([products[name] for name in self.blocks]).sum(0)
        rows = self.model.rows(batch.ids)
        products[TABLE] = on_rows(rows, [gradient.output for gradient in gradients])
        return products

    def _gradients(self, batch: Batch) -> tuple[Tensor, list[TaskGradient]]:
        """Losses (T,), and the tasks' gradients."""
        model, training = self.model, self.model.training
        model.eval()  # no dropout, so no random numbers
        try:
            with torch.no_grad():
                ids = model.rows(batch.ids)
                e = model.embed(ids)
            e.requires_grad_()
            # `forward`, because calling the towers runs the hook by which gradient aggregation cuts
            # the graph.
            logits = model.towers.forward(model.represent(e, ids, batch.dense))
            losses = model.losses(
                logits, batch.labels, batch.weights, batch.group, batch.bounds, batch.dense
            )
            inputs = [e, *self._parameters.values()]
            gradients = []
            for loss in losses:
                output, *at_parameters = gradients_of_task(loss, inputs)
                by_id = dict(zip(self._parameters, at_parameters, strict=True))
                gradients.append(TaskGradient(output, by_id))
        finally:
            model.train(training)
        return losses.detach(), gradients

    def _weights(self, losses: Tensor, products: Tensor) -> Tensor | None:
        """The balancer's weights of the tasks' gradients (T,); None if unknown.

        Asks a copy, with a copy of the random state, because balancers keep state and draw.
        """
        if not isinstance(self.balancer, LossWeighting | GradientAggregation):
            return None
        balancer = copy.deepcopy(self.balancer)
        devices = [losses.device] if losses.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            if "losses" in balancer.needs:
                balancer.observe(losses)
            if isinstance(balancer, GradientAggregation):
                weights: Tensor = balancer(products)
                return weights.detach()
            losses = losses.clone().requires_grad_()
            return torch.autograd.grad(balancer(losses), losses)[0]


def on_rows(ids: Tensor, gradients: list[Tensor]) -> Tensor:
    """Products (T, T) of the tasks' gradients on the table, from those at the output (B, S, W) of
    ids (B, S).
    """
    by_row = sum_by_row(ids, torch.cat(gradients, dim=2))
    sums = by_row.sums * by_row.live  # padding has no row
    return gramian([[part] for part in sums.chunk(len(gradients), dim=1)])


def _cosine(products: list[list[float]], i: int, j: int) -> float | None:
    norms = math.sqrt(products[i][i]) * math.sqrt(products[j][j])
    if not norms:
        return None
    return _finite(products[i][j] / norms)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _all_finite(values: Tensor) -> list[float | None]:
    return [_finite(value) for value in values.tolist()]


def shared_blocks(model: MultiTaskModel) -> dict[str, list[nn.Parameter]]:
    """Its sharing's shared parameters, by the path of the part that has them: `experts`,
    `levels.0.shared`.

    A part is the outermost MLP, linear map or set of gates around a parameter, or else its module.
    """
    parts = _paths(model.sharing, Gates | BatchedMLP | BatchedLinear)
    shared = {id(parameter) for parameter in model.shared_parameters()}
    blocks: dict[str, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.sharing.named_parameters():
        if id(parameter) not in shared:
            continue
        around = [part for part in parts if name.startswith(f"{part}.")]
        module = name.rpartition(".")[0] or name
        blocks[min(around, key=len, default=module)].append(parameter)
    return dict(blocks)


def hidden_units(sharing: Sharing) -> dict[str, list[nn.Parameter]]:
    """Biases (E, O) of each hidden layer of every MLP by its path, except those inside gates."""
    inside_gates = tuple(f"{path}." for path in _paths(sharing, Gates))
    units = {}
    for name, module in sharing.named_modules():
        if isinstance(module, BatchedMLP) and module.linears and not name.startswith(inside_gates):
            biases = [layer.bias for layer in module.linears]
            units[name] = [bias for bias in biases if bias is not None]
    return units


def _paths(module: nn.Module, kind: type[nn.Module] | UnionType) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, kind)]


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Records within it the scores (K, B, M) of every set of gates by its path, except gates over a
    single expert.
    """
    scores_by_path: dict[str, Tensor] = {}

    def record(path: str, module: nn.Module, inputs: object, scores: Tensor) -> None:
        if scores.shape[2] > 1:
            scores_by_path[path] = scores.detach()

    hooks = []
    for path in _paths(model, Gates):
        gates = model.get_submodule(path)
        hooks.append(gates.register_forward_hook(partial(record, path)))
    try:
        yield scores_by_path
    finally:
        for hook in hooks:
            hook.remove()


def dead_units(
    gradients: Sequence[TaskGradient], biases: Sequence[nn.Parameter]
) -> dict[str, list[float]]:
    """Units whose bias has no gradient from any task: zero on the whole probe, or without an
    effect.

    The biases (E, O) are of each hidden layer of E MLPs. Returns the share in each MLP over all its
    layers, `dead`, and in its last layer, `silent`.
    """
    dead = []
    for bias in biases:
        by_task = torch.stack([gradient.by_id[id(bias)] for gradient in gradients])
        dead.append(by_task.eq(0).all(0).float())
    return {"dead": torch.cat(dead, dim=1).mean(1).tolist(), "silent": dead[-1].mean(1).tolist()}
