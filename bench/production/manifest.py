"""`manifest.json` of a package, checked before anything in it is used: which files there are, every size, the score."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, TypeAdapter, model_validator

from bench.frontier.score import Score
from bench.production.served_model import ModelSpec
from bench.records import Scalar
from bench.registry import Config
from bench.schema import Schema, TaskKind

ONNX_FILES = ("model.onnx", "model.onnx.data")
FILES = ("README.md", "calibration.json", "card.json", "encoder.json", "model.pt2", "policy.json")
"""What every package holds beside its manifest; those of ONNX may come with them."""
_Name = Annotated[str, Field(min_length=1, max_length=1000)]


class FileFacts(Config):
    """The required properties of a file."""

    sha256: str
    size: int


class FieldFacts(Config):
    """A categorical input, see `bench.schema.Field`."""

    name: _Name
    cardinality: int = Field(ge=1, lt=2**31)
    slots: int = Field(ge=1, le=2**16)
    of: str | None = None


class NumberFacts(Config):
    """A quantity, see `bench.schema.Number`."""

    name: _Name
    column: int = Field(ge=0)
    missing: int | None = Field(ge=0)
    edges: tuple[FiniteFloat, ...] = Field(max_length=2**16)
    counts: tuple[NonNegativeInt, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> NumberFacts:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"expected {len(self.counts) + 1} edges of '{self.name}', found {len(self.edges)}")
        if any(after < before for before, after in pairwise(self.edges)):
            raise ValueError(f"expected the edges of '{self.name}' in ascending order")
        return self


class VectorFacts(Config):
    """A vector, see `bench.schema.Vector`."""

    name: _Name
    column: int = Field(ge=0)
    length: int = Field(ge=1)


class ScaleFacts(Config):
    """The scale of a regression's targets, see `bench.schema.Scale`."""

    log: bool
    centre: FiniteFloat
    spread: FiniteFloat = Field(gt=0)
    low: FiniteFloat
    high: FiniteFloat
    mean: FiniteFloat


class CapFacts(Config):
    """The input that bounds a label, see `bench.schema.Cap`."""

    column: int = Field(ge=0)
    missing: int | None = Field(ge=0)
    log: bool
    mean: FiniteFloat
    scale: FiniteFloat = Field(gt=0)
    unit: FiniteFloat = Field(gt=0)


class TaskFacts(Config):
    """A task, see `bench.schema.Task`."""

    name: _Name
    kind: TaskKind
    parent: str | None
    scale: ScaleFacts | None = None
    duration: str | None = None
    censored: bool = False
    cap: CapFacts | None = None


_SCHEMA = TypeAdapter(Schema)


