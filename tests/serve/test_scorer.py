"""What is served: the same as offline from data frames, records and tables; what is said of rows
that do not fit.
"""

import numpy as np
import pandas as pd
import pytest
from serving_toys import CALIBRATIONS, FUNNEL, raw_rows, raw_split, said_by, trained

from bench.core.errors import UserError
from bench.data import load_card
from bench.deciding.score import Score
from bench.ledger.fusion import LEAST_PREDICTION, fused
from bench.serve import scorer as module


@pytest.fixture(scope="module")
def scorer(package):
    return package.scorer()


@pytest.fixture(scope="module")
def raw():
    return raw_rows()


@pytest.fixture
def row(raw):
    return raw.slice(0, 1).to_pylist()[0]


def test_raw_rows_give_what_the_store_gives(scorer, store):
    """The store's rows were encoded by another way, while they were counted."""
    split = store.split("test")
    offline = scorer.predict_encoded(np.array(split.ids), np.array(split.dense))
    online = scorer.predict(raw_split(load_card(FUNNEL), {}, "test"))
    for name, values in offline.items():
        np.testing.assert_allclose(online[name], values, atol=1e-5)


def test_the_trained_model_its_calibration_and_the_score(package, store):
    trainer = trained(store, **{"sharing.kind": "mmoe", "sharing.mmoe.layers": "8"})
    valid = store.split("valid")
    predictions = package.scorer().predict_encoded(np.array(valid.ids), np.array(valid.dense))
    conditional, joint = said_by(trainer, valid.ids, valid.dense)
    click = CALIBRATIONS["click"].apply(conditional[:, 0])
    np.testing.assert_allclose(predictions["click"], click, atol=1e-5)
    np.testing.assert_allclose(predictions["purchase.cvr"], conditional[:, 1], atol=1e-5)
    np.testing.assert_allclose(predictions["purchase.ctcvr"], joint[:, 1], atol=1e-5)
    np.testing.assert_allclose(
        np.exp(predictions["score"]), click * np.sqrt(joint[:, 1]), atol=1e-5
    )
    np.testing.assert_allclose(joint[:, 1], conditional[:, 0] * conditional[:, 1], atol=1e-5)


@pytest.mark.parametrize(("kind", "rates"), [("power", ()), ("sum", (0.3, 0.02))])
def test_a_picked_score_is_the_fusion_of_uncalibrated_predictions(package, store, kind, rates):
    scorer, weights = package.scorer(), (0.8, 0.2)
    names = [task.name for task in store.schema.tasks]
    arguments = (dict(zip(names, values, strict=False)) for values in (weights, rates))
    scorer.score = Score.fusion(kind, *arguments, store.schema.tasks)
    valid = store.split("valid")
    ids, dense = np.array(valid.ids), np.array(valid.dense)
    predictions = scorer.predict_encoded(ids, dense)
    _, joint = scorer.engine(ids, dense)
    np.testing.assert_array_equal(predictions["score"], fused(kind, joint, weights, rates))
    np.testing.assert_array_equal(
        predictions["click"], CALIBRATIONS["click"].apply(joint[:, 0].astype(float))
    )


def test_frames_records_and_tables_are_one(scorer, raw, monkeypatch):
    some = raw.slice(0, 40)
    expected = scorer.predict(some)
    monkeypatch.setattr(module, "CHUNK", 7)  # a large batch goes through in pieces
    frame = some.to_pandas().sample(frac=1, axis=1, random_state=0).assign(more=1)
    shuffled = frame.sample(frac=1, random_state=0)
    for rows in (
        frame,
        some.to_pylist(),
        frame.astype(object),
        some.to_pandas().astype({"user_id": float}),
    ):
        pd.testing.assert_frame_equal(scorer.predict(rows), expected, rtol=1e-6)
    again = scorer.predict(shuffled).set_index(shuffled.index).sort_index()
    pd.testing.assert_frame_equal(again, expected, rtol=1e-6)


def test_unknown_and_missing_values_have_a_meaning(scorer, row):
    unknown, second = scorer.predict(
        [row | {"user_id": "nobody"}, row | {"user_id": "another"}]
    ).to_numpy()
    assert (unknown == second).all()
    assert np.isfinite(unknown).all()
    del row["age"]  # train lacked some ages
    without = scorer.predict([row])
    assert without.equals(scorer.predict([row | {"age": None}]))
    assert without.equals(scorer.predict(pd.DataFrame([row | {"age": np.nan}])))
    assert np.isfinite(scorer.predict([dict.fromkeys(row, None)]).to_numpy()).all()


@pytest.mark.parametrize("odd", [1e300, -1e300, 1e39, "1e300", 10**400, float("inf")])
def test_numbers_beyond_all_measure_are_answered_with_numbers(scorer, row, odd):
    for name in ("price", "age", "rating", "affinity", "hour"):
        assert np.isfinite(scorer.predict([row | {name: odd}]).to_numpy()).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"price": "cheap"}, "row 2: 'price': expected a number, found 'cheap'"),
        ({"price": [1.0]}, "row 2: 'price': expected a number, found a list"),
        ({"user_id": {"id": 3}}, "row 2: 'user_id': expected a text or a number, found an object"),
    ],
)
def test_a_value_that_does_not_fit_is_named(scorer, row, change, sentence):
    with pytest.raises(UserError) as error:
        scorer.predict([row, row | change])
    assert str(error.value) == sentence


def test_no_answer_holds_what_is_no_number(package, row, monkeypatch):
    """A model that gives NaN, a sum beyond float32: said of the row. A power of 0 has a floor."""
    scorer = package.scorer()

    def answering(*values):
        column = np.array([values, values], np.float32).T
        monkeypatch.setattr(scorer, "engine", lambda ids, dense: (column, column))

    answering(0.5, np.nan)
    with pytest.raises(UserError, match=r"row 2: expected a finite number as 'click', found nan"):
        scorer.predict([row, row])
    for huge in (1e300, -1e300):
        monkeypatch.setattr(scorer, "score", Score(weights={"purchase.cvr": huge}))
        answering(0.5, 0.5)
        with pytest.raises(
            UserError, match=r"row 1: expected a finite number as 'score', found -?5e"
        ):
            scorer.predict([row, row])
    answering(0.5, 0.0)
    monkeypatch.setattr(scorer, "score", Score(kind="power", weights={"purchase.cvr": -1.0}))
    assert scorer.predict([row, row])["score"].tolist() == pytest.approx(
        [-np.log(0.5), -np.log(LEAST_PREDICTION)]
    )
