"""One value is encoded alike through whatever door it comes: files of training and of scoring, frames, JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.encoding.fitter import EncoderFitter
from bench.data.readers.base import whole as table_of
from bench.data.readers.csv import read_csv
from bench.data.readers.parquet import read_parquet
from bench.production.scorer import RawRows
from bench.system.progress import Silent

Values = list[Any]
Door = Callable[[Values, Path], Any]
WANTED = {"c": "text", "n": "number"}
CARD = card_of(
    reader={"kind": "csv", "missing": ["-1"]},
    files=[{"name": "log.csv"}],
    columns={"c": "categorical", "list": {"kind": "multi-valued", "from": "c", "separator": "|"}, "n": "numeric"},
    encoding={"min_count": 1, "target_rates": ["c"]},
)


def csv(values, folder):
    lines = ["" if value is None else str(value) for value in values]
    (folder / "f.csv").write_text("\n".join(["c,n", *(f"{text},{text if number(text) else ''}" for text in lines), ""]))
    return table_of(read_csv(folder / "f.csv", "f", WANTED, Silent(), missing=("-1",))).table


def number(text):
    try:
        return float(text) is not None
    except (TypeError, ValueError):
        return False


def columns(values, kind):
    """As an Arrow table, texts that are no numbers missing in `n`."""
    numbers = [value if number(value) else None for value in values]
    if pa.types.is_string(kind):
        values, numbers = ([None if v is None else str(v) for v in column] for column in (values, numbers))
    both = {"c": values, "n": numbers}
    return pa.table({name: pa.array(column).cast(kind, safe=False) for name, column in both.items()})


def parquet(kind, dictionary=False):
    def door(values, folder):
        table = columns(values, kind)
        if dictionary:
            table = pa.table({name: table[name].dictionary_encode() for name in "cn"})
        pq.write_table(table, folder / "f.parquet")
        return table_of(read_parquet(folder / "f.parquet", "f", WANTED, Silent())).table

    return door


def frame(kind):
    return lambda values, folder: pd.DataFrame(
        {"c": values, "n": [value if number(value) else None for value in values]}, dtype=kind
    )


def records(values, folder):
    return json.loads(json.dumps([{"c": value, "n": value if number(value) else None} for value in values]))


NUMBERS: dict[str, Door] = {
    "CSV": csv,
    "string": parquet(pa.string()),
    "float": parquet(pa.float64()),
    "float32": parquet(pa.float32()),
    "dictionary of floats": parquet(pa.float64(), True),
    "frame of few bits": frame("float32"),
    "frame of objects": frame("object"),
    "JSON": records,
}
WHOLE = {"int": parquet(pa.int64()), "nullable ints": frame("Int64")}
TEXTS: dict[str, Door] = {
    "CSV": csv,
    "dictionary of strings": parquet(pa.string(), True),
    "frame": frame("object"),
    "categories": frame("category"),
    "JSON": records,
}


def check(values, doors, folder, training):
    """Rows as one door trains them, and as all doors serve them; the ids of the categorical field."""
    fitter = EncoderFitter(CARD)
    table = doors[training](values, folder)
    kept = fitter.take(table, np.ones(len(table), bool), np.zeros((len(table), 1), np.float32))
    encoder = fitter.finish()
    trained = fitter.encode(kept, None)
    rows = RawRows(encoder)
    for name, door in doors.items():
        served = door(values, folder)
        served = rows.checked(served, str) if isinstance(served, pa.Table) else rows.table(served)
        for found, expected in zip(encoder.encode(served), trained, strict=True):
            np.testing.assert_array_equal(found, expected, err_msg=f"trained on {training}, served by {name}")
    return trained[0][:, 0]


NUMBERS_OF_ROWS = [0.0, -0.0, 1.0, 2.0, -1.0, -2.0, 7e6, 0.5, 0.1, None]
TEXTS_OF_ROWS = ["1", "1.0", "1.00", "2", "2.0", "1.1", "1.10", "a", "3|1", "3|1.0", None]


@pytest.mark.parametrize("training", ["CSV", "float", "float32", "int"])
@settings(max_examples=6)
@given(values=st.lists(st.sampled_from(NUMBERS_OF_ROWS), min_size=1, max_size=8))
def test_numbers(training, values, tmp_path_factory):
    if whole := training == "int" or all(value is None or value.is_integer() for value in values):
        values = [None if value is None else float(round(value)) for value in values]
    check(values, NUMBERS | (WHOLE if whole else {}), tmp_path_factory.mktemp("doors"), training)


@settings(max_examples=12)
@given(st.lists(st.sampled_from(TEXTS_OF_ROWS), min_size=1, max_size=6))
def test_texts_in_two_spellings_stay_apart(tmp_path_factory, values):
    ids = check(values, TEXTS, tmp_path_factory.mktemp("doors"), "CSV")
    texts = [value or "" for value in values]
    for one, first in zip(texts, ids, strict=True):
        for other, second in zip(texts, ids, strict=True):
            assert (one == other) == (first == second), (one, other)


@pytest.mark.parametrize("column", [["1", "1.0"], ["a|1", "1.0|b"]])
def test_the_user_is_told_of_two_spellings(column, recorder):
    fitter = EncoderFitter(CARD)
    fitter.take(pa.table({"c": column, "n": [1.0] * 2}), np.ones(2, bool), np.zeros((2, 1), np.float32))
    encoder = fitter.finish(recorder)
    lists = "|" in column[0]
    found = [note.partition(": they are two categories")[0] for note in recorder.notes]
    assert found == [f"shop: '{name}' has one number as '1' and as '1.0'" for name in ("c", "list")][lists:]
    assert [part.source.spelled for part in encoder.fields[:2]] == [not lists, True]
