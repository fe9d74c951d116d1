"""`manifest.json` of a package, validated before use: its files, every size, the score."""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from bench.core.errors import repeated
from bench.core.formats import FORMATS, PACKAGE
from bench.core.registry import Config
from bench.core.schema import SCORE, Schema, Task
from bench.deciding.score import Score
from bench.models.trees import TreeSizes
from bench.serve.calibration_maps import all_prediction_names
from bench.serve.served_model import ModelPart, ModelSpec

ONNX_FILES = ("model.onnx", "model.onnx.data")
FILES = (
    "README.md",
    "calibration.json",
    "card.json",
    "encoder.json",
    "model.safetensors",
    "policy.json",
)
"""Files of every package besides its manifest; those of ONNX are optional."""
MOST_STATES = 4096
_Name = Annotated[str, Field(min_length=1, max_length=1000)]


class FileFacts(Config):
    """Required digest and size of a file."""

    sha256: str
    size: int


def _check_distinct(names: list[str], expectation: str) -> None:
    twice = repeated(names)
    if twice is not None:
        raise ValueError(f"expected {expectation}, found '{twice}' twice")


def _check_inputs(schema: Schema) -> None:
    """What the encoder, whose schema must be the same, does not check itself."""
    names = [field.name for field in schema.fields]
    names += schema.dense
    _check_distinct(names, "each input once")
    rows = slots = 0
    of_one_value = []
    for field in schema.fields:
        slots += field.slots
        if field.of is None:
            rows += field.cardinality
        if field.slots == 1:
            of_one_value.append(field.name)
    if rows >= 2**31 - 1 or slots > 2**16 or len(schema.dense) > 2**16:
        raise ValueError(
            "expected fewer than 2^31 rows, and at most 2^16 slots of all fields and dense "
            f"columns, found {rows}, {slots} and {len(schema.dense)}"
        )
    if schema.scenario is not None and schema.scenario not in of_one_value:
        raise ValueError(
            f"expected the scenario to be an input of one value, found '{schema.scenario}'"
        )


def _check_tasks(schema: Schema) -> None:
    if not 1 <= len(schema.tasks) <= 256:
        raise ValueError(f"expected 1 to 256 tasks, found {len(schema.tasks)}")
    parents = {task.name: task.parent for task in schema.tasks}
    _check_distinct([task.name for task in schema.tasks], "each task once")
    names = [*all_prediction_names(schema.tasks), SCORE]
    _check_distinct(names, f"predictions of different names, '{SCORE}' among them")
    numbers = [number.name for number in schema.numbers]
    for task in schema.tasks:
        if task.duration is not None and task.duration not in numbers:
            raise ValueError(
                f"expected '{task.duration}' among the numbers, as the duration of '{task.name}'"
            )
        cap = task.cap
        if cap is not None and max(cap.column, cap.missing or 0) >= len(schema.dense):
            raise ValueError(
                f"expected the bound of '{task.name}' among {len(schema.dense)} dense columns"
            )
        _check_ancestors(task, parents)


def _check_ancestors(task: Task, parents: Mapping[str, str | None]) -> None:
    ancestor = task.parent
    ancestors = 0
    while ancestor is not None:
        ancestors += 1
        if ancestor not in parents:
            raise ValueError(
                f"expected the parent of '{task.name}' to be a task, found '{ancestor}'"
            )
        if ancestors == len(parents):
            raise ValueError(
                f"expected a task without a parent above '{task.name}', found a circle"
            )
        ancestor = parents[ancestor]


class PackageManifest(Config):
    """`manifest.json`."""

    format: int = FORMATS[PACKAGE]
    name: str
    """Name of the data set, variant included."""
    data_schema: Schema
    parts: tuple[ModelPart, ...] = Field(min_length=1, max_length=64)
    """Parts of the model, as they are trained."""
    members: tuple[tuple[TreeSizes | int, ...], ...] = Field(min_length=1, max_length=256)
    """For each averaged member and each part: the number of the network's states, or the sizes of
    the trees.
    """
    plugins: dict[_Name, _Name] = Field(default_factory=dict)
    """Required plug-ins, from `bench.core.plugins.needs`."""
    agreement: dict[str, float]
    """Engine -> largest difference from the trained model's probabilities, on rows of
    validation.
    """
    score: Score
    """The score that it ranks by."""
    outcomes: tuple[_Name, ...] = Field(default=(), max_length=256)
    """Outcomes of the score by which it was picked, as in `like.recall@10%`; empty without a served
    front.
    """
    provenance: dict[str, Any]
    """Data fingerprint, run, trial, seeds, versions, and the command that remakes it."""
    files: dict[str, FileFacts]
    digest: str
    """Digest of all other values here."""

    @field_validator("data_schema")
    @classmethod
    def _consistent(cls, schema: Schema) -> Schema:
        _check_inputs(schema)
        _check_tasks(schema)
        return schema

    @model_validator(mode="after")
    def _whole(self) -> PackageManifest:
        self._check_shares()
        for member in self.members:
            self._check_member(member)
        self._check_states()
        self._check_names_of_files()
        return self

    def _check_shares(self) -> None:
        tasks = len(self.data_schema.tasks)
        for part in self.parts:
            if len(part.shares) != tasks:
                raise ValueError(
                    f"parts: expected a share for each of {tasks} tasks, found {len(part.shares)}"
                )
        for shares in zip(*(part.shares for part in self.parts), strict=True):
            if not isclose(sum(shares), 1):
                raise ValueError(
                    "parts: expected shares that add up to 1 for each task, found others"
                )

    def _check_member(self, shapes: tuple[TreeSizes | int, ...]) -> None:
        tasks = len(self.data_schema.tasks)
        are_trees = [isinstance(shape, TreeSizes) for shape in shapes]
        if are_trees != [part.trees for part in self.parts]:
            raise ValueError(
                "members: expected sizes of each part that is trees, states of all others"
            )
        for shape in shapes:
            if isinstance(shape, TreeSizes) and len(shape.trees) != tasks:
                raise ValueError(
                    f"members: expected trees of {tasks} tasks, found those of {len(shape.trees)}"
                )
            if isinstance(shape, int) and shape not in (1, tasks):
                raise ValueError(
                    f"members: expected 1 or {tasks} states of each network, found {shape}"
                )

    def _check_states(self) -> None:
        states = 0
        for member in self.members:
            states += sum(shape for shape in member if isinstance(shape, int))
        if states > MOST_STATES:
            raise ValueError(
                f"members: expected at most {MOST_STATES:,} states of all networks, found "
                f"{states:,}"
            )

    def _check_names_of_files(self) -> None:
        for name in FILES:
            if name not in self.files:
                raise ValueError(f"files: expected '{name}' among them, found none")
        allowed = FILES + ONNX_FILES
        for name in self.files:
            if name not in allowed:
                raise ValueError(f"files: expected {', '.join(allowed)} at most, found '{name}'")

    @property
    def spec(self) -> ModelSpec:
        """The specification that rebuilds the model's modules."""
        return ModelSpec(self.data_schema, self.parts, self.members, self.plugins)
