"""Options of every model, whatever its sharing, and familiar names of architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from bench.core.errors import UserError, check_known
from bench.core.plugins import registry_of
from bench.core.registry import Config


def _parse(value: object) -> object:
    """ "128-64" -> (128, 64); pydantic checks lists."""
    if not isinstance(value, str):
        return value
    widths = value.split("-") if value else []
    if not all(width.isascii() and width.isdecimal() for width in widths):
        raise ValueError(
            f"expected layer widths such as '128-64', '64' or '' for no layer, found '{value}'"
        )
    return tuple(int(width) for width in widths)


Width = Annotated[int, Field(ge=1, le=65536)]

Layers = Annotated[
    tuple[Width, ...],
    Field(max_length=64),
    BeforeValidator(_parse),
    PlainSerializer(lambda layers: "-".join(map(str, layers)), return_type=str, when_used="json"),
]
"""Widths of hidden layers: read from "128-64", [128, 64] or "" (no layer); written to JSON as
"128-64", one value of a search space."""

SomeLayers = Annotated[Layers, Field(min_length=1)]
"""`Layers` with at least one layer."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
"""Probability of dropping a hidden unit in training."""

Activation = Literal["relu", "gelu", "silu", "tanh"]
"""Activation of hidden units; silu is Swish. All except relu run layer by layer in plain torch,
slower on the CPU.
"""

Norm = Literal["none", "layer", "rms"]
"""Normalisation of a layer's units before the activation, for each sample: to mean 0 and variance 1
(Ba et al., 2016), or to mean square 1 (Zhang & Sennrich, NeurIPS 2019); then a learned scale of
each unit. Batch normalisation is left out: it keeps running statistics, and has none in a batch of
one. Both are slower on the CPU than none."""

Precision = Literal["auto", "fp32", "bf16"]
"""Precision of the dense part's matrix products: float32, bfloat16 with sums in float32, or the
faster of both on this machine for this model."""


class HiddenConfig(Config):
    """Hidden layers of a bottom."""

    layers: Layers = (128, 64)
    """Width of each layer."""
    dropout: Dropout = 0.0
    """After each layer."""
    activation: Activation = "relu"
    """After each layer, before the dropout."""
    norm: Norm = "none"
    """Of each layer, before the activation."""

    @model_validator(mode="after")
    def _normalisable(self) -> HiddenConfig:
        if self.norm == "layer" and 1 in self.layers:
            raise ValueError(
                "expected layers of at least 2 units under norm = 'layer', found one of 1, always "
                "zero"
            )
        return self


class ExpertConfig(HiddenConfig):
    """Experts of a mixture, and the gates that mix them."""

    layers: SomeLayers = (128, 64)
    """Hidden layers of every expert."""
    gate_layers: Layers = ()
    """Hidden ReLU layers of every gate; with none, scores are linear in the gate's input."""
    top_k: int = Field(0, ge=0, le=256)
    """Number of highest scores that a gate uses, sample by sample (Shazeer et al., ICLR 2017); 0,
    or the number of its experts, uses all."""


class EmbeddingConfig(Config):
    """Options of the embeddings of ids."""

    dim: int = Field(16, ge=1, le=1024)
    """Width of an embedding."""
    project_vectors: bool = False
    """Whether a linear map makes one token of a precomputed vector; else its numbers are inputs."""


class EnsembleConfig(Config):
    """An ensemble whose members share all weights except small vectors, see
    `bench.models.layers`.
    """

    members: int = Field(1, ge=1, le=256)
    """Number of members; 1 is a single model. It multiplies the work above the embeddings."""


class TowerConfig(Config):
    """The MLP of each task on top of its representation; a linear output follows its layers."""

    layers: Layers = (64, 32)
    """Hidden layers of every tower."""
    dropout: Dropout = 0.0
    """After each hidden layer."""


FAMILIAR = {
    "esmm": {"sharing.kind": "shared_embeddings", "funnel.kind": "entire_space"},
    "escm2": {"sharing.kind": "shared_embeddings", "funnel.kind": "escm2_ipw"},
    "escm2_dr": {"sharing.kind": "shared_embeddings", "funnel.kind": "escm2_dr"},
    "aitm": {"sharing.kind": "shared_embeddings", "funnel.kind": "aitm"},
}
"""Familiar name -> sharing and funnel."""
UNTIED = "independent"
"""The funnel that a way of sharing has where only its own name is given."""


def presets() -> dict[str, dict[str, str]]:
    """Every name that `architecture` may have -> its kinds: familiar names, and those of all ways
    of sharing.
    """
    kinds = {}
    for sharing in registry_of("sharing"):
        kinds[sharing] = {"sharing.kind": sharing, "funnel.kind": UNTIED}
    return kinds | FAMILIAR


def architecture_name(sharing: str, funnel: str) -> str:
    """The familiar name of these two kinds, or the sharing's with `UNTIED`, else both:
    `ple+entire_space`.
    """
    kinds = {"sharing.kind": sharing, "funnel.kind": funnel}
    for name, preset in FAMILIAR.items():
        if preset == kinds:
            return name
    return sharing if funnel == UNTIED else f"{sharing}+{funnel}"


def expand(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces `architecture` by its kinds; raises UserError if it is unknown or contradicts
    another name.
    """
    values = dict(dotted)
    if "architecture" not in values:
        return values
    name = str(values.pop("architecture"))
    kinds_by_name = presets()
    check_known("architecture", name, kinds_by_name)
    for key, kind in kinds_by_name[name].items():
        if values.setdefault(key, kind) != kind:
            raise UserError(
                f"architecture '{name}' means {key} = '{kind}', but found '{values[key]}'"
            )
    return values


def overridden(dotted: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides values of a dotted configuration.

    A new kind, also one from an `architecture`, replaces its whole axis: the old kind's options
    would not fit.
    """
    kinds: dict[str, Any] = {}
    if "architecture" in overrides:
        kinds |= presets().get(str(overrides["architecture"]), {})
    kinds |= {name: kind for name, kind in overrides.items() if name.endswith(".kind")}

    values = dict(dotted)
    if kinds and "architecture" in values:
        name = values.pop("architecture")
        values = {**presets().get(str(name), {"architecture": name}), **values}
    for name, kind in kinds.items():
        axis = name.removesuffix("kind")
        for key in list(values):
            if key.startswith(axis) and not key.startswith(f"{axis}{kind}."):
                del values[key]
    return {**values, **overrides}
