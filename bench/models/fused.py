"""Layers and mixing on the CPU: one matrix product and one compiled pass each, forward and
backward.

`bench.models.layers` has the same in plain torch, for other devices and exported models.
Activations are (E, B, H) and
contiguous: oneDNN's bfloat16 products are up to seven times slower with experts side by side in one
    row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.models import kernels
from bench.models.compiling import array, computed_in, in_parts
from bench.models.products import product

Pair = tuple[Tensor, Tensor | None]
"""A layer's weight and bias."""
LayerGradients = tuple[Tensor | None, list[Pair]]
"""Gradients at the input, and of each layer's weight and bias."""
_PIECE, _WIDE = (
    512,
    512,
)  # samples of a piece, and least number of columns for pieces to pay, measured
_FEW = 7 / 8  # share of the columns up to which a smaller product is worth a copy of its weights

_LOOKS = ContextVar("looks for experts without gradient", default=False)


def fits(x: Tensor, parameter: Tensor | None = None) -> bool:
    """Whether the compiled passes support activations x, and layers with such parameters, in this
    context.
    """
    return (
        x.device.type == "cpu"
        and x.dtype in kernels.DTYPES
        and (parameter is None or parameter.dtype == computed_in(x.dtype))
        and not torch.compiler.is_compiling()
    )


def stacks(x: Tensor, parameters: Sequence[Sequence[Pair]]) -> tuple[Tensor, ...]:
    """Applies stacks of layers to x (G, B, I) -> (E, B, O) of each stack, their first layers as one
    product.

    Each of the G inputs serves E / G consecutive experts of every stack. A layer is a weight (E, O,
    I) and a bias (E, O). One with a bias is a hidden layer, with ReLU; one without gives the linear
    scores of gates, and is alone in its stack.
    """
    flat = [tensor for stack in parameters for pair in stack for tensor in pair]
    outputs: tuple[Tensor, ...] = _Stacks.apply(x, [len(stack) for stack in parameters], *flat)  # type: ignore[no-untyped-call]
    return outputs


