"""Every kind of column: who adds one adds a sample here, and all that is asked of a kind is asked
of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of

from bench.core.errors import UserError
from bench.data import prepare
from bench.data.card_summary import shape_of
from bench.data.columns import DENSE, FIELDS, KINDS
from bench.data.encoding.encoder import Encoder
from bench.data.encoding.fitter import EncoderFitter
from bench.data.inspection.column import count_column
from bench.data.inspection.roles import find_kind
from bench.serve.scorer import RawRows, example_rows

ROWS = 240


class Sample(NamedTuple):
    """A kind with options, some values of its raw column, and the same values in other forms that
    must mean the same.

    Attributes:
        bad: a value that a row cannot have, and words of the error; None where each fits.
        drafted: whether a drafted card takes a column of such values as an input, or only proposes
            it.
    """

    option: dict[str, Any]
    values: Sequence[Any]
    forms: Sequence[Sequence[Any]]
    bad: tuple[Any, str] | None
    drafted: bool = True


TIMES = ["2024-03-01 10:00:00", "2023-12-31 23:59:59", "2024-02-29 00:30:00", "2024-03-04 10:15:00"]
SAMPLES = {
    "categorical": Sample({}, ["a", "b", "1", "b"], [["a", "b", "1.0", " b"]], None),
    "numeric": Sample(
        {"log1p": True}, [0.5, 1.25, -3, 1e4], [["0.5", "1.250", "-3", "1e4"]], ("x", "number")
    ),
    "multi-valued": Sample(
        {"separator": "|", "max_length": 2},
        ["x|y", "y", "z|x", "y|z|x"],
        [[["x", "y"], ["y"], ["z", "x"], ["y", "z", "x"]]],
        None,
    ),
    "vector": Sample(
        {"length": 2},
        [[0.5, 1.0], [2.0, -1.0], [0.0, 0.25], [1.0, 1.0]],
        [[np.array([0.5, 1.0]), (2, -1.0), [0, 0.25], [1, 1]]],
        ([0.5], "vector of 2 numbers"),
    ),
    "date-part": Sample(
        {"part": "hour"},
        TIMES,
        [
            [pd.Timestamp(time) for time in TIMES],
            [time.replace(" ", "T") + "+02:00" for time in TIMES],
            [time.replace("-", "/")[:16] for time in TIMES],
        ],
        ("2024-02-30 10:00:00", "expected a time such as"),
        drafted=False,
    ),
    "position": Sample({}, [1, 2, 3, 2], [["1", "2.0", " 3", "2"]], None, drafted=False),
}


def test_every_kind_has_a_sample():
    assert set(SAMPLES) == set(KINDS)
    assert all(kind.model_fields["kind"].default == name for name, kind in KINDS.items())
    kinds = [part.model_fields["kind"].default for parts in (FIELDS, DENSE) for part in parts]
    assert len(FIELDS) == len({part.model_fields["kind"].default for part in FIELDS})
    assert len(DENSE) == len({part.model_fields["kind"].default for part in DENSE})
    assert len(kinds) == sum(len(kind.parts) for kind in KINDS.values())


@pytest.fixture(params=[(kind, lacking) for kind in SAMPLES for lacking in (False, True)], ids=str)
def case(request):
    """A kind, its sample, the values of a log, some of them missing or none, and a card for the
    log.
    """
    kind, lacking = request.param
    sample = SAMPLES[kind]
    values = [
        None if lacking and number % 7 == 0 else sample.values[number % len(sample.values)]
        for number in range(ROWS)
    ]
    columns = {"made": {"kind": kind, "from": "raw", **sample.option}}
    return kind, sample, values, log_card(columns)


def log_card(columns, **reader):
    return card_of(
        reader={"kind": "parquet", **reader}, files=[{"name": "log.parquet"}], columns=columns
    )


def log(values):
    return pa.table(
        {"raw": pa.array(values), "click": [number % 3 % 2 for number in range(len(values))]}
    )


def fitted(card, table):
    """The encoder, and train's rows as it encodes what was kept of them."""
    fitter = EncoderFitter(card)
    provisional = [
        fitter.take(part, np.ones(len(part), bool), np.zeros((len(part), 1), np.float32))
        for part in cut(table)
    ]
    encoder = fitter.finish()
    encoded = [fitter.encode(part, None) for part in provisional]
    return encoder, tuple(np.concatenate(part) for part in zip(*encoded, strict=True))


