"""One training on several processes: each has a share of every batch and of the table's rows.

A step equals that of one process on the whole batch, up to rounding and dropout masks. Every rank passes its rows of
the batch through its copy of the dense part. Logits are gathered, so every rank computes the same losses of the whole
batch, even if they tie samples or tasks; gradients of dense parameters are summed.

A row of the table lies on one rank, with its optimizer's state. Ranks request the rows of their samples from each other
and send back their gradients (as model-parallel embeddings of Naumov et al., arXiv:1906.00091). So traffic grows with
the batch, not with the table. Every rank reads whole batches, and the table is drawn and gathered as a whole: at the
start, for checkpoints, and to measure the finished model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bench.balancing.base import Balancer, GradientAggregation
from bench.core.registry import lookup
from bench.core.schema import Field
from bench.core.seeds import derive
from bench.models.assembly import MultiTaskModel
from bench.training.aggregation import Aggregation, gramian
from bench.training.evaluation import Evaluation, State
from bench.training.loop import Trainer
from bench.training.optimizers import ROW_OPTIMIZERS
from bench.training.randomness import random_state, write_state
from bench.training.step import Compute, Step, StepParts

TABLE = "embedding.weight"
"""Name of the table among a model's parameters."""


@dataclass(frozen=True)
class Ranks:
    """This process, number `rank` from 0 on, among the `world` processes of one training."""

    rank: int
    world: int

    def part(self, rows: int) -> slice:
        """This rank's rows of a batch."""
        return slice(rows * self.rank // self.world, rows * (self.rank + 1) // self.world)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Sums tensors over all ranks, each in place."""
        if not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(total.view(tensor.shape))

    def joined(self, own: Tensor, rows: int, members: int = 1) -> Tensor:
        """Outputs (k b, O) of this rank's rows, by member -> those of all (k B, O); differentiable in its own."""
        part = self.part(rows)
        blocks = own.view(members, part.stop - part.start, own.shape[1])
        whole = own.new_zeros(members, rows, own.shape[1])
        whole[:, part] = blocks.detach()
        dist.all_reduce(whole)
        return torch.cat([whole[:, : part.start], blocks, whole[:, part.stop :]], dim=1).flatten(0, 1)

    def exchanged(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        """Sends the first `sent[0]` rows to rank 0, and so on; receives `received[r]` rows from rank r."""
        incoming = rows.new_empty((sum(received), *rows.shape[1:]))
        dist.all_to_all_single(incoming, rows.contiguous(), list(received), list(sent))
        return incoming

    @contextmanager
    def own_random(self, seed: int, device: torch.device) -> Iterator[None]:
        """Makes torch draw different numbers on each rank within it; outside all ranks draw the same."""
        shared = random_state(device)
        torch.manual_seed(derive(seed, "rank", self.rank))
        try:
            yield
        finally:
            write_state(shared)

    def share(self, table: Tensor) -> Tensor:
        """This rank's rows of a tensor (R, ..): row 0, the padding, then r, r + world, ..; rank 0 starts at `world`."""
        return torch.cat([table[:1], table[self.rank or self.world :: self.world]])

    def whole(self, share: Tensor, rows: int) -> Tensor:
        """Gathers all ranks' shares as one tensor (rows, ..) on rank 0; other ranks get their own share back."""
        most = rows // self.world + 2
        padded = share.new_zeros((most, *share.shape[1:]))
        padded[: len(share)] = share
        parts = [torch.empty_like(padded) for _ in range(self.world)] if self.rank == 0 else None
        dist.gather(padded, parts)
        if parts is None:
            return share
        gathered = share.new_empty((rows, *share.shape[1:]))
        gathered[:1] = share[:1]
        for rank, part in enumerate(parts):
            place = gathered[rank or self.world :: self.world]
            place.copy_(part[1 : 1 + len(place)])
        return gathered


class _Asked(NamedTuple):
    """The rows that a batch needs from each rank.

    Attributes:
        places: (B S,) index of each id's row among the requested ones.
        asked: number of rows requested from each rank.
        wanted: number of rows that each rank requested from this one.
        rows: those rows, of this rank's share.
    """

    places: Tensor
    asked: list[int]
    wanted: list[int]
    rows: Tensor


class RankedTable(nn.Module):
    """A `FusedEmbedding` whose rows are on all ranks, which call it together; `weight` (1 + n, W) holds this rank's."""

    def __init__(self, ranks: Ranks, weight: Tensor) -> None:
        super().__init__()
        self.ranks = ranks
        self.weight = nn.Parameter(ranks.share(weight.detach()))
        self._last: tuple[Tensor, _Asked] | None = None  # a step's lookup and gradients use the same ids

    def forward(self, ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """ids (b, S) -> (b, S, W), as `FusedEmbedding`, without a gradient for the table."""
        asked = self._ask(ids)
        rows = self.ranks.exchanged(self.weight.detach()[asked.rows], asked.wanted, asked.asked)
        return rows[asked.places].view(*ids.shape, -1).to(dtype or self.weight.dtype)

    def gradients(self, ids: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """All ranks' gradients of this rank's rows: from ids (b, S) and (b, S, W), rows (n, 1) and (n, 1, W)."""
        asked = self._ask(ids)
        width = gradient.shape[-1]
        sums = torch.zeros(sum(asked.asked), width, device=gradient.device)
        sums.index_add_(0, asked.places, gradient.reshape(-1, width).float())
        return asked.rows.unsqueeze(1), self.ranks.exchanged(sums, asked.asked, asked.wanted).unsqueeze(1)

    def _ask(self, ids: Tensor) -> _Asked:
        if self._last is not None and self._last[0] is ids:
            return self._last[1]
        world = self.ranks.world
        flat = ids.reshape(-1).long()
        # Distinct rows in the order of their owners: row r has index ceil(r / world) on rank r % world.
        by_owner = (flat % world << 40) + torch.div(flat + world - 1, world, rounding_mode="floor")
        distinct, places = torch.unique(by_owner, return_inverse=True)
        counts = torch.bincount(distinct >> 40, minlength=world)
        wanted = torch.empty_like(counts)
        dist.all_to_all_single(wanted, counts)
        sent, received = counts.tolist(), wanted.tolist()
        asked = _Asked(places, sent, received, self.ranks.exchanged(distinct & (1 << 40) - 1, sent, received))
        self._last = ids, asked
        return asked


class RankedAggregation(Aggregation):
    """Sums the tasks' gradients over ranks before weighting them."""

    def __init__(self, ranks: Ranks, model: MultiTaskModel, balancer: Balancer) -> None:
        super().__init__(model, balancer)
        self.ranks = ranks

    def backward(self, e: Tensor, logits: Tensor, losses: Tensor) -> None:
        """See `Aggregation.backward`; `logits` are this rank's, `losses` those of the whole batch."""
        super().backward(e, logits, losses)
        self.ranks.add([each.grad for each in (*self.towers, *self.own) if each.grad is not None])

    def weigh(self, gradients: list[tuple[Tensor, ...]]) -> Tensor:
        """See `Aggregation.weigh`; at the embedding output each rank has its samples' part of the gradients."""
        self.ranks.add([part for of_task in gradients for part in of_task[1:]])
        products = gramian([of_task[:1] for of_task in gradients])
        self.ranks.add([products])
        if len(gradients[0]) > 1:
            products = products + gramian([of_task[1:] for of_task in gradients])
        weights: Tensor = self.balancer(products)
        return weights


class RankedStep(Step):
    """A step on this rank's rows of a batch; `seed` is of its dropout."""

    seed = 0

    def __init__(self, ranks: Ranks, parts: StepParts) -> None:
        self.ranks = ranks
        super().__init__(*parts)
        self._rows, self._own = 0, torch.empty(0)

    def aggregation_of(self, model: MultiTaskModel) -> Aggregation | None:
        """See `Step.aggregation_of`."""
        aggregates = isinstance(self.balancer, GradientAggregation)
        return RankedAggregation(self.ranks, model, self.balancer) if aggregates else None

    def share(self, ids: Tensor) -> Tensor:
        """See `Step.share`."""
        self._rows = len(ids)
        return ids[self.ranks.part(self._rows)]

    def outputs(self, e: Tensor, ids: Tensor, dense: Tensor) -> Tensor:
        """See `Step.outputs`; `dense` is of the whole batch."""
        with self.ranks.own_random(self.seed, dense.device):
            self._own = self.model.logits(e, ids, dense[self.ranks.part(self._rows)])
        return self.ranks.joined(self._own, self._rows, self.model.members)

    def descend(self, e: Tensor, logits: Tensor, losses: Tensor) -> None:
        """See `Step.descend`."""
        if self.aggregation is not None:
            self.aggregation.backward(e, self._own, losses)
            return
        # Gradients that do not pass through the logits, as of a balancer's parameters, are complete on every rank.
        beside = list(self.balancer.parameters())
        at_own, *rest = torch.autograd.grad(self.weigh(losses), [self._own, *beside], allow_unused=True)
        self._own.backward(at_own)  # type: ignore[no-untyped-call]
        for parameter, gradient in zip(beside, rest, strict=True):
            parameter.grad = gradient
        self.ranks.add([each.grad for each in self.model.dense_parameters() if each.grad is not None])

    def update_rows(self, ids: Tensor, e: Tensor) -> None:
        """See `Step.update_rows`."""
        assert e.grad is not None
        table = self.model.embedding
        assert isinstance(table, RankedTable)
        self.rows.step(*table.gradients(ids, e.grad))


class RankedEvaluation(Evaluation):
    """An evaluation in which each rank predicts its rows of every batch."""

    def __init__(self, ranks: Ranks, *args: Any) -> None:
        super().__init__(*args)
        self.ranks = ranks

    def predict(self, ids: Tensor, dense: Tensor, state: State | None) -> Tensor:
        """See `Evaluation.predict`."""
        part = self.ranks.part(len(ids))
        return self.ranks.joined(super().predict(ids[part], dense[part], state), len(ids))


class RankedTrainer(Trainer):
    """A trainer on one of several ranks. All ranks call the same methods in the same order; rank 0 writes checkpoints.

    A checkpoint can be continued on any number of processes.
    """

    def __init__(self, ranks: Ranks, *args: Any, **more: Any) -> None:
        self.ranks = ranks
        super().__init__(*args, **more)

    def new_step(self, parts: StepParts) -> Step:
        """See `Trainer.new_step`."""
        model, optim = parts.model, self.config.optim
        self._rows = len(model.embedding.weight)
        table = RankedTable(self.ranks, model.embedding.weight)
        model.embedding = table  # type: ignore[assignment]  # has the same interface
        share = replace(model.schema, fields=(Field("rows", len(table.weight) - 1),), numbers=(), vectors=())
        rows = lookup(ROW_OPTIMIZERS, "embedding optimizer", optim.embedding_optimizer).build(
            table.weight.data, share, parts.rows.lr, optim.embedding_l2, 1
        )
        return RankedStep(self.ranks, parts._replace(rows=rows))

    def new_evaluation(self, outcomes: Sequence[str]) -> Evaluation:
        """See `Trainer.new_evaluation`."""
        return RankedEvaluation(self.ranks, self.store, self.model, self.device, outcomes)

    def state_dict(self) -> dict[str, Any]:
        """The whole state on rank 0; other ranks' results are unusable."""
        state: dict[str, Any] = _changed(super().state_dict(), lambda share: self.ranks.whole(share, self._rows))
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Loads this rank's part of a whole state."""
        super().load_state_dict(_changed(state, self.ranks.share))

    def save(self, path: Path | str, copy: bool = True) -> None:
        """See `Trainer.save`."""
        state = self.state_dict()
        if self.ranks.rank == 0:
            self._writer.write(Path(path), state, self._identity(), copy)

    def _one_step(self) -> None:
        assert isinstance(self.step, RankedStep)
        self.step.seed = derive(self.seed, "dropout", self.course.step)
        super()._one_step()

    def _new_compute(self) -> Compute:
        """No graph is captured: the number of requested rows is known only on the host."""
        return self.step


def _changed(state: Any, change: Callable[[Tensor], Tensor], path: str = "") -> Any:
    """Applies `change` to every tensor in a state with one row for each of the table's."""
    if isinstance(state, Tensor):
        return change(state) if path.endswith(TABLE) or path.startswith("/rows/") else state
    if isinstance(state, Mapping):
        return {key: _changed(value, change, f"{path}/{key}") for key, value in state.items()}
    if isinstance(state, list):
        return [_changed(value, change, path) for value in state]
    return state
