"""One training on several processes: each has a share of every batch and of the table's rows.

A step is that of one process on the whole batch, up to rounding and to the masks of dropout. Every rank passes its rows
of the batch through the dense part, of which each has a copy. Logits are put together, so that every rank computes the
same losses of the whole batch, whatever they tie together; gradients of dense parameters are added up.

A row of the table lies on one rank, with its optimizer's state. Ranks ask each other for the rows of their samples and
send back these rows' gradients (as model-parallel embeddings of Naumov et al., arXiv:1906.00091). So the traffic of a
step grows with the batch and not with the table.

Every rank reads whole batches, and the table is drawn and put together as a whole: at the beginning, for checkpoints,
and where the finished model is measured.
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
from bench.models.assembly import MultiTaskModel
from bench.registry import lookup
from bench.schema import Field
from bench.seeds import derive
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
    """This process among those of one training.

    Attributes:
        rank: its number, from 0 on.
        world: how many there are.
    """

    rank: int
    world: int

    def part(self, rows: int) -> slice:
        """Which rows of a batch are this rank's."""
        return slice(rows * self.rank // self.world, rows * (self.rank + 1) // self.world)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Adds up tensors over all ranks, each in place."""
        if not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(total.view(tensor.shape))

    def joined(self, own: Tensor, rows: int, members: int = 1) -> Tensor:
        """Outputs (k b, O) of this rank's rows, member by member -> those of all (k B, O).

        Only this rank's lead back to its parameters.
        """
        part = self.part(rows)
        blocks = own.view(members, part.stop - part.start, own.shape[1])
        whole = own.new_zeros(members, rows, own.shape[1])
        whole[:, part] = blocks.detach()
        dist.all_reduce(whole)
        return torch.cat([whole[:, : part.start], blocks, whole[:, part.stop :]], dim=1).flatten(0, 1)

    def exchanged(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        """Sends the first `sent[0]` rows to rank 0, and so on, and gets as many from each as `received` says."""
        found = rows.new_empty((sum(received), *rows.shape[1:]))
        dist.all_to_all_single(found, rows.contiguous(), list(received), list(sent))
        return found

    @contextmanager
    def own_random(self, seed: int, device: torch.device) -> Iterator[None]:
        """Within it torch draws other numbers on each rank. What it draws outside, all ranks draw alike."""
        shared = random_state(device)
        torch.manual_seed(derive(seed, "rank", self.rank))
        try:
            yield
        finally:
            write_state(shared)

    def share(self, table: Tensor) -> Tensor:
        """This rank's rows of a tensor (R, ..): row 0, the padding, then rows r, r + world, ..; rank 0 begins with its
        first multiple of `world`."""
        return torch.cat([table[:1], table[self.rank or self.world :: self.world]])

    def whole(self, share: Tensor, rows: int) -> Tensor:
        """All ranks' shares as one tensor (rows, ..) on rank 0; on others what they gave."""
        most = rows // self.world + 2
        padded = share.new_zeros((most, *share.shape[1:]))
        padded[: len(share)] = share
        parts = [torch.empty_like(padded) for _ in range(self.world)] if self.rank == 0 else None
        dist.gather(padded, parts)
        if parts is None:
            return share
        found = share.new_empty((rows, *share.shape[1:]))
        found[:1] = share[:1]
        for rank, part in enumerate(parts):
            place = found[rank or self.world :: self.world]
            place.copy_(part[1 : 1 + len(place)])
        return found


class _Asked(NamedTuple):
    """Which rows a batch needs of which rank.

    Attributes:
        places: (B S,) of each id, where its row is among those asked for.
        asked: how many of them each rank was asked for.
        wanted: how many rows each rank asked this one for.
        rows: those rows, of this rank's share.
    """

    places: Tensor
    asked: list[int]
    wanted: list[int]
    rows: Tensor


class RankedTable(nn.Module):
    """In place of a `FusedEmbedding`: looks rows up wherever they lie. All ranks must look up together.

    Attributes:
        weight: (1 + n, W), this rank's rows.
    """

    def __init__(self, ranks: Ranks, weight: Tensor) -> None:
        super().__init__()
        self.ranks = ranks
        self.weight = nn.Parameter(ranks.share(weight.detach()))
        self._last: tuple[Tensor, _Asked] | None = None  # a step looks up and sends back by the same ids

    def forward(self, ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """ids (b, S) -> (b, S, W), as a `FusedEmbedding` does, without a gradient for the table."""
        asked = self._ask(ids)
        found = self.ranks.exchanged(self.weight.detach()[asked.rows], asked.wanted, asked.asked)
        return found[asked.places].view(*ids.shape, -1).to(dtype or self.weight.dtype)

    def gradients(self, ids: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """All ranks' gradients of this rank's rows: of ids (b, S) and (b, S, W), (n, 1) rows and (n, 1, W)."""
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
        # Distinct rows in the order of their owners: row r is number ceil(r / world) of rank r % world.
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
    """Adds up the tasks' gradients over ranks before they are weighed."""

    def __init__(self, ranks: Ranks, model: MultiTaskModel, balancer: Balancer) -> None:
        super().__init__(model, balancer)
        self.ranks = ranks

    def backward(self, e: Tensor, logits: Tensor, losses: Tensor) -> None:
        """See its base; `logits` are this rank's, `losses` those of the whole batch."""
        super().backward(e, logits, losses)
        self.ranks.add([each.grad for each in (*self.towers, *self.own) if each.grad is not None])

    def weigh(self, gradients: list[tuple[Tensor, ...]]) -> Tensor:
        """The weights (T,): of gradients at the embeddings' output each rank has its samples' part."""
        self.ranks.add([part for of_task in gradients for part in of_task[1:]])
        products = gramian([of_task[:1] for of_task in gradients])
        self.ranks.add([products])
        if len(gradients[0]) > 1:
            products = products + gramian([of_task[1:] for of_task in gradients])
        weights: Tensor = self.balancer(products)
        return weights


class RankedStep(Step):
    """A step on this rank's rows of a batch.

    Attributes:
        seed: of the step's dropout.
    """

    seed = 0

    def __init__(self, ranks: Ranks, parts: StepParts) -> None:
        self.ranks = ranks
        super().__init__(*parts)
        self._rows, self._own = 0, torch.empty(0)

    def aggregation_of(self, model: MultiTaskModel) -> Aggregation | None:
        """See its base."""
        aggregates = isinstance(self.balancer, GradientAggregation)
        return RankedAggregation(self.ranks, model, self.balancer) if aggregates else None

    def share(self, ids: Tensor) -> Tensor:
        """See its base: this rank's."""
        self._rows = len(ids)
        return ids[self.ranks.part(self._rows)]

    def outputs(self, e: Tensor, ids: Tensor, dense: Tensor) -> Tensor:
        """See its base; `dense` is of the whole batch."""
        with self.ranks.own_random(self.seed, dense.device):
            self._own = self.model.logits(e, ids, dense[self.ranks.part(self._rows)])
        return self.ranks.joined(self._own, self._rows, self.model.members)

    def descend(self, e: Tensor, logits: Tensor, losses: Tensor) -> None:
        """See its base."""
        if self.aggregation is not None:
            self.aggregation.backward(e, self._own, losses)
            return
        # What does not lead through the logits, such as a balancer's own parameters, every rank has as a whole.
        beside = list(self.balancer.parameters())
        at_own, *rest = torch.autograd.grad(self.weigh(losses), [self._own, *beside], allow_unused=True)
        self._own.backward(at_own)  # type: ignore[no-untyped-call]
        for parameter, gradient in zip(beside, rest, strict=True):
            parameter.grad = gradient
        self.ranks.add([each.grad for each in self.model.dense_parameters() if each.grad is not None])

    def update_rows(self, ids: Tensor, e: Tensor) -> None:
        """See its base."""
        assert e.grad is not None
        table = self.model.embedding
        assert isinstance(table, RankedTable)
        self.rows.step(*table.gradients(ids, e.grad))


class RankedEvaluation(Evaluation):
    """Each rank predicts its rows of every batch."""

    def __init__(self, ranks: Ranks, *args: Any) -> None:
        super().__init__(*args)
        self.ranks = ranks

    def predict(self, ids: Tensor, dense: Tensor, state: State | None) -> Tensor:
        """See its base."""
        part = self.ranks.part(len(ids))
        return self.ranks.joined(super().predict(ids[part], dense[part], state), len(ids))


class RankedTrainer(Trainer):
    """A trainer on one of several ranks. All ranks call the same methods in the same order; rank 0 keeps checkpoints.

    They are checkpoints of a training on any number of processes, one included.
    """

    def __init__(self, ranks: Ranks, *args: Any, **more: Any) -> None:
        self.ranks = ranks
        super().__init__(*args, **more)

    def new_step(self, parts: StepParts) -> Step:
        """See its base."""
        model, optim = parts.model, self.config.optim
        self._rows = len(model.embedding.weight)
        table = RankedTable(self.ranks, model.embedding.weight)
        model.embedding = table  # type: ignore[assignment]  # it is called alike
        share = replace(model.schema, fields=(Field("rows", len(table.weight) - 1),), numbers=(), vectors=())
        rows = lookup(ROW_OPTIMIZERS, "embedding optimizer", optim.embedding_optimizer).build(
            table.weight.data, share, parts.rows.lr, optim.embedding_l2, 1
        )
        return RankedStep(self.ranks, parts._replace(rows=rows))

    def new_evaluation(self, outcomes: Sequence[str]) -> Evaluation:
        """See its base."""
        return RankedEvaluation(self.ranks, self.store, self.model, self.device, outcomes)

    def state_dict(self) -> dict[str, Any]:
        """The whole state on rank 0; on others one that nobody can use."""
        state: dict[str, Any] = _changed(super().state_dict(), lambda share: self.ranks.whole(share, self._rows))
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes this rank's part of a whole state."""
        super().load_state_dict(_changed(state, self.ranks.share))

    def save(self, path: Path | str, copy: bool = True) -> None:
        """See its base."""
        state = self.state_dict()
        if self.ranks.rank == 0:
            self._writer.write(Path(path), state, self._identity(), copy)

    def _one_step(self) -> None:
        assert isinstance(self.step, RankedStep)
        self.step.seed = derive(self.seed, "dropout", self.course.step)
        super()._one_step()

    def _new_compute(self) -> Compute:
        """No graph is captured: how many rows are asked for is known only on the host."""
        return self.step


def _changed(state: Any, change: Callable[[Tensor], Tensor], path: str = "") -> Any:
    """A state with every tensor that has a row for each of the table's changed."""
    if isinstance(state, Tensor):
        return change(state) if path.endswith(TABLE) or path.startswith("/rows/") else state
    if isinstance(state, Mapping):
        return {key: _changed(value, change, f"{path}/{key}") for key, value in state.items()}
    if isinstance(state, list):
        return [_changed(value, change, path) for value in state]
    return state
