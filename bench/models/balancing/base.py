"""The contract of balancers, and tools for combinations: parts of the tasks' gradients, and their
moving averages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.core.errors import check_known

Need = Literal["losses", "second forward", "gradients", "gradient state"]
NEEDS: dict[Need, str] = {
    "losses": "passes a gradient aggregation the losses first, through `observe`",
    "second forward": (
        "the losses of the same batch after the update, through `after`: a third of a step more"
    ),
    "gradients": "the gradients, not only their products",
    "gradient state": (
        "memory of T times the shared dense parameters, which checkpoints then hold, too"
    ),
}
"""What a balancer may ask of each step, and what that is."""
Claim = Literal["random", "asymmetric", "stateful"]
TaskGradients = Sequence[Sequence[Tensor]]
"""The gradients of T tasks, each in the same parts: first the embedding output, then every shared
dense parameter.
"""


class Balancer(nn.Module):
    """Base class, built as `Balancer(tasks: Sequence[str], config)`; `config` has its options.

    A balancer's parameters (learned weights) are trained with the model's; its other state must
    live in buffers, so that `state_dict` holds all of it. Random draws come from torch's default
    generator, which the loop seeds.

    Attributes:
        needs: extra inputs or work in each step, see `NEEDS`.
        weighs_own: whether a gradient balancer's weights also multiply the gradients of a task's
            own parameters (its tower), as in papers that weight losses. Elsewhere these have weight
            1.
        claims: what checks must know of it: random draws, unequal treatment of tasks, state between
            steps.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    weighs_own: ClassVar[bool] = False
    claims: ClassVar[frozenset[Claim]] = frozenset()

    def __init__(self, tasks: Sequence[str], config: Any = None) -> None:
        super().__init__()
        self.tasks, self.config = tuple(tasks), config

    def observe(self, losses: Tensor) -> None:
        """Receives the losses (T,), detached, before `forward`; called where `needs` has
        "losses".
        """

    def after(self, losses: Tensor) -> None:
        """Receives the losses (T,) of the same batch after the update; called where `needs` has
        "second forward".
        """

    def preference(self, ratios: Mapping[str, float], option: str) -> Tensor:
        """Returns weights (T,) that sum to T from an option's ratios, 1 for other tasks; errors of
        `place`.
        """
        for name in ratios:
            self.place(name, option)
        by_task = [ratios.get(name, 1.0) for name in self.tasks]
        weight = torch.tensor(by_task, dtype=torch.float64)
        weight = weight / weight.max()  # a sum of huge weights must not overflow
        return (weight * len(self.tasks) / weight.sum()).float()

    def place(self, task: str, option: str) -> int:
        """Returns the index of a task that an option names; raises UserError if it is not
        trained.
        """
        check_known("task", task, self.tasks, f"balancing.{option}")
        return self.tasks.index(task)


class LossWeighting(Balancer, ABC):
    """Combines the tasks' losses into one, before the backward pass."""

    @abstractmethod
    def forward(self, losses: Tensor) -> Tensor:
        """losses (T,), with gradient -> scalar to minimise. Called once a step."""


class GradientAggregation(Balancer, ABC):
    """Weights the tasks' gradients, after one backward pass each."""

    @abstractmethod
    def forward(self, gramian: Tensor) -> Tensor:
        """gramian (T, T), entry (i, j) = g_i . g_j over shared parameters -> weights (T,): the step
        is sum_i w_i g_i.

        Finite for any Gramian, also zero; scaled so that, where all gradients agree, the step is
        near their sum (weights near 1), as with equal static weights.
        """


class GradientCombination(Balancer, ABC):
    """Combines gradients in ways that task weights cannot express: by coordinate, by part, or with
    moving averages.

    Rows of the embedding output belong to samples, so no state can be kept by coordinate there.
    """

    def prepare(self, parameters: Sequence[Tensor]) -> None:
        """Allocates buffers whose size depends on the shared dense parameters; called once, before
        any step.
        """

    @abstractmethod
    def forward(self, gradients: TaskGradients) -> list[Tensor]:
        """Returns the parts of the combined gradient, finite, scaled as `GradientAggregation`;
        keeps its input.
        """


class ByEpochs(Balancer):
    """A balancer by virtual epochs of `config.virtual_epoch` steps; keeps the mean losses of one.

    Attributes:
        total: (T,), sum of losses in the epoch.
        count: (T,), steps of it with samples: their losses are not 0.
        steps: (), taken in all.
    """

    def __init__(self, tasks: Sequence[str], config: Any = None) -> None:
        super().__init__(tasks, config)
        self.total: Tensor = nn.Buffer(torch.zeros(len(self.tasks)))
        self.count: Tensor = nn.Buffer(torch.zeros(len(self.tasks)))
        self.steps: Tensor = nn.Buffer(torch.zeros((), dtype=torch.int64))

    def add(self, losses: Tensor) -> None:
        """Adds the losses (T,) of a step, detached."""
        self.total += losses
        self.count += losses != 0

    def mean(self, without: Tensor | float) -> Tensor:
        """Mean losses (T,); `without` for a task that had no samples."""
        return torch.where(self.count > 0, self.total / self.count.clamp(min=1), without)


def zeros(tasks: int, parameters: Sequence[Tensor]) -> Tensor:
    """Returns a zero state (T, N) for rows of `dense`, on the parameters' device."""
    device = parameters[0].device if parameters else torch.device("cpu")
    return torch.zeros(tasks, sum(parameter.numel() for parameter in parameters), device=device)


def dense(gradients: TaskGradients) -> Tensor:
    """Returns the gradients of shared dense parameters as rows (T, N) float32."""
    rows = []
    for _, *parameters in gradients:
        none = gradients[0][0].new_zeros(0)
        parts = [part.detach().reshape(-1).float() for part in parameters]
        rows.append(torch.cat(parts) if parts else none)
    return torch.stack(rows)


def split(row: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Cuts a row (N,) into the shapes of `like`."""
    pieces = torch.split_with_sizes(row, [part.numel() for part in like])
    parts = []
    for piece, part in zip(pieces, like, strict=True):
        parts.append(piece.view(part.shape).to(part))
    return parts


def gramian(rows: Tensor) -> Tensor:
    """rows (T, N) -> their Gramian (T, T) float64; rows are scaled first, so squares neither
    overflow nor underflow.
    """
    if not rows.numel():
        return torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    size = rows.abs().amax(1, keepdim=True)
    scaled = rows / size.clamp(min=torch.finfo(rows.dtype).tiny)
    return (scaled @ scaled.T).double() * size.double() * size.double().T


def weighted(gradients: TaskGradients, weights: Tensor) -> list[Tensor]:
    """sum_i w_i g_i, part by part; weights (T,), or (T, P) with one for each part."""
    total = []
    for index, part in enumerate(zip(*gradients, strict=True)):
        task_weights = weights if weights.dim() == 1 else weights[:, index]
        task_weights = task_weights.to(part[0])
        part_sum = part[0].detach() * task_weights[0]
        for gradient, weight in zip(part[1:], task_weights[1:], strict=True):
            part_sum += gradient.detach() * weight
        total.append(part_sum)
    return total


def norms(gradients: TaskGradients) -> Tensor:
    """Returns the norm of every part, (T, P) float64, without overflow or underflow."""
    rows = []
    for parts in gradients:
        row = [torch.linalg.vector_norm(part.detach(), dtype=torch.float64) for part in parts]
        rows.append(torch.stack(row))
    return torch.stack(rows)
