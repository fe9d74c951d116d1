"""Softmax gates, and the mixing of experts that they weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models import fused
from bench.models.mlp import BatchedLinear


class Gates(nn.Module):
    """Linear softmax gates without bias: softmax(W_k x), as in Ma et al., KDD 2018.

    Their scores come out of the product that the experts' first layer takes anyway (`mlp.together`), and the softmax
    is part of `mix`.

    Attributes:
        linear: its weight is (gates, experts, inputs).
    """

    def __init__(self, gates: int, inputs: int, experts: int) -> None:
        super().__init__()
        self.linear = BatchedLinear(gates, inputs, experts, bias=False)


def mix(
    scores: Tensor, shared: Tensor, own: Tensor | None = None, all_scores: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sums of experts, weighted by the softmax of gates' scores.

    Args:
        scores: (K, B, M) of K gates, each over its own M - S experts, then the S shared ones.
        shared: (S, B, H).
        own: (K * (M - S), B, H), those of gate k from k * (M - S) on; None where M = S.
        all_scores: (1, B, N) of a gate over all N experts, own before shared; None for no such gate.

    Returns:
        (K, B, H), and that of the last gate, (1, B, H) or (0, B, H).
    """
    if own is None:
        own = shared.new_empty(0, *shared.shape[1:])  # a slice would have a gradient to add
    if all_scores is None:
        all_scores = scores.new_empty(0, scores.shape[1], len(own) + len(shared))
    if fused.fits(shared):
        return fused.mix(scores, all_scores, own, shared)
    each = len(own) // len(scores)
    weights, of_all = _softmax(scores), _softmax(all_scores)
    sums = torch.einsum("kbm,mbh->kbh", weights[:, :, each:], shared)
    if each:
        sums = sums + torch.einsum("kbm,kmbh->kbh", weights[:, :, :each], own.view(len(scores), each, *own.shape[1:]))
    return sums, torch.einsum("kbm,mbh->kbh", of_all, torch.cat([own, shared]))


def _softmax(scores: Tensor) -> Tensor:
    """(K, B, M), summed in at least float32."""
    return scores.softmax(2, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)
