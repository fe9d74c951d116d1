"""Small models and batches on a schema of a test's own."""

import importlib
import threading
from unittest import mock

import pytest
import torch

from bench.core.registry import Chosen
from bench.core.schema import Field, Schema, Task
from bench.models.assembly import MultiTaskModel
from bench.models.funnels import FUNNELS
from bench.models.model_options import EmbeddingConfig, EnsembleConfig, TowerConfig
from bench.models.position import PositionConfig
from bench.models.training.config import AXES, DEFAULTS
from bench.testing import models as of

SMALL = EmbeddingConfig(dim=4)
TASKS = (Task("click"), Task("buy", parent="click"), Task("watch", "regression"))
FIELDS = (Field("user", 30), Field("tags", 10, slots=3), Field("item", 20))
SCHEMA = Schema(FIELDS, ("age", "price"), TASKS, scenario="item")


def model_on(schema, embedding=SMALL, tower=(8,), members=1, precision="fp32", **kinds):
    """Kinds by axis, as in `sharing="mmoe"` or `sharing=("mmoe", {"experts": 3})`; shared_bottom
    and independent.
    """
    choices = {}
    for axis, choice in (DEFAULTS | kinds).items():
        kind, options = (choice, {}) if isinstance(choice, str) else choice
        choices[axis] = Chosen(kind, AXES[axis][kind].config.model_validate(options))
    choices.pop("balancing")
    return MultiTaskModel(
        schema,
        embedding=embedding,
        tower=TowerConfig(layers=tower),
        precision=precision,
        ensemble=EnsembleConfig(members=members),
        position=PositionConfig(),
        **choices,
    )


def funnel_on(schema, kind, **options):
    return FUNNELS[kind].build(schema, FUNNELS[kind].config.model_validate(options))


def batch_on(schema, size):
    """Ids with padding, and dense columns."""
    if not schema.fields:
        return torch.zeros(size, 0, dtype=torch.int32), torch.randn(size, len(schema.dense))
    return of.batch_of(schema, size)[:2]


def package(name):
    """Imports a package, or skips. DeepCTR-Torch starts a thread on import that asks the network
    for news of itself.
    """
    with mock.patch.object(threading.Thread, "start"):
        pytest.importorskip(
            name.partition(".")[0], reason=f"{name.partition('.')[0]} is not installed"
        )
        return importlib.import_module(name)


class Together(torch.nn.Module):
    """Several models on the same inputs: an export has a fixed cost, which they share."""

    def __init__(self, models):
        super().__init__()
        self.models = torch.nn.ModuleDict(models)

    def forward(self, ids, dense):
        return [model(ids, dense) for model in self.models.values()]


def exported(model, inputs):
    batch = torch.export.Dim("batch")
    return torch.export.export(model, inputs, dynamic_shapes=({0: batch}, {0: batch}))


def in_onnx(program):
    """The program as ONNX, run by another engine."""
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime: the extra `serve`")
    converted = torch.onnx.export(program, dynamo=True, optimize=False, verbose=False)
    session = runtime.InferenceSession(
        converted.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]

    def run(ids, dense):
        outputs = session.run(None, dict(zip(names, (ids.numpy(), dense.numpy()), strict=True)))
        return [torch.from_numpy(values) for values in outputs]

    return run
