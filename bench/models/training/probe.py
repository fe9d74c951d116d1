"""One probe of a training: the tasks' gradients on shared parameters, their losses, and the use of
experts.

A probe is one forward pass and a backward pass for each task on a part of a batch, in evaluation
mode and before the batch's own step. It draws no random numbers and changes nothing that training
reads, so trainings with and without probes are equal bit for bit.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.batches import Batch
from bench.models.assembly import MultiTaskModel
from bench.models.balancing.base import Balancer, GradientAggregation, LossWeighting
from bench.models.contracts import Sharing
from bench.models.layers import BatchedLinear, BatchedMLP, Gates, softmax
from bench.models.training.aggregation import gradients_of_task, gramian
from bench.models.training.optimizers.adam import sum_by_row

REPRESENTATION = "representation"  # the embedding output, which balancers read
TABLE = "table rows"  # the table's rows that the probe's samples touch
SHARED = "all shared"  # all shared dense parameters


class Probe:
    """Probes a model and its balancer without changing them; gradients are compared for `pairs` of
    tasks.
    """

    def __init__(self, model: MultiTaskModel, balancer: Balancer) -> None:
        self.model, self.balancer = model, balancer
        self.blocks, self.units = shared_blocks(model), hidden_units(model.sharing)
        apart = model.sharing.shares_nothing and not model.funnel.ties_tasks
        self.pairs = [] if apart else list(combinations(range(len(model.schema.tasks)), 2))
        parameters = [*self.blocks.values(), *self.units.values()]
        self._inputs = list({id(each): each for part in parameters for each in part}.values())

    def __call__(self, batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
        """Measures a batch; values are plain, None where undefined.

        Returns `losses` and `weights` by task, `norms` by block and task, `cosines` by block and
        pair; and for experts mean weights `gates` by gate and expert, and `units`, see
        `dead_units`.
        """
        with watched(self.model.sharing) as scores:
            losses, gradients = self._gradients(batch)
        place = {id(each): at for at, each in enumerate(self._inputs, 1)}
        products = {REPRESENTATION: gramian([of_task[:1] for of_task in gradients])}
        for name, block in self.blocks.items():
            products[name] = gramian(
                [[of_task[place[id(each)]] for each in block] for of_task in gradients]
            )
        if self.blocks:
            products[SHARED] = torch.stack([products[name] for name in self.blocks]).sum(0)
        at_all = (
            products[REPRESENTATION] + products[SHARED] if self.blocks else products[REPRESENTATION]
        )
        weights = self._weights(losses, at_all)
        products[TABLE] = on_rows(self.model.rows(batch.ids), [of_task[0] for of_task in gradients])
        plain = {name: matrix.tolist() for name, matrix in products.items()}
        measured = {
            "losses": [_finite(loss) for loss in losses.tolist()],
            "weights": None
            if weights is None
            else [_finite(weight) for weight in weights.tolist()],
            "norms": {
                name: [_finite(math.sqrt(row[at])) for at, row in enumerate(m)]
                for name, m in plain.items()
            },
            "cosines": {
                name: [_cosine(m, *pair) for pair in self.pairs] for name, m in plain.items()
            },
        }
        gates = {name: softmax(each.float()).mean(1).tolist() for name, each in scores.items()}
        experts: dict[str, Any] = {"gates": gates}
        if all(
            plain[REPRESENTATION][task][task] > 0 for task in range(len(losses))
        ):  # every task has a sample here
            experts["units"] = {
                name: dead_units(
                    [[of_task[place[id(bias)]] for of_task in gradients] for bias in biases]
                )
                for name, biases in self.units.items()
            }
        return measured, experts

    def _gradients(self, batch: Batch) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Losses (T,), and each task's gradient at the embedding output and the shared
        parameters.
        """
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
            inputs = [e, *self._inputs]
            gradients = [gradients_of_task(loss, inputs) for loss in losses]
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
        with torch.random.fork_rng(devices=[losses.device] if losses.device.type == "cuda" else []):
            if "losses" in balancer.needs:
                balancer.observe(losses)
            if isinstance(balancer, GradientAggregation):
                given: Tensor = balancer(products)
                return given.detach()
            losses = losses.clone().requires_grad_()
            return torch.autograd.grad(balancer(losses), losses)[0]


def on_rows(ids: Tensor, gradients: list[Tensor]) -> Tensor:
    """Products (T, T) of the tasks' gradients on the table, from those at the output (B, S, W) of
    ids (B, S).
    """
    of_rows = sum_by_row(ids, torch.cat(gradients, dim=2))
    sums = of_rows.sums * of_rows.live  # padding has no row
    return gramian([[part] for part in sums.chunk(len(gradients), dim=1)])


def _cosine(products: list[list[float]], one: int, other: int) -> float | None:
    lengths = math.sqrt(products[one][one]) * math.sqrt(products[other][other])
    return _finite(products[one][other] / lengths) if lengths else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def shared_blocks(model: MultiTaskModel) -> dict[str, list[nn.Parameter]]:
    """Its sharing's shared parameters, by the path of the part that has them: `experts`,
    `levels.0.shared`.

    A part is the outermost MLP, linear map or set of gates around a parameter, or else its module.
    """
    named = model.sharing.named_modules()
    parts = [
        name for name, module in named if isinstance(module, Gates | BatchedMLP | BatchedLinear)
    ]
    shared = {id(parameter) for parameter in model.shared_parameters()}
    blocks: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.sharing.named_parameters():
        if id(parameter) in shared:
            around = [part for part in parts if name.startswith(f"{part}.")]
            block = min(around, key=len) if around else name.rpartition(".")[0] or name
            blocks.setdefault(block, []).append(parameter)
    return blocks


def hidden_units(sharing: Sharing) -> dict[str, list[nn.Parameter]]:
    """Biases (E, O) of each hidden layer of every MLP by its path, except those inside gates."""
    gates = [name for name, module in sharing.named_modules() if isinstance(module, Gates)]
    return {
        name: [layer.bias for layer in module.linears if layer.bias is not None]
        for name, module in sharing.named_modules()
        if isinstance(module, BatchedMLP)
        and module.linears
        and not any(name.startswith(f"{each}.") for each in gates)
    }


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Records within it the scores (K, B, M) of every set of gates by its path, except gates over a
    single expert.
    """
    scores_by: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, given: object, scores: Tensor) -> None:
        if scores.shape[2] > 1:
            scores_by[name] = scores.detach()

    gates = [(name, module) for name, module in model.named_modules() if isinstance(module, Gates)]
    hooks = [module.register_forward_hook(partial(keep, name)) for name, module in gates]
    try:
        yield scores_by
    finally:
        for hook in hooks:
            hook.remove()


def dead_units(layers: Sequence[Sequence[Tensor]]) -> dict[str, list[float]]:
    """Units whose bias has no gradient from any task: zero on the whole probe, or without an
    effect.

    Given are, for each hidden layer of E MLPs, each task's gradients (E, O) of biases. Returns the
    share in each MLP over all its layers, `dead`, and in its last layer, `silent`.
    """
    dead = [torch.stack(list(of_tasks)).eq(0).all(0).float() for of_tasks in layers]
    return {"dead": torch.cat(dead, dim=1).mean(1).tolist(), "silent": dead[-1].mean(1).tolist()}
