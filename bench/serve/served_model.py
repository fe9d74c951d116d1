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
        self.members = nn.ModuleList(nn.ModuleList(member) for member in members)
        self._shares = [part.shares for part in parts]
        self._binary = [task.kind == "binary" for task in schema.tasks]
        self.eval()

    def forward(self, ids: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B, S) int32, dense (B, D) -> conditional (B, T) and joint (B, T), see
        `Probabilities`.
        """
        every = [
            [part(ids, dense) for part in cast(nn.ModuleList, member)] for member in self.members
        ]
        conditional = [
            mix([part.conditional for part in parts], self._shares, self._binary) for parts in every
        ]
        joint = [mix([part.joint for part in parts], self._shares, self._binary) for parts in every]
        return _mean(conditional), _mean(joint)


def _mean(every: Sequence[Tensor]) -> Tensor:
    return every[0] if len(every) == 1 else torch.stack(list(every)).mean(0)


class Network(nn.Module):
    """A network of a served model; `models`: one for all tasks, or one for each, in the order of
    the schema's tasks.
    """

    def __init__(self, models: Sequence[MultiTaskModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, ids: Tensor, dense: Tensor) -> Probabilities:
        """ids (B, S) int32, dense (B, D) -> conditional and joint (B, T)."""
        logits = [model(ids, dense) for model in self.models]
        whole = logits[0]
        if len(logits) > 1:  # joined before the funnel ties probabilities
            whole = torch.stack([each[:, task] for task, each in enumerate(logits)], 1)
        return cast(MultiTaskModel, self.models[0]).probabilities(whole)


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
        needed = plugins.needs(
            choice for part in parts if not part.trees for choice in _served(part.config).items()
        )
        shapes = tuple(
            tuple(each.sizes if isinstance(each, TrainedTrees) else len(each) for each in member)
            for member in members
        )
        return cls(schema, tuple(parts), shapes, needed)

    def build(self) -> ServedModel:
        """Builds the modules, with arbitrary weights."""
        every = [
            [self._part(part, shape) for part, shape in zip(self.parts, member, strict=True)]
            for member in self.members
        ]
        return ServedModel(every, self.parts, self.schema)

    def weights(self) -> dict[str, Tensor]:
        """The weights of `build` by name, as tensors without memory."""
        weights: dict[str, Tensor] = {}
        for k, part in enumerate(self.parts):
            of_one: dict[Shape, dict[str, Tensor]] = {}
            for at, member in enumerate(self.members):
                shape = member[k]
                one = shape if isinstance(shape, TreeSizes) else 1
                if one not in of_one:
                    with torch.device("meta"):
                        of_one[one] = self._part(part, one).state_dict()
                weights |= {
                    f"members.{at}.{k}.{name}": own
                    for name, own in _repeated(of_one[one], shape).items()
                }
        return weights

    def of(self, members: Sequence[Member]) -> ServedModel:
        """Builds the modules with the weights of trained members."""
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
        """Name prefix of the arrays, and sizes, of all boosted trees."""
        every = {
            f"members.{at}.{k}.": each
            for at, member in enumerate(self.members)
            for k, each in enumerate(member)
        }
        return [(prefix, each) for prefix, each in every.items() if isinstance(each, TreeSizes)]

    def wrong(self, weights: Mapping[str, Tensor]) -> str | None:
        """Explains, as words after "expected", which weights make no valid trees; None if all
        do.
        """
        for prefix, sizes in self.trees:
            own = {
                name.removeprefix(prefix): each
                for name, each in weights.items()
                if name.startswith(prefix)
            }
            if (reason := wrong(own, self.schema, sizes)) is not None:
                return f"trees with {reason}"
        return None

    def _part(self, part: ModelPart, shape: Shape) -> nn.Module:
        if isinstance(shape, TreeSizes):
            return TreeModel(self.schema, shape)
        plugins.check(self.plugins, "the packaged model", same=False)
        config = TrialConfig.parse(_served(part.config))
        return Network([build_model(self.schema, config) for _ in range(shape)])


def _repeated(one: State, shape: Shape) -> dict[str, Tensor]:
    """Weights of a whole part, from those of a network with one state."""
    if isinstance(shape, TreeSizes):
        return dict(one)
    return {
        f"models.{at}.{name.removeprefix('models.0.')}": own
        for at in range(shape)
        for name, own in one.items()
    }


def _of_outputs(state: State, own: int) -> dict[str, Tensor]:
    """A trained state without the towers of a loss's second scores, which come last."""
    return {
        name: tensor.detach().cpu()[:own] if name.startswith(OF_TASKS) else tensor.detach().cpu()
        for name, tensor in state.items()
    }


def _served(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Removes training-only options, so that serving does not need the plug-in of the balancer or
    the loss.
    """
    return {key: value for key, value in config.items() if not key.startswith(TRAINING)}


def regressions_in_words(schema: Schema, parts: Sequence[ModelPart]) -> dict[str, str]:
    """The prediction of each regression in words: `mean`, or `0.9 quantile`; trees predict the
    mean.
    """
    words = {}
    for at, task in enumerate(schema.tasks):
        if task.kind == "regression":
            says = dict.fromkeys(_says(schema, part) for part in parts if part.shares[at])
            words[task.name] = " mixed with ".join(says)
    return words


def _says(schema: Schema, part: ModelPart) -> str:
    if part.trees:
        return "mean"
    chosen = TrialConfig.parse(_served(part.config)).regression_loss
    says: str = (
        lookup(REGRESSION_LOSSES, "regression_loss kind", chosen.kind)
        .build(schema, chosen.options)
        .says
    )
    return says
