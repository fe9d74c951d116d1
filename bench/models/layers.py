"""Layers above the embeddings: batched MLPs, gates that mix them, and towers.

The first layers of any number of experts and gates on one input are a single wide product; further
layers are batched products. On the CPU `fused` computes both, with all work between two products in
one pass.

Members share all weights except small vectors: an ensemble with hardly more parameters than one
model. TabM-mini (Gorishniy et al., ICLR 2025; after BatchEnsemble, Wen et al., ICLR 2020): each
member scales the inputs by its own vector, all go through the same layers, and each has its own
output. Each is trained by its own loss; their predictions are averaged. Members are rows of the
batch, so every sharing works with them unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.models import fused
from bench.models.contracts import Drawn, Layout, applied
from bench.models.model_options import Activation, ExpertConfig, HiddenConfig, Norm, TowerConfig

EPS = 1e-5  # added to the variance, or the mean square
_NO_CHANCE = -1e30  # a score whose softmax weight is zero
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class BatchedLinear(Drawn):
    """E linear maps, weight (E, outputs, inputs) and bias (E, outputs) or None; slice e belongs to
    map e.

    Biases start at zero, weights as in He et al., ICCV 2015, which keeps the size of activations
    from layer to layer. With the smaller weights of `nn.Linear` signals shrink, and rare tasks
    learn late. `gain` is that of the activation that follows: `nn.init.calculate_gain("relu")`, or
    1 for none.
    """

    def __init__(
        self, experts: int, inputs: int, outputs: int, gain: float = 1.0, bias: bool = True
    ) -> None:
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
        """x (G, B, inputs) -> (E, B, outputs), each of the G inputs serving E / G consecutive
        experts.
        """
        experts, outputs, inputs = self.weight.shape
        groups, batch, _ = x.shape
        weight = self.weight.view(groups, -1, inputs).to(x.dtype)
        z = torch.bmm(x, weight.transpose(1, 2))
        y = z.view(groups, batch, experts // groups, outputs).transpose(1, 2).flatten(0, 1)
        return y if self.bias is None else y + self.bias.to(x.dtype).unsqueeze(1)


class BatchedMLP(nn.Module):
    """E MLPs of one shape; each layer is followed by an optional normalisation, the activation, and
    dropout.

    Its width `outputs` is the last layer's, or the input's without layers. It is `plain` if layers
    are ReLU without normalisation, as `fused` computes them.
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
        self.activation = ACTIVATIONS[activation]
        self.plain = activation == "relu" and norm == "none"
        gain = nn.init.calculate_gain("tanh" if activation == "tanh" else "relu")
        self.layers = nn.ModuleList(
            BatchedLinear(experts, *ends, gain=gain) for ends in pairwise(widths)
        )
        self.norms = nn.ModuleList()
        if norm != "none":
            self.norms.extend(BatchedNorm(experts, width, norm) for width in layers)

    @classmethod
    def of(cls, config: HiddenConfig, experts: int, inputs: int) -> BatchedMLP:
        """Builds one MLP for each expert with the layers of a configuration."""
        return cls(experts, inputs, config.layers, config.dropout, config.activation, config.norm)

    @property
    def linears(self) -> list[BatchedLinear]:
        """Its layers."""
        return [cast(BatchedLinear, layer) for layer in self.layers]

    def forward(self, x: Tensor) -> Tensor:
        """x (G, B, inputs) -> (E, B, outputs); each of the G inputs serves E / G consecutive
        experts.
        """
        return together(x, [self])[0]

    def through(self, x: Tensor, product: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Applies all layers in plain torch; `product` multiplies by the weights of the layer of
        that number.
        """
        for number in range(len(self.layers)):
            x = product(number, x)
            if self.norms:
                x = self.norms[number](x)
            x = F.dropout(self.activation(x), self.dropout, self.training)
        return x


def together(x: Tensor, parts: Sequence[BatchedMLP | BatchedLinear]) -> Sequence[Tensor]:
    """Applies several parts to the same input -> (E, B, outputs) of each, their first layers as one
    product if possible.

    Parts are MLPs, and linear maps without bias for gates' scores; each of the G inputs of x (G, B,
    inputs) serves E / G consecutive experts. Outputs have the precision of x, that of the products.
    """
    stacks = [_Stack.of(part) for part in parts]
    plain = all(stack.pairs and stack.plain for stack in stacks)
    if not plain or not fused.fits(x, stacks[0].pairs[0][0]):
        return [_one_by_one(x, part) for part in parts]
    # Dropout follows each layer, so a stack with dropout takes only its first layer at once.
    at_once = [stack.pairs[:1] if stack.dropout else stack.pairs for stack in stacks]
    outputs = list(fused.stacks(x, at_once))
    for number, stack in enumerate(stacks):
        if stack.dropout:
            h = F.dropout(outputs[number], stack.dropout)
            for pair in stack.pairs[1:]:
                (h,) = fused.stacks(h, [[pair]])
                h = F.dropout(h, stack.dropout)
            outputs[number] = h
    return outputs


class _Stack(NamedTuple):
    """The layers of a part; `plain` as of `BatchedMLP`."""

    pairs: list[fused.Pair]
    dropout: float
    plain: bool

    @classmethod
    def of(cls, part: BatchedMLP | BatchedLinear) -> _Stack:
        if isinstance(part, BatchedLinear):
            return cls([(part.weight, part.bias)], 0.0, True)
        pairs: list[fused.Pair] = [(layer.weight, layer.bias) for layer in part.linears]
        return cls(pairs, part.dropout if part.training else 0.0, part.plain)


def _one_by_one(x: Tensor, part: BatchedMLP | BatchedLinear) -> Tensor:
    """`together` of one part in plain torch: for other devices, export, and layers that are not
    plain.
    """
    if isinstance(part, BatchedLinear):
        return part.forward(x)
    if not part.linears:
        return x.unsqueeze(1).expand(-1, part.experts // len(x), -1, -1).flatten(0, 1)
    return part.through(x, lambda number, h: part.linears[number](h))


class BatchedNorm(nn.Module):
    """Normalises the units of each sample and expert: `layer` or `rms`, see
    `bench.models.model_options.Norm`.

    `scale` (E, H) is one at first; `shift` (E, H) zero, and None under `rms`.
    """

    def __init__(self, experts: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(experts, width))
        self.shift = nn.Parameter(torch.zeros(experts, width)) if norm == "layer" else None

    def forward(self, h: Tensor) -> Tensor:
        """h (E, B, H) -> the same shape and precision; statistics are computed in at least
        float32.
        """
        wide = h.to(torch.promote_types(h.dtype, torch.float32))
        scale = self.scale.unsqueeze(1)
        if self.shift is None:
            y = wide * (wide.square().mean(2, keepdim=True) + EPS).rsqrt() * scale
        else:
            y = F.layer_norm(wide, wide.shape[2:], eps=EPS) * scale + self.shift.unsqueeze(1)
        return y.to(h.dtype)


class Gates(nn.Module):
    """Softmax gates, by default linear and without bias: softmax(W_k x), as in Ma et al., KDD 2018.

    Their first layer joins the product of the experts' first layer (`together`); calling them
    computes the rest, and `mix` the softmax. Options are the hidden layers, and how many experts
    get weight. The weight of `linear` is (gates, experts, inputs), or of the last hidden layer's
    width.
    """

    def __init__(self, gates: int, inputs: int, experts: int, config: ExpertConfig) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.hidden = BatchedMLP(gates, inputs, config.gate_layers)
        self.linear = BatchedLinear(gates, self.hidden.outputs, experts, bias=False)

    @property
    def first(self) -> BatchedMLP | BatchedLinear:
        """The part to compute together with the experts."""
        return self.hidden if self.hidden.linears else self.linear

    def forward(self, first: Tensor) -> Tensor:
        """Output of `first` -> scores (K, B, M); those of excluded experts are so low that their
        weight is 0.
        """
        if self.hidden.linears:
            (scores,) = together(first, [self.linear])
        else:
            scores = first
        return largest(scores, self.top_k)


def largest(scores: Tensor, k: int) -> Tensor:
    """Lowers scores (K, B, M) so that only the k largest of each gate and sample have weight; k = 0
    keeps all.
    """
    if not 0 < k < scores.shape[2]:
        return scores
    lowered = torch.full_like(scores, _NO_CHANCE).scatter(2, scores.topk(k, dim=2).indices, 0.0)
    return scores + lowered


def exclude(scores: Tensor, excluded: Tensor) -> Tensor:
    """Lowers excluded scores of (K, B, M) so that they have no weight; `excluded` is bool and
    broadcast.
    """
    return scores.masked_fill(excluded, _NO_CHANCE)


def mix(
    scores: Tensor,
    shared: Tensor,
    own_experts: Tensor | None = None,
    all_scores: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Sums of experts, weighted by the softmax of gates' scores.

    Args:
        scores: (K, B, M) of K gates, each over its own M - S experts, then the S shared ones.
        shared: (S, B, H).
        own_experts: (K * (M - S), B, H), those of gate k from k * (M - S) on; None if M = S.
        all_scores: (1, B, N) of a gate over all N experts, own before shared; None for no such
            gate.

    Returns:
        (K, B, H), and that of the last gate, (1, B, H) or (0, B, H).
    """
    if own_experts is None:
        # An empty slice of `shared` would add a gradient.
        own_experts = shared.new_zeros(0, *shared.shape[1:])
    if all_scores is None:
        all_scores = scores.new_zeros(0, scores.shape[1], len(own_experts) + len(shared))
    if fused.fits(shared):
        return fused.mix(scores, all_scores, own_experts, shared)
    per_gate = len(own_experts) // len(scores)
    weights, all_weights = softmax(scores), softmax(all_scores)
    sums = torch.einsum("kbm,mbh->kbh", weights[:, :, per_gate:], shared)
    if per_gate:
        by_gate = own_experts.view(len(scores), per_gate, *own_experts.shape[1:])
        sums = sums + torch.einsum("kbm,kmbh->kbh", weights[:, :, :per_gate], by_gate)
    experts = torch.cat([own_experts, shared])
    return sums, torch.einsum("kbm,mbh->kbh", all_weights, experts)


