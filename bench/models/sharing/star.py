"""One bottom for all tasks, whose weights each scenario multiplies by its own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.models.layers import BatchedLinear
from bench.models.sharing.by_scenario import ByScenario, ScenarioConfig


class OwnFactors(nn.Module):
    """Weights W * (1 + scale_s) and biases b + shift_s of S scenarios for a layer; scale and shift
    start at zero.
    """

    def __init__(self, scenarios: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(scenarios, outputs, inputs))
        self.shift = nn.Parameter(torch.zeros(scenarios, outputs))

    def forward(self, shared: BatchedLinear) -> tuple[Tensor, Tensor]:
        """Weights (1 + S, O, I) and biases (1 + S, O): the shared ones, then each scenario's."""
        weight, bias = shared.weight, shared.bias
        assert bias is not None
        return torch.cat([weight, weight * (1 + self.scale)]), torch.cat([bias, bias + self.shift])


class Star(ByScenario, lower_precision=True):
    """Star topology (Sheng et al., CIKM 2021): h = f((W * W_s) x + b + b_s), layer by layer, s the
    row's scenario.

    W_s is stored as 1 + scale_s, so weight decay pulls a scenario to the shared weights. On the CPU
    rows are sorted by scenario, and each scenario's rows go through its weights. Elsewhere, and in
    a packaged model, all rows go through the weights of all scenarios, and a mask keeps their own:
    S times the products of `shared_bottom`.
    """

    def __init__(self, inputs: int, tasks: int, config: ScenarioConfig, scenarios: int = 1) -> None:
        super().__init__(inputs, tasks, config, scenarios)
        self.own = nn.ModuleList(OwnFactors(scenarios, *ends) for ends in self.ends)
        self.chosen = nn.Buffer(torch.eye(1 + scenarios), persistent=False)

    def forward(self, x: Tensor, codes: Tensor | None = None) -> Tensor:
        """x (1, B, inputs), codes (B,) -> (1, B, H)."""
        codes = x.new_zeros(x.shape[1], dtype=torch.int64) if codes is None else codes
        layers: list[tuple[Tensor, Tensor]] = [
            own(layer) for own, layer in zip(self.own, self.bottom.linears, strict=True)
        ]
        if x.device.type != "cpu" or torch.compiler.is_compiling():

            def of_all(number: int, h: Tensor) -> Tensor:
                weight, bias = (part.to(h.dtype) for part in layers[number])
                return torch.bmm(
                    h.expand(len(weight), -1, -1), weight.transpose(1, 2)
                ) + bias.unsqueeze(1)

            mask = self.chosen.index_select(0, codes).t().unsqueeze(2)
            h = self.bottom.through(x, of_all)
            return (h * mask.to(h.dtype)).sum(0, keepdim=True)
        sizes = torch.bincount(codes, minlength=len(self.chosen)).tolist()
        order = codes.argsort(stable=True)
        back = order.argsort()
        used = [code for code, size in enumerate(sizes) if size] or [0]

        def of_own(number: int, h: Tensor) -> Tensor:
            weights, biases = (part.to(h.dtype).unbind() for part in layers[number])
            parts = torch.split(h[0], [sizes[code] for code in used])
            rows = [
                F.linear(part, weights[code], biases[code])
                for code, part in zip(used, parts, strict=True)
            ]
            return torch.cat(rows).unsqueeze(0)

        return permuted(self.bottom.through(permuted(x, order, back), of_own), back, order)


class _Permuted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(order, back)
        return x.index_select(1, order)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Any, ...]:
        return above.index_select(1, ctx.saved_tensors[1]), None, None


def permuted(x: Tensor, order: Tensor, back: Tensor) -> Tensor:
    """Reorders the rows of x (G, B, I); its gradient uses the inverse permutation `back` instead of
    a scatter-add.
    """
    y: Tensor = _Permuted.apply(x, order, back)  # type: ignore[no-untyped-call]
    return y
