"""Row weights, thinned negatives and conditions of tasks: from a card to a store's arrays."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from bench.core.errors import UserError
from bench.data import parse_card, prepare
from bench.data.batches import Batches
from bench.data.checks import Rejects, Sieve, read_labels
from bench.data.chunks import Plan, in_file_order, shuffled_by_chunk
from bench.data.store import WeightFacts, part_of
from bench.data.tasks import TaskRule


def stored(shop, raw, tmp_path, **keys):
    return prepare(parse_card(shop | keys, "here"), tmp_path / "home", raw)


def changed(raw, old, new):
    text = (raw / "log.csv").read_text()
    assert old in text
    (raw / "log.csv").write_text(text.replace(old, new))


def test_a_store_has_weights_only_if_its_card_has(shop, shop_raw, tmp_path):
    plain, weighted = stored(shop, shop_raw, tmp_path), stored(shop, shop_raw, tmp_path, weight="weight")
    assert plain.weights is None
    assert plain.split("train").weights is None
    assert "weights" not in plain.manifest
    assert weighted.weights == WeightFacts(plain=True)
    seen = np.concatenate([weighted.split(name).weights for name in ("train", "valid", "confirm", "test")])
    assert sorted(seen[:, 0].tolist()) == list(range(200))
    train = weighted.split("train")
    for array in ("ids", "dense", "stored_labels", "group"):
        np.testing.assert_array_equal(getattr(train, array), getattr(plain.split("train"), array))
    part = part_of(train, 50)
    assert part.weights.shape == (len(part), 1)


@pytest.mark.parametrize(("weight", "found"), [("-3", "-3"), ("", "none"), ("inf", "inf"), ("1e39", r"1e\+39")])
def test_a_weight_that_is_none_is_a_bad_row(shop, shop_raw, tmp_path, weight, found):
    changed(shop_raw, ",20240102,21\n", f",20240102,{weight}\n")
    with pytest.raises(UserError, match=rf"line 23: 'weight', the rows' weight: .* 0 or more, found {found}$"):
        stored(shop, shop_raw, tmp_path, weight="weight")
    drops = shop["reader"] | {"on_bad_row": "drop", "bad_row_limit": 0.1}
    kept = stored(shop | {"reader": drops}, shop_raw, tmp_path, weight="weight")
    assert kept.manifest["bad_rows"] == {"weight": 1}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"weight": "weigth"}, "unknown raw column 'weigth'"),
        ({"sampling": {"task": "click", "rate": "day"}}, "line 3: 'day', the rate of sampling: .* found 2.024"),
        ({"sampling": {"task": "click", "rate": "click"}}, "line 3: 'click', the rate of sampling: .* found 0$"),
    ],
)
def test_a_column_that_is_not_there_or_does_not_fit_is_one_sentence(shop, shop_raw, tmp_path, keys, says):
    with pytest.raises(UserError, match=says):
        stored(shop, shop_raw, tmp_path, **keys)


def test_thinned_negatives_stand_for_one_over_their_rate(shop, shop_raw, tmp_path):
    fixed = stored(shop, shop_raw, tmp_path, sampling={"task": "click", "rate": 0.25})
    assert fixed.weights == WeightFacts(plain=False, task="click", rate=0.25)
    train = fixed.split("train")
    expected = np.where(train.labels[:, 0] == 0, 4, 1)
    np.testing.assert_array_equal(train.weights, np.stack([np.ones(len(train)), expected], 1))
    changed(shop_raw, "weight\n", "weight,rate\n")
    lines = (shop_raw / "log.csv").read_text().splitlines()
    rates = ["" if line.rsplit(",", 4)[-4] == "1" else str(0.1 + 0.9 * (at % 2)) for at, line in enumerate(lines)]
    text = "\n".join([lines[0], *(f"{line},{rate}" for line, rate in zip(lines[1:], rates[1:], strict=True))])
    (shop_raw / "log.csv").write_text(text + "\n")
    own = stored(shop, shop_raw, tmp_path, weight="weight", sampling={"task": "click", "rate": "rate"})
    assert own.weights == WeightFacts(plain=True, task="click", rate=None)
    train = own.split("train")
    line = train.weights[:, 0] + 1
    expected = np.where(train.labels[:, 0] == 1, 1, np.where(line % 2 == 1, 1, 10))
    np.testing.assert_allclose(train.weights[:, 1], expected, rtol=1e-6)


def test_a_task_counts_where_its_conditions_hold(shop, shop_raw, tmp_path):
    tasks = [
        shop["tasks"][0],
        shop["tasks"][1]
        | {"where": {"day": {"first": 20240103, "last": 20240106}, "user": ["u1", "u2", "u5"]}, "optional": True},
        {"name": "spend", "column": "weight", "kind": "regression", "where": {"tags": ["a,b,c"]}, "optional": True},
    ]
    found, plain = stored(shop | {"tasks": tasks}, shop_raw, tmp_path), stored(shop, shop_raw, tmp_path)
    for name in ("train", "valid", "test"):
        labels, before = found.split(name).labels, plain.split(name).labels
        row = stored(shop, shop_raw, tmp_path, weight="weight").split(name).weights[:, 0].astype(int)
        inside = (row >= 40) & (row < 120) & np.isin(row % 10, [1, 2, 5])
        np.testing.assert_array_equal(labels[:, 0], before[:, 0])
        np.testing.assert_array_equal(labels[:, 1], np.where(inside, before[:, 1], np.nan))
        np.testing.assert_array_equal(labels[:, 2], np.where(row % 6 == 5, row, np.nan))


def test_batches_bring_the_weights_of_their_rows(shop, shop_raw, tmp_path):
    split = stored(shop, shop_raw, tmp_path, weight="weight").split("train")
    data = Batches(split)
    batches = [
        *data.in_order(16),
        *data.shuffled(16, 1),
        *shuffled_by_chunk(split, Plan(64, 8), 16, 1),
        *in_file_order(split, 16),
    ]
    assert len(batches) > 20
    for batch in batches:
        assert torch.equal(batch.labels[:, 0] == 1, batch.weights[:, 0] % 3 == 0)
        assert len(batch.weights) == len(batch.ids)
    own, parent = split.labels[:, 0], split.weights[:, 0].astype(float)
    assert data.label_means([None, 0])[0] == pytest.approx(own @ parent / parent.sum())


def labels(table, missing=(), **rule):
    rows = pa.table(table)
    sieve = Sieve(Rejects(), lambda row: f"/f.csv, line {row + 2}", rows.num_rows)
    return [float(x) for x in read_labels(rows, (TaskRule(name="y", **rule),), missing, sieve)[:, 0]]


def test_zero_and_one_in_every_spelling():
    assert labels({"a": ["0", "1", "1.0", "0.0", "true", "False"]}, column="a") == [0, 1, 1, 0, 1, 0]
    assert labels({"a": [True, False]}, column="a") == [1, 0]
    assert labels({"a": [1.0, 0.0]}, column="a") == [1, 0]


def test_a_label_that_is_neither_names_file_and_line():
    with pytest.raises(UserError, match=r"/f\.csv, line 4: 'a', the label of task 'y': expected 0 or 1, found '2'"):
        labels({"a": ["0", "1", "2", "2"]}, column="a")
    with pytest.raises(UserError, match=r"line 3: .*expected one of '- 5', '5\+', found 'five'"):
        labels({"a": ["5+", "five"]}, column="a", positive=["- 5"], negative=["5+"])