def head(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Linear outputs: h (E, B, H), weight (E, 1, H), bias (E, 1) -> (B, E), in the precision of the
    weights.
    """
    y: Tensor = _Head.apply(h, weight, bias)  # type: ignore[no-untyped-call]
    return y


def mix(scores: Tensor, all_scores: Tensor, own: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax gates, and the sums of experts that they weight.

    Args:
        scores: (K, B, M) of K gates, each over its M - S own experts, then the S shared ones.
        all_scores: (1, B, K * (M - S) + S) of a gate over all own experts, then the shared ones;
            (0, B, ..) for none.
        own: (K * (M - S), B, H).
        shared: (S, B, H).

    Returns:
        (K, B, H), and (1 or 0, B, H).

    Raises:
        ValueError: other shapes, with which the compiled passes would read out of bounds.
    """
    gates, batch, _ = scores.shape
    each, experts = len(own) // max(gates, 1), len(own) + len(shared)
    expected = {
        "shared": (shared, (len(shared), batch, shared.shape[2])),
        "own": (own, (gates * each, batch, shared.shape[2])),
        "scores": (scores, (gates, batch, each + len(shared))),
        "all_scores": (
            all_scores,
            (len(all_scores), batch, experts if len(all_scores) else all_scores.shape[2]),
        ),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(f"mix: expected {name} of shape {shape}, found {tuple(tensor.shape)}")
    mixed: tuple[Tensor, Tensor] = _Mix.apply(scores, all_scores, own, shared)  # type: ignore[no-untyped-call]
    return mixed


class _Stacks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, depths: Sequence[int], *parameters: Any) -> tuple[Tensor, ...]:
        pairs = iter(zip(parameters[::2], parameters[1::2], strict=True))
        stacks = [list(islice(pairs, depth)) for depth in depths]
        outputs, first = forward_together(x.contiguous(), [stack[0] for stack in stacks])
        layers = [first]
        for number, stack in enumerate(stacks):
            for pair in stack[1:]:
                (outputs[number],), layer = forward_together(outputs[number], [pair])
                layers.append(layer)
        ctx.save_for_backward(
            *(tensor for layer in layers for tensor in (layer.x, layer.weights, *layer.hidden))
        )
        ctx.depths, ctx.plans = depths, [(layer.columns, layer.shapes) for layer in layers]
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        layers = iter(
            [
                Layer(next(saved), next(saved), list(islice(saved, len(plan[1]))), *plan)
                for plan in ctx.plans
            ]
        )
        first = next(layers)
        above = list(gradients)
        later: list[
            list[tuple[Tensor | None, Tensor | None]]
        ] = []  # for each stack, its layers after the first
        for number, depth in enumerate(ctx.depths):
            later.append([(None, None)] * (depth - 1))
            stack = list(islice(layers, depth - 1))
            for at in reversed(range(depth - 1)):
                if above[number] is not None:
                    above[number], later[number][at : at + 1] = backward_where_live(
                        stack[at], [above[number]], True
                    )
        dx, pairs = backward_where_live(first, above, ctx.needs_input_grad[0])
        by_stack = [(pair, *rest) for pair, rest in zip(pairs, later, strict=True)]
        return dx, None, *(gradient for stack in by_stack for pair in stack for gradient in pair)


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        h, weight = h.contiguous(), weight.contiguous()
        y = weight.new_empty(h.shape[1], len(weight))
        kernels.head(array(h), array(weight), array(bias), array(y))
        ctx.save_for_backward(h, weight)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, ...]:
        h, weight = ctx.saved_tensors
        dh, dweight = torch.empty_like(h), torch.zeros_like(weight)
        above = above.contiguous()
        kernels.unhead(array(above), array(h), array(weight), array(dh), array(dweight))
        return dh, dweight, above.sum(0).unsqueeze(1)


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, all_scores: Tensor, own: Tensor, shared: Tensor
    ) -> tuple[Tensor, Tensor]:
        inputs = [tensor.contiguous() for tensor in (scores, all_scores, own, shared)]
        scores, all_scores, own, shared = inputs
        sums = []
        for part, experts in ((scores, own), (all_scores, own)):
            gates, batch, count = part.shape
            weights = torch.empty(gates, count, batch, dtype=computed_in(part.dtype))
            out = shared.new_empty(gates, batch, shared.shape[2])
            arrays = (array(part), array(experts), array(shared), array(weights), array(out))
            in_parts(kernels.mix, -(-batch // kernels.BLOCK), out.numel() * count, *arrays)
            sums += [weights, out]
        ctx.save_for_backward(sums[0], sums[2], own, shared)
        return sums[1], sums[3]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor, all_above: Tensor) -> tuple[Tensor, ...]:
        weights, all_weights, own, shared = ctx.saved_tensors
        gradients = (
            shared.new_empty(weights.transpose(1, 2).shape),
            shared.new_empty(all_weights.transpose(1, 2).shape),
            torch.empty_like(own),
            torch.empty_like(shared),
        )
        above, all_above = above.contiguous(), all_above.contiguous()
        given = (weights, above, all_weights, all_above, own, shared, live(above, all_above))
        arrays = (array(tensor) for tensor in (*given, *gradients))
        in_parts(
            kernels.unmix,
            -(-above.shape[1] // kernels.BLOCK),
            own.numel() + shared.numel(),
            *arrays,
        )
        return gradients


class Layer(NamedTuple):
    """What the backward pass of `forward_together` needs.

    Attributes:
        x: (G, B, I).
        weights: of all layers that share the product, side by side, (G, columns, I).
        hidden: outputs of each layer; None of gates.
        columns: first column of each layer in the product, and the end.
    """

    x: Tensor
    weights: Tensor
    hidden: Sequence[Tensor | None]
    columns: list[int]
    shapes: list[torch.Size]


def forward_together(x: Tensor, pairs: Sequence[Pair]) -> tuple[list[Tensor], Layer]:
    """Applies layers to x (G, B, I) as one product -> their outputs, and what `backward_together`
    needs.
    """
    groups, batch, inputs = x.shape
    for weight, _ in pairs:  # `reshape` below would accept other sizes
        if weight.shape[2] != inputs:
            raise ValueError(f"expected {weight.shape[2]} inputs of a layer, found {inputs}")
        if not groups or weight.shape[0] % groups:
            raise ValueError(
                f"expected inputs whose number divides {weight.shape[0]} layers, found {groups}"
            )
    blocks = [weight.reshape(groups, -1, inputs) for weight, _ in pairs]
    columns = list(accumulate((block.shape[1] for block in blocks), initial=0))
    weights = side_by_side(blocks, x.dtype)
    z = product(x, weights.transpose(1, 2))
    outputs, hidden = [], []
    for (weight, bias), column in zip(pairs, columns, strict=False):
        experts, width, _ = weight.shape
        as_it_is = len(pairs) == 1 and experts == groups
        out = z if as_it_is else z.new_empty(experts, batch, width)
        if bias is None:
            if not as_it_is:
                scores = _of_experts(z, column, weight.shape)
                out.view(scores.shape).copy_(scores)
        elif as_it_is:
            in_parts(kernels.rectify_in_place, experts, out.numel(), array(z), array(bias))
        else:
            in_parts(
                kernels.rectify, experts, out.numel(), array(z), column, array(bias), array(out)
            )
        outputs.append(out)
        hidden.append(None if bias is None else out)
    return outputs, Layer(x, weights, hidden, columns, [weight.shape for weight, _ in pairs])


def _of_experts(z: Tensor, column: int, shape: torch.Size) -> Tensor:
    """A view of the columns of a layer (E, O, I) in a wide product (G, B, columns): (G, E / G, B,
    O).
    """
    own = z[:, :, column : column + shape[0] // len(z) * shape[1]]
    return own.view(*own.shape[:2], shape[0] // len(z), shape[1]).transpose(1, 2)


def backward_together(
    layer: Layer, gradients: Sequence[Tensor | None], needs_dx: bool
) -> LayerGradients:
    """Gradients at the outputs -> the gradient at the input, and those of each layer's weight and
    bias.
    """
    x, computed = layer.x, computed_in(layer.x.dtype)
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
            scores = _of_experts(dz, column, shape)
            scores.copy_(gradient.view(scores.shape))
        else:
            assert dbias is not None
            arrays = (array(gradient), array(out), column, array(dz), array(dbias))
            in_parts(kernels.unrectify, len(out), out.numel(), *arrays)
    dx = product(dz, layer.weights) if needs_dx else None
    dweights = _weight_gradient(dz, x)
    parts = [
        dweights[:, column:end].reshape(shape).to(computed)
        for shape, column, end in zip(layer.shapes, layer.columns, layer.columns[1:], strict=False)
    ]
    return dx, list(zip(parts, dbiases, strict=True))


def _weight_gradient(dz: Tensor, x: Tensor) -> Tensor:
    """dz (G, B, columns), x (G, B, I) -> (G, columns, I).

    oneDNN rearranges dz first; if that is wide, pieces of the batch make it almost twice as fast.
    """
    groups, batch, columns = dz.shape
    pieces = batch // _PIECE
    if groups != 1 or columns < _WIDE or dz.dtype != torch.bfloat16 or pieces < 2 or batch % _PIECE:
        return product(dz.transpose(1, 2), x)
    parts = torch.bmm(
        dz.view(pieces, _PIECE, columns).transpose(1, 2), x.view(pieces, _PIECE, x.shape[2])
    )
    total = torch.empty(1, *parts.shape[1:], dtype=computed_in(dz.dtype))
    kernels.add_up(array(parts), array(total[0]))
    return total


def side_by_side(blocks: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Concatenates blocks (G, rows, I) along rows, converted to `dtype`; does not copy a single
    block of that type.
    """
    if len(blocks) == 1:
        return blocks[0].to(dtype)
    groups, _, inputs = blocks[0].shape
    packed = torch.empty(groups, sum(block.shape[1] for block in blocks), inputs, dtype=dtype)
    row = 0
    for block in blocks:
        packed[:, row : row + block.shape[1]] = block
        row += block.shape[1]
    return packed


LayerPart = tuple[Layer, slice, list[slice]]
"""A layer with some of its experts, their groups, and the range of experts in each stack."""


@contextmanager
def of_one_task() -> Iterator[None]:
    """Declares that backward passes within belong to one task of several, whose gradient is zero at
    other tasks' experts.

    Other passes do not look for such experts, as looking costs 1% of a step.
    """
    before = _LOOKS.set(True)
    try:
        yield
    finally:
        _LOOKS.reset(before)


def backward_where_live(
    layer: Layer, gradients: Sequence[Tensor | None], needs_dx: bool
) -> LayerGradients:
    """`backward_together`; in a pass `of_one_task` without experts whose gradient is zero, if that
    saves enough.
    """
    given = [None if gradient is None else gradient.contiguous() for gradient in gradients]
    if not _LOOKS.get():
        return backward_together(layer, given, needs_dx)
    spans = [_span(gradient) for gradient in given]
    part = _some_groups(layer, spans) if len(layer.x) > 1 else _some_experts(layer, spans)
    if part is None:
        return backward_together(layer, given, needs_dx)
    some, groups, spans = part
    above = [
        None if gradient is None else gradient[span]
        for gradient, span in zip(given, spans, strict=True)
    ]
    dx, live_pairs = backward_together(some, above, needs_dx)
    pairs = [
        (among(weight, span, shape[0]), None if bias is None else among(bias, span, shape[0]))
        for (weight, bias), span, shape in zip(live_pairs, spans, layer.shapes, strict=True)
    ]
    return None if dx is None else among(dx, groups, len(layer.x)), pairs


def live(*gradients: Tensor) -> Tensor:
    """Contiguous gradients (E, B, O) -> (sum of E,), whether each slice is not zero; all true
    outside `of_one_task`.
    """
    lives = torch.ones(sum(map(len, gradients)), dtype=torch.bool)
    if _LOOKS.get():
        at, flags = 0, array(lives)
        for gradient in gradients:
            kernels.is_live(array(gradient), flags[at : at + len(gradient)])
            at += len(gradient)
    return lives


def _span(gradient: Tensor | None) -> slice:
    """The range from the first to the last expert whose gradient is not zero."""
    at = (
        []
        if gradient is None
        else [number for number, lives in enumerate(live(gradient).tolist()) if lives]
    )
    return slice(at[0], at[-1] + 1) if at else slice(0, 0)


def _some_groups(layer: Layer, spans: Sequence[slice]) -> LayerPart | None:
    """The groups with experts in these spans; None if that is all or none."""
    each = [shape[0] // len(layer.x) for shape in layer.shapes]
    used = [
        (span.start // many, -(-span.stop // many))
        for span, many in zip(spans, each, strict=True)
        if span.stop
    ]
    first, last = min((one for one, _ in used), default=0), max((one for _, one in used), default=0)
    if last - first in (0, len(layer.x)):
        return None
    groups, spans = slice(first, last), [slice(first * many, last * many) for many in each]
    return _part(layer, layer.x[groups], layer.weights[groups], layer.columns, spans), groups, spans


def _some_experts(layer: Layer, spans: Sequence[slice]) -> LayerPart | None:
    """The experts in these spans, of layers on one input; None if that is nearly all."""
    widths = [shape[1] for shape in layer.shapes]
    columns = [(span.stop - span.start) * width for span, width in zip(spans, widths, strict=True)]
    if sum(columns) > _FEW * layer.columns[-1]:
        return None
    blocks = [
        layer.weights[:, start + span.start * width : start + span.stop * width]
        for start, span, width in zip(layer.columns, spans, widths, strict=False)
    ]
    weights = side_by_side(blocks, layer.weights.dtype)
    return (
        _part(layer, layer.x, weights, list(accumulate(columns, initial=0)), spans),
        slice(0, 1),
        list(spans),
    )


def _part(
    layer: Layer, x: Tensor, weights: Tensor, columns: list[int], spans: Sequence[slice]
) -> Layer:
    hidden = [
        None if out is None else out[span] for out, span in zip(layer.hidden, spans, strict=True)
    ]
    shapes = [
        torch.Size((span.stop - span.start, *shape[1:]))
        for span, shape in zip(spans, layer.shapes, strict=True)
    ]
    return Layer(x, weights, hidden, columns, shapes)


def among(part: Tensor, span: slice, count: int) -> Tensor:
    """Puts a slice of `count` into its place among zeros."""
    if len(part) == count:
        return part
    whole = part.new_zeros(count, *part.shape[1:])
    whole[span] = part
    return whole
