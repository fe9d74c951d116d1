"""The current production point: all results of a run are differences from it.

`--current FILE` names it: a TOML file, a package's folder, or a registered model,
`models:/NAME/VERSION` or `models:/NAME@ALIAS`. A TOML file has a configuration and the weights by
which it ranks,

    config = "picked.toml"      # or a table [config] with dotted names
    [score]
    kind = "power"
    weights = { click = 0.8, like = 0.2 }

or `column = "todays_score"`, a column of the log that the card keeps under `logged`;
`column:todays_score` says so. In place of kind and weights, `formula = "1 p_click + 1.88 p_like"`
takes the score as an answer says it.

A model is trained again on the seeds and data of every point. Without `--current` nobody knows what
is served: the best single-task model of each task, at their best weights, is the reference then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, FiniteFloat, model_validator

from bench.core.errors import UserError, check_known, listed, shortened
from bench.core.formula import quoted
from bench.core.formula import read as read_formula
from bench.core.plain import flatten
from bench.core.records import Point, Scalar
from bench.core.registry import Config
from bench.core.several import as_one, models_in
from bench.core.system.content import read_toml
from bench.core.validation import validate
from bench.data.card import Card
from bench.data.card_summary import shape_of
from bench.ledger.fusion import Fusion, FusionKind, fusion_in
from bench.ledger.points import kind_of

if TYPE_CHECKING:
    from bench.serve.package import Package

REGISTERED = "models:/"
COLUMN = "column:"


class ScoreFormula(Config):
    """The formula of a model's score from its predictions, see `bench.deciding.score`."""

    kind: FusionKind = "power"
    weights: dict[str, Annotated[FiniteFloat, Field(ge=0)]] = Field(default_factory=dict)
    """By task; none means equal weights. Only ratios count."""
    formula: str | None = None
    """In place of both, of joint predictions as a run's answer has it: `1 p_click + 12.8 p_buy`."""

    @model_validator(mode="after")
    def _said_once(self) -> ScoreFormula:
        if self.formula is not None and len(self.model_fields_set) > 1:
            raise ValueError("expected `formula` alone, found `kind` or `weights` beside it")
        return self


class CurrentFile(Config):
    """A TOML file that `--current` names."""

    config: dict[str, Any] | str | None = None
    """Dotted names, or the path of a file with them, relative to this one."""
    column: str | None = None
    score: ScoreFormula | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> CurrentFile:
        if (self.config is None) == (self.column is None):
            count = "neither" if self.config is None else "both"
            raise ValueError(f"expected either `config` or `column`, found {count}")
        if self.column is not None and self.score is not None:
            raise ValueError("expected no table `score` beside `column`, which is the score")
        return self


class CurrentPoint(Config):
    """The current production point on a data set, as a run's manifest keeps it: the file is not
    read again.
    """

    source: str = ""
    """The file or the registered model; empty where none was given."""
    config: dict[str, Scalar] | None = None
    """The whole dotted configuration; None without a model."""
    until: int | None = None
    """Training samples at which to stop, as in `bench.core.records.Job`."""
    column: str | None = None
    """Of the log: the score by itself."""
    kind: FusionKind = "power"
    weights: dict[str, float] = Field(default_factory=dict)
    """By task."""
    scaled: bool = True
    """Whether weights of a sum count predictions in units of the task's base rate; those of a
    package's do not.
    """

    @property
    def id(self) -> str:
        """Of its point; that of the best single-task models where no file was given."""
        return "current" if self.source else "single_task"

    @property
    def point(self) -> Point | None:
        """The point to train and confirm; None without a file, and for a column."""
        if self.config is None:
            return None
        return Point("current", self.config, kind_of(self.config), until=self.until)

    def without_earlier(self, points: Iterable[Point]) -> list[Point]:
        """Confirmed points that are no trials, without current models other than this one."""
        training = None if self.point is None else self.point.training
        return [point for point in points if point.kind != "current" or point.training == training]

    @property
    def sentence(self) -> str:
        """What it is; empty where no file was given."""
        if not self.source:
            return ""
        if self.point is None:
            return (
                f"The current point is the logged score '{self.column}'; it has no model to train. "
                "Rows that it put on top were seen more, so a log that it ranked favours it."
            )
        return (
            f"The current point is the {self.point.architecture} model of {self.source}, trained "
            "on the seeds and data of every point."
        )

    def fusion(self, rates: Mapping[str, float]) -> Fusion:
        """By which it ranks; that of a column is of no use.

        Args:
            rates: mean label of each task on train, on all impressions, in the order of tasks.
        """
        weights = []
        for task, rate in rates.items():
            unit = rate if self.kind == "sum" and not self.scaled else 1.0
            weights.append(self.weights.get(task, 0.0) * unit)
        return Fusion.of(self.kind, weights)


def read_current(
    source: str, card: Card, tasks: Sequence[str], home: Path, tracking: str | None
) -> CurrentPoint:
    """Reads and checks what a user named.

    Args:
        source: as `lasting_current` gives it.
        tracking: address of the MLflow store with the registry; None for the one at home.

    Raises:
        UserError: there is none, it is no such file, or its configuration does not fit the data.
            Also where it names a task that the run does not train, or a column that the card does
            not keep.
    """
    path = Path(source)
    if source.startswith(REGISTERED) or path.is_dir():
        return _of_package(source, card, tasks, home, tracking)
    if source.startswith(COLUMN):
        return _of_column(source, source.removeprefix(COLUMN), card)
    if not path.is_file():
        raise UserError(
            f"--current: expected TOML, a package's folder, {COLUMN}NAME or "
            f"{REGISTERED}NAME/VERSION, found no {source}"
        )
    file = validate(CurrentFile, read_toml(path), str(path))
    if file.column is not None:
        return _of_column(str(path), file.column, card)
    return _checked(_of_config(path, file, tasks), card, tasks)


