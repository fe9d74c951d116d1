"""Layers and mixing on the CPU: one matrix product and one compiled pass each, forward and
backward.

`bench.models.layers` has the same in plain torch, for other devices and exported models.
Activations are (E, B, H) and contiguous: oneDNN's bfloat16 products are up to seven times slower
with experts side by side in one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, islice, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.models import kernels
from bench.models.compiling import array, computed_in, in_parts
from bench.models.products import product

Pair = tuple[Tensor, Tensor | None]
"""A layer's weight and bias."""
GradientPair = tuple[Tensor | None, Tensor | None]
"""The gradients at a layer's weight and bias."""
LayerGradients = tuple[Tensor | None, list[GradientPair]]
"""Gradients at the input, and of each layer's weight and bias."""

_PIECE = 512
"""Samples in a piece of a batch."""
_WIDE = 512
"""Smallest number of columns for which pieces pay, measured."""
_FEW = 7 / 8
"""Share of the columns up to which a smaller product is worth a copy of its weights."""

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
    tensors: list[Tensor | None] = []
    for stack in parameters:
        for weight, bias in stack:
            tensors += weight, bias
    depths = [len(stack) for stack in parameters]
    outputs: tuple[Tensor, ...] = _Stacks.apply(x, depths, *tensors)  # type: ignore[no-untyped-call]
    return outputs


