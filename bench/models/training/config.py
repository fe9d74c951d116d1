"""Configurations of trials, and recipes in configuration files: parsed from dotted names and
checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from bench.core.errors import UserError, unknown
from bench.core.plain import flatten, nest
from bench.core.records import Scalar
from bench.core.registry import Chosen, Config, Entry, choose, lookup
from bench.core.schema import Schema
from bench.core.validation import validate
from bench.models.balancing import BALANCING
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.losses import LOSSES, REGRESSION_LOSSES
from bench.models.model_options import (
    EmbeddingConfig,
    EnsembleConfig,
    Precision,
    TowerConfig,
    architecture_name,
    expand,
)
from bench.models.numeric import NUMERIC
from bench.models.position import PositionConfig
from bench.models.sequence import SEQUENCE
from bench.models.sharing import SHARING


class OptimConfig(Config):
    """How a model is trained."""

    lr: float = Field(1e-3, gt=0, lt=10)
    """Learning rate of dense parameters (AdamW)."""
    embedding_lr: float = Field(1.0, gt=0, le=100)
    """Learning rate of embedding rows, as a multiple of `lr`."""
    embedding_optimizer: Literal["adam"] = "adam"
    """Optimizer of embedding rows, see `bench.models.training.row_adam`."""
    weight_decay: float = Field(1e-5, ge=0)
    """Decoupled decay of dense parameters."""
    embedding_l2: float = Field(0.0, ge=0)
    """Decoupled decay of embedding rows, applied to the rows that a step touches."""
    batch_size: int = Field(2048, ge=1)
    epochs: float = Field(4, gt=0)
    """Maximum number of passes over train; fractions are allowed."""
    evaluations: int = Field(1, ge=1)
    """Evaluations on validation in an epoch."""
    patience: int = Field(2, ge=1)
    """Evaluations without improvement before training stops."""
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """Learning rate after the warm-up: constant, or falling to zero at the end along half a cosine
    or linearly.
    """
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of all steps in which the learning rate rises linearly."""
    averaging: float = Field(0.0, ge=0, le=1)
    """Share of all steps, the last ones, whose weights are averaged. Training then runs to its end,
    ignoring `patience`, and keeps the average. 0: early stopping keeps the best evaluation."""
    clip: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Largest norm of the gradient of all dense parameters; a larger one is scaled down. 0 disables
    it. Embedding rows and a balancer's own parameters are excluded."""
    precision: Precision = "auto"
    """Precision of matrix products: fp32, bf16, or auto, which is bf16 if the processor has units
    for it.
    """


PLAIN: Mapping[str, type[Config]] = {
    "embedding": EmbeddingConfig,
    "ensemble": EnsembleConfig,
    "tower": TowerConfig,
    "optim": OptimConfig,
    "position": PositionConfig,
}
"""Parts of a configuration with options but no kinds."""
AXES: Mapping[str, Mapping[str, Entry[Any]]] = {
    "numeric": NUMERIC,
    "sequence": SEQUENCE,
    "interaction": INTERACTIONS,
    "sharing": SHARING,
    "funnel": FUNNELS,
    "loss": LOSSES,
    "regression_loss": REGRESSION_LOSSES,
    "balancing": BALANCING,
}
"""Axes with kinds from registries, by the name before `.kind`."""
DEFAULTS = {
    "numeric": "bucket",
    "sequence": "mean",
    "interaction": "none",
    "sharing": "shared_bottom",
    "funnel": "independent",
    "loss": "log",
    "regression_loss": "squared",
    "balancing": "static",
}
"""Default kind of each axis."""


@dataclass(frozen=True)
class TrialConfig:
    """A configuration on every axis of the search."""

    sharing: Chosen
    funnel: Chosen
    balancing: Chosen
    embedding: EmbeddingConfig
    tower: TowerConfig
    optim: OptimConfig
    interaction: Chosen
    numeric: Chosen
    sequence: Chosen
    ensemble: EnsembleConfig
    loss: Chosen
    regression_loss: Chosen
    position: PositionConfig

    @classmethod
    def parse(
        cls,
        dotted: Mapping[str, Any],
        where: str = "configuration",
    ) -> TrialConfig:
        """Parses dotted names, as in {"sharing.kind": "mmoe", "optim.lr": 1e-3}; defaults fill the
        rest.

        `architecture` sets `sharing.kind` and `funnel.kind` by a familiar name. Raises UserError
        for a bad name or value.
        """
        try:
            values = expand(dotted)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        tables = nest(values, where)
        keys = cls.__dataclass_fields__
        for key, table in tables.items():
            if key not in keys:
                raise UserError(f"{where}: {unknown('key', key, ('architecture', *keys))}")
            if not isinstance(table, dict):
                raise UserError(
                    f"{where}: expected '{key}' to be a table such as {key}.kind, found {table!r}"
                )

        parts: dict[str, Any] = {}
        for part, options in PLAIN.items():
            parts[part] = validate(options, tables.get(part, {}), where, part)
        for axis, registry in AXES.items():
            parts[axis] = choose(registry, axis, tables.get(axis, {}), DEFAULTS[axis])
        return cls(**parts)

    @property
    def architecture(self) -> str:
        """Familiar name of its sharing and funnel."""
        return architecture_name(self.sharing.kind, self.funnel.kind)

    def dotted(self) -> dict[str, Scalar]:
        """Returns all options, the inverse of `parse`; defaults included, except those of
        positions.
        """
        options: dict[str, Scalar] = {}
        for axis in AXES:
            options |= getattr(self, axis).dotted(axis)
        parts = {}
        for name in PLAIN:
            part: Config = getattr(self, name)
            parts[name] = part.model_dump(mode="json", exclude_unset=name == "position")
        return options | flatten(parts)

    def check_fit(self, schema: Schema) -> None:
        """Raises UserError, with the registry entry's reason, if a choice does not fit the
        schema.
        """
        for axis, registry in AXES.items():
            kind = getattr(self, axis).kind
            reason = lookup(registry, axis, kind).unfit(schema)
            if reason:
                raise UserError(f"{axis}.kind = '{kind}' does not fit this data: {reason}")
        if schema.position is None and self.position.model_fields_set:
            raise UserError("position: expected a column of this kind on the card, found none")


class Recipe(Config):
    """The `[training]` table of a configuration file: how to train a picked point like the search
    did.
    """

    until: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Training samples at which to stop, on the schedule of full length; None trains to the end."""
    tasks: tuple[str, ...] = ()
    """Tasks to train; empty means the card's."""
    objectives: tuple[str, ...] = ()
    """Metrics without split whose mean decides which state is kept; empty means every task's
    primary metric.
    """


def split_recipe(dotted: Mapping[str, Any], where: str) -> tuple[Recipe, dict[str, Any]]:
    """Splits dotted names into the recipe and the configuration; raises UserError for an unknown
    key or a bad value.
    """
    table = "training."
    recipe, config = {}, {}
    for name, value in dotted.items():
        if name.startswith(table):
            recipe[name.removeprefix(table)] = value
        else:
            config[name] = value
    return validate(Recipe, recipe, where, "training"), config