def _of_column(source: str, column: str, card: Card) -> CurrentPoint:
    if column not in card.logged:
        columns = f"logged are {listed(card.logged)}" if card.logged else "the card names none"
        raise UserError(
            f"{source}: column: expected a score that the card names under `logged`, found "
            f"'{column}'; {columns}"
        )
    return CurrentPoint(source=source, column=column)


def _of_config(path: Path, file: CurrentFile, tasks: Sequence[str]) -> CurrentPoint:
    from bench.models.training.config import split_recipe

    where = path
    config = file.config
    if isinstance(config, str):
        where = path.parent / config
        config = read_toml(where)
    assert config is not None
    trained, dotted = split_recipe(flatten(config), str(where))
    score = file.score or ScoreFormula()
    kind = score.kind
    weights = dict(score.weights)
    if score.formula is not None:
        kind, weights = _of_formula(score.formula, tasks, f"{path}: score.formula")
    return CurrentPoint(
        source=str(path),
        config=dotted,
        until=trained.until,
        kind=kind,
        weights=weights,
        scaled=score.formula is None,
    )


def _of_formula(text: str, tasks: Sequence[str], where: str) -> tuple[FusionKind, dict[str, float]]:
    """The kind, and by task the raw weights, of a formula of joint predictions."""
    names = [quoted(f"p_{task}") for task in tasks]
    fusion = fusion_in(read_formula(text, where), names)
    if fusion is None:
        raise UserError(
            f"{where}: expected a sum or a product of powers of {listed(names)}, with weights of "
            f"at least 0, found '{shortened(text)}'"
        )
    kind, weights = fusion
    return kind, dict(zip(tasks, weights, strict=True))


def _of_package(
    source: str, card: Card, tasks: Sequence[str], home: Path, tracking: str | None
) -> CurrentPoint:
    from bench.app.tracking.model_registry import registered
    from bench.serve.package import Package
    from bench.serve.scorer import made_for

    if source.startswith(REGISTERED):
        package = registered(home, source, tracking)
    else:
        package = Package.open(source)
    score = package.manifest.score
    weights: dict[str, float] = {}
    for name, weight in score.weights.items():
        task, _, space = name.partition(".")
        if space == "cvr" or weight < 0:
            raise UserError(
                f"{source}: score: expected weights of at least 0 of predictions on all "
                f"impressions, found {name} = {weight:g}; give a TOML file with [config] and "
                "[score] instead"
            )
        weights[task] = weight / score.rates.get(name, 1.0)
    point = CurrentPoint(
        source=source, config=_trained(package), kind=score.kind, weights=weights, scaled=False
    )
    with made_for(package.manifest.name, card.key):
        return _checked(point, card, tasks)


def _trained(package: Package) -> dict[str, Scalar]:
    """The configuration that trains a package's model again."""
    parts = package.manifest.parts
    tasks = package.manifest.data_schema.task_names
    if len(parts) == 1:
        return dict(parts[0].config)
    return as_one((part.config, dict(zip(tasks, part.shares, strict=True))) for part in parts)


def _checked(point: CurrentPoint, card: Card, tasks: Sequence[str]) -> CurrentPoint:
    """With its whole configuration and all weights."""
    from bench.models.training.config import TrialConfig  # imports torch
    from bench.models.training.ensemble import networks_in
    from bench.models.training.tree_settings import is_trees, whole_settings

    assert point.config is not None
    weights = point.weights or dict.fromkeys(tasks, 1.0)
    balanced = Point("current", point.config, "").weights
    for where, names in (("score.weights", weights), ("config.balancing.static.weight", balanced)):
        for task in names:
            check_known("task", task, tasks, f"{point.source}: {where}")
    if not sum(weights.values()):
        raise UserError(f"{point.source}: score.weights: expected a weight above 0, found none")
    try:
        config = dict(point.config)
        for network in networks_in(config):
            parsed = TrialConfig.parse(network)
            parsed.check_fit(shape_of(card, tasks))
            config = config if models_in(config) else parsed.dotted()
        if is_trees(config):
            config = whole_settings(config, tasks)
    except UserError as error:
        raise UserError(f"{point.source}: {error}") from None
    return point.model_copy(update={"config": config, "weights": weights})


def lasting_current(source: str, folder: Path | None = None) -> str:
    """What a user named, so that it means the same from every folder.

    Args:
        folder: a path may be relative to it, before the one that the program was started in.
    """
    if source.startswith((REGISTERED, COLUMN)):
        return source
    path = Path(source).expanduser()
    if folder is not None and (folder / path).exists():
        path = folder / path
    return os.path.abspath(path)


def check_confirms(replicates: int, option: str = "--current") -> None:
    """Raises UserError for what is compared by kept predictions, in a run that confirms nothing and
    keeps none.
    """
    if not replicates:
        raise UserError(
            f"{option}: expected a run that confirms, with confirm.replicates of 1 or more, found 0"
        )
