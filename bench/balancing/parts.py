"""What gradient combinations do with the parts of the tasks' gradients."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.balancing.base import TaskGradients


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


def products(rows: Tensor) -> Tensor:
    """rows (T, N) -> their products (T, T) float64, where squares neither overflow nor vanish."""
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


def lengths(gradients: TaskGradients) -> Tensor:
    """The length of every part (T, P) float64; not by squares of what is too short or long for them."""
    found = [[torch.linalg.vector_norm(part.detach(), dtype=torch.float64) for part in of] for of in gradients]
    return torch.stack([torch.stack(of_task) for of_task in found])
