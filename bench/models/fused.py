"""Layers and mixing on the CPU: one matrix product and one compiled pass each, forward and backward.

`bench.models.layers` has the same computation in plain torch, which other devices and exported models run.
Activations are (E, B, H) and contiguous: oneDNN's bfloat16 products want each expert's matrix by itself, and take up
to seven times as long over experts side by side in one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.models import kernels
from bench.models.kernels import array
from bench.models.live import backward_where_live, live
from bench.models.products import Layer, Pair, forward


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


class _Stacks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, depths: Sequence[int], *parameters: Any) -> tuple[Tensor, ...]:
        pairs = iter(zip(parameters[::2], parameters[1::2], strict=True))
        stacks = [list(islice(pairs, depth)) for depth in depths]
        outputs, first = forward(x.contiguous(), [stack[0] for stack in stacks])
        layers = [first]
        for number, stack in enumerate(stacks):
            for pair in stack[1:]:
                (outputs[number],), layer = forward(outputs[number], [pair])
                layers.append(layer)
        ctx.save_for_backward(*(tensor for layer in layers for tensor in (layer.x, layer.weights, *layer.hidden)))
        ctx.depths, ctx.plans = depths, [(layer.columns, layer.shapes) for layer in layers]
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        saved = iter(ctx.saved_tensors)
        layers = iter([Layer(next(saved), next(saved), list(islice(saved, len(plan[1]))), *plan) for plan in ctx.plans])
        first = next(layers)
        above = list(gradients)
        found: list[list[tuple[Tensor | None, Tensor | None]]] = []  # of each stack, each layer's after the first
        for number, depth in enumerate(ctx.depths):
            found.append([(None, None)] * (depth - 1))
            stack = list(islice(layers, depth - 1))
            for at in reversed(range(depth - 1)):
                if above[number] is not None:
                    above[number], found[number][at : at + 1] = backward_where_live(stack[at], [above[number]], True)
        dx, pairs = backward_where_live(first, above, ctx.needs_input_grad[0])
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
        above, all_above = above.contiguous(), all_above.contiguous()
        given = (weights, above, all_weights, all_above, own, shared, live(above, all_above))
        kernels.unmix(*(array(tensor) for tensor in (*given, *found)))
        return found
