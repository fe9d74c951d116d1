"""A small funnel on disk, and an order to retrain a configuration on it."""

from dataclasses import dataclass
from functools import cache

import pytest
from serving_toys import funnel_package, funnel_store

from bench.core.objectives import parse
from bench.data import Store, load_card, prepare
from bench.data.card import Card
from bench.deciding.retraining import Length, Retraining
from bench.serve.retrain import PartOrder, RetrainSpec

FULL = Length()
CONFIG = {"sharing.kind": "shared_bottom", "embedding.dim": 4, "tower.layers": "8"}
CONFIG |= {"optim.epochs": 2, "optim.batch_size": 256, "optim.lr": 0.01}


@dataclass(frozen=True)
class Funnel:
    card: Card
    store: Store

    def order(self, config=None, length=FULL, **options):
        objectives = tuple(
            parse(f"{name}.auc", self.store.schema.tasks, "here")
            for name in ("click", "purchase.ctcvr")
        )
        chosen = Retraining(**{"seeds": 2} | options)
        whole = (1.0,) * len(self.store.schema.tasks)
        parts = (PartOrder(CONFIG | (config or {}), length, whole),)
        return RetrainSpec(self.card, self.store, parts, objectives, chosen, seed=5)


@pytest.fixture(scope="session")
def funnel(tmp_path_factory):
    card = load_card("synthetic-funnel@rows=6000")
    return Funnel(card, prepare(card, tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return funnel_store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def package(store, tmp_path_factory):
    """An MMoE with a calibration and a score, in torch.export alone."""
    built = funnel_package(tmp_path_factory.mktemp("packages") / "funnel", store)
    vars(built)["engine"] = cache(built.engine)  # torch's loader takes a third of a second
    return built
