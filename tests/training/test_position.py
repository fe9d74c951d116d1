"""Positions: their effect is learnt in training and left out in serving, so earlier places are not favoured."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import roc_auc_score

from bench.core.objectives import parse
from bench.data import parse_card, prepare
from bench.models.position import SCALE
from bench.training.config import TrialConfig
from bench.training.loop import Trainer
from bench.training.tree_data import TreeFeatures, width

PLACES = 10
CARD = {
    "id": "shown",
    "title": "t",
    "licence": "l",
    "citation": "c",
    "homepage": "h",
    "reader": {"kind": "csv"},
    "files": [{"name": "log.csv"}],
    "tasks": [{"name": "click", "column": "click"}, {"name": "like", "column": "like"}],
    "split": {"kind": "random", "valid": 0.1, "test": 0.2},
    "columns": {"item": "categorical", "x": "numeric", "place": "position"},
}


def log(rows, examined, seed=0):
    """Items are shown in the order of a poor score; a row is clicked if its place is examined and the item is liked."""
    rng = np.random.default_rng(seed)
    item, x = rng.integers(0, 60, rows), rng.normal(size=rows)
    taste, belief = rng.normal(size=60), rng.normal(size=60)
    liked = taste[item] + x
    order = (belief[item] + 0.3 * rng.normal(size=rows)).reshape(-1, PLACES).argsort(axis=1)[:, ::-1].argsort(axis=1)
    place = order.ravel()
    chance = np.exp(-0.35 * place) if examined else np.full(rows, 0.5)
    click = rng.random(rows) < chance / (1 + np.exp(-liked))
    like = rng.random(rows) < 1 / (1 + np.exp(1 - taste[item]))
    rows = {"item": item, "x": x, "place": place + 1, "click": click, "like": like, "liked": liked}
    return pd.DataFrame(rows).astype({"click": int, "like": int})


def trained(folder, kind, balancer="static", rows=40_000, examined=True, seed=0):
    """A trainer after its training, the log, and predictions of fresh rows as served."""
    raw = folder / f"{kind}{rows}{examined}{seed}"
    raw.mkdir(exist_ok=True)
    log(rows, examined, seed).to_csv(raw / "log.csv", index=False)
    columns = {name: of for name, of in CARD["columns"].items() if name != "place"} | ({"place": kind} if kind else {})
    store = prepare(parse_card(CARD | {"columns": columns}, "here"), folder / "home", raw)
    config = {"embedding.dim": 8, "tower.layers": "16", "optim.lr": 0.005, "optim.epochs": 3, "optim.batch_size": 1024}
    chosen = TrialConfig.parse(config | {"balancing.kind": balancer})
    trainer = Trainer(store, chosen, [parse("click.auc", store.schema.tasks, "here")], seed, select=False)
    trainer.run_to()
    fresh = log(20_000, examined, seed).astype({"item": str})
    served = fresh[["item", "x"]].assign(place="unknown") if kind == "categorical" else fresh[["item", "x"]]
    ids, dense = store.encoder.encode(pa.Table.from_pandas(served, preserve_index=False))
    model = trainer.model.eval()
    with torch.inference_mode():
        logits = model(torch.from_numpy(ids), torch.from_numpy(dense))
    return trainer, fresh, logits[:, 0].numpy()


def test_serving_needs_no_position_and_evaluation_sees_none(tmp_path):
    trainer, _, _ = trained(tmp_path, "position", rows=3000)
    test = trainer.store.split("test")
    ids, dense = torch.from_numpy(test.ids), torch.from_numpy(np.array(test.dense))
    known = ids.clone()
    slot = trainer.model.position.slot
    assert len(np.unique(known[:, slot])) == PLACES
    known[:, slot] = trainer.model.position.first
    with torch.inference_mode():
        assert torch.equal(trainer.model(ids, dense), trainer.model(known, dense))


def test_trees_see_no_position(tmp_path):
    trainer, _, _ = trained(tmp_path, "position", rows=3000)
    schema, train = trainer.store.schema, trainer.store.split("train")
    ids, dense = train.ids, np.array(train.dense)
    _, found = TreeFeatures.learn(schema, ids, dense, np.asarray(train.labels)[:, 0], 0)
    other = ids.copy()
    other[:, trainer.model.position.slot] = trainer.model.position.first
    _, same = TreeFeatures.learn(schema, other, dense, np.asarray(train.labels)[:, 0], 0)
    assert found.shape[1] == width(schema)
    np.testing.assert_array_equal(found, same)


@pytest.mark.parametrize("balancer", ["static", "pcgrad", "uncertainty"])
def test_the_effect_of_a_position_is_found_under_every_way_of_balancing(tmp_path, balancer):
    trainer, _, _ = trained(tmp_path, "position", balancer)
    effect = SCALE * trainer.model.position.weight.detach().T
    known = trainer.store.encoder.fields[1].vocabulary.values
    of = {int(value): float(effect[at, 0]) for at, value in enumerate(known, 1)}
    found = np.array([of[place] for place in range(1, PLACES + 1)])
    assert (np.diff(found) < 0).mean() >= 0.8
    assert found[0] - found[-1] > 1.5  # in truth log(1 / exp(-.35 * 9)) = 3.2 at rare clicks, dropout and decay aside
    assert effect[1:, 1].abs().max() < 0.5  # likes do not depend on it


@pytest.mark.slow
def test_an_input_is_beaten_on_the_true_ranking_and_costs_nothing_where_position_means_nothing(tmp_path):
    gains, costs = [], []
    for seed in range(4):
        aucs = {}
        for kind in ("position", "categorical", ""):
            _, fresh, said = trained(tmp_path, kind, rows=60_000, seed=seed)
            aucs[kind] = roc_auc_score(fresh["liked"] > 0, said)
        gains.append((aucs["position"] - aucs["categorical"], aucs["position"] - aucs[""]))
        plain = {}
        for kind in ("position", ""):
            _, fresh, said = trained(tmp_path, kind, rows=60_000, examined=False, seed=seed)
            plain[kind] = roc_auc_score(fresh["liked"] > 0, said)
        costs.append(plain["position"] - plain[""])
    assert np.mean(gains, axis=0).min() > 0
    assert np.mean(costs) > -0.003  # four logs tell no smaller difference: +.002 (-.003 to +.007)
