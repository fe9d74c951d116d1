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
    """Maps each vector linearly to a token, beside the outputs of `of_rest` for the other dense
    columns.

    Tokens of vectors follow those of numbers. A row without a vector has zeros, so its token is the
    bias.
    """

    def __init__(
        self, schema: Schema, dim: int, sets: int, of_rest: Callable[[Schema], NumericEncoding]
    ) -> None:
        super().__init__()
        self.columns = [
            slice(vector.column, vector.column + vector.length) for vector in schema.vectors
        ]
        taken = {column for part in self.columns for column in range(part.start, part.stop)}
        kept = [column for column in range(len(schema.dense)) if column not in taken]
        place = {column: at for at, column in enumerate(kept)}
        numbers = tuple(
            replace(
                each,
                column=place[each.column],
                missing=None if each.missing is None else place[each.missing],
            )
            for each in schema.numbers
        )
        dense = tuple(schema.dense[column] for column in kept)
        self.rest = of_rest(replace(schema, dense=dense, numbers=numbers, vectors=()))
        self.maps = nn.ModuleList(
            NumberLinear(sets, 1, vector.length, dim) for vector in schema.vectors
        )
        self.kept = nn.Buffer(torch.tensor(kept, dtype=torch.int64), persistent=False)
        self.schema = self.rest.schema
        self.tokens = (*self.rest.tokens, *(vector.name for vector in schema.vectors))
        self.outputs = self.rest.outputs + len(self.maps) * dim
        self.before = self.rest.outputs - len(self.schema.dense)

    def rows(self, ids: Tensor) -> Tensor:
        """See `Numeric.rows`."""
        return self.rest.rows(ids)

    def forward(self, x: Tensor) -> Tensor:
        """See `Numeric.forward`."""
        rest = self.rest(x.index_select(2, self.kept))
        tokens = [
            of(x[:1, :, columns].unsqueeze(2)).flatten(2)
            for of, columns in zip(self.maps, self.columns, strict=True)
        ]
        rest = rest.expand(len(tokens[0]), -1, -1)
        return torch.cat([rest[:, :, : self.before], *tokens, rest[:, :, self.before :]], dim=2)
