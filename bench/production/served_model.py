"""The served model: every task's probabilities, whatever is behind them.

A model has parts, networks or boosted trees. A task may take all of one part, as the best single-task models do, or a
mix of several, as blends and ensembles do. Trainings on several seeds are members, whose predictions are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from bench import plugins
from bench.models.assembly import MultiTaskModel
from bench.models.contracts import Probabilities
from bench.models.losses import REGRESSION_LOSSES
from bench.models.trees import TreeModel, TreeSizes, wrong
from bench.records import Scalar
from bench.registry import Config, lookup
from bench.schema import Schema
from bench.training.blend import mix
from bench.training.config import TrialConfig
from bench.training.step import build_model
from bench.training.tree_settings import is_trees

State = Mapping[str, Tensor]
States = Sequence[State]
"""One trained network: its one best state, or one for each task where tasks are separate models."""


class TrainedTrees(NamedTuple):
    """Boosted trees of all tasks."""

    sizes: TreeSizes
    state: State


Trained = States | TrainedTrees
"""A trained part."""
Member = Sequence[Trained]
"""All parts, trained on one seed."""

TRAINING = ("balancing.", "loss.")
"""Axes of a configuration that serving needs nothing of; the loss of regressions says what their outputs predict."""
OF_TASKS = ("towers.hidden.", "towers.output.")
"""Names of parameters that are stacked by output."""


class Part(Config):
    """A part of a model, as it is trained."""

    config: dict[str, Scalar]
    """Dotted, all of it."""
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """By task, in order: its share of the log odds; of a regression, of the value."""

    @classmethod
    def whole(cls, config: Mapping[str, Scalar], schema: Schema) -> Part:
        """The only part of a model."""
        return cls(config=dict(config), shares=(1.0,) * len(schema.tasks))

    @property
    def trees(self) -> bool:
        """Whether it is boosted trees."""
        return is_trees(self.config)


class ServedModel(nn.Module):
    """Members, whose predictions are averaged; in evaluation mode and float32.

    Args:
        members: of each its parts.
        parts: what they are.
    """

    def __init__(self, members: Sequence[Sequence[nn.Module]], parts: Sequence[Part], schema: Schema) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.ModuleList(member) for member in members)
        self._shares = [part.shares for part in parts]
        self._binary = [task.kind == "binary" for task in schema.tasks]
        self.eval()

    def forward(self, ids: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B, S) int32, dense (B, D) -> conditional (B, T) and joint (B, T), see `Probabilities`."""
        every = [[part(ids, dense) for part in cast(nn.ModuleList, member)] for member in self.members]
        conditional = [mix([part.conditional for part in parts], self._shares, self._binary) for parts in every]
        joint = [mix([part.joint for part in parts], self._shares, self._binary) for parts in every]
        return _mean(conditional), _mean(joint)


def _mean(every: Sequence[Tensor]) -> Tensor:
    return every[0] if len(every) == 1 else torch.stack(list(every)).mean(0)


