"""The backward pass of layers through those experts alone that have a gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate

import torch
from torch import Tensor

from bench.models import kernels, products
from bench.models.kernels import array
from bench.models.products import Gradients, Layer

_FEW = 7 / 8  # of all columns; up to there a product of fewer is worth a copy of their weights

_LOOKS = ContextVar("looks for experts without gradient", default=False)

Part = tuple[Layer, slice, list[slice]]
"""Some of a layer's experts, which of the groups these are on, and which of each stack's experts they are."""


@contextmanager
def of_one_task() -> Iterator[None]:
    """Backward passes within are of one task of several, whose gradient is zero at experts of the others.

    Elsewhere none is, and looking for them would cost a step 1%.
    """
    before = _LOOKS.set(True)
    try:
        yield
    finally:
        _LOOKS.reset(before)


def backward_where_live(layer: Layer, gradients: Sequence[Tensor | None], needs_dx: bool) -> Gradients:
    """Gradients at the outputs -> the one at the input, and those of each layer's weight and bias.

    In a pass `of_one_task`, experts whose gradient is zero are left out of the products where that saves enough.
    """
    given = [None if gradient is None else gradient.contiguous() for gradient in gradients]
    if not _LOOKS.get():
        return products.backward(layer, given, needs_dx)
    spans = [_span(gradient) for gradient in given]
    part = _some_groups(layer, spans) if len(layer.x) > 1 else _some_experts(layer, spans)
    if part is None:
        return products.backward(layer, given, needs_dx)
    some, groups, spans = part
    above = [None if gradient is None else gradient[span] for gradient, span in zip(given, spans, strict=True)]
    dx, found = products.backward(some, above, needs_dx)
    pairs = [
        (_among(weight, span, shape[0]), None if bias is None else _among(bias, span, shape[0]))
        for (weight, bias), span, shape in zip(found, spans, layer.shapes, strict=True)
    ]
    return None if dx is None else _among(dx, groups, len(layer.x)), pairs


def live(*gradients: Tensor) -> Tensor:
    """Gradients (E, B, O), contiguous -> (sum of E,), which slices are not zero; all where nobody looks for them."""
    found = torch.ones(sum(map(len, gradients)), dtype=torch.bool)
    if _LOOKS.get():
        at, tells = 0, array(found)
        for gradient in gradients:
            kernels.is_live(array(gradient), tells[at : at + len(gradient)])
            at += len(gradient)
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
    weights = products.side_by_side(blocks, layer.weights.dtype)
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
