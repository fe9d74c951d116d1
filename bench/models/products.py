"""Layers that share one matrix product: forward, and backward through those experts that take part."""

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
_FEW = 7 / 8  # of all columns; up to there a product of fewer is worth a copy of their weights


class Layer(NamedTuple):
    """What the backward pass of `forward` needs.

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

Part = tuple[Layer, slice, list[slice]]
"""Some of a layer's experts, which of the groups these are on, and which of each stack's experts they are."""


def forward(x: Tensor, pairs: Sequence[Pair]) -> tuple[list[Tensor], Layer]:
    """Layers on x (G, B, I) as one product -> their outputs, and what `backward` needs."""
    groups, batch, inputs = x.shape
    blocks = [weight.reshape(groups, -1, inputs) for weight, _ in pairs]
    columns = list(accumulate((block.shape[1] for block in blocks), initial=0))
    weights = _side_by_side(blocks, x.dtype)
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
    """Gradients at the outputs -> the one at the input, and those of each layer's weight and bias.

    Experts whose gradient is zero are left out of the products where that saves enough: those of other tasks, when
    gradient aggregation passes back a single task's gradient.
    """
    given = [None if gradient is None else gradient.contiguous() for gradient in gradients]
    spans = [_span(gradient) for gradient in given]
    part = _some_groups(layer, spans) if len(layer.x) > 1 else _some_experts(layer, spans)
    if part is None:
        return _all(layer, given, needs_dx)
    some, groups, spans = part
    above = [None if gradient is None else gradient[span] for gradient, span in zip(given, spans, strict=True)]
    dx, found = _all(some, above, needs_dx)
    pairs = [
        (_among(weight, span, shape[0]), None if bias is None else _among(bias, span, shape[0]))
        for (weight, bias), span, shape in zip(found, spans, layer.shapes, strict=True)
    ]
    return None if dx is None else _among(dx, groups, len(layer.x)), pairs


def live(gradient: Tensor) -> Tensor:
    """(E, B, O), contiguous -> (E,), which of the E are not zero."""
    found = torch.empty(len(gradient), dtype=torch.bool)
    kernels.is_live(array(gradient), array(found))
    return found


def _span(gradient: Tensor | None) -> slice:
    """From the first expert whose gradient is not zero to behind the last."""
    at = [] if gradient is None else [number for number, lives in enumerate(live(gradient).tolist()) if lives]
    return slice(at[0], at[-1] + 1) if at else slice(0, 0)


def _some_groups(layer: Layer, spans: Sequence[slice]) -> Part | None:
    """The groups to which experts in these spans belong; None where that is all of them, or none."""
    each = [shape[0] // len(layer.x) for shape in layer.shapes]
    used = [(span.start // many, -(-span.stop // many)) for span, many in zip(spans, each, strict=True) if span.stop]
    first, last = min((one for one, _ in used), default=0), max((one for _, one in used), default=0)
    if last - first in (0, len(layer.x)):
        return None
    groups, spans = slice(first, last), [slice(first * many, last * many) for many in each]
    return _part(layer, layer.x[groups], layer.weights[groups], layer.columns, spans), groups, spans


def _some_experts(layer: Layer, spans: Sequence[slice]) -> Part | None:
    """Experts in these spans, of layers on one input; None where that is about all of them."""
    widths = [shape[1] for shape in layer.shapes]
    columns = [(span.stop - span.start) * width for span, width in zip(spans, widths, strict=True)]
    if sum(columns) > _FEW * layer.columns[-1]:
        return None
    blocks = [
        layer.weights[:, start + span.start * width : start + span.stop * width]
        for start, span, width in zip(layer.columns, spans, widths, strict=False)
    ]
    weights = _side_by_side(blocks, layer.weights.dtype)
    return _part(layer, layer.x, weights, list(accumulate(columns, initial=0)), spans), slice(0, 1), list(spans)


def _part(layer: Layer, x: Tensor, weights: Tensor, columns: list[int], spans: Sequence[slice]) -> Layer:
    hidden = [None if out is None else out[span] for out, span in zip(layer.hidden, spans, strict=True)]
    shapes = [torch.Size((span.stop - span.start, *shape[1:])) for span, shape in zip(spans, layer.shapes, strict=True)]
    return Layer(x, weights, hidden, columns, shapes)


def _among(part: Tensor, span: slice, count: int) -> Tensor:
    """Some of `count` slices in their place among zeros."""
    if len(part) == count:
        return part
    whole = part.new_zeros(count, *part.shape[1:])
    whole[span] = part
    return whole


def _all(layer: Layer, gradients: Sequence[Tensor | None], needs_dx: bool) -> Gradients:
    """`backward` of layers whose experts all take part."""
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


def _side_by_side(blocks: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
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
