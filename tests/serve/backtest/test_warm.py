"""Warm starts: rows keep their place, numbers their units, new values begin from their field's
mean.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from day_toys import CARD, NETWORK, Log, log

from bench.core.errors import UserError
from bench.core.objectives import parse
from bench.data import parse_card, prepare
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer
from bench.models.training.warm import Start, before_of, keep, rows_before, start_from
from bench.serve.backtest.chain import store_of_new_rows
from bench.serve.backtest.cuts import card_of

STEADY = NETWORK | {"optim.schedule": "constant"}


def trainer(store, epochs, seed=3, **config):
    objectives = [parse("click.auc", store.schema.tasks, "here")]
    chosen = TrialConfig.parse(STEADY | {"optim.epochs": epochs} | config)
    return Trainer(store, chosen, objectives, seed, select=False)


def stores_of(days):
    """The first cut's store, and that of the second, which goes on from it."""
    times = days.times()
    first, second, *_ = times.cuts(5, None)
    before = prepare(card_of(times, first), days.home, days.raw)
    later = card_of(times, second, known_before=first.first)
    return before, prepare(later, days.home, days.raw, before=before_of(before.path))


@pytest.fixture(scope="module")
def stores(days):
    return stores_of(days)


def go_on(old, new, folder):
    """Starts a training from what another one keeps."""
    keep(old, folder, 1)
    start_from(new, Start.open(folder, ["click", "buy"]))


def test_old_values_keep_their_ids_and_numbers_their_units(stores):
    before, after = stores
    old, new = before.encoder, after.encoder
    values = [
        next(part.vocabulary.values for part in encoder.fields if part.name == "item")
        for encoder in (old, new)
    ]
    assert values[1][: len(values[0])] == values[0]
    assert len(values[1]) > len(values[0])
    assert [part for part in new.dense if part.kind == "numeric"] == [
        p for p in old.dense if p.kind == "numeric"
    ]
    rates = [
        next(part for part in encoder.dense if part.kind == "target_rates")
        for encoder in (old, new)
    ]
    assert (rates[0].mean, rates[0].scale) == (rates[1].mean, rates[1].scale)


def test_what_is_stored_is_what_the_encoder_says_of_raw_rows(stores, days):
    _, after = stores
    raw = pd.read_csv(days.raw / "log.csv")
    raw = raw[raw["date"] == "2024-03-09"].astype({"item": str})
    ids, dense = after.encoder.encode(
        pa.Table.from_pandas(raw[["item", "x"]], preserve_index=False)
    )
    np.testing.assert_array_equal(after.split("test").ids, ids)
    np.testing.assert_allclose(after.split("test").dense, dense, rtol=1e-6)


@pytest.mark.parametrize("sharing", ["shared_bottom", "mmoe"])
def test_going_on_equals_training_without_a_break(stores, sharing, tmp_path):
    before, _ = stores
    whole = trainer(before, 2, **{"sharing.kind": sharing})
    whole.run_to()
    half = trainer(before, 1, **{"sharing.kind": sharing})
    half.run_to()
    rest = trainer(before, 1, **{"sharing.kind": sharing})
    go_on(half, rest, tmp_path / "half")
    rest.run_to()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, rest.model.state_dict()[name]), name


def test_a_new_value_begins_from_its_fields_mean_and_a_fresh_state(stores, tmp_path):
    before, after = stores
    old = trainer(before, 1)
    old.run_to()
    new = trainer(store_of_new_rows(after), 1)
    go_on(old, new, tmp_path / "old")
    rows = rows_before(old.model.schema, new.model.schema)
    table, earlier = new.model.embedding.weight.detach(), old.model.embedding.weight.detach()
    assert torch.equal(table[rows >= 0], earlier[rows[rows >= 0]])
    fresh = np.flatnonzero(rows < 0)
    assert len(fresh)
    item = old.model.schema.fields[0]
    torch.testing.assert_close(table[fresh[0]], earlier[2 : 1 + item.cardinality].mean(0))
    state = new.step.rows.state_dict()
    assert all(
        (tensor[fresh] == 0).all()
        for tensor in state.values()
        if tensor.dim() and len(tensor) == len(rows)
    )


def test_a_new_position_begins_without_an_effect(tmp_path):
    rows = log()
    rows["place"] = np.arange(len(rows)) % (4 + pd.factorize(rows["date"])[0])  # one more each day
    rows.to_csv(tmp_path / "log.csv", index=False)
    card = parse_card(CARD | {"columns": CARD["columns"] | {"place": "position"}}, "here")
    before, after = stores_of(Log(card, tmp_path, tmp_path / "home"))
    old, new = trainer(before, 1), trainer(store_of_new_rows(after), 1)
    old.run_to()
    go_on(old, new, tmp_path / "old")
    weight, earlier = new.model.position.weight, old.model.position.weight
    assert torch.equal(weight[:, : earlier.shape[1]], earlier)
    fresh = weight[:, earlier.shape[1] :]
    assert fresh.numel()
    assert (fresh == 0).all()
    new.run_to()
    assert (fresh[:, :1] != 0).all()


def test_other_inputs_are_refused(stores, funnel_like, tmp_path):
    before, _ = stores
    with pytest.raises(UserError, match="the inputs of the model to start from, found others"):
        go_on(trainer(before, 1), trainer(funnel_like, 1), tmp_path / "old")
    with pytest.raises(UserError, match="expected a folder of `seesaw train --save`, or a package"):
        Start.open(tmp_path, ["click"])
