"""What is asked of a run after its verdict: options of `seesaw backtest` and `seesaw deploy`.

They stand apart from what does it, so that help is there without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from bench.core.option import Option
from bench.core.plain import names
from bench.core.registry import Config

Alias = Literal["champion", "challenger"]
"""The alias of a new version."""


class BacktestOptions(Config):
    """What is asked of a back-test."""

    cuts: int | None = Field(None, ge=2)
    """Parts of test, of about equal rows; default: 7."""
    every: str | None = None
    """A cut for each span of time instead: 1d, 2w, 12h, month."""
    points: Annotated[tuple[str, ...], BeforeValidator(names), Option("point")] = ("pick",)
    """pick, or points of `seesaw show` at their best weights, as in 7,trees."""
    warm: bool = False
    """Go on from the cut before, by one pass over new rows; default: train from scratch."""
    window: str = ""
    """Train on this much of the past alone, as in 14d."""
    time: str | None = None
    """Raw column of the times, where the card names none."""
    seed: int | None = None
    """Seed of the trainings; default: the run's."""
    threads: int = Field(0, ge=0)
    """Threads to train with; 0 means all cores."""
    workers: int = Field(1, ge=1)
    """Cuts at once, in processes; not with --warm."""
    executor: Literal["process", "ray"] = "process"
    """process, or ray: all later cuts at once on a cluster."""
    address: Annotated[str | None, Option(form="HOST:PORT")] = None
    """Of the Ray cluster."""
    raw: Path | None = None
    """Folder with the raw files; nothing is fetched."""

    @model_validator(mode="after")
    def _fits(self) -> BacktestOptions:
        if self.cuts is not None and self.every is not None:
            raise ValueError("expected one of --cuts and --every, found both")
        if self.warm and (self.workers > 1 or self.executor == "ray"):
            raise ValueError(
                "expected one cut at a time with --warm, as it goes on from the cut before: found "
                "several"
            )
        if self.warm and self.window:
            raise ValueError(
                "expected one of --window and --warm, found both: a warm start goes on from all of "
                "the past"
            )
        return self

    @property
    def how(self) -> Literal["anew", "warm"]:
        """The way to train at each cut."""
        return "warm" if self.warm else "anew"


class DeployOptions(Config):
    """What is asked of a deployment."""

    target: Annotated[str, Option(form="RUN|picked.json")]
    """A run, or the pick of one data set."""
    point: Annotated[str | None, Option(form="ID")] = None
    """A point of `seesaw show`, as 7 or trees, in place of the pick."""
    alias: Annotated[Alias | None, Option("as", "champion|challenger")] = None
    """Alias of the version; default: champion, with --point challenger."""
    name: str | None = None
    """Name of the registered model; default: the data set's."""
    policy: Path | None = None
    """TOML file; default: the pick's policy."""
    seed: int | None = None
    """Seed of the trainings; default: the run's."""
    threads: int = Field(0, ge=0)
    """Threads to train with; 0 means all cores."""
    force: bool = False
    """Keep a model below its prediction intervals."""
    onnx: bool = True
    """Leave out the model in ONNX."""
    dry_run: bool = False
    """Print the steps, and do nothing."""
    promote: bool = False
    """Make the challenger champion; trains nothing."""
    rollback: bool = False
    """Swap champion and previous."""
    refresh: bool = False
    """Train the champion on the days since, and judge it against itself."""
    judge: str = "1d"
    """Of --refresh: the newest days, by which both are judged; default: 1d."""
    raw: Path | None = None
    """Folder with the raw files; nothing is fetched."""

    @model_validator(mode="after")
    def _fits(self) -> DeployOptions:
        if self.promote + self.rollback + (self.alias == "challenger") > 1:
            raise ValueError("expected one of --as challenger, --promote and --rollback, found two")
        if self.point is not None and self.only_moves:
            raise ValueError(
                "--point: expected no --promote or --rollback beside it, which train nothing"
            )
        return self

    @property
    def only_moves(self) -> bool:
        """Whether aliases move, and nothing is trained."""
        return self.promote or self.rollback

    @property
    def registered_as(self) -> Alias:
        """The alias of the new version."""
        if self.alias is not None:
            return self.alias
        return "champion" if self.point is None or self.refresh else "challenger"
