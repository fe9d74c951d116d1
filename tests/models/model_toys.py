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
