"""The contract of a numeric kind: how the numbers of a data set enter a model."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from bench.models.initial import Drawn
from bench.schema import Schema


class Numeric(nn.Module, ABC):
    """Built as `Numeric(schema: Schema, dim: int, sets: int, config)`: one stack of parameters for each input set.

    `schema` is that of the store; `dim` the width of a token. What `bench.models.by_sets.BySets` says of parameters
    holds. All sets see the same numbers.

    Attributes:
        schema: what the rest of the model sees: its fields have embeddings, its dense columns are single inputs.
        tokens: names of the numbers that have a token of their own.
        outputs: width of what it gives: the tokens, then the dense columns of `schema`.
    """

    schema: Schema
    tokens: tuple[str, ...] = ()
    outputs: int

    def rows(self, ids: Tensor) -> Tensor:
        """ids (B, S) of the store -> (B, S') of the fields of `schema`, rows of the model's table."""
        slots = self.schema.slots
        return ids if ids.shape[1] == slots else ids[:, :slots].contiguous()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Dense columns of the store x (I, B, D), alike in all sets -> (I, B, outputs)."""


class NumberTokens(Numeric):
    """A token of width `dim` for each of the Q numbers in place of its dense column.

    A missing number has a learned token of its own, zero at first. Dense columns that are no numbers, such as target
    rates, stay single inputs.

    Attributes:
        missing: the tokens of missing numbers, (I, Q, dim); None where train lacks no number.
    """

    columns: Tensor
    flags: Tensor
    lacking: Tensor
    rest: Tensor

    def __init__(self, schema: Schema, dim: int, sets: int, activation: bool) -> None:
        super().__init__()
        numbers, dense = schema.numbers, schema.dense
        taken = {column for number in numbers for column in (number.column, number.missing)}
        rest = [column for column in range(len(dense)) if column not in taken]
        plain = schema.without_ranges
        self.schema = Schema(plain.fields, tuple(dense[at] for at in rest), plain.tasks, plain.group)
        self.tokens = tuple(number.name for number in numbers)
        self.outputs = len(numbers) * dim + len(rest)
        self.activation = activation
        for name, at in (
            ("columns", [number.column for number in numbers]),
            ("flags", [number.missing or 0 for number in numbers]),  # of those without a flag any column will do
            ("rest", rest),
        ):
            self.register_buffer(name, torch.tensor(at, dtype=torch.int64), persistent=False)
        lacking = [number.missing is not None for number in numbers]
        self.register_buffer("lacking", torch.tensor(lacking, dtype=torch.float32), persistent=False)
        self.missing = nn.Parameter(torch.zeros(sets, len(numbers), dim)) if any(lacking) else None

    @abstractmethod
    def embed(self, numbers: Tensor) -> Tensor:
        """Numbers (B, Q) -> tokens (I, B, Q, dim), before the activation."""

    def forward(self, x: Tensor) -> Tensor:
        """See `Numeric.forward`."""
        dense = x[0]
        tokens = self.embed(dense.index_select(1, self.columns))
        if self.activation:
            tokens = tokens.relu()
        if self.missing is not None:
            there = dense.index_select(1, self.flags) * self.lacking  # (B, Q)
            tokens = torch.where(there.unsqueeze(2) != 0, self.missing.unsqueeze(1), tokens)
        flat = tokens.flatten(2)
        if not len(self.rest):
            return flat
        return torch.cat([flat, dense.index_select(1, self.rest).expand(len(flat), -1, -1)], dim=2)


class NumberLinear(Drawn):
    """A linear map for each number and input set (`_NLinear` of rtdl_num_embeddings).

    Attributes:
        weight: (I, Q, inputs, outputs).
        bias: (I, Q, outputs).
    """

    def __init__(self, sets: int, numbers: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(sets, numbers, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(sets, numbers, outputs))
        self.reset_parameters()

    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws both uniformly between plus and minus inputs^(-1/2), as `nn.Linear` does."""
        bound = self.weight.shape[2] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound, source)
        nn.init.uniform_(self.bias, -bound, bound, source)

    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, Q, inputs), or (1, B, Q, inputs) where all sets have the same -> (I, B, Q, outputs)."""
        x = x.expand(len(self.weight), -1, -1, -1)
        return torch.einsum("ibqk,iqkd->ibqd", x, self.weight) + self.bias.unsqueeze(1)
