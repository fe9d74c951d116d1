"""The `[retrain]` table of a policy: how the picked configuration becomes a model for good."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Retraining(BaseModel):
    """Train and validation (both halves) are trained on together, except a part held out for calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seeds: int = Field(3, ge=1, le=50)
    """How many trainings, each on a fresh seed."""
    choose: Literal["one", "average"] = "one"
    """`one`: the best of them on what is held out. `average`: all of them, their probabilities averaged."""
    calibration: Literal["auto", "isotonic", "platt", "none"] = "auto"
    """Of every task's probabilities; `auto` is isotonic where each outcome has 1,000 rows held out, else Platt's."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of train and validation together."""
    confidence: float = Field(0.99, gt=0.5, lt=1)
    """Of the interval that each metric on test must not fall short of."""

    @property
    def runs(self) -> int:
        """How many trainings are kept."""
        return self.seeds if self.choose == "average" else 1
