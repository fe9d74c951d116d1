"""The contracts of a model's parts: what each entry of its registries is built with, takes and gives.

In the order of the data: a numeric kind, a sequence kind, an interaction, a sharing, a funnel (losses:
`bench.models.losses.base`). Parameters of the first
three are stacked by input set (`BySets`), and all initial values are drawn by name (`Drawn`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.models.losses.base import Context, Log, MeanLosses
from bench.models.losses.squared import Squared
from bench.registry import Config, NoOptions
from bench.schema import Schema
from bench.seeds import derive


class Drawn(nn.Module, ABC):
    """A module whose own parameters have random initial values, drawn by a generator of its own (`draw`)."""

    @abstractmethod
    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws them by a generator; None for torch's own."""


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A generator on the CPU, seeded by seed and path."""
    return torch.Generator().manual_seed(derive(seed, *path))


def draw(model: nn.Module, seed: int) -> None:
    """Draws all initial values: a parameter's depend on the seed, its name and its shape alone.

    Nothing is drawn on the device `meta`, where a model is only counted.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        return
    for name, module in model.named_modules():
        if isinstance(module, Drawn):
            module.reset_parameters(generator(seed, name))


class BySets(nn.Module):
    """A module for all input sets, with those that serve all tasks apart from those that serve one each.

    Args:
        make: makes a module for n sets, with `outputs`, the width of its output. Each of its parameters is stacked
            by set, and a set's output depends on its own alone. One without parameters takes any number of sets.
        common: how many sets, the first ones, serve all tasks.
        sets: how many there are.
    """

    def __init__(self, make: Callable[[int], nn.Module], common: int, sets: int) -> None:
        super().__init__()
        self.common = common
        self.counts = [count for count in (common, sets - common) if count]
        self.parts = nn.ModuleList(make(count) for count in self.counts)
        self.outputs: int = self.parts[0].outputs  # type: ignore[assignment]
        self.whole = len(self.parts) == 1 or next(self.parameters(), None) is None

    def forward(self, x: Tensor, *common: Tensor) -> Tensor:
        """x (I, B, inputs), and what all sets have in common -> (I, B, outputs)."""
        if self.whole:
            return self._of(self.parts[0], x, *common)
        split = torch.split(x, self.counts)
        return torch.cat([self._of(part, some, *common) for part, some in zip(self.parts, split, strict=True)])

    def _of(self, part: nn.Module, x: Tensor, *common: Tensor) -> Tensor:
        y: Tensor = part(x, *common)
        if y.dim() != 3 or (len(y), y.shape[2]) != (len(x), self.outputs):
            expected = (len(x), "B", self.outputs)
            raise ValueError(f"{type(part).__name__}: expected an output {expected}, found {tuple(y.shape)}")
        return y

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Those on whose every slice the losses of all tasks depend."""
        return self.parts[0].parameters() if self.common else iter(())


class Numeric(nn.Module, ABC):
    """How the numbers of a data set enter a model.

    Built as `Numeric(schema: Schema, dim: int, sets: int, config)`: one stack of parameters for each input set.

    `schema` is that of the store; `dim` the width of a token. What `BySets` says of parameters
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


class Sequence(nn.Module, ABC):
    """How a row's history becomes one vector.

    Built as `Sequence(dim: int, length: int, sets: int, config)` for one history.

    What `BySets` says of parameters holds.

    Attributes:
        outputs: width of what it gives, `dim`.
    """

    def __init__(self, dim: int, length: int, sets: int) -> None:
        super().__init__()
        self.outputs, self.length = dim, length

    @abstractmethod
    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """One vector of each row's history.

        Args:
            x: (I, B, 1 + L, dim), the embedding of the row's own value, then those of its history, newest first.
            there: (B, L) bool, which places of the history are no padding.

        Returns:
            (I, B, dim), zero where the history is empty.
        """


