"""Linear maps to tokens, and tokens of precomputed vectors (of a text, an image, a graph)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.core.schema import Schema
from bench.models.contracts import Drawn, NumericEncoding


class NumberLinear(Drawn):
    """A linear map for each number and input set (`_NLinear` of rtdl_num_embeddings).

    `weight` is (I, Q, inputs, outputs), `bias` (I, Q, outputs).
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
        """x (I, B, Q, inputs), or (1, B, Q, inputs) for all sets -> (I, B, Q, outputs)."""
        x = x.expand(len(self.weight), -1, -1, -1)
        return torch.einsum("ibqk,iqkd->ibqd", x, self.weight) + self.bias.unsqueeze(1)


class ProjectedVectors(NumericEncoding):
    """Maps each vector linearly to a token, beside the outputs of `encode_rest` for the other dense
    columns.

    Tokens of vectors follow those of numbers. A row without a vector has zeros, so its token is the
    bias.
    """

    def __init__(
        self, schema: Schema, dim: int, sets: int, encode_rest: Callable[[Schema], NumericEncoding]
    ) -> None:
        super().__init__()
        self.columns: list[slice] = []
        in_vectors: set[int] = set()
        for vector in schema.vectors:
            end = vector.column + vector.length
            self.columns.append(slice(vector.column, end))
            in_vectors |= set(range(vector.column, end))
        remaining = [column for column in range(len(schema.dense)) if column not in in_vectors]
        self.rest = encode_rest(_with_columns(schema, remaining))
        self.maps = nn.ModuleList(
            NumberLinear(sets, 1, vector.length, dim) for vector in schema.vectors
        )
        self.remaining = nn.Buffer(torch.tensor(remaining, dtype=torch.int64), persistent=False)
        self.schema = self.rest.schema
        self.tokens = (*self.rest.tokens, *(vector.name for vector in schema.vectors))
        self.outputs = self.rest.outputs + len(self.maps) * dim
        self.token_columns = self.rest.outputs - len(self.schema.dense)  # of `rest`

    def rows(self, ids: Tensor) -> Tensor:
        """ids (B, S) of the store -> (B, S'), as those of the rest."""
        return self.rest.rows(ids)

    def forward(self, x: Tensor) -> Tensor:
        """Dense columns (I, B, D), equal in all sets -> (I, B, outputs)."""
        rest = self.rest(x.index_select(2, self.remaining))
        tokens = []
        for linear, columns in zip(self.maps, self.columns, strict=True):
            tokens.append(linear(x[:1, :, columns].unsqueeze(2)).flatten(2))
        rest = rest.expand(len(tokens[0]), -1, -1)
        tokens_of_rest = rest[:, :, : self.token_columns]
        single_columns = rest[:, :, self.token_columns :]
        return torch.cat([tokens_of_rest, *tokens, single_columns], dim=2)


def _with_columns(schema: Schema, columns: list[int]) -> Schema:
    """The schema with these dense columns alone, and without vectors."""
    place = {column: index for index, column in enumerate(columns)}
    numbers = []
    for number in schema.numbers:
        missing = None if number.missing is None else place[number.missing]
        numbers.append(replace(number, column=place[number.column], missing=missing))
    dense = tuple(schema.dense[column] for column in columns)
    return replace(schema, dense=dense, numbers=tuple(numbers), vectors=())
