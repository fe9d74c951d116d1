"""Shared parts of gradient combinations: parts of the tasks' gradients, and averages of them over steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from bench.balancing.base import GradientCombination, TaskGradients


def zeros(tasks: int, parameters: Sequence[Tensor]) -> Tensor:
    """A state (T, N) for what `dense` gives, where the parameters are."""
    device = parameters[0].device if parameters else torch.device("cpu")
    return torch.zeros(tasks, sum(parameter.numel() for parameter in parameters), device=device)


def dense(gradients: TaskGradients) -> Tensor:
    """All parts but that at the embedding output, as rows (T, N) float32."""
    rows = [[part.detach().reshape(-1).float() for part in of_task[1:]] for of_task in gradients]
    return torch.stack([torch.cat(row) if row else gradients[0][0].new_zeros(0) for row in rows])


def split(row: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """A row (N,) in the shapes of these parts."""
    pieces = torch.split_with_sizes(row, [part.numel() for part in like])
    return [piece.view(part.shape).to(part) for piece, part in zip(pieces, like, strict=True)]


def at_output(gradients: TaskGradients) -> Tensor:
    """The parts at the embedding output, as rows (T, B S W) float32."""
    return torch.stack([of_task[0].detach().reshape(-1).float() for of_task in gradients])


def gramian(rows: Tensor) -> Tensor:
    """rows (T, N) -> their Gramian (T, T) float64, where squares neither overflow nor vanish."""
    if not rows.numel():
        return torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    size = rows.abs().amax(1, keepdim=True)
    scaled = rows / size.clamp(min=torch.finfo(rows.dtype).tiny)
    return (scaled @ scaled.T).double() * size.double() * size.double().T


def weighted(gradients: TaskGradients, weights: Tensor) -> list[Tensor]:
    """sum_i w_i g_i, part by part; weights (T,), or (T, P) with one for each part."""
    total = []
    for at, of_part in enumerate(zip(*gradients, strict=True)):
        of_tasks = (weights if weights.dim() == 1 else weights[:, at]).to(of_part[0])
        part = of_part[0].detach() * of_tasks[0]
        for gradient, weight in zip(of_part[1:], of_tasks[1:], strict=True):
            part += gradient.detach() * weight
        total.append(part)
    return total


def norms(gradients: TaskGradients) -> Tensor:
    """The norm of every part (T, P) float64; without squares, which overflow or vanish."""
    found = [[torch.linalg.vector_norm(part.detach(), dtype=torch.float64) for part in of] for of in gradients]
    return torch.stack([torch.stack(of_task) for of_task in found])


class RememberingCombination(GradientCombination):
    """Averages the gradients of shared dense parameters; at the embedding output, this step's stand as they are.

    Rows of that output belong to samples, which come once: there is nothing to average. An average begins with a task's
    first gradient, where the papers begin with 0 and so with small steps. A task without samples in the batch keeps
    its average, which the step leaves out.
    """

    average: Tensor  # (T, N): of the gradients of shared dense parameters
    count: Tensor  # (T,): how many gradients each has seen

    def prepare(self, parameters: Sequence[Tensor]) -> None:
        """Makes the averages."""
        self.register_buffer("average", zeros(len(self.tasks), parameters))
        self.register_buffer("count", torch.zeros(len(self.tasks), device=self.average.device))

    @abstractmethod
    def share(self, count: Tensor) -> Tensor:
        """Of a task's new gradient in its average, count (T,) being how many it has seen, this one included."""

    def remember(self, gradients: TaskGradients, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Takes in this step's gradients, task i's times scales_i.

        Returns:
            The products (T, T) float64 of what is then to be combined, and which tasks are heard (T,).
        """
        output, new = at_output(gradients), dense(gradients) * scales[:, None]
        heard = (output != 0).any(1) | (new != 0).any(1)
        self.count += heard
        share = torch.where(self.count == 1, 1.0, self.share(self.count.clamp(min=1))) * heard
        self.average += share[:, None] * (new - self.average)
        scales = scales.double()
        return gramian(output) * torch.outer(scales, scales) + gramian(self.average), heard

    def combine(self, gradients: TaskGradients, scales: Tensor, weights: Tensor) -> list[Tensor]:
        """sum_i w_i (scales_i g_i at the embedding output, the average elsewhere); weights (T,) float64."""
        first = weighted([of_task[:1] for of_task in gradients], weights * scales)
        return [*first, *split(weights.to(self.average) @ self.average, gradients[0][1:])]
