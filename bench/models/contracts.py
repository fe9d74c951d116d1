"""The contracts of a model's parts: how entries of its registries are built, their inputs and
outputs.

In the order of the data: a numeric kind, a sequence kind, an interaction, a sharing, a funnel
(losses: `bench.models.losses.base`). Parameters of the first three are stacked by input set
(`BySets`), and all initial values are drawn by name (`Drawn`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from bench.core.registry import Config, NoOptions
from bench.core.schema import Schema
from bench.core.seeds import derive
from bench.models.losses.base import Context, LogLoss, MeanLosses
from bench.models.losses.regression import Squared


class Drawn(nn.Module, ABC):
    """A module whose own parameters are drawn from a generator of its own (`draw`)."""

    @abstractmethod
    def reset_parameters(self, source: torch.Generator | None = None) -> None:
        """Draws the parameters; None uses torch's default generator."""


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A generator on the CPU, seeded by seed and path."""
    return torch.Generator().manual_seed(derive(seed, *path))


def draw(model: nn.Module, seed: int) -> None:
    """Draws all initial values; a parameter's values depend only on the seed, its name and its
    shape.

    Draws nothing on the device `meta`, where a model is only counted.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        return
    for name, module in model.named_modules():
        if isinstance(module, Drawn):
            module.reset_parameters(generator(seed, name))


class Part(nn.Module):
    """A part that reads activations, which are bfloat16 where the model's products are.

    A class whose code takes them says so: `class Mine(Sharing, lower_precision=True)`. Every other
    class gets float32, as plain layers of torch need it. So does a subclass that does not say it
    again, as it may add code.

    Attributes:
        zero_gradient: names of parameters whose gradient is 0 in exact arithmetic, as they change
            no output. An example is the bias of attention's keys, which adds the same to all
            scores. The checks of `bench.testing` ask for no gradient there. A module inside a part
            may name its own.
    """

    lower_precision: ClassVar[bool] = False
    zero_gradient: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, lower_precision: bool = False, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.lower_precision = lower_precision


def applied(module: nn.Module, lower_precision: bool, x: Tensor, *arguments: Tensor) -> Tensor:
    """The module's output in the precision of x; it gets x as float32 unless it takes
    `lower_precision`.
    """
    if lower_precision or x.dtype != torch.bfloat16:
        y: Tensor = module(x, *arguments)
        return y
    y = module(x.float(), *arguments)
    return y.to(x.dtype)


class BySets(nn.Module):
    """Applies one module to the common input sets, and another of its kind to sets of one task.

    Args:
        make: makes a module for n sets, with `outputs`, the width of its output. Each of its
            parameters is stacked by set, and a set's output depends only on its own. A module
            without parameters takes any number of sets.
        common: number of sets, the first ones, that serve all tasks.
        sets: number of all sets.
    """

    def __init__(self, make: Callable[[int], nn.Module], common: int, sets: int) -> None:
        super().__init__()
        self.common = common
        self.counts = [count for count in (common, sets - common) if count]
        self.parts = nn.ModuleList(make(count) for count in self.counts)
        self.outputs: int = self.parts[0].outputs  # type: ignore[assignment]
        self.whole = len(self.parts) == 1 or next(self.parameters(), None) is None

    def forward(self, x: Tensor, *common: Tensor) -> Tensor:
        """x (I, B, inputs), and inputs common to all sets -> (I, B, outputs)."""
        if self.whole:
            return self._output(self.parts[0], x, *common)
        outputs = []
        for part, part_inputs in zip(self.parts, torch.split(x, self.counts), strict=True):
            outputs.append(self._output(part, part_inputs, *common))
        return torch.cat(outputs)

    def _output(self, part: nn.Module, x: Tensor, *common: Tensor) -> Tensor:
        y: Tensor = part(x, *common)
        if y.dim() != 3 or (len(y), y.shape[2]) != (len(x), self.outputs):
            expected = (len(x), "B", self.outputs)
            raise ValueError(
                f"{type(part).__name__}: expected an output {expected}, found {tuple(y.shape)}"
            )
        return y

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters on whose every slice the losses of all tasks depend."""
        return self.parts[0].parameters() if self.common else iter(())


class NumericEncoding(nn.Module, ABC):
    """How a data set's numbers enter a model.

    Built as `Numeric(schema: Schema, dim: int, sets: int, config)` from the store's schema and the
    width of a token, with parameters as in `BySets`. All sets read the same numbers.

    Attributes:
        schema: as the rest of the model sees it: its fields have embeddings, its dense columns are
            single inputs.
        tokens: names of the numbers that have a token.
        outputs: width of the output: the tokens, then the dense columns of `schema`.
    """

    schema: Schema
    tokens: tuple[str, ...] = ()
    outputs: int

    def rows(self, ids: Tensor) -> Tensor:
        """ids (B, S) of the store -> (B, S') of the fields of `schema`, rows of the model's
        table.
        """
        slots = self.schema.slots
        return ids if ids.shape[1] == slots else ids[:, :slots].contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Dense columns of the store x (I, B, D), equal in all sets -> (I, B, outputs); by itself
        they are kept.
        """
        return x


class Sequence(nn.Module, ABC):
    """Turns a row's history into one vector of width `outputs`, which is `dim`.

    Built as `Sequence(dim: int, length: int, sets: int, config)` for one history, with parameters
    as in `BySets`.
    """

    def __init__(self, dim: int, length: int, sets: int) -> None:
        super().__init__()
        self.outputs, self.length = dim, length

    @abstractmethod
    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """Pools each row's history -> (I, B, dim), zero where it is empty.

        Args:
            x: (I, B, 1 + L, dim), the embedding of the row's own value, then those of its history,
                newest first.
            there: (B, L) bool, false for padding of the history.
        """


class Interaction(Part, ABC):
    """Transforms inputs before the sharing.

    Built as `Interaction(layout: Layout, sets: int, config)`, with parameters as in `BySets`. Its
    width `outputs` is at least the layout's: the first columns keep the layout's places, each
    field's among the field's; new ones follow.
    """

    outputs: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs) -> (I, B, outputs); of a class that takes `lower_precision` in the
        precision of x.
        """


@dataclass(frozen=True)
class Layout:
    """The columns of an input set: tokens, then dense columns, then columns that an interaction
    appends.

    Tokens are vectors: first the embedding of each field, then those of numbers that have one.

    Attributes:
        schema: names the fields, and the dense columns that are single inputs.
        dim: width of a token.
        appended: number of columns that an interaction appends.
        numbers: names of numbers with a token, of width `dim`.
    """

    schema: Schema
    dim: int
    appended: int = 0
    numbers: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tokens."""
        return (*(field.name for field in self.schema.fields), *self.numbers)

    @property
    def embedded(self) -> int:
        """Total width of all tokens."""
        return self.dim * len(self.names)

    @property
    def inputs(self) -> int:
        """Width of an input set."""
        return self.embedded + len(self.schema.dense) + self.appended

    def columns(self, token: int) -> range:
        """Columns of a token, by its index."""
        return range(token * self.dim, (token + 1) * self.dim)


