import numpy as np
import pyarrow as pa
import pytest

from bench.data import parse_card
from bench.data.encoding.fitter import EncoderFitter


@pytest.fixture
def card(shop):
    shop["columns"] = {
        "user": "categorical",
        "tags": {"kind": "multi-valued", "max_length": 3},
        "price": "numeric",
        "hour": {"kind": "categorical", "from": "clock", "derive": "hour_of_hhmm"},
    }
    shop["encoding"] = {"target_rates": ["user"]}
    return parse_card(shop, "here")


TRAIN = pa.table(
    {
        "user": ["a", "a", "b", "b", "c", None, None],
        "tags": ["x,y", "x", "y", None, "x,x", "", "z"],
        "price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, None],
        "clock": [900, 930, 1000, 1010, 900, 1100, None],
    }
)
LABELS = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 0], [1, 0], [0, 0]], np.float32)


def fit(card, table=TRAIN, labels=LABELS):
    """The encoder, and what it makes of the very rows it was fitted on; in two parts."""
    fitter, parts = EncoderFitter(card), []
    for at in (slice(0, 3), slice(3, 7)):
        part = table.slice(at.start, at.stop - at.start)
        parts.append(fitter.take(part, np.ones(part.num_rows, bool), labels[at]))
    encoder = fitter.finish()
    ids, dense = zip(*(fitter.encode(part, start) for part, start in zip(parts, (0, 3), strict=True)), strict=True)
    return encoder, (np.concatenate(ids), np.concatenate(dense))


def test_ids_are_rows_of_one_table(card):
    encoder, _ = fit(card)
    schema = encoder.schema_of(card.tasks)
    assert [(f.name, f.cardinality, f.slots) for f in schema.fields] == [
        ("user", 4, 1),  # unknown, a, b, missing
        ("tags", 3, 3),  # unknown, x, y
        ("hour", 3, 1),  # unknown, 9, 10
        ("price_bucket", 4, 1),  # unknown, two ranges, missing
    ]
    assert schema.offsets == (1, 5, 8, 11)
    (price,) = schema.numbers
    assert (price.name, price.column, price.missing, price.counts) == ("price", 0, 1, (3, 3))
    standard = encoder.encode(pa.table({"user": ["a"] * 3, "tags": ["x"] * 3, "price": [1, 4, 6], "clock": [900] * 3}))
    assert list(price.edges) == standard[1][:, 0].tolist()
    rows = {
        "user": ["zz", "c", "a"],
        "tags": ["zz", None, "y,x"],
        "price": [None, -5.0, 9.0],
        "clock": [900, 1500, None],
    }
    ids, dense = encoder.encode(pa.table(rows))
    assert ids.tolist() == [
        [1, 5, 0, 0, 9, 14],
        [1, 0, 0, 0, 8, 12],
        [schema.offsets[0] + encoder.fields[0].vocabulary.values.index("a") + 1, 7, 6, 0, 8, 13],
    ]
    assert ids.dtype == np.int32
    assert dense.dtype == np.float32
    assert dense.shape == (3, 2 + 3)
    assert schema.dense == ("price", "price_missing", "user_click_rate", "user_buy_rate", "user_count")
