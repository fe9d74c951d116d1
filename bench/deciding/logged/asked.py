"""What is asked of a log: options of `seesaw decide`, or the same as a file `decide.toml`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field, model_validator

from bench.core.errors import listed, repeated, unknown
from bench.core.exposure import Shown, exposure_columns
from bench.core.formula import Expression, columns_of, quoted, read
from bench.core.objectives import ItemKind, item_kinds
from bench.core.option import Option
from bench.core.registry import Config
from bench.core.schema import Positive
from bench.deciding.logged.columns import LABEL_KINDS, PREDICTION_KINDS, ColumnKind
from bench.deciding.policy import Policy, toml_lines

MOST_TASKS = 8
SCORE = "score"
"""The point of today's score."""
PACKAGE = "package:"
"""Before what a packaged model is called: its folder, a run, or a name in the registry."""
SEED = "#"
"""Between a model's name and one of its seeds: `candidate#1`."""


def _column_names(value: object) -> object:
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    return value


ColumnList = Annotated[list[str], BeforeValidator(_column_names)]


class SeedColumns(NamedTuple):
    """The columns of one training of a model, by label; its seed is None where nobody named it."""

    seed: int | None
    columns: list[str]


class Asked(Config):
    """What is asked of a log; names are its columns."""

    log: list[str] = Field(default_factory=list)
    """CSV or parquet files, or folders of them."""
    labels: Annotated[list[str], Option("label")] = Field(min_length=2, max_length=MOST_TASKS)
    """Column of a task's label. The task is called by its column."""
    parents: Annotated[dict[str, str], Option("parent", "TASK=TASK", "buy=click")] = Field(
        default_factory=dict
    )
    """What happens first: buy=click."""
    models: Annotated[
        dict[str, ColumnList], Option("model", "NAME=COLUMN,..", "today=p_click,p_buy")
    ] = Field(min_length=1)
    """A model's predictions by label, or NAME=package:FOLDER; seeds as NAME#0=.."""
    today: Annotated[str | None, Option(form="NAME")] = None
    """The model that serves today. By itself that whose columns `weights` has, or one called
    `today`. Without any of these the first one is what others are compared with. `score` is made of
    it."""
    score: Annotated[str | None, Option(form="COLUMN")] = None
    """Today's score."""
    weights: Annotated[str | None, Option(form="FORMULA")] = None
    """Today's score as a formula: 3 p_click + 40 p_click p_buy. See `bench.core.formula`."""
    values: Annotated[dict[str, Positive], Option("value", "TASK=NUMBER", "buy=40")] = Field(
        default_factory=dict
    )
    """Value of one event."""
    amounts: Annotated[dict[str, str], Option("amount", "TASK=COLUMN", "click=bid")] = Field(
        default_factory=dict
    )
    """A row's amount: click=bid. Its label and predictions are multiplied by it."""
    kinds: Annotated[dict[str, ColumnKind], Option("kind", "COLUMN=KIND", "p_click=log-odds")] = (
        Field(default_factory=dict)
    )
    """A label: binary or value; else probability, log-odds, order, value. By itself most of its
    values tell.
    """
    group: str | None = None
    """Column whose rows are ranked together: a request."""
    units: str | None = None
    """Column whose rows belong together: a user. They are resampled together. By default the
    group.
    """
    time: str | None = None
    """Column: earlier rows choose weights, later ones judge. Never the other way round."""
    part: str | None = None
    """Column with choose and judge. Or with a run's `valid`, `confirm` and `test`."""
    segments: Annotated[list[str], Option("segment")] = Field(default_factory=list)
    """Column of segments."""
    items: Annotated[dict[str, str], Option("item", "NAME=COLUMN", "author=author_id")] = Field(
        default_factory=dict
    )
    """What is shown: author=author_id."""
    item_numbers: Annotated[
        dict[str, str], Option("item-number", "NAME=COLUMN", "age=age_days")
    ] = Field(default_factory=dict)
    """Its numbers: age=age_days."""
    random: str | None = None
    """Column: 1 in rows shown at random, which then judge."""
    propensity: str | None = None
    """Column: the chance that a row was shown. Outcomes count it 1 / propensity."""
    trained_until: Annotated[str | float | None, Option(form="TIME")] = None
    """The last time that any model was trained on: earlier rows are left out."""
    unseen: bool = False
    """No model was trained on these rows."""
    given: list[str] = Field(default_factory=list)
    """Task that is predicted given its parent. By itself calibration tells."""
    joint: list[str] = Field(default_factory=list)
    """Task that is predicted with its parent."""
    sampling: Positive | None = None
    """Share of rows without a positive that was kept."""
    outcomes: Annotated[list[str], Option("outcome")] = Field(default_factory=list)
    """What is served: click.ndcg@5. One a task."""
    rates: dict[str, Positive] = Field(default_factory=dict)
    """By task its mean label, by which weights of a sum are scaled; by default that of the rows
    that choose.
    """
    baselines: list[str] = Field(default_factory=list)
    """Models that others are compared with: yardsticks."""
    recalibrate: bool = True
    """Try no recalibrated models. Else models are tried recalibrated, too."""
    policy: Policy = Field(default_factory=Policy)
    seed: int = 0
    """Of all that is drawn."""

    @model_validator(mode="after")
    def _fits(self) -> Asked:
        self._check_labels_and_models()
        self._check_mentions()
        self._check_kinds()
        self._check_parents()
        self._check_purposes()
        self._check_todays_score()
        self._check_training()
        self._check_weighting()
        return self

    def _check_labels_and_models(self) -> None:
        if twice := repeated(self.labels):
            raise ValueError(f"expected each label once, found '{twice}' twice")
        for name, columns in self.models.items():
            self._check_predictions(name, columns)
            model, _, seed = name.partition(SEED)
            if not model or name.count(SEED) > 1 or (SEED in name and not seed.isdecimal()):
                raise ValueError(
                    f"models: expected a name such as candidate or candidate#1, found '{name}'"
                )

    def _check_predictions(self, model: str, columns: list[str]) -> None:
        if _is_package(columns):
            return
        if len(columns) != len(self.labels) or not all(columns):
            raise ValueError(
                f"models.{model}: expected {len(self.labels)} columns, one a label, found "
                f"{len(columns)}"
            )
        for column in columns:
            if column in self.labels:
                raise ValueError(
                    f"models.{model}: expected a prediction, found the label '{column}'"
                )
        if twice := repeated(columns):
            raise ValueError(
                f"models.{model}: expected a column for each label, found '{twice}' twice; one "
                f"score of all labels is --score {twice}"
            )

    def _check_mentions(self) -> None:
        """Refuses options that name a label, a prediction or a model that is not there."""
        for option in ("parents", "values", "amounts", "rates", "given", "joint"):
            _check_names(option, "label", getattr(self, option), self.labels)
        _check_names("parents", "label", self.parents.values(), self.labels)
        _check_names("given", "label with a parent", self.given, self.parents)
        _check_names("joint", "label with a parent", self.joint, self.parents)
        _check_names("kinds", "label or prediction", self.kinds, [*self.labels, *self.predicted])
        if self.today is not None:
            _check_names("today", "model", [self.today], self.trainings)
        _check_names("baselines", "model", self.baselines, self.trainings)

    def _check_kinds(self) -> None:
        for column, kind in self.kinds.items():
            noun, allowed = "prediction", list[str](PREDICTION_KINDS)
            if column in self.labels:
                noun, allowed = "label", list[str](LABEL_KINDS)
            if kind not in allowed:
                raise ValueError(
                    f"kinds.{column}: expected {listed(allowed)} for a {noun}, found '{kind}'"
                )

    def _check_parents(self) -> None:
        chains = {task: [parent] for task, parent in self.parents.items()}
        try:
            TopologicalSorter(chains).prepare()
        except CycleError as error:
            raise ValueError(
                f"parents: expected a chain, found a circle through '{error.args[1][0]}'"
            ) from None
        for task in self.given:
            if task in self.joint:
                raise ValueError(f"expected '{task}' under `given` or `joint`, found it under both")

    def _check_purposes(self) -> None:
        """Refuses a name or a column that stands for two things."""
        for model, trainings in self.trainings.items():
            if len(trainings) > 1 and model in self.models:
                raise ValueError(
                    f"models: expected '{model}' with a seed each time, or once without, found both"
                )
        for column in self.names:
            if column in self.numbers:
                raise ValueError(f"expected '{column}' for one purpose, found it as a number, too")
        if self.item_kinds:
            twice = repeated([*self.items, *self.item_numbers, *self.labels])
            if twice:
                raise ValueError(
                    "items: expected names that no label or other column of items has, found "
                    f"'{twice}'"
                )

    def _check_todays_score(self) -> None:
        weights = self.weights or ""
        for column in (*self.predicted, *self.amounts.values()):
            bracketed = quoted(column)
            if bracketed != column and column in weights and bracketed not in weights:
                raise ValueError(
                    f"weights: expected the column '{column}' in square brackets, {bracketed}"
                )
        for label in self.labels:
            if label in (self.score, *self.weighed):
                raise ValueError(
                    f"expected today's score of predictions, found the label '{label}'"
                )
        if self.score is not None and self.weights is not None:
            raise ValueError("expected `score` or `weights`, found both")
        if SCORE in self.trainings and (self.score or self.weights):
            raise ValueError(
                f"models: expected another name than '{SCORE}', which is today's score, found it"
            )

    def _check_training(self) -> None:
        if self.trained_until is not None and (self.time is None or self.unseen):
            instead = "`unseen`" if self.unseen else "no `time`"
            raise ValueError(
                f"expected `trained_until` with `time` and without `unseen`, found {instead}"
            )

    def _check_weighting(self) -> None:
        if self.values and self.policy.values:
            raise ValueError("expected values once, found them in `values` and in `policy.values`")
        exposure_columns(self.random, self.propensity)
        if self.sampling is not None and self.sampling > 1:
            raise ValueError(f"sampling: expected a share of at most 1, found {self.sampling:g}")

    @property
    def trainings(self) -> dict[str, list[SeedColumns]]:
        """By model its trainings: several where its name has seeds."""
        by_model: dict[str, list[SeedColumns]] = {}
        for name, columns in self.columns.items():
            model, _, seed = name.partition(SEED)
            training = SeedColumns(int(seed) if seed else None, columns)
            by_model.setdefault(model, []).append(training)
        return by_model

    @property
    def predicted(self) -> list[str]:
        """Columns of predictions, of all models."""
        return list(chain.from_iterable(self.columns.values()))

    @property
    def packages(self) -> dict[str, str]:
        """By model the package that predicts the rows, as it is called."""
        packages = {}
        for name, columns in self.models.items():
            if _is_package(columns):
                packages[name] = columns[0].removeprefix(PACKAGE)
        return packages

    @property
    def columns(self) -> dict[str, list[str]]:
        """By model the columns of its predictions, one a label; those of a package are made."""
        columns = dict(self.models)
        for name in self.packages:
            columns[name] = [made_column(name, label) for label in self.labels]
        return columns

    @property
    def made(self) -> list[str]:
        """Columns that the log need not have, as packages make them: predictions and scores."""
        columns = []
        for name in self.packages:
            columns += [made_column(name, label) for label in (*self.labels, SCORE)]
        return columns

    @property
    def formula(self) -> Expression | None:
        """Today's score as a formula."""
        if self.weights is None:
            return None
        return read(self.weights, "--weights")

    @property
    def weighed(self) -> list[str]:
        """Columns of that formula."""
        if self.formula is None:
            return []
        return list(columns_of(self.formula))

    @property
    def todays_model(self) -> str:
        """The model of today, or what stands for it."""
        if self.today is not None:
            return self.today
        predicted_today = {*self.weighed} - {*self.amounts.values()}
        if predicted_today:
            for model, trainings in self.trainings.items():
                for training in trainings:
                    if predicted_today <= {*training.columns}:
                        return model
        if "today" in self.trainings:
            return "today"
        return next(iter(self.trainings))

    @property
    def item_kinds(self) -> dict[str, ItemKind]:
        """The kinds of the columns of items, by name."""
        return item_kinds(self.items, self.item_numbers)

    @property
    def numbers(self) -> list[str]:
        """Columns that are read as numbers."""
        return list(dict.fromkeys([*self.scoring, *self.item_numbers.values(), *self.made]))

    @property
    def scoring(self) -> list[str]:
        """Those of them that labels, predictions and scores are made of, and what says how rows
        were shown.
        """
        optional = _asked_for([self.score, self.random, self.propensity, *self.amounts.values()])
        return list(dict.fromkeys([*self.labels, *self.predicted, *optional, *self.weighed]))

    @property
    def resampled_by(self) -> str | None:
        """The column whose rows are resampled together."""
        return self.units or self.group

    @property
    def exposure(self) -> dict[Shown, str]:
        """`random` or `propensity` and its column; empty where nothing is known."""
        return exposure_columns(self.random, self.propensity)

    @property
    def names(self) -> list[str]:
        """Columns that are read as they are."""
        optional = [self.group, self.units, self.time, self.part]
        return list(dict.fromkeys(_asked_for([*optional, *self.segments, *self.items.values()])))

    @property
    def toml(self) -> str:
        """Itself as a file `decide.toml`."""
        lines = toml_lines(self.model_dump(mode="json", exclude_unset=True))
        return "\n".join([*lines, ""])


def made_column(model: str, prediction: str) -> str:
    """The column of a package's prediction of a label, or of its score: `mine:click`."""
    return f"{model}:{prediction}"


def _is_package(columns: Sequence[str]) -> bool:
    return len(columns) == 1 and columns[0].startswith(PACKAGE)


def _check_names(option: str, noun: str, names: Iterable[str], allowed: Collection[str]) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"{option}: {unknown(noun, name, allowed)}")


def _asked_for(columns: Iterable[str | None]) -> list[str]:
    return [column for column in columns if column]