def softmax(scores: Tensor) -> Tensor:
    """Scores (K, B, M) -> weights, summed in at least float32."""
    precise = torch.promote_types(scores.dtype, torch.float32)
    return scores.softmax(2, dtype=precise).to(scores.dtype)


class Towers(nn.Module):
    """O towers in one batched product: one for each task, and extra ones of the funnel.

    The k members of an ensemble share the layers; each has its own linear output.

    Args:
        members: k, of the ensemble.
        transfer: makes a module between the hidden units and the output, see `Funnel.transfer`.
        lower_precision: whether that module takes bfloat16.

    Attributes:
        output: its bias (O, k) is the initial prediction.
    """

    def __init__(
        self,
        towers: int,
        inputs: int,
        config: TowerConfig,
        members: int = 1,
        transfer: Callable[[int], nn.Module | None] = lambda width: None,
        lower_precision: bool = True,
    ) -> None:
        super().__init__()
        self.lower_precision = lower_precision
        self.hidden = BatchedMLP(towers, inputs, config.layers, config.dropout)
        self.output = BatchedLinear(towers, self.hidden.outputs, members)
        self.transfer = transfer(self.hidden.outputs)

    def forward(self, h: Tensor) -> Tensor:
        """h (O, k B, H), or (1, k B, H) for all towers, member by member -> logits (k B, O)."""
        h = self.hidden(h)
        if self.transfer is not None:
            h = applied(self.transfer, self.lower_precision, h)
        weight, bias = self.output.weight, self.output.bias
        assert bias is not None
        towers, members, width = weight.shape
        if fused.fits(h, weight):
            h = h.reshape(towers * members, -1, width)
            logits = fused.head(h, weight.view(-1, 1, width), bias.view(-1, 1))  # (B, O k)
            if members == 1:
                return logits
            return logits.view(-1, towers, members).permute(2, 0, 1).flatten(0, 1)
        # All members' outputs for all members' rows, then those of each member for its own rows:
        # torch.export cannot split the rows earlier. First (O, k B, k), then (O, B, k).
        all_outputs = torch.bmm(h.to(weight.dtype), weight.transpose(1, 2)) + bias.unsqueeze(1)
        logits = all_outputs.view(towers, members, -1, members).diagonal(dim1=1, dim2=3)
        return torch.cat(logits.unbind(2), dim=1).t()