def head(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Linear outputs: h (E, B, H), weight (E, 1, H), bias (E, 1) -> (B, E), in the precision of the
    weights.
    """
    y: Tensor = _Head.apply(h, weight, bias)  # type: ignore[no-untyped-call]
    return y


def mix(
    scores: Tensor, all_scores: Tensor, own_experts: Tensor, shared: Tensor
) -> tuple[Tensor, Tensor]:
    """Softmax gates, and the sums of experts that they weight.

    Args:
        scores: (K, B, M) of K gates, each over its M - S own experts, then the S shared ones.
        all_scores: (1, B, K * (M - S) + S) of a gate over all own experts, then the shared
            ones; (0, B, ..) for none.
        own_experts: (K * (M - S), B, H), the gates' own experts.
        shared: (S, B, H).

    Returns:
        (K, B, H), and (1 or 0, B, H).

    Raises:
        ValueError: other shapes, with which the compiled passes would read out of bounds.
    """
    gates, batch, _ = scores.shape
    width = shared.shape[2]
    per_gate = len(own_experts) // max(gates, 1)
    all_width = len(own_experts) + len(shared) if len(all_scores) else all_scores.shape[2]
    _check_shape("shared", shared, (len(shared), batch, width))
    _check_shape("own", own_experts, (gates * per_gate, batch, width))
    _check_shape("scores", scores, (gates, batch, per_gate + len(shared)))
    _check_shape("all_scores", all_scores, (len(all_scores), batch, all_width))
    mixed: tuple[Tensor, Tensor] = _Mix.apply(scores, all_scores, own_experts, shared)  # type: ignore[no-untyped-call]
    return mixed


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tensor.shape != expected:
        raise ValueError(f"mix: expected {name} of shape {expected}, found {tuple(tensor.shape)}")


class _Stacks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, depths: Sequence[int], *parameters: Any) -> tuple[Tensor, ...]:
        pairs = iter(zip(parameters[::2], parameters[1::2], strict=True))
        stacks = [list(islice(pairs, depth)) for depth in depths]
        outputs, first_layers = forward_together(x.contiguous(), [stack[0] for stack in stacks])
        products = [first_layers]
        for number, stack in enumerate(stacks):
            for pair in stack[1:]:
                (outputs[number],), layer = forward_together(outputs[number], [pair])
                products.append(layer)
        saved: list[Tensor | None] = []
        for layer in products:
            saved += layer.x, layer.weights, *layer.hidden
        ctx.save_for_backward(*saved)
        ctx.depths = depths
        ctx.plans = [(layer.columns, layer.shapes) for layer in products]
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        products = []
        for columns, shapes in ctx.plans:
            x, weights, *hidden = islice(saved, 2 + len(shapes))
            products.append(Layer(x, weights, hidden, columns, shapes))
        first_layers, *later = products
        layers = iter(later)
        above_first = []
        pairs_of_stacks = []  # without those of the first layers
        for depth, gradient in zip(ctx.depths, gradients, strict=True):
            gradient, pairs = _backward_through(list(islice(layers, depth - 1)), gradient)
            above_first.append(gradient)
            pairs_of_stacks.append(pairs)
        dx, first_pairs = backward_where_live(first_layers, above_first, ctx.needs_input_grad[0])
        dparameters: list[Tensor | None] = []
        for first_pair, pairs in zip(first_pairs, pairs_of_stacks, strict=True):
            for dweight, dbias in (first_pair, *pairs):
                dparameters += dweight, dbias
        return dx, None, *dparameters


def _backward_through(
    layers: Sequence[Layer], gradient: Tensor | None
) -> tuple[Tensor | None, list[GradientPair]]:
    """The gradient at the input of a stack of layers, and those of each layer's weight and bias."""
    pairs: list[GradientPair] = []
    for layer in reversed(layers):
        if gradient is None:
            pairs.append((None, None))
        else:
            gradient, (pair,) = backward_where_live(layer, [gradient], needs_dx=True)
            pairs.append(pair)
    return gradient, pairs[::-1]


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
        ctx: Any, scores: Tensor, all_scores: Tensor, own_experts: Tensor, shared: Tensor
    ) -> tuple[Tensor, Tensor]:
        own_experts, shared = own_experts.contiguous(), shared.contiguous()
        weights, mixed = _mixed(scores.contiguous(), own_experts, shared)
        all_weights, all_mixed = _mixed(all_scores.contiguous(), own_experts, shared)
        ctx.save_for_backward(weights, all_weights, own_experts, shared)
        return mixed, all_mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor, all_above: Tensor) -> tuple[Tensor, ...]:
        weights, all_weights, own_experts, shared = ctx.saved_tensors
        above, all_above = above.contiguous(), all_above.contiguous()
        inputs = (
            weights,
            above,
            all_weights,
            all_above,
            own_experts,
            shared,
            live(above, all_above),
        )
        gradients = (
            shared.new_empty(weights.transpose(1, 2).shape),
            shared.new_empty(all_weights.transpose(1, 2).shape),
            torch.empty_like(own_experts),
            torch.empty_like(shared),
        )
        blocks = -(-above.shape[1] // kernels.BLOCK)
        numbers = own_experts.numel() + shared.numel()
        in_parts(kernels.unmix, blocks, numbers, *map(array, inputs), *map(array, gradients))
        return gradients


def _mixed(scores: Tensor, own_experts: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (K, B, M) of gates -> their weights (K, M, B) and sums of experts (K, B, H)."""
    gates, batch, count = scores.shape
    weights = torch.empty(gates, count, batch, dtype=computed_in(scores.dtype))
    mixed = shared.new_empty(gates, batch, shared.shape[2])
    blocks = -(-batch // kernels.BLOCK)
    arrays = map(array, (scores, own_experts, shared, weights, mixed))
    in_parts(kernels.mix, blocks, mixed.numel() * count, *arrays)
    return weights, mixed


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
    groups, _, inputs = x.shape
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
    outputs: list[Tensor] = []
    hidden: list[Tensor | None] = []
    for (weight, bias), column in zip(pairs, columns, strict=False):
        if len(pairs) > 1 or len(weight) != groups:
            output = _extracted(z, column, weight.shape, bias)
        else:
            output = z
            if bias is not None:
                in_parts(kernels.rectify_in_place, len(z), z.numel(), array(z), array(bias))
        outputs.append(output)
        hidden.append(None if bias is None else output)
    return outputs, Layer(x, weights, hidden, columns, [weight.shape for weight, _ in pairs])


def _extracted(z: Tensor, column: int, shape: torch.Size, bias: Tensor | None) -> Tensor:
    """The output (E, B, O) of a layer (E, O, I) whose products stand in z (G, B, columns) from
    `column` on.
    """
    experts, width, _ = shape
    output = z.new_empty(experts, z.shape[1], width)
    if bias is None:
        scores = _of_experts(z, column, shape)
        output.view(scores.shape).copy_(scores)
    else:
        arrays = (array(z), column, array(bias), array(output))
        in_parts(kernels.rectify, experts, output.numel(), *arrays)
    return output


def _of_experts(z: Tensor, column: int, shape: torch.Size) -> Tensor:
    """A view of the columns of a layer (E, O, I) in a wide product (G, B, columns): (G, E / G, B,
    O).
    """
    experts, width, _ = shape
    groups, batch, _ = z.shape
    per_group = experts // groups
    columns = z[:, :, column : column + per_group * width]
    return columns.view(groups, batch, per_group, width).transpose(1, 2)


def backward_together(
    layer: Layer, gradients: Sequence[Tensor | None], needs_dx: bool
) -> LayerGradients:
    """Gradients at the outputs -> the gradient at the input, and those of each layer's weight and
    bias.
    """
    x = layer.x
    computed = computed_in(x.dtype)
    ends = list(pairwise(layer.columns))
    dz = x.new_empty(len(x), x.shape[1], layer.weights.shape[1])
    dbiases: list[Tensor | None] = []
    for gradient, output, shape, (column, end) in zip(
        gradients, layer.hidden, layer.shapes, ends, strict=True
    ):
        dbias = None if output is None else torch.zeros(shape[:2], dtype=computed)
        dbiases.append(dbias)
        if gradient is None:
            dz[:, :, column:end] = 0
        elif output is None:
            scores = _of_experts(dz, column, shape)
            scores.copy_(gradient.view(scores.shape))
        else:
            assert dbias is not None
            arrays = (array(gradient), array(output), column, array(dz), array(dbias))
            in_parts(kernels.unrectify, len(output), output.numel(), *arrays)
    dx = product(dz, layer.weights) if needs_dx else None
    dweights = _weight_gradient(dz, x)
    pairs: list[GradientPair] = []
    for shape, (column, end), dbias in zip(layer.shapes, ends, dbiases, strict=True):
        pairs.append((dweights[:, column:end].reshape(shape).to(computed), dbias))
    return dx, pairs


def _weight_gradient(dz: Tensor, x: Tensor) -> Tensor:
    """dz (G, B, columns), x (G, B, I) -> (G, columns, I).

    oneDNN rearranges dz first; if that is wide, pieces of the batch make it almost twice as fast.
    """
    groups, batch, columns = dz.shape
    pieces = batch // _PIECE
    if groups != 1 or columns < _WIDE or dz.dtype != torch.bfloat16 or pieces < 2 or batch % _PIECE:
        return product(dz.transpose(1, 2), x)
    dz_pieces = dz.view(pieces, _PIECE, columns)
    x_pieces = x.view(pieces, _PIECE, x.shape[2])
    parts = torch.bmm(dz_pieces.transpose(1, 2), x_pieces)
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


class _LivePart(NamedTuple):
    """A layer with some of its experts.

    Attributes:
        groups: their inputs' range.
        spans: their range in each stack.
    """

    layer: Layer
    groups: slice
    spans: Sequence[slice]


def backward_where_live(
    layer: Layer, gradients: Sequence[Tensor | None], needs_dx: bool
) -> LayerGradients:
    """`backward_together`; in a pass `of_one_task` without experts whose gradient is zero, if that
    saves enough.
    """
    above = [None if gradient is None else gradient.contiguous() for gradient in gradients]
    if not _LOOKS.get():
        return backward_together(layer, above, needs_dx)
    spans = [_span(gradient) for gradient in above]
    part = _some_groups(layer, spans) if len(layer.x) > 1 else _some_experts(layer, spans)
    if part is None:
        return backward_together(layer, above, needs_dx)
    dx, live_pairs = backward_together(part.layer, _cut(above, part.spans), needs_dx)
    pairs: list[GradientPair] = []
    for (dweight, dbias), span, shape in zip(live_pairs, part.spans, layer.shapes, strict=True):
        experts = shape[0]
        assert dweight is not None
        if dbias is not None:
            dbias = among(dbias, span, experts)
        pairs.append((among(dweight, span, experts), dbias))
    if dx is not None:
        dx = among(dx, part.groups, len(layer.x))
    return dx, pairs


def _cut(tensors: Sequence[Tensor | None], spans: Sequence[slice]) -> list[Tensor | None]:
    """The experts of each tensor that its span names."""
    pairs = zip(tensors, spans, strict=True)
    return [None if tensor is None else tensor[span] for tensor, span in pairs]


def live(*gradients: Tensor) -> Tensor:
    """Contiguous gradients (E, B, O) -> (sum of E,), whether each slice is not zero; all true
    outside `of_one_task`.
    """
    lives = torch.ones(sum(map(len, gradients)), dtype=torch.bool)
    if _LOOKS.get():
        flags = array(lives)
        start = 0
        for gradient in gradients:
            kernels.is_live(array(gradient), flags[start : start + len(gradient)])
            start += len(gradient)
    return lives


def _span(gradient: Tensor | None) -> slice:
    """The range from the first to the last expert whose gradient is not zero."""
    if gradient is None:
        return slice(0, 0)
    experts = [number for number, lives in enumerate(live(gradient).tolist()) if lives]
    return slice(experts[0], experts[-1] + 1) if experts else slice(0, 0)


def _some_groups(layer: Layer, spans: Sequence[slice]) -> _LivePart | None:
    """The groups with experts in these spans; None if that is all or none."""
    groups = len(layer.x)
    sizes = [shape[0] // groups for shape in layer.shapes]  # experts of a group
    firsts = []
    ends = []
    for span, size in zip(spans, sizes, strict=True):
        if span.stop:
            firsts.append(span.start // size)
            ends.append(-(-span.stop // size))
    if not firsts or max(ends) - min(firsts) == groups:
        return None
    first, end = min(firsts), max(ends)
    live_groups = slice(first, end)
    spans = [slice(first * size, end * size) for size in sizes]
    part = _part(layer, layer.x[live_groups], layer.weights[live_groups], layer.columns, spans)
    return _LivePart(part, live_groups, spans)


def _some_experts(layer: Layer, spans: Sequence[slice]) -> _LivePart | None:
    """The experts in these spans, of layers on one input; None if that is nearly all."""
    widths = [shape[1] for shape in layer.shapes]
    columns = [(span.stop - span.start) * width for span, width in zip(spans, widths, strict=True)]
    if sum(columns) > _FEW * layer.columns[-1]:
        return None
    blocks = []
    for column, span, width in zip(layer.columns, spans, widths, strict=False):
        rows = slice(column + span.start * width, column + span.stop * width)
        blocks.append(layer.weights[:, rows])
    weights = side_by_side(blocks, layer.weights.dtype)
    part = _part(layer, layer.x, weights, list(accumulate(columns, initial=0)), spans)
    return _LivePart(part, slice(0, 1), spans)


def _part(
    layer: Layer, x: Tensor, weights: Tensor, columns: list[int], spans: Sequence[slice]
) -> Layer:
    shapes = []
    for span, shape in zip(spans, layer.shapes, strict=True):
        shapes.append(torch.Size((span.stop - span.start, *shape[1:])))
    return Layer(x, weights, _cut(layer.hidden, spans), columns, shapes)


def among(part: Tensor, span: slice, count: int) -> Tensor:
    """Puts a slice of `count` into its place among zeros."""
    if len(part) == count:
        return part
    whole = part.new_zeros(count, *part.shape[1:])
    whole[span] = part
    return whole
