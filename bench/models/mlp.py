"""Many MLPs of one shape as one batched product.

The first layer of any number of experts on one input is a single wide product, of their gates as well; further layers
are batched products. On the CPU `fused` does both, with everything between two products in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models import fused
from bench.models.config import Activation, HiddenConfig, Norm
from bench.models.initial import Drawn
from bench.models.norm import BatchedNorm

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class BatchedLinear(Drawn):
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

    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws the weights uniformly with variance gain^2 / inputs; zeroes the biases."""
        bound = self.gain * math.sqrt(3 / max(1, self.weight.shape[2]))
        nn.init.uniform_(self.weight, -bound, bound, source)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (G, B, inputs) -> (E, B, outputs), each of the G inputs serving E / G consecutive experts."""
        experts, outputs, inputs = self.weight.shape
        groups = len(x)
        weight = self.weight.view(groups, -1, inputs).to(x.dtype)
        z = torch.bmm(x, weight.transpose(1, 2)).view(groups, x.shape[1], experts // groups, outputs)
        y = z.transpose(1, 2).flatten(0, 1)
        return y if self.bias is None else y + self.bias.to(x.dtype).unsqueeze(1)


class BatchedMLP(nn.Module):
    """E MLPs of one shape: after every layer a normalisation where asked for, the activation, and dropout.

    Attributes:
        outputs: width of the last layer; of the input, where there is no layer.
        plain: whether layers are ReLU without normalisation, which is what `fused` computes.
    """

    def __init__(
        self,
        experts: int,
        inputs: int,
        layers: Sequence[int],
        dropout: float = 0.0,
        activation: Activation = "relu",
        norm: Norm = "none",
    ) -> None:
        super().__init__()
        widths = [inputs, *layers]
        self.experts, self.outputs, self.dropout = experts, widths[-1], dropout
        self.activation, self.plain = ACTIVATIONS[activation], activation == "relu" and norm == "none"
        gain = nn.init.calculate_gain("tanh" if activation == "tanh" else "relu")
        self.layers = nn.ModuleList(BatchedLinear(experts, *ends, gain=gain) for ends in pairwise(widths))
        self.norms = nn.ModuleList(() if norm == "none" else (BatchedNorm(experts, width, norm) for width in layers))

    @classmethod
    def of(cls, config: HiddenConfig, experts: int, inputs: int) -> BatchedMLP:
        """MLPs with the layers of a configuration, one for each expert."""
        return cls(experts, inputs, config.layers, config.dropout, config.activation, config.norm)

    @property
    def linears(self) -> list[BatchedLinear]:
        """Its layers."""
        return [cast(BatchedLinear, layer) for layer in self.layers]

    def forward(self, x: Tensor) -> Tensor:
        """x (G, B, inputs) -> (E, B, outputs); each of the G inputs serves E / G consecutive experts."""
        return together(x, [self])[0]


def together(x: Tensor, parts: Sequence[BatchedMLP | BatchedLinear]) -> Sequence[Tensor]:
    """Several parts on the same input, their first layers as one product where that is possible.

    Args:
        x: (G, B, inputs), in the precision to compute in; each of the G inputs serves E / G consecutive experts.
        parts: MLPs, and linear maps without bias for gates' scores.

    Returns:
        (E, B, outputs) of each part, as precise as x.
    """
    stacks = [part.linears if isinstance(part, BatchedMLP) else [part] for part in parts]
    dropped = [part.dropout if isinstance(part, BatchedMLP) and part.training else 0.0 for part in parts]
    plain = all(isinstance(part, BatchedLinear) or part.plain for part in parts)
    if not plain or not all(stacks) or not fused.fits(x, stacks[0][0].weight):
        return [_one_by_one(x, part) for part in parts]
    whole = [stack[:1] if drop else stack for stack, drop in zip(stacks, dropped, strict=True)]
    outputs = list(fused.stacks(x, [[(layer.weight, layer.bias) for layer in stack] for stack in whole]))
    for number, drop in enumerate(dropped):
        if drop:  # layer by layer, after the first
            outputs[number] = F.dropout(outputs[number], drop)
            for layer in stacks[number][1:]:
                (h,) = fused.stacks(outputs[number], [[(layer.weight, layer.bias)]])
                outputs[number] = F.dropout(h, drop)
    return outputs


def _one_by_one(x: Tensor, part: BatchedMLP | BatchedLinear) -> Tensor:
    """The same of one part in plain torch: for other devices, for export, and where layers are not plain."""
    if isinstance(part, BatchedLinear):
        scores: Tensor = part(x)
        return scores
    if not part.linears:
        return x.unsqueeze(1).expand(-1, part.experts // len(x), -1, -1).flatten(0, 1)
    for number, layer in enumerate(part.linears):
        x = layer(x)
        if part.norms:
            x = part.norms[number](x)
        x = F.dropout(part.activation(x), part.dropout, part.training)
    return x
