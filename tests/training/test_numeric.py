"""Training with each numeric kind: everything learns, under either kind of balancer."""

from itertools import cycle

import pytest
import torch

from bench.core.objectives import Objective
from bench.data import load_card, prepare
from bench.data.batches import Batches
from bench.models.numeric import NUMERIC
from bench.training.config import TrialConfig
from bench.training.loop import Trainer

COARSE = {"numeric.kind": "bucket", "numeric.bucket.bins": 2}
KINDS = [*({"numeric.kind": kind} for kind in NUMERIC), COARSE]
SMALL = {"embedding.dim": 4, "tower.layers": "16", "optim.lr": 0.01, "sharing.kind": "stem"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return prepare(load_card("synthetic-funnel@rows=2000"), tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(
    ("kind", "balancing"), list(zip(KINDS, cycle(("static", "upgrad", "moco")), strict=False)), ids=str
)
def test_everything_learns(store, kind, balancing):
    config = TrialConfig.parse(SMALL | kind | {"balancing.kind": balancing})
    made, fresh = (Trainer(store, config, (Objective("click.auc", "maximize"),), seed=1) for _ in range(2))
    batch = next(Batches(store.split("train")).in_order(1024))
    reached = {name: torch.zeros_like(each, dtype=torch.bool) for name, each in made.model.named_parameters()}
    for _ in range(25):
        made.step(*batch)
        for name, parameter in made.model.named_parameters():
            if parameter.grad is not None:
                reached[name] |= parameter.grad != 0
    for name, where in reached.items():
        if "numeric" in name:
            assert where.flatten(1).any(dim=1).all(), name
    table = made.model.embedding.weight
    moved = (table != fresh.model.embedding.weight).any(dim=1)
    ids = made.model.rows(batch.ids)
    assert moved[torch.unique(ids[ids > 0]).long()].all()
    assert len(table) == made.model.schema.rows