class Network(nn.Module):
    """A network.

    Args:
        models: one for all tasks, or one for each, in the order of the schema's tasks.
    """

    def __init__(self, models: Sequence[MultiTaskModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, ids: Tensor, dense: Tensor) -> Probabilities:
        """ids (B, S) int32, dense (B, D) -> conditional and joint (B, T)."""
        logits = [model(ids, dense) for model in self.models]
        whole = logits[0]
        if len(logits) > 1:  # put together before the funnel ties probabilities
            whole = torch.stack([each[:, task] for task, each in enumerate(logits)], 1)
        return cast(MultiTaskModel, self.models[0]).probabilities(whole)


Shape = int | TreeSizes
"""Of a trained part: how many states its network has, or the sizes of its trees."""


@dataclass(frozen=True)
class ModelSpec:
    """The specification that rebuilds the modules of a `ServedModel`, so that its weights fit.

    Attributes:
        members: of each the shapes of its parts.
        plugins: what of the model comes from plug-ins, as `bench.plugins.check` takes it.
    """

    schema: Schema
    parts: tuple[Part, ...]
    members: tuple[tuple[Shape, ...], ...]
    plugins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_trained(cls, schema: Schema, parts: Sequence[Part], members: Sequence[Member]) -> ModelSpec:
        """That of trained members."""
        needed = plugins.needs(choice for part in parts if not part.trees for choice in _served(part.config).items())
        shapes = tuple(tuple(_shape(trained) for trained in member) for member in members)
        return cls(schema, tuple(parts), shapes, needed)

    def build(self) -> ServedModel:
        """The modules, with weights that mean nothing yet."""
        every = [
            [self._part(part, shape) for part, shape in zip(self.parts, member, strict=True)] for member in self.members
        ]
        return ServedModel(every, self.parts, self.schema)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the weights of `build`, without memory for any."""
        found: dict[str, tuple[int, ...]] = {}
        for k, part in enumerate(self.parts):
            of_one: dict[Shape, dict[str, tuple[int, ...]]] = {}
            for at, member in enumerate(self.members):
                shape = member[k]
                one = shape if isinstance(shape, TreeSizes) else 1
                if one not in of_one:
                    with torch.device("meta"):
                        made = self._part(part, one).state_dict()
                    of_one[one] = {name: tuple(tensor.shape) for name, tensor in made.items()}
                found |= {f"members.{at}.{k}.{name}": own for name, own in _repeated(of_one[one], shape).items()}
        return found

    def of(self, members: Sequence[Member]) -> ServedModel:
        """The modules with the weights of trained members."""
        served = self.build()
        for parts, member in zip(served.members, members, strict=True):
            for part, trained in zip(parts, member, strict=True):  # type: ignore[call-overload]
                if isinstance(trained, TrainedTrees):
                    part.load_state_dict(trained.state)
                    continue
                for model, state in zip(part.models, trained, strict=True):
                    model.load_state_dict(_of_outputs(state, len(model.outputs)))
        return served

    @property
    def trees(self) -> list[tuple[str, TreeSizes]]:
        """Of all boosted trees how the names of their arrays begin, and the sizes."""
        every = {f"members.{at}.{k}.": each for at, member in enumerate(self.members) for k, each in enumerate(member)}
        return [(prefix, each) for prefix, each in every.items() if isinstance(each, TreeSizes)]

    def wrong(self, weights: Mapping[str, Tensor]) -> str | None:
        """What of a model's weights makes no trees, as words after "expected"; None where all do."""
        for prefix, sizes in self.trees:
            own = {name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)}
            if (reason := wrong(own, self.schema, sizes)) is not None:
                return f"trees with {reason}"
        return None

    def _part(self, part: Part, shape: Shape) -> nn.Module:
        if isinstance(shape, TreeSizes):
            return TreeModel(self.schema, shape)
        plugins.check(self.plugins, "the packaged model", same=False)
        config = TrialConfig.parse(_served(part.config))
        return Network([build_model(self.schema, config) for _ in range(shape)])


def _repeated(one: Mapping[str, tuple[int, ...]], shape: Shape) -> dict[str, tuple[int, ...]]:
    """The weights of a whole part, of those of a network in one state."""
    if isinstance(shape, TreeSizes):
        return dict(one)
    return {f"models.{at}.{name.removeprefix('models.0.')}": own for at in range(shape) for name, own in one.items()}


def _shape(trained: Trained) -> Shape:
    return trained.sizes if isinstance(trained, TrainedTrees) else len(trained)


def _of_outputs(state: State, own: int) -> dict[str, Tensor]:
    """A trained state without the towers of a loss's second scores, which stand last."""
    return {
        name: tensor.detach().cpu()[:own] if name.startswith(OF_TASKS) else tensor.detach().cpu()
        for name, tensor in state.items()
    }


def _served(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Without what trained it alone: a model is served where the plug-in of the balancer or the loss is not."""
    return {key: value for key, value in config.items() if key != plugins.OPTIMIZER and not key.startswith(TRAINING)}


def regressions_in_words(schema: Schema, parts: Sequence[Part]) -> dict[str, str]:
    """What a model predicts of each regression: `mean`, or `0.9 quantile`; of trees it is the mean."""
    found = {}
    for at, task in enumerate(schema.tasks):
        if task.kind == "regression":
            says = dict.fromkeys(_says(schema, part) for part in parts if part.shares[at])
            found[task.name] = " mixed with ".join(says)
    return found


def _says(schema: Schema, part: Part) -> str:
    if part.trees:
        return "mean"
    chosen = TrialConfig.parse(_served(part.config)).regression_loss
    says: str = lookup(REGRESSION_LOSSES, "regression_loss kind", chosen.kind).build(schema, chosen.options).says
    return says
