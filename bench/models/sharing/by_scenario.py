"""The base of bottoms with parameters for each scenario."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor, nn

from bench.core.errors import UserError
from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.contracts import Layout, Sharing
from bench.models.layers import BatchedMLP
from bench.models.model_options import HiddenConfig, SomeLayers

MOST_SCENARIOS = 100
"""Largest number of scenarios with weights of their own."""


def has_scenarios(schema: Schema) -> str | None:
    """The `unfit` of kinds with weights of each scenario."""
    if schema.scenario is None:
        return "the card names no scenario, whose rows would have weights of their own"
    count = scenarios_of(schema)
    if count > MOST_SCENARIOS:
        most = f"at most {MOST_SCENARIOS} scenarios can have weights of their own"
        return f"'{schema.scenario}' has {count:,} values, and {most}"
    return None


def scenarios_of(schema: Schema) -> int:
    """Number of scenarios with a code; at least one, also on an empty train."""
    cardinality = next(
        field.cardinality for field in schema.fields if field.name == schema.scenario
    )
    return max(1, cardinality - 1)


class ScenarioConfig(HiddenConfig):
    """Options of a bottom with weights of each scenario."""

    layers: SomeLayers = (128, 64)
    """Width of each layer."""


class ByScenario(Sharing, lower_precision=True):
    """A bottom for all tasks, with shared weights and weights of each of S = `scenarios`.

    The shared `bottom` alone serves rows of code 0: unknown scenarios, or rare ones on train.
    """

    by_scenario: ClassVar[bool] = True

    def __init__(self, inputs: int, tasks: int, config: HiddenConfig, scenarios: int = 1) -> None:
        super().__init__()
        self.scenarios = scenarios
        self.bottom = BatchedMLP.of(config, 1, inputs)
        self.outputs = self.bottom.outputs

    @classmethod
    def of(cls, layout: Layout, tasks: int, config: Config) -> Sharing:
        """See `Sharing.of`."""
        if reason := has_scenarios(layout.schema):
            raise UserError(f"this way of sharing does not fit the data: {reason}")
        assert isinstance(config, HiddenConfig)
        return cls(layout.inputs, tasks, config, scenarios_of(layout.schema))

    @property
    def ends(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        return [(layer.weight.shape[2], layer.weight.shape[1]) for layer in self.bottom.linears]

    @abstractmethod
    def forward(self, x: Tensor, codes: Tensor | None = None) -> Tensor:
        """x (1, B, inputs), codes (B,) -> (1, B, H)."""

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """All: the weights of a scenario serve all tasks."""
        return self.parameters()
