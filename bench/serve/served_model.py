"""The served model: every task's probabilities, from any parts.

Parts are networks or boosted trees. A task may use one part only, like the best single-task models,
or mix several, like blends and ensembles. Trainings on several seeds are members, whose predictions
are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.core import plugins
from bench.core.records import Scalar
from bench.core.registry import Config, lookup
from bench.core.schema import Schema
from bench.models.assembly import MultiTaskModel
from bench.models.contracts import Probabilities
from bench.models.losses import REGRESSION_LOSSES
from bench.models.training.blend import mix
from bench.models.training.config import TrialConfig
from bench.models.training.step import build_model
from bench.models.training.tree_settings import is_trees
from bench.models.trees import TreeModel, TreeSizes, wrong

State = Mapping[str, Tensor]
States = Sequence[State]
"""A trained network: its best state, or one for each task if tasks are separate models."""


class TrainedTrees(NamedTuple):
    """Boosted trees of all tasks."""

    sizes: TreeSizes
    state: State


Trained = States | TrainedTrees
"""A trained part."""
Member = Sequence[Trained]
"""All parts, trained on one seed."""

TRAINING = ("balancing.", "loss.")
"""Axes of a configuration that serving ignores; the loss of regressions is not among them, as it
defines predictions."""
OF_TASKS = ("towers.hidden.", "towers.output.")
"""Prefixes of parameters that are stacked by output."""


class ModelPart(Config):
    """A part of a model, as it is trained."""

    config: dict[str, Scalar]
    """The whole dotted configuration."""
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """By task, in order: its share of the log odds; for a regression, of the value."""

    @classmethod
    def whole(cls, config: Mapping[str, Scalar], schema: Schema) -> ModelPart:
        """The only part of a model."""
        return cls(config=dict(config), shares=(1.0,) * len(schema.tasks))

    @property
    def trees(self) -> bool:
        """Whether it is boosted trees."""
        return is_trees(self.config)


class ServedModel(nn.Module):
    """Averages predictions of members, in evaluation mode and float32; each has modules of
    `parts`.
    """

    def __init__(
        self, members: Sequence[Sequence[nn.Module]], parts: Sequence[ModelPart], schema: Schema
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(map(nn.ModuleList, members))
        self._shares = [part.shares for part in parts]
        self._is_binary = [task.kind == "binary" for task in schema.tasks]
        self.eval()

    def forward(self, ids: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B, S) int32, dense (B, D) -> conditional (B, T) and joint (B, T), see
        `Probabilities`.
        """
        conditional_by_member = []
        joint_by_member = []
        for member in self.members:
            conditional, joint = [], []
            for part in cast(nn.ModuleList, member):
                predictions = part(ids, dense)
                conditional.append(predictions.conditional)
                joint.append(predictions.joint)
            conditional_by_member.append(mix(conditional, self._shares, self._is_binary))
            joint_by_member.append(mix(joint, self._shares, self._is_binary))
        return _mean(conditional_by_member), _mean(joint_by_member)


def _mean(predictions: list[Tensor]) -> Tensor:
    return predictions[0] if len(predictions) == 1 else torch.stack(predictions).mean(0)