def cut(table):
    return [table.slice(0, 50), table.slice(50, 1), table.slice(51)]


def same(actual, wanted):
    for value, expected in zip(actual, wanted, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_serving_encodes_as_training_does(case):
    kind, sample, values, card = case
    encoder, trained = fitted(card, log(values))
    if not KINDS[kind].served:
        trained = np.ones_like(trained[0]), trained[1]  # unknown: the first row of the only field
    rows = RawRows(encoder)
    same(encoder.encode(rows.table(log(values))), trained)
    same(encoder.encode(rows.table([{"raw": value} for value in values])), trained)
    for form in sample.forms:
        typed = [
            None if value is None else form[number % len(form)]
            for number, value in enumerate(values)
        ]
        same(encoder.encode(rows.table([{"raw": value} for value in typed])), trained)
    assert rows.columns[0].optional == (
        None in values or kind == "multi-valued" or not KINDS[kind].served
    )


def test_a_store_has_the_shape_that_the_card_promises(case, tmp_path):
    _, _, values, card = case
    pq.write_table(log(values), tmp_path / "log.parquet", row_group_size=70)
    store, shape = prepare(card, tmp_path / "home", tmp_path), shape_of(card)
    assert [field.name for field in store.schema.fields] == [field.name for field in shape.fields]
    assert [field.slots for field in store.schema.fields] == [field.slots for field in shape.fields]
    assert [name for name in store.schema.dense if not name.endswith("_missing")] == [*shape.dense]
    assert [number.name for number in store.schema.numbers] == [
        number.name for number in shape.numbers
    ]
    assert [(vector.name, vector.length) for vector in store.schema.vectors] == [
        (vector.name, vector.length) for vector in shape.vectors
    ]
    again = RawRows(store.encoder)
    served = store.encoder.encode(again.table(example_rows(store.encoder)))
    assert all(len(part) == 3 and np.isfinite(part).all() for part in served)


def test_an_encoder_is_read_back(case, tmp_path):
    _, _, values, card = case
    encoder, _ = fitted(card, log(values))
    encoder.save(tmp_path / "encoder.json")
    again = Encoder.load(tmp_path / "encoder.json")
    assert again == encoder
    same(again.encode(log(values)), encoder.encode(log(values)))


@pytest.mark.parametrize("kind", [kind for kind, sample in SAMPLES.items() if sample.bad])
def test_a_bad_value_is_named_or_dropped(kind, tmp_path):
    sample = SAMPLES[kind]
    bad, words = sample.bad
    form = [str(value) for value in sample.values] if isinstance(bad, str) else sample.values
    values = [form[number % len(form)] for number in range(ROWS)]
    values[41] = bad
    pq.write_table(log(values), tmp_path / "log.parquet")
    columns = {"made": {"kind": kind, "from": "raw", **sample.option}}
    with pytest.raises(UserError, match=f"row 42.*raw.*{words}"):
        prepare(log_card(columns), tmp_path / "home", tmp_path)
    dropping = log_card(columns, on_bad_row="drop", bad_row_limit=0.1)
    store = prepare(dropping, tmp_path / "home", tmp_path)
    assert sum(store.manifest["bad_rows"].values()) == 1
    with pytest.raises(UserError, match=f"row 2.*raw.*{words}"):
        RawRows(store.encoder).table([{"raw": form[0]}, {"raw": bad}])


@pytest.mark.parametrize("kind", [kind for kind in SAMPLES if KINDS[kind].served])
def test_a_draft_finds_it(kind, rng):
    sample = SAMPLES[kind]
    values = [sample.values[number] for number in rng.integers(0, len(sample.values), ROWS)]
    if kind == "numeric":
        values = rng.normal(size=ROWS).tolist()
    drafted = find_kind(count_column("raw", pa.chunked_array([pa.array(values)])), {})
    assert drafted.makes_input == sample.drafted
    assert (
        log_card({"made": {"from": "raw", **(drafted.option or {})}}).columns["made"].kind == kind
    )