class Sharing(Part, ABC):
    """Turns the input into one representation for each task.

    Built as `Sharing(inputs: int, tasks: int, config)`: `inputs` is the width of one input set. It
    keeps no state besides its parameters.

    Attributes:
        outputs: H, the width of a task's representation.
        by_scenario: whether `forward` also takes `codes`, (B,) int64: each row's scenario on the
            card, from 1 on, and 0 if unknown, or rare on train. None means all 0.
        shares_nothing: whether tasks are separate models, so that each may stop at its own best.
    """

    outputs: int
    by_scenario: ClassVar[bool] = False
    shares_nothing: bool = False

    @classmethod
    def of(cls, layout: Layout, tasks: int, config: Config) -> Sharing:
        """Builds it for a data set's inputs; raises UserError if the options name something that
        the data set lacks.
        """
        return cls(layout.inputs, tasks, config)

    @classmethod
    def input_sets(cls, tasks: int) -> int:
        """Number of embeddings of each id: 1, or more where tasks have some of their own."""
        return 1

    @classmethod
    def common_sets(cls, tasks: int) -> int:
        """Number of input sets, the first ones, on which all tasks' losses depend; each other set
        has one task.
        """
        return 1

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """x (I, B, inputs), I = input_sets(tasks) -> representations (T, B, H), or (1, B, H) if it
        is one for all.

        Of a class that takes `lower_precision`, x may be bfloat16, while parameters are float32:
        multiply it by `weight.to(x.dtype)`, as `bench.models.layers`.
        """

    @abstractmethod
    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters on whose every slice more than one task's loss depends; a single task is not
        asked, and has all.

        Gradient aggregation combines task gradients on these. Every other parameter, or slice of a
        stacked one, must belong to exactly one task; it receives that task's own gradient.
        """


class History(NamedTuple):
    """The values of one history, newest first.

    Attributes:
        name: of its field in the schema; `Field.of` names the field whose rows it shares.
        values: (B, L, width), the embedding of each value, and zero where there is none.
        mask: (B, L) bool, true where there is a value.
    """

    name: str
    values: Tensor
    mask: Tensor


class Backbone(Sharing):
    """A sharing that sees a row as tokens, and its histories value by value.

    Built as `Backbone(layout: Layout, tasks: int, config)`. It has one input set, and no codes of
    scenarios: the scenario is a token.
    """

    def __init__(self, layout: Layout, tasks: int, config: Config) -> None:
        super().__init__()
        self.layout = layout

    @classmethod
    def of(cls, layout: Layout, tasks: int, config: Config) -> Sharing:
        """See `Sharing.of`."""
        return cls(layout, tasks, config)

    @abstractmethod
    def represent(self, tokens: Tensor, numbers: Tensor, histories: list[History]) -> Tensor:
        """Turns rows into representations (T, B, H), or (1, B, H) if one serves all.

        Args:
            tokens: (B, F, width), in the order of `Layout.names`, after the interaction. A history
                has one here, too, which the sequence kind pools.
            numbers: (B, D), the columns behind the tokens: single inputs, then what an interaction
                appends.
            histories: one for each history of the schema, in its order.
        """

    def forward(self, x: Tensor, *histories: Tensor) -> Tensor:
        """Calls `represent` on x (1, B, inputs), and the values (B, L, width) and mask (B, L) of
        each history, one after another.
        """
        # Torch's attention takes no empty batch, nor does a graph that is exported for any batch:
        # there a row is added, and its representation left out.
        rows = x[0]
        adds_row = torch.compiler.is_compiling() or len(rows) == 0
        if adds_row:
            rows = _with_a_row(rows)
            histories = tuple(map(_with_a_row, histories))
        embedded = self.layout.embedded
        shape = (rows.shape[0], len(self.layout.names), self.layout.dim)
        tokens = rows[:, :embedded].reshape(shape)
        fields = [field for field in self.layout.schema.fields if field.of is not None]
        by_name = []
        for field, values, mask in zip(fields, histories[::2], histories[1::2], strict=True):
            by_name.append(History(field.name, values.to(x.dtype), mask))
        h = self.represent(tokens, rows[:, embedded:], by_name)
        return h[:, :-1] if adds_row else h


def _with_a_row(rows: Tensor) -> Tensor:
    """rows (B, ..) -> (B + 1, ..), the last of zeros."""
    return torch.cat([rows, rows.new_zeros(1, *rows.shape[1:])])


RAREST = 1e-6  # base rates are clipped to [RAREST, 1 - RAREST]


@dataclass(frozen=True)
class Probabilities:
    """A model's predictions for a batch.

    A funnel returns a regression's output as both; the model converts it to the unit of the labels
    and multiplies.

    Attributes:
        conditional: (B, T), P(task | its parent happened), of a regression the expected value where
            it happened; for a task without parent, P(task).
        joint: (B, T), P(task and all its ancestors): the product of conditionals along the chain.
            Of a regression the expected value on all impressions, where it counts as 0 if the
            parent does not happen.
    """

    conditional: Tensor
    joint: Tensor


class Funnel(Part, ABC):
    """Ties probabilities along parent links, and chooses the losses accordingly.

    Built as `Funnel(schema: Schema, config)`; it does not see the network behind the logits. It
    decides whether a task's logit is of the conditional or the joint probability; `probabilities`
    returns both.

    Attributes:
        conditional: whether a task's logit is of the probability given its parent; else of the
            joint one.
        ties_tasks: whether one task's loss or logit reads another's, so that even separate models
            train together.
        outputs: the task whose representation each of the O logits reads: the T tasks, then extra
            ones, each from a tower of its own.
        loss: the loss of a logit or a regression's output; the model replaces the default by its
            choice.
    """

    conditional: bool = True
    ties_tasks: bool = False
    outputs: tuple[int, ...]

    def __init__(self, schema: Schema, config: Any = None) -> None:
        super().__init__()
        self.schema, self.config = schema, config
        self.outputs = tuple(range(len(schema.tasks)))
        self.loss = MeanLosses(schema, LogLoss(NoOptions()), Squared(schema, NoOptions()))

    def transfer(self, width: int) -> nn.Module | None:
        """Makes a layer between the towers' hidden units, (O, B, width), and their linear output;
        None for none.

        It belongs to the towers and is made once. Only a funnel that ties tasks may move units
        between tasks. It gets bfloat16 only if the funnel's class takes `lower_precision`.
        """
        return None

    def start(self, means: Tensor) -> Tensor:
        """Returns the logits (O,) at which it predicts these means (T,), of each task's labels on
        its own sample space.

        NaN stands for no labels: probability 1/2, or 0.
        """
        regression = torch.tensor([task.kind == "regression" for task in self.schema.tasks])
        log_odds = torch.logit(means.double(), eps=RAREST)
        logits = torch.where(regression, means, log_odds).nan_to_num(nan=0.0)
        extra_logits = logits.new_zeros(len(self.outputs) - len(logits))
        return torch.cat([logits, extra_logits])

    @abstractmethod
    def losses(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        context: Context | None = None,
    ) -> Tensor:
        """Mean loss of each task over its own sample space, by `loss`.

        Args:
            logits: (B, O). Of a regression task: the predicted target.
            labels: (B, T) as on the card, a regression's scaled by `bench.models.targets`; NaN
                where unobserved, which takes the sample out of that task's mean.
            weights: (B, T) or (B, 1), at least 0: of each sample in each task's mean; None for
                equal ones.
            context: for `loss`.

        Returns:
            (T,), each finite and not negative; 0 (with zero gradient) for a task without a sample
            in the batch.
        """

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Probabilities:
        """Conditional and joint predictions, whichever was trained."""