class Interaction(nn.Module, ABC):
    """Changes inputs before they are shared.

    Built as `Interaction(layout: Layout, sets: int, config)`: one stack of parameters for each of the input sets.

    Every parameter is stacked by input set, in their order, and a set's output depends on its own alone. One without
    parameters takes any number of sets.

    Attributes:
        outputs: width of what it gives, at least that of the layout. The first columns are still where the layout has
            them, a field's among a field's; new ones follow.
    """

    outputs: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> (I, B, outputs), as precise as x."""


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
        by_scenario: whether `forward` also takes `codes`, (B,) int64: of each row the card's scenario, from 1 on, and 0
            where that is unknown, or rare on train. None of them stands for all 0.
        shares_nothing: whether tasks are separate models side by side, so that each may stop at its own best.
    """

    outputs: int
    by_scenario: ClassVar[bool] = False
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
        """x (I, B, inputs), I = input_sets(tasks) -> representations (T, B, H); (1, B, H) if it is one for all.

        x may be bfloat16, while parameters are float32: multiply it by `weight.to(x.dtype)`, as `bench.models.layers`.
        """

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


RAREST = 1e-6  # base rates are taken as no nearer than this to 0 and 1


@dataclass(frozen=True)
class Probabilities:
    """A model's predictions for a batch.

    A funnel gives the output of a regression as both. The model puts it into the unit of the labels, and multiplies.

    Attributes:
        conditional: (B, T), P(task | its parent happened), of a regression the expected value where it happened; for a
            task without parent, P(task).
        joint: (B, T), P(task and all its ancestors): the conditionals multiplied along the chain. Of a regression the
            expected value on all impressions, where it counts as 0 if the parent does not happen.
    """

    conditional: Tensor
    joint: Tensor


class Funnel(nn.Module, ABC):
    """How probabilities along parent links are tied, and so which losses are taken.

    Built as `Funnel(schema: Schema, config)`; has no view of the network behind the logits.

    What a task's logit is the logit of, the conditional or the joint probability, is the funnel's to say; both are read
    from it by `probabilities`.

    Attributes:
        conditional: whether a task's logit is of the probability given its parent; else of the joint one.
        ties_tasks: whether one task's loss or logit reads another's, so that even separate models train together.
        outputs: of every logit, the task on whose representation it is computed: the T tasks, then what the funnel
            needs beside them, each from a tower of its own. O is their number.
        loss: what a logit, or a regression's output, costs; the model's choice takes the place of the plain one.
    """

    conditional: bool = True
    ties_tasks: bool = False
    outputs: tuple[int, ...]

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        self.outputs = tuple(range(len(schema.tasks)))
        self.loss = MeanLosses(schema, Log(NoOptions()), Squared(schema, NoOptions()))

    def transfer(self, width: int) -> nn.Module | None:
        """What hidden units of the towers, (O, B, width), go through before their linear output; None for nothing.

        It belongs to the towers, and is asked for once. Only a funnel that ties tasks may move one to another.
        """
        return None

    def start(self, means: Tensor) -> Tensor:
        """The logits (O,) at which it predicts these means.

        Args:
            means: (T,), of each task's labels on its own sample space, NaN where there is none: probability 1/2, or 0.
        """
        regression = torch.tensor([task.kind == "regression" for task in self.schema.tasks])
        logits = torch.where(regression, means, torch.logit(means.double(), eps=RAREST)).nan_to_num(nan=0.0)
        return torch.cat([logits, logits.new_zeros(len(self.outputs) - len(logits))])

    @abstractmethod
    def losses(
        self, logits: Tensor, labels: Tensor, weights: Tensor | None = None, context: Context | None = None
    ) -> Tensor:
        """Mean loss of each task over its own sample space, by `loss`.

        Args:
            logits: (B, O). Of a regression task: the predicted target.
            labels: (B, T) as on the card, a regression's scaled by `bench.models.targets`; NaN where unobserved, which
                takes the sample out of that task's mean.
            weights: (B, T) or (B, 1), at least 0: of each sample in each task's mean; None for equal ones.
            context: for `loss`.

        Returns:
            (T,), each finite and not negative; 0 (with zero gradient) for a task without a sample in the batch.
        """

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Probabilities:
        """Conditional and joint predictions, whichever was trained."""
