"""The contract of a sharing kind: how tasks share a representation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from bench.registry import Config
from bench.schema import Schema


@dataclass(frozen=True)
class Layout:
    """The places in an input set: tokens, then dense columns, then columns that an interaction appends.

    Tokens are vectors: first the embedding of each field, in their order, then those of numbers that have one.

    Attributes:
        schema: names the fields, and the dense columns that are single inputs.
        dim: width of one token, or of the widest.
        more: columns that an interaction appends.
        by_cardinality: whether fields of few rows have narrower ones, see `bench.models.config.EmbeddingConfig`.
        numbers: names of those that have a token, of width `dim`.
    """

    schema: Schema
    dim: int
    more: int = 0
    by_cardinality: bool = False
    numbers: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tokens."""
        return (*(field.name for field in self.schema.fields), *self.numbers)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Of each token."""
        return (*self.field_widths, *[self.dim] * len(self.numbers))

    @cached_property
    def field_widths(self) -> tuple[int, ...]:
        """Of each field's embedding."""
        if not self.by_cardinality:
            return (self.dim,) * len(self.schema.fields)
        wished = (6 * field.cardinality**0.25 for field in self.schema.fields)
        return tuple(min(self.dim, 2 ** math.ceil(math.log2(width))) for width in wished)

    @property
    def embedded(self) -> int:
        """The width of all tokens together."""
        return sum(self.widths)

    @property
    def is_ragged(self) -> bool:
        """Whether some token is narrower than `dim`."""
        return self.embedded < self.dim * len(self.widths)

    @property
    def inputs(self) -> int:
        """The width of an input set."""
        return self.embedded + len(self.schema.dense) + self.more

    def columns(self, token: int) -> range:
        """Those of a token, by its number."""
        first = sum(self.widths[:token])
        return range(first, first + self.widths[token])


class Sharing(nn.Module, ABC):
    """Turns the input into one representation per task.

    Built as `Sharing(inputs: int, tasks: int, config)`: `inputs` is the width of one input set. Its state are its
    parameters: what is not trained is not kept.

    Attributes:
        outputs: H, the width of a task's representation.
        shares_nothing: whether tasks are separate models side by side, so that each may stop at its own best.
    """

    outputs: int
    shares_nothing: bool = False

    @classmethod
    def of(cls, layout: Layout, tasks: int, config: Config) -> Sharing:
        """One for a data set's inputs; overridden by kinds that must know where a field stands.

        Raises:
            UserError: the options name what the data set has not.
        """
        return cls(layout.inputs, tasks, config)

    @classmethod
    def input_sets(cls, tasks: int) -> int:
        """How many embeddings of each id the sharing needs: 1, or more where tasks have some of their own."""
        return 1

    @classmethod
    def common_sets(cls, tasks: int) -> int:
        """How many of the input sets, the first ones, the losses of all tasks depend on; of each other, one task's."""
        return 1

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs), I = input_sets(tasks) -> representations (T, B, H); (1, B, H) if it is one for all."""

    @abstractmethod
    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters on whose every slice more than one task's loss depends (all of them where there is one task).

        Gradient aggregation combines task gradients on these. Every other parameter, or slice of a stacked one,
        must belong to exactly one task; it receives that task's own gradient.
        """

    def penalty(self) -> Tensor | None:
        """A scalar of its parameters alone that training adds to the balanced loss, whatever balances; None for none.

        It is no task's loss: balancers do not see it, and gradient aggregation adds its gradient to the combined one.
        """
        return None
