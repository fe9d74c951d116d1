"""Positions: their effect is learnt in training and left out in serving, so earlier places are not
favoured.

The table of docs/tomorrow.md: `python -m pytest tests/models/training/test_position.py -k
true_ranking -s`.
"""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from day_toys import ABOUT
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from bench.core.errors import UserError
from bench.core.objectives import parse
from bench.data import parse_card, prepare
from bench.models.position import SCALE, PositionConfig, PositionTower
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.models.training.tree_data import TreeFeatures, width
from bench.testing.models import batch_of, schema_of

PLACES = 10
CARD = ABOUT | {
    "id": "shown",
    "split": {"kind": "random", "valid": 0.1, "test": 0.2},
    "tasks": [{"name": "click", "column": "click"}, {"name": "like", "column": "like"}],
}
LOGS = int(os.environ.get("LOGS", "4"))
EFFECTS = {
    "multiplied": lambda liked, place: np.exp(-0.35 * place) * odds(liked),
    "added": lambda liked, place: odds(liked - 0.35 * place),
    "none": lambda liked, place: 0.5 * odds(liked),
}


def odds(x):
    return 1 / (1 + np.exp(-x))


def log(rows, effect="multiplied", seed=0, fresh=False):
    """Items are shown in the order of a poor score; their tastes are those of the seed, also in
    fresh rows.
    """
    taste, belief = np.random.default_rng([seed, 5]).normal(size=(2, 60))
    rng = np.random.default_rng([seed, fresh])
    item, x = rng.integers(0, 60, rows), rng.normal(size=rows)
    liked = taste[item] + x
    order = (
        (belief[item] + 0.3 * rng.normal(size=rows))
        .reshape(-1, PLACES)
        .argsort(axis=1)[:, ::-1]
        .argsort(axis=1)
    )
    place = order.ravel()
    click = rng.random(rows) < EFFECTS[effect](liked, place)
    like = rng.random(rows) < odds(taste[item] - 1)
    rows = {"item": item, "x": x, "place": place + 1, "click": click, "like": like, "liked": liked}
    return pd.DataFrame(rows).astype({"click": int, "like": int})


def trained(
    folder, kind="position", rows=40_000, effect="multiplied", seed=0, balancer="static", **chosen
):
    """A trainer after its training, on a log whose place is a column of a kind, or is left out."""
    raw = folder / f"{kind}{rows}{effect}{seed}"
    raw.mkdir(exist_ok=True)
    log(rows, effect, seed).to_csv(raw / "log.csv", index=False)
    columns = {"item": "categorical", "x": "numeric"} | ({"place": kind} if kind else {})
    store = prepare(parse_card(CARD | {"columns": columns}, "here"), folder / "home", raw)
    config = {
        "embedding.dim": 8,
        "tower.layers": "16",
        "optim.lr": 0.005,
        "optim.epochs": 3,
        "optim.batch_size": 1024,
    }
    config |= {"balancing.kind": balancer} | {
        f"position.{key}": value for key, value in chosen.items()
    }
    trainer = Trainer(
        store,
        TrialConfig.parse(config),
        [parse("click.auc", store.schema.tasks, "here")],
        seed,
        select=False,
    )
    trainer.run_to()
    trainer.model.eval()
    return trainer


def said_of(trainer, ids, dense):
    with torch.inference_mode():
        return trainer.model(torch.from_numpy(np.array(ids)), torch.from_numpy(np.array(dense)))[
            :, 0
        ].numpy()


def true_auc(trainer, effect, seed, **place):
    """How well fresh rows are ranked by the true interest, as served: without a place, or with an
    input's.
    """
    fresh = log(20_000, effect, seed, fresh=True).astype({"item": str})
    ids, dense = trainer.store.encoder.encode(
        pa.Table.from_pandas(fresh[["item", "x"]].assign(**place))
    )
    return roc_auc_score(fresh["liked"] > 0, said_of(trainer, ids, dense))


