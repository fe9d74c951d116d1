"""Vectors that were computed elsewhere (of a text, an image, a graph), each as one token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.models.numeric.base import NumberLinear, Numeric
from bench.schema import Schema


class ProjectedVectors(Numeric):
    """A linear map of each vector to the width of a token, beside what `of_rest` makes of the other dense columns.

    Tokens of vectors follow those of numbers. A row without a vector has zeros, so that its token is the bias.

    Args:
        of_rest: the module of a schema without vectors.
    """

    kept: Tensor

    def __init__(self, schema: Schema, dim: int, sets: int, of_rest: Callable[[Schema], Numeric]) -> None:
        super().__init__()
        self.columns = [slice(vector.column, vector.column + vector.length) for vector in schema.vectors]
        taken = {column for part in self.columns for column in range(part.start, part.stop)}
        kept = [column for column in range(len(schema.dense)) if column not in taken]
        place = {column: at for at, column in enumerate(kept)}
        numbers = tuple(
            replace(each, column=place[each.column], missing=None if each.missing is None else place[each.missing])
            for each in schema.numbers
        )
        dense = tuple(schema.dense[column] for column in kept)
        self.rest = of_rest(replace(schema, dense=dense, numbers=numbers, vectors=()))
        self.maps = nn.ModuleList(NumberLinear(sets, 1, vector.length, dim) for vector in schema.vectors)
        self.register_buffer("kept", torch.tensor(kept, dtype=torch.int64), persistent=False)
        self.schema, self.tokens = self.rest.schema, (*self.rest.tokens, *(vector.name for vector in schema.vectors))
        self.outputs = self.rest.outputs + len(self.maps) * dim
        self.before = self.rest.outputs - len(self.schema.dense)

    def rows(self, ids: Tensor) -> Tensor:
        """See `Numeric.rows`."""
        return self.rest.rows(ids)

    def forward(self, x: Tensor) -> Tensor:
        """See `Numeric.forward`."""
        rest = self.rest(x.index_select(2, self.kept))
        tokens = [
            of(x[:1, :, columns].unsqueeze(2)).flatten(2) for of, columns in zip(self.maps, self.columns, strict=True)
        ]
        rest = rest.expand(len(tokens[0]), -1, -1)
        return torch.cat([rest[:, :, : self.before], *tokens, rest[:, :, self.before :]], dim=2)
