"""A network for each task on shared embeddings, each unit scaled by gates that see user and
domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import BeforeValidator, Field, PlainSerializer
from torch import Tensor, nn

from bench.core.errors import check_known
from bench.core.registry import Config
from bench.core.schema import Schema
from bench.models.contracts import Layout, Sharing
from bench.models.layers import BatchedLinear, BatchedMLP, together
from bench.models.model_options import HiddenConfig, SomeLayers


def _split(value: object) -> object:
    """ "user,item" -> ("user", "item"); pydantic checks lists."""
    return (
        tuple(filter(None, (name.strip() for name in value.split(","))))
        if isinstance(value, str)
        else value
    )


FieldNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_split),
    PlainSerializer(",".join, return_type=str, when_used="json"),
]


class PEPNetConfig(HiddenConfig):
    """Options of `pepnet`."""

    layers: SomeLayers = (128, 64)
    """Hidden layers of every task's network, each scaled by a gate."""
    fields: FieldNames = ()
    """Fields, or numbers with a token, that identify user or item, as in "user_id,video_id".
    Default: the card's `group` if it is an input, else the categorical field with most values."""
    domain: FieldNames = ()
    """Fields, or numbers with a token, that tell where a row was shown, for the gate on the input.
    Default: the card's `scenario`, else `fields`."""
    gate_width: int = Field(32, ge=1, le=65536)
    """Hidden units of every gate."""


def has_fields(schema: Schema) -> str | None:
    """The `unfit` of `pepnet`."""
    fields = schema.without_ranges.fields
    return (
        None
        if fields
        else "it has no categorical field, so that nothing tells one user or item from another"
    )


class GateUnits(nn.Module):
    """E gate units: 2 sigmoid(W' relu(W x + b) + b') (Gate NU in the paper)."""

    def __init__(self, gates: int, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.hidden = BatchedMLP(gates, inputs, (width,))
        self.output = BatchedLinear(gates, width, outputs)

    def finish(self, hidden: Tensor) -> Tensor:
        """Hidden layer's output (E, B, width) -> scales (E, B, outputs)."""
        scores: Tensor = self.output(hidden)
        return 2 * scores.sigmoid()


class PEPNet(Sharing, lower_precision=True):
    """Parameter and embedding personalized network (Chang et al., KDD 2023).

    EPNet scales the input, x' = x * gate(domain, sg(x)); PPNet scales every hidden layer of every
    task, h <- f(W h + b)
    * gate(prior, sg(x')). sg stops gradients, so gates train only the embeddings of the domain,
    which is the card's scenario, and of `fields` (in the paper user, item and author). `prior` and
    `domain` are columns of x; without a scenario (None) both gates have the same prior.
    """

    def __init__(
        self,
        inputs: int,
        tasks: int,
        config: PEPNetConfig,
        prior: Sequence[int] = (0,),
        domain: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.outputs = config.layers[-1]
        domain = prior if domain is None else domain
        seen, width = len(prior) + inputs, config.gate_width
        self.prior = nn.Buffer(torch.tensor(prior, dtype=torch.int64), persistent=False)
        self.domain = nn.Buffer(torch.tensor(domain, dtype=torch.int64), persistent=False)
        self.of_input = GateUnits(1, len(domain) + inputs, width, inputs)
        self.layers, self.gates = nn.ModuleList(), nn.ModuleList()
        for ends in pairwise([inputs, *config.layers]):
            self.layers.append(
                BatchedMLP(tasks, ends[0], ends[1:], config.dropout, config.activation, config.norm)
            )
            self.gates.append(GateUnits(tasks, seen, width, ends[1]))

    @classmethod
    def of(cls, layout: Layout, tasks: int, config: Config) -> Sharing:
        """See `Sharing.of`."""
        assert isinstance(config, PEPNetConfig)
        schema, names = layout.schema, layout.names
        for option, given in (("fields", config.fields), ("domain", config.domain)):
            for name in given:
                check_known("field", name, names, f"sharing.pepnet.{option}")
        most = max(schema.without_ranges.fields, key=lambda field: field.cardinality).name
        fields = config.fields or (schema.group or most,)
        domain = config.domain or ((schema.scenario,) if schema.scenario else fields)

        def columns(chosen: Sequence[str]) -> list[int]:
            return [
                at
                for field in sorted({names.index(name) for name in chosen})
                for at in layout.columns(field)
            ]

        return cls(layout.inputs, tasks, config, columns(fields), columns(domain))

    def forward(self, x: Tensor) -> Tensor:
        """x (1, B, inputs) -> (T, B, H)."""
        prior = x.index_select(2, self.prior)
        seen = torch.cat([x.index_select(2, self.domain), x.detach()], dim=2)
        (hidden,) = together(seen, [self.of_input.hidden])
        x = x * self.of_input.finish(hidden)
        units = [unit for unit in self.gates if isinstance(unit, GateUnits)]
        seen = torch.cat([prior, x.detach()], dim=2)
        for layer, unit, hidden in zip(
            self.layers, units, together(seen, [u.hidden for u in units]), strict=True
        ):
            x = layer(x) * unit.finish(hidden)
        return x

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """The gate on the input; everything else is stacked by task."""
        return self.of_input.parameters()
