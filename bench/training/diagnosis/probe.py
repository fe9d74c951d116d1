"""One probe of a training: the tasks' gradients on shared parameters, their losses, and the use of experts."""

from __future__ import annotations

import copy
import math
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from bench.balancing.base import Balancer, GradientAggregation, LossWeighting
from bench.data.batches import Batch
from bench.models.assembly import MultiTaskModel
from bench.models.live import of_one_task
from bench.training.diagnosis.blocks import REPRESENTATION, SHARED, TABLE, hidden_units, shared_blocks
from bench.training.diagnosis.utilisation import dead_units, gate_shares, watched
from bench.training.gradients import gramian
from bench.training.optimizers.segments import sum_by_row


class Probe:
    """Probes a model and its balancer, and leaves both unchanged.

    Attributes:
        pairs: numbers of the tasks whose gradients are compared: none where no gradient of two tasks meets.
    """

    def __init__(self, model: MultiTaskModel, balancer: Balancer) -> None:
        self.model, self.balancer = model, balancer
        self.blocks, self.units = shared_blocks(model.sharing), hidden_units(model.sharing)
        apart = model.sharing.shares_nothing and not model.funnel.ties_tasks
        self.pairs = [] if apart else list(combinations(range(len(model.schema.tasks)), 2))
        parameters = [*self.blocks.values(), *self.units.values()]
        self._inputs = list({id(each): each for part in parameters for each in part}.values())

    def __call__(self, batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is measured of a batch, as plain values, None where it is not defined.

        Returns:
            `losses` and `weights` by task, `norms` by block and task, `cosines` by block and pair; and of experts
            `gates`, mean weights by gate and expert, and `units`, see `dead_units`.
        """
        with watched(self.model.sharing) as scores:
            losses, gradients = self._gradients(batch)
        place = {id(each): at for at, each in enumerate(self._inputs, 1)}
        products = {REPRESENTATION: gramian([of_task[:1] for of_task in gradients])}
        for name, block in self.blocks.items():
            products[name] = gramian([[of_task[place[id(each)]] for each in block] for of_task in gradients])
        if self.blocks:
            products[SHARED] = torch.stack([products[name] for name in self.blocks]).sum(0)
        at_all = products[REPRESENTATION] + products[SHARED] if self.blocks else products[REPRESENTATION]
        weights = self._weights(losses, at_all)
        products[TABLE] = on_rows(self.model.rows(batch.ids), [of_task[0] for of_task in gradients])
        plain = {name: matrix.tolist() for name, matrix in products.items()}
        found = {
            "losses": [_finite(loss) for loss in losses.tolist()],
            "weights": None if weights is None else [_finite(weight) for weight in weights.tolist()],
            "norms": {name: [_finite(math.sqrt(row[at])) for at, row in enumerate(m)] for name, m in plain.items()},
            "cosines": {name: [_cosine(m, *pair) for pair in self.pairs] for name, m in plain.items()},
        }
        experts: dict[str, Any] = {"gates": {name: gate_shares(each) for name, each in scores.items()}}
        if all(plain[REPRESENTATION][task][task] > 0 for task in range(len(losses))):  # every task has a sample here
            experts["units"] = {
                name: dead_units([[of_task[place[id(bias)]] for of_task in gradients] for bias in biases])
                for name, biases in self.units.items()
            }
        return found, experts

    def _gradients(self, batch: Batch) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """Losses (T,), and each task's gradient at the embedding output and the shared parameters."""
        model, training = self.model, self.model.training
        model.eval()  # without dropout, no random number is drawn
        try:
            with torch.no_grad():
                ids = model.rows(batch.ids)
                e = model.embed(ids)
            e.requires_grad_()
            # Not by calling the towers: gradient aggregation would cut the graph there.
            logits = model.towers.forward(model.represent(e, ids, batch.dense))
            losses = model.losses(logits, batch.labels, batch.weights)
            inputs = [e, *self._inputs]
            with of_one_task():
                gradients = [
                    torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
                    for loss in losses
                ]
        finally:
            model.train(training)
        return losses.detach(), gradients

    def _weights(self, losses: Tensor, products: Tensor) -> Tensor | None:
        """What the balancer would multiply each task's gradient with (T,); None where that cannot be said.

        A copy is asked, and draws from a copy of the random state: balancers remember and draw.
        """
        known = isinstance(self.balancer, LossWeighting | GradientAggregation)
        if not known or "half batches" in self.balancer.needs:
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
    """Products (T, T) of the tasks' gradients on the table, from those at the output (B, S, W) of ids (B, S)."""
    of_rows = sum_by_row(ids, torch.cat(gradients, dim=2))
    sums = of_rows.sums * of_rows.live  # padding has no row
    return gramian([[part] for part in sums.chunk(len(gradients), dim=1)])


def _cosine(products: list[list[float]], one: int, other: int) -> float | None:
    lengths = math.sqrt(products[one][one]) * math.sqrt(products[other][other])
    return _finite(products[one][other] / lengths) if lengths else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