def valid_auc(trainer, with_places):
    """Of clicks on validation; a search compares it with the places of its rows shown."""
    valid = trainer.store.split("valid")
    trainer.show_positions(with_places)
    area = roc_auc_score(np.asarray(valid.labels)[:, 0], said_of(trainer, valid.ids, valid.dense))
    trainer.show_positions(False)
    return area


@pytest.mark.parametrize("form", ["sum", "product"])
def test_serving_needs_no_position_and_evaluation_sees_one_only_where_it_is_shown(tmp_path, form):
    trainer = trained(tmp_path, rows=3000, form=form)
    test, position = trainer.store.split("test"), trainer.model.position
    ids = np.array(test.ids)
    assert len(np.unique(ids[:, position.slot])) == PLACES
    ids[:, position.slot] = position.place.first_row
    as_served = said_of(trainer, ids, test.dense)
    np.testing.assert_array_equal(said_of(trainer, test.ids, test.dense), as_served)
    trainer.show_positions(True)
    assert (said_of(trainer, test.ids, test.dense) != as_served).all()
    np.testing.assert_array_equal(said_of(trainer, ids, test.dense), as_served)


def test_trees_see_no_position(tmp_path):
    trainer = trained(tmp_path, rows=3000)
    schema, train = trainer.store.schema, trainer.store.split("train")
    ids, dense = train.ids, np.array(train.dense)
    _, columns = TreeFeatures.learn(schema, ids, dense, np.asarray(train.labels)[:, 0], 0)
    changed = ids.copy()
    changed[:, trainer.model.position.slot] = trainer.model.position.place.first_row
    _, same = TreeFeatures.learn(schema, changed, dense, np.asarray(train.labels)[:, 0], 0)
    assert columns.shape[1] == width(schema)
    np.testing.assert_array_equal(columns, same)


def test_its_options_are_refused_where_there_is_no_position(tmp_path):
    with pytest.raises(UserError, match="position: expected a column of this kind"):
        trained(tmp_path, kind="", rows=3000, form="product")


def tower(form, std=1.0):
    """Of a child, a regression and two roots."""
    torch.manual_seed(0)
    layer = PositionTower(
        replace(schema_of("mixed", {}), position="hour"), PositionConfig(form=form)
    ).double()
    torch.nn.init.normal_(layer.weight, std=std / SCALE)
    return layer


@pytest.mark.parametrize("form", ["sum", "product"])
def test_a_position_multiplies_the_probability_of_a_binary_task_or_is_added_to_the_logit(form):
    layer, members = tower(form, std=2.0), 2
    ids, _, _ = batch_of(schema_of("mixed", {}), 200)
    ids[:, layer.slot] = ids[:, layer.slot].clamp(min=layer.place.first_row + 1)  # none is unknown
    logits = 3 * torch.randn(members * len(ids), 6, dtype=torch.float64)
    shifted = layer(logits, ids).detach()
    w = SCALE * layer.weight.detach().t()
    of_rows = w[layer.codes(ids)].repeat(members, 1)
    added = (w - w.mean(0))[layer.codes(ids)].repeat(members, 1)
    multiplied = torch.logit(logits[:, :4].sigmoid() * of_rows.sigmoid())
    multiplied[:, 2] = (logits[:, :4] + added)[:, 2]  # a regression
    torch.testing.assert_close(
        shifted[:, :4], multiplied if form == "product" else logits[:, :4] + added
    )
    assert torch.equal(shifted[:, 4:], logits[:, 4:])  # an imputation's, a loss's second score
    layer.eval()
    average = torch.logit(logits[:, :4].sigmoid() * w.sigmoid().mean(0))
    average[:, 2] = logits[:, 2]
    torch.testing.assert_close(
        layer(logits, ids)[:, :4].detach(), average if form == "product" else logits[:, :4]
    )


