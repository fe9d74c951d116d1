"""Softmax gates, and the mixing of experts that they weight."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models import fused
from bench.models.config import ExpertConfig
from bench.models.mlp import BatchedLinear, BatchedMLP, together

_NO_CHANCE = -1e30  # a score whose weight is zero beside any other


class Gates(nn.Module):
    """Softmax gates, by default linear and without bias: softmax(W_k x), as in Ma et al., KDD 2018.

    Their first layer goes into the product that the experts' first layer takes anyway (`mlp.together`); `scores` does
    what is left, and the softmax is part of `mix`.

    Args:
        config: how many hidden layers they have, and to how many experts each gives weight.

    Attributes:
        linear: gives the scores; its weight is (gates, experts, inputs), or of the last hidden layer's width.
    """

    def __init__(self, gates: int, inputs: int, experts: int, config: ExpertConfig) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.hidden = BatchedMLP(gates, inputs, config.gate_layers)
        self.linear = BatchedLinear(gates, self.hidden.outputs, experts, bias=False)

    @property
    def first(self) -> BatchedMLP | BatchedLinear:
        """What is computed together with the experts."""
        return self.hidden if self.hidden.linears else self.linear

    def scores(self, first: Tensor) -> Tensor:
        """What `first` gave -> scores (K, B, M), those of experts without a chance so low that their weight is 0."""
        return largest(together(first, [self.linear])[0] if self.hidden.linears else first, self.top_k)


def largest(scores: Tensor, k: int) -> Tensor:
    """Scores (K, B, M), lowered out of reach except for the k largest of each gate and sample; k = 0 keeps all."""
    if not 0 < k < scores.shape[2]:
        return scores
    lowered = torch.full_like(scores, _NO_CHANCE).scatter(2, scores.topk(k, dim=2).indices, 0.0)
    return scores + lowered


def exclude(scores: Tensor, excluded: Tensor) -> Tensor:
    """Scores (K, B, M) of which those that are excluded (broadcast to them, bool) are lowered out of reach."""
    return scores.masked_fill(excluded, _NO_CHANCE)


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
    weights, of_all = softmax(scores), softmax(all_scores)
    sums = torch.einsum("kbm,mbh->kbh", weights[:, :, each:], shared)
    if each:
        sums = sums + torch.einsum("kbm,kmbh->kbh", weights[:, :, :each], own.view(len(scores), each, *own.shape[1:]))
    return sums, torch.einsum("kbm,mbh->kbh", of_all, torch.cat([own, shared]))


def softmax(scores: Tensor) -> Tensor:
    """Scores (K, B, M) -> weights, summed in at least float32."""
    return scores.softmax(2, dtype=torch.promote_types(scores.dtype, torch.float32)).to(scores.dtype)
