"""What MoCo, MoDo and SDMGrad have in common: weights on the simplex that move a little at each step."""

from __future__ import annotations

import torch
from torch import Tensor


def project(point: Tensor, mass: float) -> Tensor:
    """The nearest w >= 0 with sum_i w_i = mass to a point (K,); Held, Wolfe & Crowder 1974."""
    ordered = point.sort(descending=True).values
    excess = (ordered.cumsum(0) - mass) / torch.arange(1, len(point) + 1, device=point.device)
    return (point - excess[int((ordered > excess).sum()) - 1]).clamp(min=0.0)


def mass_of(weights: Tensor, everyone: int) -> float:
    """What heard tasks share among them, K / T where they had nothing."""
    mass = float(weights.sum())
    return mass if mass > 1e-9 else len(weights) / everyone
