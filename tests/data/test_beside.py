"""Weights, bounds, items, units, scenarios, scales: beside inputs and labels. `test_parts` checks
each array.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bench.core.errors import UserError
from bench.core.rows import TEST
from bench.data import Store, parse_card, prepare
from bench.data.card_summary import shape_of
from bench.data.checks import Rejects, Sieve, read_labels
from bench.data.preparation import recipe
from bench.data.store import WeightFacts, part_of
from bench.data.tasks import TaskRule, scale_of
from bench.measure.predictions import read_rows
from bench.models.training.kept import write_rows


def stored(shop, raw, tmp_path, **keys):
    return prepare(parse_card(shop | keys, "here"), tmp_path / "home", raw)


def changed(raw, old, new, times=-1):
    text = (raw / "log.csv").read_text()
    assert old in text
    (raw / "log.csv").write_text(text.replace(old, new, times))


def test_a_store_has_weights_only_if_its_card_has(shop, shop_raw, tmp_path):
    plain = stored(shop, shop_raw, tmp_path)
    weighted = stored(shop, shop_raw, tmp_path, weight="weight")
    assert (plain.weights, plain.split("train").weights) == (None, None)
    assert weighted.weights == WeightFacts(plain=True)
    changed(shop_raw, ",202401", ",0.01")
    for rate, fixed in ((0.25, 0.25), ("day", None)):
        thinned = stored(shop, shop_raw, tmp_path, sampling={"task": "click", "rate": rate})
        assert thinned.weights == WeightFacts(plain=False, task="click", rate=fixed)
    part = part_of(weighted.split("train"), 50)
    assert part.weights.shape == (len(part), 1)


@pytest.mark.parametrize(
    ("weight", "reported"), [("-3", "-3"), ("", "none"), ("inf", "inf"), ("1e39", r"1e\+39")]
)
def test_a_weight_that_is_none_is_a_bad_row(shop, shop_raw, tmp_path, weight, reported):
    changed(shop_raw, ",20240102,21\n", f",20240102,{weight}\n")
    with pytest.raises(
        UserError, match=rf"line 23: 'weight', the rows' weight: .* 0 or more, found {reported}$"
    ):
        stored(shop, shop_raw, tmp_path, weight="weight")
    drops = shop["reader"] | {"on_bad_row": "drop", "bad_row_limit": 0.1}
    store = stored(shop | {"reader": drops}, shop_raw, tmp_path, weight="weight")
    assert store.manifest["bad_rows"] == {"weight": 1}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"weight": "weigth"}, "unknown raw column 'weigth'"),
        (
            {"sampling": {"task": "click", "rate": "day"}},
            "line 3: 'day', the rate of sampling: .* found 2.024",
        ),
        (
            {"sampling": {"task": "click", "rate": "click"}},
            "line 3: 'click', the rate of sampling: .* found 0$",
        ),
    ],
)
def test_a_column_that_is_not_there_or_does_not_fit_is_one_sentence(
    shop, shop_raw, tmp_path, keys, says
):
    with pytest.raises(UserError, match=says):
        stored(shop, shop_raw, tmp_path, **keys)


def labels(table, missing=(), **rule):
    rows = pa.table(table)
    sieve = Sieve(Rejects(), lambda row: f"/f.csv, line {row + 2}", rows.num_rows)
    return [
        float(x) for x in read_labels(rows, (TaskRule(name="y", **rule),), missing, sieve)[:, 0]
    ]


def test_zero_and_one_in_every_spelling():
    assert labels({"a": ["0", "1", "1.0", "0.0", "true", "False"]}, column="a") == [
        0,
        1,
        1,
        0,
        1,
        0,
    ]
    assert labels({"a": [True, False]}, column="a") == [1, 0]
    assert labels({"a": [1.0, 0.0]}, column="a") == [1, 0]


def test_a_label_that_is_neither_names_file_and_line():
    with pytest.raises(
        UserError, match=r"/f\.csv, line 4: 'a', the label of task 'y': expected 0 or 1, found '2'"
    ):
        labels({"a": ["0", "1", "2", "2"]}, column="a")
    with pytest.raises(UserError, match=r"line 3: .*expected one of '- 5', '5\+', found 'five'"):
        labels({"a": ["5+", "five"]}, column="a", positive=["- 5"], negative=["5+"])


def test_numbers_say_the_bound_of_a_label_and_a_view_keeps_its_tasks_bounds(
    shop, shop_raw, tmp_path
):
    watch = {"name": "watch", "column": "weight", "kind": "regression", "parent": "click"}
    store = stored(
        shop,
        shop_raw,
        tmp_path,
        tasks=[*shop["tasks"], watch | {"duration": "price", "censored": "price"}],
    )
    task, train = store.schema.tasks[-1], store.split("train")
    assert (task.parent, task.duration, task.censored) == ("click", "price", True)
    bounds, cap = train.bounds[:, -1], task.cap
    numbers, bounded = train.dense[:, cap.column] * cap.scale + cap.mean, np.isfinite(bounds)
    np.testing.assert_allclose(
        (np.expm1(numbers) if cap.log else numbers)[bounded], bounds[bounded], rtol=1e-5, atol=1e-4
    )
    assert train.dense[~bounded, cap.missing].all()
    assert store.with_tasks(["click"]).split("train").bounds is None
    np.testing.assert_array_equal(
        store.with_tasks(["watch", "click"]).split("train").bounds[:, 0], bounds
    )


def test_kept_predictions_have_the_items_of_their_rows(shop, shop_raw, tmp_path):
    shop |= {"columns": {"day": "numeric"}, "logged": ["weight"], "items": {"author": "user"}}
    store = stored(shop, shop_raw, tmp_path, item_numbers={"age": "price"})
    assert store.fingerprint != stored(shop, shop_raw, tmp_path).fingerprint
    write_rows(store, tmp_path / "kept")
    kept_rows, log = read_rows(tmp_path / "kept", TEST), pd.read_csv(shop_raw / "log.csv")
    logged_rows = log.iloc[kept_rows.logged["weight"].astype(int)]
    np.testing.assert_array_equal(kept_rows.items["age"], logged_rows["price"])
    # as they first appear
    np.testing.assert_array_equal(
        kept_rows.items["author"], logged_rows["user"].str[1:].astype(int)
    )


@pytest.mark.parametrize(
    "split",
    [
        {"kind": "random", "valid": 0.3, "test": 0.2, "unit": "group"},
        {"kind": "hash", "column": "request", "valid": 0.3, "test": 0.2},
        {"kind": "time", "train": {"last": 20240105}, "valid": {"first": 20240106, "last": 20240108},
         "test": {"first": 20240109}},
    ],
)  # fmt: skip
def test_units_stay_whole_where_the_split_keeps_groups_whole(shop, shop_raw, tmp_path, split):
    """A split by time parts them, but not validation's halves."""
    log = pd.read_csv(shop_raw / "log.csv")
    log["request"] = "r" + (log["weight"] // 2).astype(str)
    log["user"] = "u" + (log["weight"] // 2 % 40).astype(str)
    log.to_csv(shop_raw / "log.csv", index=False)
    store = stored(shop, shop_raw, tmp_path, group="request", units="user", time="day", split=split)
    sides = {
        name: set(store.split(name).together.tolist())
        for name in ("train", "valid", "confirm", "test")
    }
    assert not sides["valid"] & sides["confirm"]
    shared = [
        bool(sides[first_side] & sides[second_side])
        for first_side in sides
        for second_side in sides
        if first_side < second_side
    ]
    assert any(shared) == (split["kind"] == "time")
    changed(shop_raw, "\nu1,", "\nu2,", 1)
    with pytest.raises(
        UserError,
        match=r"all rows of one 'request' to have one 'user', found 'r\d+' with two of them",
    ):
        stored(shop, shop_raw, tmp_path, group="request", units="user", time="day", split=split)


RNG = np.random.default_rng(0)
NORMAL = RNG.normal(100, 7, 4000)
SKEWED = RNG.lognormal(2, 1.2, 4000)
RARE = np.where(np.arange(4000) % 50 == 0, SKEWED, 0.0)


@pytest.mark.parametrize(
    ("labels", "log"),
    [
        (NORMAL, False),
        (-SKEWED, False),
        (SKEWED, True),
        (RARE, True),
        (RNG.integers(1, 6, 4000) * 1.0, False),
    ],
)
def test_a_logarithm_is_taken_of_skewed_labels_that_are_never_negative(labels, log):
    scale = scale_of(labels)
    values = np.log1p(labels) if log else labels
    assert scale.log == log
    assert scale.centre == pytest.approx(values.mean(), rel=0.05)
    assert scale.spread == pytest.approx(values.std(), rel=0.05)
    assert scale.mean == pytest.approx(labels.mean(), rel=0.05)


def test_a_store_keeps_the_scale_of_train_as_its_card_asks(shop, shop_raw, tmp_path):
    shop["split"] = {
        "kind": "time",
        "train": {"last": 20240106},
        "valid": {"first": 20240107, "last": 20240108},
        "test": {"first": 20240109},
    }
    shop["time"], scales = "day", {}
    for scale in ("auto", "none", "standard", "log1p"):
        shop["tasks"] = [
            {"name": "weight", "column": "weight", "kind": "regression", "scale": scale}
        ]
        (task,) = prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw).schema.tasks
        scales[scale] = task.scale
    train = np.arange(120.0)  # rows to the sixth day
    assert scales["none"] is None
    assert scales["auto"] == scales["standard"] == scale_of(train, log=False)
    assert scales["log1p"] == scale_of(train, log=True)


def test_a_scenario_is_a_segment_that_models_know(shop, shop_raw, tmp_path):
    """Its field is named in the schema; values that are rare on train have its code of the
    unknown.
    """
    frame = pd.read_csv(shop_raw / "log.csv").assign(
        page=["cart", *["search", "search", "home"] * 66, "home"]
    )
    frame.to_csv(shop_raw / "log.csv", index=False)
    split = {
        "kind": "time",
        "train": {"last": 20240105},
        "valid": {"first": 20240106, "last": 20240108},
    }
    shop |= {"time": "day", "split": split | {"test": {"first": 20240109}}}
    place = {"kind": "categorical", "from": "page"}
    shop["columns"] = {"price": "numeric", "place": place}
    segments = {"user": {"known": "user"}, "weight": {"column": "weight", "ranges": [25, 45.5]}}
    card = parse_card(shop | {"scenario": "page", "segments": segments}, "here")
    assert shape_of(card).scenario == "place"
    store = prepare(card, tmp_path / "home", shop_raw)
    assert store.schema.scenario == "place"
    assert store.schema.fields[0].cardinality == 3
    ranges = ("< 25", "25 to 45.5", ">= 45.5")
    assert store.segments == {
        "scenario": ("search", "home", "cart"),
        "user": ("known", "new"),
        "weight": ranges,
    }
    train = store.split("train")
    assert train.segments.dtype == np.int16
    assert train.ids[train.segments[:, 0] == 2, 0].tolist() == [store.schema.offsets[0]]
    assert Store.open(store.path).schema == store.schema
    assert recipe(card) != recipe(parse_card(shop, "here"))
    for changes, message in (
        (
            {"scenario": "pages"},
            "raw column of a categorical input without 'derive', found 'pages'; .* are page",
        ),
        ({"scenario": "price"}, "found 'price'"),
        (
            {"scenario": "page", "segments": {"scenario": {"column": "day"}}},
            "'scenario' makes a segment of this name",
        ),
    ):
        with pytest.raises(UserError, match=message):
            parse_card(shop | changes, "here")