class SchemaFacts(Config):
    """See `bench.schema.Schema`."""

    fields: tuple[FieldFacts, ...] = Field(max_length=2**16)
    dense: tuple[_Name, ...] = Field(max_length=2**16)
    tasks: tuple[TaskFacts, ...] = Field(min_length=1, max_length=256)
    group: str | None = None
    numbers: tuple[NumberFacts, ...] = ()
    vectors: tuple[VectorFacts, ...] = ()
    grouped: bool = False
    scenario: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> SchemaFacts:
        for what, names in {"input": [*(each.name for each in self.fields), *self.dense], "task": self._tasks}.items():
            if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
                raise ValueError(f"expected each {what} once, found '{twice}' twice")
        for task in self.tasks:
            self._check_parents(task)
            self._check_inputs(task)
        rows = sum(each.cardinality for each in self.fields if each.of is None)
        slots = sum(each.slots for each in self.fields)
        if rows >= 2**31 - 1 or slots > 2**16:
            raise ValueError(
                f"expected fewer than 2^31 rows and at most 2^16 slots of all fields, found {rows}, {slots}"
            )
        self._check_histories()
        self._check_numbers()
        if self.scenario is not None and self.scenario not in {each.name for each in self.fields if each.slots == 1}:
            raise ValueError(f"expected the scenario to be an input of one value, found '{self.scenario}'")
        for vector in self.vectors:
            if vector.column + vector.length > len(self.dense):
                raise ValueError(f"expected '{vector.name}' among {len(self.dense)} dense columns")
        return self

    def _check_histories(self) -> None:
        owners: dict[str, int] = {}
        for field in self.fields:
            if field.of is None:
                owners[field.name] = field.cardinality if field.slots == 1 else 0
            elif owners.get(field.of) != field.cardinality:
                raise ValueError(
                    f"expected '{field.name}' to be the history of an input of one value and {field.cardinality} rows, "
                    f"found '{field.of}'"
                )

    def _check_numbers(self) -> None:
        wide, ranges = len(self.dense), self.fields[len(self.fields) - len(self.numbers) :]
        if len(self.numbers) > len(self.fields):
            raise ValueError(f"expected a field of ranges for each of {len(self.numbers)} numbers")
        for number, field in zip(self.numbers, ranges, strict=True):
            if number.column >= wide or (number.missing is not None and number.missing >= wide):
                raise ValueError(f"expected '{number.name}' among {wide} dense columns")
            if field.slots != 1 or field.cardinality != len(number.counts) + 2:
                raise ValueError(f"expected '{field.name}' to have {len(number.counts)} ranges of '{number.name}'")

    def _check_inputs(self, task: TaskFacts) -> None:
        if task.duration is not None and task.duration not in [number.name for number in self.numbers]:
            raise ValueError(f"expected '{task.duration}' among the numbers, as the duration of '{task.name}'")
        if task.cap is not None and max(task.cap.column, task.cap.missing or 0) >= len(self.dense):
            raise ValueError(f"expected the bound of '{task.name}' among {len(self.dense)} dense columns")

    @property
    def _tasks(self) -> list[str]:
        return [task.name for task in self.tasks]

    def _check_parents(self, task: TaskFacts) -> None:
        parents = {each.name: each.parent for each in self.tasks}
        at: str | None = task.name
        for _ in self.tasks:
            if at not in parents:
                raise ValueError(f"expected the parent of '{task.name}' to be a task, found '{at}'")
            if (at := parents[at]) is None:
                return
        raise ValueError(f"expected a task without a parent above '{task.name}', found a circle")

    def as_schema(self) -> Schema:
        """The same as models want it."""
        return _SCHEMA.validate_python(self.model_dump())


class PackageManifest(Config):
    """`manifest.json`."""

    version: Literal[1] = 1
    name: str
    """Of the data set, variant included."""
    data_schema: SchemaFacts
    config: dict[str, Scalar]
    states: tuple[int, ...] = Field(min_length=1, max_length=256)
    """Of each averaged member: how many states it has."""
    plugins: dict[_Name, _Name] = Field(default_factory=dict)
    """What of the model comes from plug-ins, as `bench.plugins.needs` gives it."""
    agreement: dict[str, float]
    """Engine -> largest difference to the trained model's probabilities, on rows of validation."""
    score: Score
    """What the model ranks by."""
    outcomes: tuple[_Name, ...] = Field(default=(), max_length=256)
    """Outcomes of the score by which it was picked, as in `like.recall@10%`; none where no serving point was picked."""
    provenance: dict[str, Any]
    """Where it comes from: data fingerprint, run, trial, seeds, versions, the command that remakes it."""
    files: dict[str, FileFacts]
    digest: str
    """Of all other values here."""

    @model_validator(mode="after")
    def _whole(self) -> PackageManifest:
        tasks = len(self.data_schema.tasks)
        if not set(self.states) <= {1, tasks}:
            raise ValueError(f"states: expected 1 or {tasks} of each member, found {self.states}")
        for name in FILES:
            if name not in self.files:
                raise ValueError(f"files: expected '{name}' among them, found none")
        for name in self.files:
            if name not in FILES + ONNX_FILES:
                raise ValueError(f"files: expected {', '.join(FILES + ONNX_FILES)} at most, found '{name}'")
        return self

    @property
    def spec(self) -> ModelSpec:
        """What rebuilds the model's modules."""
        return ModelSpec(self.data_schema.as_schema(), self.config, self.states, self.plugins)
