"""Layers and mixing on the CPU: one matrix product and one compiled pass each, forward and backward.

What they compute is written in plain torch in `mlp` and `gates`, which is what other devices and exported models run.
Activations are (E, B, H) and contiguous: oneDNN's bfloat16 products want each expert's matrix by itself, and take up
to seven times as long over experts side by side in one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.models import kernels
from bench.models.kernels import array

Pair = tuple[Tensor, Tensor | None]
"""A layer's weight and bias."""

_PIECE, _WIDE = 512, 512  # samples of a piece, and columns from which on pieces pay (docs/performance.md)


def fits(x: Tensor, parameter: Tensor | None = None) -> bool:
    """Whether the compiled passes can take activations x, and layers with such parameters, here and now."""
    return (
        x.device.type == "cpu"
        and x.dtype in kernels.DTYPES
        and (parameter is None or parameter.dtype == kernels.computed_in(x.dtype))
        and not torch.compiler.is_compiling()
    )


def stacks(x: Tensor, parameters: Sequence[Sequence[Pair]]) -> tuple[Tensor, ...]:
    """Stacks of layers on the same input, their first layers as one product.

    Args:
        x: (G, B, I); each of the G inputs serves E / G consecutive experts of every stack.
        parameters: of each stack, each layer's weight (E, O, I) and bias (E, O). A layer with a bias is a hidden one,
            with ReLU; one without gives the linear scores of gates, and is alone in its stack.

    Returns:
        (E, B, O) of each stack.
    """
    flat = [tensor for stack in parameters for pair in stack for tensor in pair]
    outputs: tuple[Tensor, ...] = _Stacks.apply(x, [len(stack) for stack in parameters], *flat)  # type: ignore[no-untyped-call]
    return outputs


def head(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Linear outputs: h (E, B, H), weight (E, 1, H), bias (E, 1) -> (B, E), in the precision of the weights."""
    y: Tensor = _Head.apply(h, weight, bias)  # type: ignore[no-untyped-call]
    return y


def mix(scores: Tensor, all_scores: Tensor, own: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax gates, and the sums of experts that they weight.

    Args:
        scores: (K, B, M) of K gates, each over its M - S own experts, then the S shared ones.
        all_scores: (1, B, K * (M - S) + S) of a gate over all own experts, then the shared ones; (0, B, ..) for none.
        own: (K * (M - S), B, H).
        shared: (S, B, H).

    Returns:
        (K, B, H), and (1 or 0, B, H).
    """
    mixed: tuple[Tensor, Tensor] = _Mix.apply(scores, all_scores, own, shared)  # type: ignore[no-untyped-call]
    return mixed


class _Layer(NamedTuple):
    """What the backward pass of `_forward` needs.

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


def _forward(x: Tensor, pairs: Sequence[Pair]) -> tuple[list[Tensor], _Layer]:
    """Layers on x (G, B, I) as one product -> their outputs, and what `_backward` needs."""
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
    return outputs, _Layer(x, weights, hidden, columns, [weight.shape for weight, _ in pairs])


def _backward(
    layer: _Layer, gradients: Sequence[Tensor | None], needs_dx: bool
) -> tuple[Tensor | None, list[tuple[Tensor, Tensor | None]]]:
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
            kernels.unspread(array(gradient.contiguous()), column, array(dz))
        else:
            assert dbias is not None
            kernels.unrectify(array(gradient.contiguous()), array(out), column, array(dz), array(dbias))
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
    if groups > 1 or columns < _WIDE or dz.dtype != torch.bfloat16 or pieces < 2 or batch % _PIECE:
        return torch.bmm(dz.transpose(1, 2), x)
    parts = torch.bmm(dz.view(pieces, _PIECE, columns).transpose(1, 2), x.view(pieces, _PIECE, x.shape[2]))
    total = torch.empty(1, *parts.shape[1:], dtype=kernels.computed_in(dz.dtype))
    kernels.add_up(array(parts), array(total[0]))
    return total


class _Stacks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, depths: Sequence[int], *parameters: Any) -> tuple[Tensor, ...]:
        pairs = iter(zip(parameters[::2], parameters[1::2], strict=True))
        stacks = [list(islice(pairs, depth)) for depth in depths]
        outputs, first = _forward(x.contiguous(), [stack[0] for stack in stacks])
        layers = [first]
        for number, stack in enumerate(stacks):
            for pair in stack[1:]:
                (outputs[number],), layer = _forward(outputs[number], [pair])
                layers.append(layer)
        ctx.save_for_backward(*(tensor for layer in layers for tensor in (layer.x, layer.weights, *layer.hidden)))
        ctx.depths, ctx.plans = depths, [(layer.columns, layer.shapes) for layer in layers]
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        layers = iter(
            [_Layer(next(saved), next(saved), list(islice(saved, len(plan[1]))), *plan) for plan in ctx.plans]
        )
        first = next(layers)
        above = list(gradients)
        found: list[list[tuple[Tensor | None, Tensor | None]]] = []  # of each stack, each layer's after the first
        for number, depth in enumerate(ctx.depths):
            found.append([(None, None)] * (depth - 1))
            stack = list(islice(layers, depth - 1))
            for at in reversed(range(depth - 1)):
                if above[number] is not None:
                    above[number], found[number][at : at + 1] = _backward(stack[at], [above[number]], True)
        dx, pairs = _backward(first, above, ctx.needs_input_grad[0])
        by_stack = [(pair, *rest) for pair, rest in zip(pairs, found, strict=True)]
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
    def forward(ctx: Any, scores: Tensor, all_scores: Tensor, own: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        inputs = [tensor.contiguous() for tensor in (scores, all_scores, own, shared)]
        scores, all_scores, own, shared = inputs
        sums = []
        for part, experts in ((scores, own), (all_scores, own)):
            gates, batch, count = part.shape
            weights = torch.empty(gates, count, batch, dtype=kernels.computed_in(part.dtype))
            out = shared.new_empty(gates, batch, shared.shape[2])
            kernels.mix(array(part), array(experts), array(shared), array(weights), array(out))
            sums += [weights, out]
        ctx.save_for_backward(sums[0], sums[2], own, shared)
        return sums[1], sums[3]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor, all_above: Tensor) -> tuple[Tensor, ...]:
        weights, all_weights, own, shared = ctx.saved_tensors
        found = (
            shared.new_empty(weights.transpose(1, 2).shape),
            shared.new_empty(all_weights.transpose(1, 2).shape),
            torch.empty_like(own),
            torch.empty_like(shared),
        )
        given = (weights, above.contiguous(), all_weights, all_above.contiguous(), own, shared)
        kernels.unmix(*(array(tensor) for tensor in (*given, *found)))
        return found


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