def test_a_product_is_finite_with_its_gradient_at_any_logit():
    layer = tower("product").float()
    ids, _, _ = batch_of(schema_of("mixed", {}), 6)
    logits = (
        torch.tensor([-1e4, -200.0, -90.0, 90.0, 200.0, 1e4])
        .unsqueeze(1)
        .repeat(1, 4)
        .requires_grad_()
    )
    with torch.no_grad():
        layer.weight[:, ::2] = 100.0 / SCALE
        layer.weight[:, 1::2] = -100.0 / SCALE
    for training in (True, False):
        shifted = layer.train(training)(logits, ids)
        gradients = torch.autograd.grad(shifted.sum(), [logits, layer.weight])
        assert all(tensor.isfinite().all() for tensor in (shifted, *gradients))
        assert (shifted[:, 0] <= logits[:, 0]).all()


def effects(trainer, task):
    """(PLACES,) of the places in their order."""
    values = trainer.store.encoder.fields[1].vocabulary.values
    own_effects = SCALE * trainer.model.position.weight.detach()[task].numpy()
    return own_effects[1:][np.argsort([int(value) for value in values])]


@pytest.mark.parametrize("balancer", ["static", "pcgrad", "uncertainty"])
def test_the_effect_of_a_position_is_found_under_every_way_of_balancing(tmp_path, balancer):
    trainer = trained(tmp_path, balancer=balancer)
    estimated = effects(trainer, 0)
    assert (np.diff(estimated) < 0).mean() >= 0.8
    # in truth log(1 / exp(-.35 * 9)) = 3.2 at rare clicks, decay aside
    assert estimated[0] - estimated[-1] > 1.5
    assert np.abs(effects(trainer, 1)).max() < 0.5  # likes do not depend on it


def test_a_product_finds_the_probability_that_a_place_is_seen(tmp_path):
    chances = odds(effects(trained(tmp_path, form="product"), 0))
    np.testing.assert_allclose(chances, np.exp(-0.35 * np.arange(PLACES)), rtol=0.3, atol=0.03)


SEARCHED = [
    {"form": form, "dropout": dropout} for form in ("sum", "product") for dropout in (0.0, 0.2, 0.5)
]


def ranked(folder, effect, seed):
    """By way how well the true interest is ranked; `searched` is the best on validation, with
    places or as served.
    """
    aucs, compared = {}, []
    for name, kind in (("left out", ""), ("an input", "categorical")):
        trainer = trained(folder, kind, 60_000, effect, seed)
        aucs[name] = true_auc(trainer, effect, seed, **({"place": "unknown"} if kind else {}))
    aucs["at the first place"] = true_auc(trainer, effect, seed, place="1")
    for options in SEARCHED:
        trainer = trained(folder, "position", 60_000, effect, seed, **options)
        compared.append(
            (valid_auc(trainer, True), valid_auc(trainer, False), true_auc(trainer, effect, seed))
        )
        if not options["dropout"]:
            aucs[options["form"]] = compared[-1][2]
    *_, aucs["searched"] = max(compared)
    *_, aucs["searched as served"] = max(compared, key=lambda entry: entry[1])
    return aucs


@pytest.mark.slow
def test_a_learnt_effect_is_ahead_of_an_input_on_the_true_ranking_and_costs_little_where_there_is_none(
    tmp_path,
):
    results = {
        effect: pd.DataFrame([ranked(tmp_path, effect, seed) for seed in range(LOGS)])
        for effect in EFFECTS
    }
    for effect, aucs in results.items():
        differences = aucs.sub(aucs["sum"], axis=0)
        margin = t.ppf(0.975, len(differences) - 1) * differences.std() / np.sqrt(len(differences))
        table = pd.DataFrame({"AUC": aucs.mean(), "less sum": differences.mean(), "+-": margin})
        print(f"\n{effect}\n{table.round(4).to_string()}")
    for effect in ("multiplied", "added"):
        aucs = results[effect].mean()
        assert aucs["sum"] > aucs[["left out", "an input", "at the first place", "product"]].max()
        assert aucs["searched"] > max(aucs["sum"] - 0.01, aucs["searched as served"] + 0.02)
    assert np.ptp(results["none"].mean()) < 0.005
