"""The served model: turns raw logits of one or several trained models into every task's probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from bench import plugins
from bench.models.assembly import MultiTaskModel
from bench.models.losses import REGRESSION_LOSSES
from bench.records import Scalar
from bench.registry import lookup
from bench.schema import Schema
from bench.training.config import TrialConfig
from bench.training.step import build_model

State = Mapping[str, Tensor]
States = Sequence[State]
"""One trained configuration: its one best state, or one for each task where tasks are separate models."""


TRAINING = ("balancing.", "loss.")
"""Axes of a configuration that serving needs nothing of; the loss of regressions says what their outputs predict."""
OF_TASKS = ("towers.hidden.", "towers.output.")
"""Names of parameters that are stacked by output."""


class ServedModel(nn.Module):
    """Several members, whose predictions are averaged; in evaluation mode and float32.

    Args:
        members: of each the models, one for all tasks or one for each, in the order of the schema's tasks.
    """

    def __init__(self, members: Sequence[Sequence[MultiTaskModel]]) -> None:
        super().__init__()
        self.members = nn.ModuleList(nn.ModuleList(models) for models in members)
        self.eval()

    def forward(self, ids: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B, S) int32, dense (B, D) -> conditional (B, T) and joint (B, T), see `Probabilities`."""
        predictions = [_predictions(models, ids, dense) for models in self.members]  # type: ignore[arg-type]
        if len(predictions) == 1:
            return predictions[0]
        conditional, joint = (torch.stack(each).mean(0) for each in zip(*predictions, strict=True))
        return conditional, joint


def _predictions(models: Sequence[MultiTaskModel], ids: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
    """Where tasks are separate models, the logits are put together before the funnel ties probabilities."""
    logits = [model(ids, dense) for model in models]
    whole = logits[0] if len(logits) == 1 else torch.stack([each[:, task] for task, each in enumerate(logits)], 1)
    found = models[0].probabilities(whole)
    return found.conditional, found.joint


@dataclass(frozen=True)
class ModelSpec:
    """The specification that rebuilds the modules of a `ServedModel`, so that its weights fit.

    Attributes:
        config: dotted, all of it.
        states: how many states each member has.
        plugins: what of the model comes from plug-ins, as `bench.plugins.check` takes it.
    """

    schema: Schema
    config: Mapping[str, Scalar]
    states: tuple[int, ...]
    plugins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_trained(cls, schema: Schema, config: Mapping[str, Scalar], members: Sequence[States]) -> ModelSpec:
        """That of trained members."""
        return cls(schema, dict(config), tuple(map(len, members)), plugins.needs(_served(config).items()))

    def build(self) -> ServedModel:
        """The modules, with weights that mean nothing yet."""
        return ServedModel([[self._model() for _ in range(many)] for many in self.states])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the weights of `build`, without memory for any."""
        with torch.device("meta"):
            own = {name: tuple(tensor.shape) for name, tensor in self._model().state_dict().items()}
        places = ((at, k) for at, many in enumerate(self.states) for k in range(many))
        return {f"members.{at}.{k}.{name}": shape for at, k in places for name, shape in own.items()}

    def of(self, members: Sequence[States]) -> ServedModel:
        """The modules with the weights of trained members."""
        served = self.build()
        for models, states in zip(served.members, members, strict=True):
            for model, state in zip(models, states, strict=True):  # type: ignore[call-overload]
                own = len(model.outputs)  # the towers of a loss's second scores stand last, and are left out
                model.load_state_dict(
                    {
                        name: tensor.detach().cpu()[:own] if name.startswith(OF_TASKS) else tensor.detach().cpu()
                        for name, tensor in state.items()
                    }
                )
        return served

    def _model(self) -> MultiTaskModel:
        plugins.check(self.plugins, "the packaged model", same=False)
        return build_model(self.schema, in_float32(TrialConfig.parse(_served(self.config))))


def in_float32(config: TrialConfig) -> TrialConfig:
    """The configuration whose model computes in float32 on any machine, as packages do."""
    return replace(config, optim=config.optim.model_copy(update={"precision": "fp32"}))


def _served(config: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Without what trained it alone: a model is served where the plug-in of the balancer or the loss is not."""
    return {key: value for key, value in config.items() if key != plugins.OPTIMIZER and not key.startswith(TRAINING)}


def regressions_in_words(schema: Schema, config: Mapping[str, Scalar]) -> dict[str, str]:
    """What a model of this configuration predicts of each regression: `mean`, or `0.9 quantile`."""
    chosen = TrialConfig.parse(_served(config)).regression_loss
    loss = lookup(REGRESSION_LOSSES, "regression_loss kind", chosen.kind).build(schema, chosen.options)
    return {task.name: loss.says for task in schema.tasks if task.kind == "regression"}
