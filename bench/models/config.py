"""Options that every model has, whatever its sharing: embeddings and towers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from bench.registry import Config


def _parse(value: Any) -> Any:
    """ "128-64" -> (128, 64); lists are left for pydantic to check."""
    if not isinstance(value, str):
        return value
    widths = value.split("-") if value else []
    if not all(width.isascii() and width.isdecimal() for width in widths):
        raise ValueError(f"expected layer widths such as '128-64', '64' or '' for no layer, found '{value}'")
    return tuple(int(width) for width in widths)


def _some(layers: tuple[int, ...]) -> tuple[int, ...]:
    if not layers:
        raise ValueError("expected at least one layer, such as '64', found none")
    return layers


Width = Annotated[int, Field(ge=1, le=65536)]

Layers = Annotated[
    tuple[Width, ...],
    BeforeValidator(_parse),
    PlainSerializer(lambda layers: "-".join(map(str, layers)), return_type=str, when_used="json"),
]
"""Widths of hidden layers: read from "128-64", [128, 64] or "" (no layer); written to JSON as "128-64", so that it can
be one value of a search space."""

SomeLayers = Annotated[Layers, AfterValidator(_some)]
"""`Layers` with at least one layer."""

Dropout = Annotated[float, Field(ge=0, lt=1)]
"""Probability of dropping a hidden unit in training."""


Precision = Literal["auto", "fp32", "bf16"]
"""Of the dense part's matrix products: float32, bfloat16 with sums in float32, or whichever is faster on this machine
for this model."""


class EmbeddingConfig(Config):
    """How ids become vectors."""

    dim: int = Field(16, ge=1, le=1024)
    """Width of one embedding."""


class TowerConfig(Config):
    """The MLP of each task on top of its representation; a linear output follows its layers."""

    layers: Layers = (64, 32)
    """Hidden layers of every tower."""
    dropout: Dropout = 0.0
    """After each hidden layer."""