class MemberInputs(Drawn):
    """Scales inputs for k members by `weight` (I, k, inputs), at first -1 or 1, one sign for all
    columns of a token.
    """

    def __init__(self, layout: Layout, sets: int, members: int) -> None:
        super().__init__()
        self.outputs = layout.inputs
        tokens = len(layout.names)
        single_columns = layout.inputs - layout.embedded
        self._signs = tokens + single_columns
        self._sign_of_column: list[int] = []
        for token in range(tokens):
            self._sign_of_column += [token] * layout.dim
        self._sign_of_column += range(tokens, self._signs)
        self.weight = nn.Parameter(torch.empty(sets, members, layout.inputs))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws the signs."""
        sets, members, _ = self.weight.shape
        draws = torch.randint(2, (sets, members, self._signs), generator=source)
        signs = draws.to(self.weight) * 2 - 1
        self.weight.copy_(signs[:, :, self._sign_of_column])

    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> (I, k B, inputs), member by member."""
        scales = self.weight.to(x.dtype).unsqueeze(2).unbind(1)  # k of (I, 1, inputs)
        return torch.cat([x * scale for scale in scales], dim=1)


def mean_logits(logits: Tensor) -> Tensor:
    """Members' logits (k, ..) -> the logit of their mean probability (..)."""
    return torch.logsumexp(F.logsigmoid(logits), 0) - torch.logsumexp(F.logsigmoid(-logits), 0)
