"""Layers that share one matrix product, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from bench.models import kernels
from bench.models.kernels import array

Pair = tuple[Tensor, Tensor | None]
"""A layer's weight and bias."""

_PIECE, _WIDE = 512, 512  # samples of a piece, and columns from which on pieces pay (docs/performance.md)


class Layer(NamedTuple):
    """The values that the backward pass of `forward` needs.

    Attributes:
        x: (G, B, I).
        weights: of all layers that share the product, side by side, (G, columns, I).
        hidden: their outputs; None of gates.
        columns: where each layer begins in the product, and the end.
        shapes: of their weights.
    """

    x: Tensor
    weights: Tensor
    hidden: Sequence[Tensor | None]
    columns: list[int]
    shapes: list[torch.Size]


Gradients = tuple[Tensor | None, list[Pair]]
"""At the input, and of each layer's weight and bias."""


def forward(x: Tensor, pairs: Sequence[Pair]) -> tuple[list[Tensor], Layer]:
    """Layers on x (G, B, I) as one product -> their outputs, and what `backward` needs."""
    groups, batch, inputs = x.shape
    blocks = [weight.reshape(groups, -1, inputs) for weight, _ in pairs]
    columns = list(accumulate((block.shape[1] for block in blocks), initial=0))
    weights = side_by_side(blocks, x.dtype)
    z = torch.bmm(x, weights.transpose(1, 2))
    outputs, hidden = [], []
    for (weight, bias), column in zip(pairs, columns, strict=False):
        experts, width, _ = weight.shape
        as_it_is = len(pairs) == 1 and experts == groups
        out = z if as_it_is else z.new_empty(experts, batch, width)
        if bias is None:
            if not as_it_is:
                kernels.spread(array(z), column, array(out))
        elif as_it_is:
            kernels.rectify_in_place(array(z), array(bias))
        else:
            kernels.rectify(array(z), column, array(bias), array(out))
        outputs.append(out)
        hidden.append(None if bias is None else out)
    return outputs, Layer(x, weights, hidden, columns, [weight.shape for weight, _ in pairs])


def backward(layer: Layer, gradients: Sequence[Tensor | None], needs_dx: bool) -> Gradients:
    """Gradients at the outputs -> the one at the input, and those of each layer's weight and bias."""
    x, computed = layer.x, kernels.computed_in(layer.x.dtype)
    dz = x.new_empty(len(x), x.shape[1], layer.weights.shape[1])
    dbiases: list[Tensor | None] = []
    for gradient, out, shape, column, end in zip(
        gradients, layer.hidden, layer.shapes, layer.columns, layer.columns[1:], strict=False
    ):
        dbias = None if out is None else torch.zeros(shape[:2], dtype=computed)
        dbiases.append(dbias)
        if gradient is None:
            dz[:, :, column:end] = 0
        elif out is None:
            kernels.unspread(array(gradient), column, array(dz))
        else:
            assert dbias is not None
            kernels.unrectify(array(gradient), array(out), column, array(dz), array(dbias))
    dx = torch.bmm(dz, layer.weights) if needs_dx else None
    dweights = _weight_gradient(dz, x)
    parts = [
        dweights[:, column:end].reshape(shape).to(computed)
        for shape, column, end in zip(layer.shapes, layer.columns, layer.columns[1:], strict=False)
    ]
    return dx, list(zip(parts, dbiases, strict=True))


def _weight_gradient(dz: Tensor, x: Tensor) -> Tensor:
    """dz (G, B, columns), x (G, B, I) -> (G, columns, I).

    oneDNN rearranges dz for it, and where that is wide does so almost twice as fast in pieces of the batch.
    """
    groups, batch, columns = dz.shape
    pieces = batch // _PIECE
    if groups != 1 or columns < _WIDE or dz.dtype != torch.bfloat16 or pieces < 2 or batch % _PIECE:
        return torch.bmm(dz.transpose(1, 2), x)
    parts = torch.bmm(dz.view(pieces, _PIECE, columns).transpose(1, 2), x.view(pieces, _PIECE, x.shape[2]))
    total = torch.empty(1, *parts.shape[1:], dtype=kernels.computed_in(dz.dtype))
    kernels.add_up(array(parts), array(total[0]))
    return total


def side_by_side(blocks: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Blocks (G, rows, I) as one (G, all rows, I) of that type; the block itself where it is alone and of it."""
    if len(blocks) == 1:
        return blocks[0].to(dtype)
    groups, _, inputs = blocks[0].shape
    packed = torch.empty(groups, sum(block.shape[1] for block in blocks), inputs, dtype=dtype)
    row = 0
    for block in blocks:
        packed[:, row : row + block.shape[1]] = block
        row += block.shape[1]
    return packed
