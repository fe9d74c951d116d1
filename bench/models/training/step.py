"""A training step: forward, backward under any balancer, and both optimizers on one batch.

The embedding output `e` is a leaf: its gradient goes to the touched-row optimizer, and the table
takes no part in autograd. On a GPU a step is captured as a CUDA graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.core.errors import TrainingError
from bench.core.registry import lookup
from bench.core.schema import Schema, Task
from bench.data.batches import Batch
from bench.models.assembly import MultiTaskModel
from bench.models.balancing import BALANCING
from bench.models.balancing.base import Balancer, LossWeighting
from bench.models.thinned import Thinning
from bench.models.training.aggregation import Aggregation
from bench.models.training.config import TrialConfig
from bench.models.training.dense_adam import DenseAdamW
from bench.models.training.randomness import random_state, replayed
from bench.models.training.row_adam import RowAdam


class Step:
    """Runs one training step on a batch.

    Args:
        dense: optimizes the model's dense parameters and the balancer's.
        rows: optimizes the table.
        clip: largest norm of the gradient of all dense parameters of the model (Pascanu et al.,
            ICML 2013); 0 disables it. Gradient aggregation clips the combined gradient. Embedding
            rows and the balancer's parameters are excluded.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        balancer: Balancer,
        dense: DenseAdamW,
        rows: RowAdam,
        clip: float = 0.0,
    ) -> None:
        self.model = model
        self.balancer = balancer
        self.dense = dense
        self.rows = rows
        self.clip = clip
        self.aggregation: Aggregation | None = None
        if not isinstance(balancer, LossWeighting):
            self.aggregation = Aggregation(model, balancer)
        self._clipped = list(model.dense_parameters())
        self._rate_factor = 1.0

    def __call__(self, *tensors: Tensor | None) -> Tensor:
        """Returns the tasks' losses before the update (T,), detached; takes the tensors of a
        `Batch`, in its order.
        """
        batch = Batch(*tensors)  # type: ignore[arg-type]  # the first three are there
        device = batch.ids.device
        second_forward = "second forward" in self.balancer.needs
        random_before = random_state(device) if second_forward else {}

        ids = self.model.rows(batch.ids)
        e = self.embed(ids)
        logits, losses = self.forward(e, ids, batch)
        self.model.follow(logits, batch.labels, batch.weights, batch.bounds, batch.dense)
        self.dense.zero_grad()
        self.backward(e, logits, losses)
        self.update_dense()
        self.update_rows(ids, e)

        if second_forward:
            with replayed(random_before, device), torch.no_grad():
                _, losses_after = self.forward(self.embed(ids), ids, batch)
                self.balancer.after(losses_after)
        return losses.detach()

    def scale_rates(self, factor: float) -> None:
        """Sets every learning rate to `factor` times its base."""
        if factor == self._rate_factor:
            return
        self._rate_factor = factor
        for optimizer in (self.dense, self.rows):
            optimizer.rate.fill_(optimizer.lr * factor)

    @torch.no_grad()
    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, S) -> e (B, S, W), a leaf."""
        return self.model.embed(ids, exact=self.aggregation is not None).requires_grad_()

    def forward(self, e: Tensor, ids: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Rows of the table `ids` and their embeddings e -> logits (B, O), losses (T,)."""
        logits = self.model.logits(e, ids, batch.dense)
        losses = self.model.losses(
            logits, batch.labels, batch.weights, batch.group, batch.bounds, batch.dense
        )
        return logits, losses

    def backward(self, e: Tensor, logits: Tensor, losses: Tensor) -> None:
        """Fills `.grad` of `e`, of the model's dense parameters and of the balancer's."""
        if "losses" in self.balancer.needs:
            self.balancer.observe(losses.detach())
        if self.aggregation is not None:
            self.aggregation.backward(e, logits, losses)
        else:
            self.balancer(losses).backward()

    def update_dense(self) -> None:
        """Clips the dense gradient and updates the dense parameters."""
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self._clipped, self.clip)
        self.dense.step()

    def update_rows(self, ids: Tensor, e: Tensor) -> None:
        """Updates the rows that the batch touched."""
        assert e.grad is not None
        self.rows.step(ids, e.grad)


