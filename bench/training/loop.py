"""The training loop: one configuration on one store with one seed."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.balancing import BALANCING
from bench.data import SplitName, Store
from bench.data.batches import Batches
from bench.models.assembly import MultiTaskModel
from bench.objectives import Objective
from bench.progress import Progress, Silent
from bench.registry import lookup
from bench.seeds import derive
from bench.training.config import TrialConfig
from bench.training.metrics import evaluate
from bench.training.rows import RowAdam
from bench.training.schedule import factor
from bench.training.step import backward, check_finite
from bench.training.stopping import selectors

EVALUATION_BATCH = 8192
CHECK_EVERY = 50  # steps between looks for a loss that is no longer finite


@dataclass(frozen=True)
class Fit:
    """How a training run went.

    Attributes:
        curve: one entry an evaluation, see `bench.records.TrialResult`.
        train_seconds: spent in training steps alone.
        samples: trained on.
    """

    curve: list[dict[str, float]]
    train_seconds: float
    samples: int


class Trainer:
    """Builds the model of a configuration, trains it, and keeps its best state by validation.

    Args:
        store: its schema's tasks are the tasks to train.
        objectives: decide early stopping.
        seed: of initial weights, order of samples, dropout and random balancers.

    Raises:
        UserError: the configuration does not fit the store's schema.
    """

    def __init__(
        self, store: Store, config: TrialConfig, objectives: Sequence[Objective], seed: int, threads: int = 1
    ) -> None:
        self.schema, self.store, self.config, self.seed = store.schema, store, config, seed
        config.check_fit(self.schema)
        torch.set_num_threads(threads)
        torch.manual_seed(derive(seed, "weights"))
        self.model = MultiTaskModel(self.schema, config.sharing, config.funnel, config.embedding, config.tower)
        self.train_data = Batches(store.split("train"))
        self.model.initialise_outputs(_base_rates(self.train_data.labels, self.schema.parents))
        tasks = [task.name for task in self.schema.tasks]
        entry = lookup(BALANCING, "balancing kind", config.balancing.kind)
        self.balancer = entry.build(tasks, config.balancing.options)
        optim = config.optim
        self.dense = torch.optim.AdamW(
            [
                {"params": list(self.model.dense_parameters()), "weight_decay": optim.weight_decay},
                {"params": list(self.balancer.parameters()), "weight_decay": 0.0},
            ],
            lr=optim.lr,
            fused=True,
        )
        self.rows = RowAdam(
            self.model.embedding.weight.data,
            self.schema,
            lr=optim.lr * optim.embedding_lr,
            l2=optim.embedding_l2,
            threads=threads,
        )
        separate = self.model.sharing.shares_nothing and not self.model.funnel.ties_tasks
        self.selectors = selectors(objectives, tasks, separate)
        self.samples = 0

    def fit(self, progress: Progress | None = None) -> Fit:
        """Trains until the epochs are used up or no selector has improved within the patience."""
        optim = self.config.optim
        per_epoch = self.train_data.steps(optim.batch_size)
        total = max(1, round(optim.epochs * per_epoch))
        marks = {max(1, round((i + 1) * per_epoch / optim.evaluations)) for i in range(optim.evaluations)}
        curve: list[dict[str, float]] = []
        seconds, step, epoch = 0.0, 0, 0
        losses_sum, counted = torch.zeros(len(self.schema.tasks)), 0
        torch.manual_seed(derive(self.seed, "training"))
        self.model.train()
        with (progress or Silent()).task("training", total, "steps") as advance:
            while step < total:
                started = time.perf_counter()
                for within, batch in enumerate(
                    self.train_data.shuffled(optim.batch_size, derive(self.seed, "epoch", epoch)), start=1
                ):
                    losses = self.step(*batch, scale=factor(optim.schedule, step, total))
                    step += 1
                    losses_sum += losses
                    counted += 1
                    if step % CHECK_EVERY == 0 or step == 1:
                        check_finite(losses_sum, self.samples, self.schema.tasks)
                    if within in marks or step == total:
                        seconds += time.perf_counter() - started
                        check_finite(losses_sum, self.samples, self.schema.tasks)
                        curve.append(self._look(step / per_epoch, losses_sum / counted))
                        losses_sum, counted = torch.zeros_like(losses_sum), 0
                        started = time.perf_counter()
                        if step == total or all(s.waited >= optim.patience for s in self.selectors):
                            return Fit(curve, seconds, self.samples)
                    advance(1)
                seconds += time.perf_counter() - started
                epoch += 1
        return Fit(curve, seconds, self.samples)

    def step(self, ids: Tensor, dense: Tensor, labels: Tensor, scale: float = 1.0) -> Tensor:
        """One update on one batch, with learning rates times `scale`; returns the tasks' losses (T,), detached."""
        for group in self.dense.param_groups:
            group["lr"] = self.config.optim.lr * scale
        self.rows.lr = self.config.optim.lr * self.config.optim.embedding_lr * scale
        with torch.no_grad():
            e = self.model.embed(ids)
        e.requires_grad_()
        losses = self.model.losses(self.model.logits(e, ids, dense), labels)
        self.dense.zero_grad(set_to_none=True)
        backward(self.model, self.balancer, e, losses)
        self.dense.step()
        assert e.grad is not None
        self.rows.step(ids, e.grad)
        self.samples += len(labels)
        return losses.detach()

    def metrics(self, split: SplitName) -> dict[str, float]:
        """Every task's metrics on a split, at the best state by validation (each task's own, if nothing is shared)."""
        states = [selector.snapshot for selector in self.selectors if selector.snapshot is not None]
        if not states:
            return self._measure(split, self.predict(split))
        current = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        columns = []
        for state in states:
            self.model.load_state_dict(state)
            columns.append(self.predict(split))
        self.model.load_state_dict(current)
        own = len(columns) > 1  # then column k comes from task k's best state
        logits = torch.stack([c[:, k] for k, c in enumerate(columns)], dim=1) if own else columns[0]
        return self._measure(split, logits)

    @torch.no_grad()
    def predict(self, split: SplitName) -> Tensor:
        """Logits (N, T) of a split with the current weights, in the split's order."""
        self.model.eval()
        data = Batches(self.store.split(split))
        parts = [self.model(batch.ids, batch.dense) for batch in data.in_order(EVALUATION_BATCH)]
        self.model.train()
        return torch.cat(parts) if parts else torch.empty(0, len(self.schema.tasks))

    def state_dict(self) -> dict[str, object]:
        """Weights, optimizers and balancer: what continuing needs. The tensors are the trainer's own, not copies."""
        return {
            "model": self.model.state_dict(),
            "balancer": self.balancer.state_dict(),
            "dense": self.dense.state_dict(),
            "rows": self.rows.state_dict(),
            "samples": self.samples,
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Takes over a copy of a state of the same configuration and schema."""
        for name in ("model", "balancer", "dense", "rows"):
            getattr(self, name).load_state_dict(copy.deepcopy(state[name]))
        self.samples = int(state["samples"])  # type: ignore[call-overload]

    def _look(self, epoch: float, losses: Tensor) -> dict[str, float]:
        metrics = self._measure("valid", self.predict("valid"))
        for selector in self.selectors:
            selector.judge(metrics, self.model, self.samples)
        seen = {
            o.key("valid"): metrics[o.key("valid")]
            for s in self.selectors
            for o in s.objectives
            if o.key("valid") in metrics
        }
        trained = {f"loss/{task.name}": loss for task, loss in zip(self.schema.tasks, losses.tolist(), strict=True)}
        return {"samples": float(self.samples), "epoch": epoch} | seen | trained

    def _measure(self, split: SplitName, logits: Tensor) -> dict[str, float]:
        data = self.store.split(split)
        probabilities = self.model.probabilities(logits)
        return evaluate(
            np.asarray(data.labels),
            probabilities.conditional.numpy(),
            probabilities.joint.numpy(),
            np.asarray(data.group),
            self.schema.tasks,
            f"{split}/",
        )


def _base_rates(labels: Tensor, parents: Sequence[int | None]) -> Tensor:
    """Mean label of each task where it is observed and, for a child, where its parent happened; (T,)."""
    means = []
    for task, parent in enumerate(parents):
        column = labels[:, task]
        mask = ~column.isnan()
        if parent is not None:
            mask &= labels[:, parent] == 1
        means.append(column[mask].mean() if mask.any() else torch.tensor(0.5))
    return torch.stack(means)
