"""Many MLPs of one shape as one batched product.

Activations are feature-major in memory: an (E, B, H) tensor here is a view of contiguous (E, H, B) storage. Then the
first layer of any number of experts on one input is a single wide product, and neither its output nor its gradient is
ever copied into another layout on the way to the batched products that follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchedLinear(nn.Module):
    """E linear maps, slice e of the parameters being those of map e.

    Biases start at zero, and weights as He et al., ICCV 2015 have it: activations keep their size from layer to
    layer. Towards the smaller weights of `nn.Linear`, signals shrink on the way, and rare tasks learn late.

    Args:
        gain: of the activation that follows: `nn.init.calculate_gain("relu")`, or 1 for none.

    Attributes:
        weight: (E, outputs, inputs).
        bias: (E, outputs), or None.
    """

    def __init__(self, experts: int, inputs: int, outputs: int, gain: float = 1.0, bias: bool = True) -> None:
        super().__init__()
        self.gain = gain
        self.weight = nn.Parameter(torch.empty(experts, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(experts, outputs)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights uniformly with variance gain^2 / inputs; zeroes the biases."""
        bound = self.gain * math.sqrt(3 / max(1, self.weight.shape[2]))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (G, B, inputs) -> (E, B, outputs); each of the G inputs serves E / G consecutive experts."""
        experts, outputs, inputs = self.weight.shape
        groups = x.shape[0]
        weight = self.weight.view(groups, experts // groups * outputs, inputs)
        if self.bias is None:
            y = torch.bmm(weight, x.transpose(1, 2))
        else:
            y = torch.baddbmm(self.bias.view(groups, -1, 1), weight, x.transpose(1, 2))
        return y.view(experts, outputs, x.shape[1]).transpose(1, 2)


class BatchedMLP(nn.Module):
    """E MLPs of one shape, ReLU and dropout after every layer.

    Attributes:
        outputs: width of the last layer; of the input, where there is no layer.
    """

    def __init__(self, experts: int, inputs: int, layers: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        widths = [inputs, *layers]
        self.experts, self.outputs, self.dropout = experts, widths[-1], dropout
        gain = nn.init.calculate_gain("relu")
        self.layers = nn.ModuleList(BatchedLinear(experts, *ends, gain=gain) for ends in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """x (G, B, inputs) -> (E, B, outputs); each of the G inputs serves E / G consecutive experts."""
        for layer in self.layers:
            x = F.dropout(F.relu(layer(x)), self.dropout, self.training)
        if not self.layers:
            x = x.unsqueeze(1).expand(-1, self.experts // x.shape[0], -1, -1).flatten(0, 1)
        return x