class Network(nn.Module):
    """A network of a served model; `models`: one for all tasks, or one for each, in the order of
    the schema's tasks.
    """

    def __init__(self, models: Sequence[MultiTaskModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, ids: Tensor, dense: Tensor) -> Probabilities:
        """ids (B, S) int32, dense (B, D) -> conditional and joint (B, T)."""
        logits_by_model = [model(ids, dense) for model in self.models]
        logits = logits_by_model[0]
        if len(logits_by_model) > 1:  # joined before the funnel ties probabilities
            columns = [of_model[:, task] for task, of_model in enumerate(logits_by_model)]
            logits = torch.stack(columns, 1)
        return cast(MultiTaskModel, self.models[0]).probabilities(logits)


Shape = int | TreeSizes
"""Number of states of a trained network, or the sizes of trained trees."""


@dataclass(frozen=True)
class ModelSpec:
    """Rebuilds the modules of a `ServedModel`, so that its weights fit.

    `members` has the shapes of the parts of each; `plugins` are required, as for
    `bench.core.plugins.check`.
    """

    schema: Schema
    parts: tuple[ModelPart, ...]
    members: tuple[tuple[Shape, ...], ...]
    plugins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_trained(
        cls, schema: Schema, parts: Sequence[ModelPart], members: Sequence[Member]
    ) -> ModelSpec:
        """The specification of trained members."""
        choices: list[tuple[str, Scalar]] = []
        for part in parts:
            if not part.trees:
                choices += _served_options(part.config).items()

        shapes = []
        for member in members:
            shapes.append(tuple(map(_shape_of, member)))
        return cls(schema, tuple(parts), tuple(shapes), plugins.needs(choices))

    def build(self) -> ServedModel:
        """Builds the modules, with arbitrary weights."""
        modules_by_member = []
        for shapes in self.members:
            parts = zip(self.parts, shapes, strict=True)
            modules_by_member.append([self._module(part, shape) for part, shape in parts])
        return ServedModel(modules_by_member, self.parts, self.schema)

    def weights(self) -> State:
        """The weights of `build` by name, as tensors without memory."""
        weights: dict[str, Tensor] = {}
        for k, part in enumerate(self.parts):
            weights_by_shape: dict[Shape, State] = {}
            for m, shapes in enumerate(self.members):
                shape = shapes[k]
                shape_of_one = shape if isinstance(shape, TreeSizes) else 1
                if shape_of_one not in weights_by_shape:
                    with torch.device("meta"):
                        module = self._module(part, shape_of_one)
                    weights_by_shape[shape_of_one] = module.state_dict()
                weights_of_part = _repeated(weights_by_shape[shape_of_one], shape)
                for name, tensor in weights_of_part.items():
                    weights[f"{_prefix(m, k)}{name}"] = tensor
        return weights

    def with_weights(self, members: Sequence[Member]) -> ServedModel:
        """Builds the modules with the weights of trained members."""
        served = self.build()
        for modules, member in zip(served.members, members, strict=True):
            for module, trained in zip(cast(nn.ModuleList, modules), member, strict=True):
                if isinstance(trained, TrainedTrees):
                    module.load_state_dict(trained.state)
                else:
                    _load_states(cast(Network, module), trained)
        return served

    @property
    def trees(self) -> dict[str, TreeSizes]:
        """Sizes of all boosted trees, by the prefix of their arrays' names."""
        sizes_by_prefix = {}
        for m, shapes in enumerate(self.members):
            for k, shape in enumerate(shapes):
                if isinstance(shape, TreeSizes):
                    sizes_by_prefix[_prefix(m, k)] = shape
        return sizes_by_prefix

    def invalid_trees(self, weights: State) -> str | None:
        """Explains, as words after "expected", which weights make no valid trees; None if all
        do.
        """
        for prefix, sizes in self.trees.items():
            arrays = {}
            for name, tensor in weights.items():
                if name.startswith(prefix):
                    arrays[name.removeprefix(prefix)] = tensor
            reason = wrong(arrays, self.schema, sizes)
            if reason is not None:
                return f"trees with {reason}"
        return None

    def _module(self, part: ModelPart, shape: Shape) -> nn.Module:
        if isinstance(shape, TreeSizes):
            return TreeModel(self.schema, shape)
        plugins.check(self.plugins, "the packaged model", same=False)
        config = TrialConfig.parse(_served_options(part.config))
        return Network([build_model(self.schema, config) for _ in range(shape)])


def _prefix(member: int, part: int) -> str:
    return f"members.{member}.{part}."


def _shape_of(trained: Trained) -> Shape:
    return trained.sizes if isinstance(trained, TrainedTrees) else len(trained)


def _repeated(weights_of_one: State, shape: Shape) -> State:
    """Weights of a whole part, from those of a network with one state."""
    if isinstance(shape, TreeSizes):
        return weights_of_one
    weights = {}
    for model in range(shape):
        for name, tensor in weights_of_one.items():
            weights[f"models.{model}.{name.removeprefix('models.0.')}"] = tensor
    return weights


def _load_states(network: Network, states: States) -> None:
    """Loads a state into each model, without the towers of a loss's second scores."""
    for model, state in zip(network.models, states, strict=True):
        outputs = len(cast(MultiTaskModel, model).outputs)
        weights = {}
        for name, tensor in state.items():
            weights[name] = tensor.detach().cpu()
            if name.startswith(OF_TASKS):  # second scores come last
                weights[name] = weights[name][:outputs]
        model.load_state_dict(weights)


def _served_options(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Removes training-only options, so that serving does not need the plug-in of the balancer or
    the loss.
    """
    return {key: value for key, value in config.items() if not key.startswith(TRAINING)}


def regressions_in_words(schema: Schema, parts: Sequence[ModelPart]) -> dict[str, str]:
    """The prediction of each regression in words: `mean`, or `0.9 quantile`; trees predict the
    mean.
    """
    words = {}
    for column, task in enumerate(schema.tasks):
        if task.kind == "regression":
            distinct: dict[str, None] = {}
            for part in parts:
                if part.shares[column]:
                    distinct[_regression_in_words(schema, part)] = None
            words[task.name] = " mixed with ".join(distinct)
    return words


def _regression_in_words(schema: Schema, part: ModelPart) -> str:
    if part.trees:
        return "mean"
    chosen = TrialConfig.parse(_served_options(part.config)).regression_loss
    entry = lookup(REGRESSION_LOSSES, "regression_loss kind", chosen.kind)
    words: str = entry.build(schema, chosen.options).says
    return words
