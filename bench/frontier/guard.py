"""What no pick may cost: losses against the current point, in all rows and by segment, and bounds on any metric."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from bench.dotted import flatten

LOSS = 0.05
"""What a served outcome may lose where the policy says nothing, as a fraction of current's."""
_RELATIVE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*of\s+current\s*")
EXPECTED = "a number, or a share of today's value such as '98% of current'"


def bound(value: object) -> float | str:
    """A bound as it is written: a number, or text such as "98% of current".

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value):
        return float(value)
    if isinstance(value, str) and _RELATIVE.fullmatch(value):
        return value.strip()
    raise ValueError(f"expected {EXPECTED}, found {value!r}")


def share_of_current(value: float | str) -> float | None:
    """.98 for "98% of current"; None for a number."""
    found = _RELATIVE.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else float(found[1]) / 100


def flat(value: Any) -> Any:
    """A table by metric; TOML nests an unquoted income.auc."""
    return flatten(value) if isinstance(value, Mapping) else value


def _loss(value: object) -> object:
    table = flat(value) if isinstance(value, Mapping) else {"": value}
    for number in table.values():
        if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
            raise ValueError(f"expected a fraction such as 0.02, or a table from metric to fraction, found {number!r}")
    return table if isinstance(value, Mapping) else value


Bound = Annotated[float | str, BeforeValidator(bound)]
Bounds = Annotated[dict[str, Bound], BeforeValidator(flat)]
Loss = Annotated[float | dict[str, float], BeforeValidator(_loss)]


class Segments(BaseModel):
    """The `[guard.segments]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_loss: Loss
    """What an outcome may lose in any segment, as a fraction of current's value there; one number, or by outcome."""
    confidence: float = Field(0.9, gt=0.5, lt=1)
    """A choice is excluded only where some segment loses more with this confidence, all segments and outcomes together
    (Bonferroni): one that loses no more anywhere is wrongly excluded in at most 10% of runs."""


class Guard(BaseModel):
    """The `[guard]` table of a policy. Metrics are named without split. "Current" is the point in production, or the
    single-task models where none was given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_loss_vs_current: Loss | None = None
    """What may be lost, as a fraction of current's value: one number for all objectives that are no costs, or a table
    by metric. Below 0 it asks for a gain; `inf` allows anything. By itself 0.05 for each served outcome that the policy
    does not bound otherwise."""
    max_loss_in_standard_errors: float = Field(2.0, ge=0)
    """The same for metrics of heads that `max_loss_vs_current` does not name, where there is no served front: in
    standard errors of the paired difference from current. `inf` allows anything."""
    confidence: float | None = Field(None, gt=0.5, lt=1)
    """With which `max_loss_vs_current`, and bounds such as "98% of current", must be kept, over posterior draws. None
    compares the means alone."""
    at_most: Bounds = {}
    """Bounds from above, as in {"cost/parameters" = 2e6, "cost/latency_ms" = "110% of current"}."""
    at_least: Bounds = {}
    """Bounds from below, as in {"click.recall@10%" = "98% of current"}."""
    within: Annotated[dict[str, tuple[Bound, Bound]], BeforeValidator(flat)] = {}
    """Bands, as in {"click.pcoc" = [0.9, 1.1]}."""
    p_nondominated: float | None = Field(None, ge=0, le=1)
    """Least P(non-dominated)."""
    segments: Segments | None = None

    @field_validator("within")
    @classmethod
    def _bands(cls, bands: dict[str, tuple[float | str, float | str]]) -> dict[str, tuple[float | str, float | str]]:
        for name, (low, high) in bands.items():
            ends = [share_of_current(end) if isinstance(end, str) else end for end in (low, high)]
            if isinstance(low, str) != isinstance(high, str) or not (ends[0] or 0.0) <= (ends[1] or 0.0):
                raise ValueError(f"expected a band from low to high for '{name}', found [{low}, {high}]")
        return bands

    def loss_of(self, name: str) -> float | None:
        """What the policy itself allows an objective to lose; None where it says nothing."""
        given = self.max_loss_vs_current
        return given.get(name) if isinstance(given, dict) else given