def check_finite(losses: Tensor, samples: int, tasks: Sequence[Task]) -> None:
    """Raises FloatingPointError, naming the task, if a loss is not finite."""
    for task, loss in zip(tasks, losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss of task '{task.name}' became {loss} within {samples} samples"
            )


Compute = Callable[..., Tensor]

WARMUP = 3  # steps before the capture, in which libraries and optimizers allocate their buffers


class CapturedStep:
    """Runs a step directly for a few batches, then captures it as a CUDA graph and replays it.

    Every run is a real step on its own batch. Batches of another shape run directly; so do all
    batches, after a note, if the step cannot be captured (as with a balancer that reads values back
    to the host).

    Args:
        compute: the tensors of a batch, on the device -> losses (T,). Learning rates that it reads
            must be tensors, changed in place.
        note: called once if the step cannot be captured.
    """

    def __init__(self, compute: Compute, note: Callable[[str], None]) -> None:
        self.compute, self.note = compute, note
        self.seen, self.possible = 0, True
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor | None] = []
        self.losses: Tensor | None = None

    def __call__(self, *tensors: Tensor | None) -> Tensor:
        """Runs one step; the next one overwrites the losses (T,)."""
        batch = list(tensors)
        if not self.possible:
            return self.compute(*batch)
        if self.seen < WARMUP:
            self.seen += 1
            return self._on_side_stream(batch)
        if self.graph is None and not self._capture(batch):
            return self.compute(*batch)

        for tensor, place in zip(batch, self.inputs, strict=True):
            if tensor is not None and place is not None and tensor.shape != place.shape:
                return self.compute(*batch)
        for tensor, place in zip(batch, self.inputs, strict=True):
            if tensor is not None and place is not None:
                place.copy_(tensor)
        assert self.graph is not None
        assert self.losses is not None
        self.graph.replay()
        return self.losses

    def _on_side_stream(self, batch: list[Tensor | None]) -> Tensor:
        """Runs a step as capturing requires of earlier steps."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = self.compute(*batch)
        torch.cuda.current_stream().wait_stream(stream)
        return losses

    def _capture(self, batch: list[Tensor | None]) -> bool:
        """Records the step without running it; returns whether that was possible."""
        self.inputs = [None if tensor is None else tensor.clone() for tensor in batch]
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.losses = self.compute(*self.inputs)
        except RuntimeError as error:
            self.possible, self.inputs, self.losses = False, [], None
            torch.cuda.synchronize()
            reason, *_ = [*str(error).strip().splitlines(), type(error).__name__]
            self.note(f"training without a CUDA graph: {reason}")
            return False
        self.graph = graph
        return True


def build_model(
    schema: Schema, config: TrialConfig, thinning: Thinning | None = None
) -> MultiTaskModel:
    """Builds a model, its weights drawn with torch's current generator."""
    parts = dict(vars(config))
    del parts["balancing"], parts["optim"]
    return MultiTaskModel(schema, **parts, precision=config.optim.precision, thinning=thinning)


def build_step(
    schema: Schema,
    config: TrialConfig,
    means: Tensor,
    seed: int,
    threads: int,
    device: torch.device,
    thinning: Thinning | None = None,
) -> Step:
    """Builds a step with its model, balancer and optimizers, on the device.

    The untrained model predicts `means` (T,), train's labels on their sample spaces. Weights are
    drawn on the CPU, so they are the same on every device. The store may lack negatives, see
    `thinning`.
    """
    optim = config.optim
    torch.manual_seed(seed)
    model = build_model(schema, config, thinning)
    model.initialise_outputs(means)
    model.to(device)

    entry = lookup(BALANCING, "balancing kind", config.balancing.kind)
    balancer = entry.build([task.name for task in schema.tasks], config.balancing.options)
    balancer.to(device)

    dense = DenseAdamW(
        model.dense_parameters(), balancer.parameters(), optim.lr, optim.weight_decay
    )
    table_rate = optim.lr * optim.embedding_lr
    rows = RowAdam(
        model.embedding.weight.data, model.schema, table_rate, optim.embedding_l2, threads
    )
    return Step(model, balancer, dense, rows, optim.clip)
