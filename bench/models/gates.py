"""Softmax gates, and the mixing of experts that they weight."""

from __future__ import annotations

from torch import Tensor, nn

from bench.models.mlp import BatchedLinear


class Gates(nn.Module):
    """Linear softmax gates without bias: softmax(W_k x), as in Ma et al., KDD 2018.

    Attributes:
        linear: its weight is (gates, experts, inputs).
    """

    def __init__(self, gates: int, inputs: int, experts: int) -> None:
        super().__init__()
        self.linear = BatchedLinear(gates, inputs, experts, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x (1 or gates, B, inputs) -> weights (gates, experts, B), which sum to 1 over the experts."""
        scores: Tensor = self.linear(x)
        return scores.transpose(1, 2).softmax(dim=1)


def mix(weights: Tensor, experts: Tensor) -> Tensor:
    """Weighted sums of experts.

    Args:
        weights: (K, E, B).
        experts: (K, E, B, H), or (1, E, B, H) where all K sums are over the same experts.

    Returns:
        (K, B, H).
    """
    return (weights.unsqueeze(2) * experts.transpose(2, 3)).sum(1).transpose(1, 2)
