"""One value is encoded alike through whatever door it comes: files of training and of scoring,
frames, JSON.
"""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import card_of

from bench.core.system.progress import Silent
from bench.data.encoding.fitter import EncoderFitter
from bench.data.readers.base import whole
from bench.data.readers.csv import read_csv
from bench.data.readers.parquet import read_parquet
from bench.serve.scorer import RawRows

WANTED = {"c": "text", "n": "number"}
CARD = card_of(
    reader={"kind": "csv", "missing": ["-1"]},
    files=[{"name": "log.csv"}],
    columns={
        "c": "categorical",
        "list": {"kind": "multi-valued", "from": "c", "separator": "|"},
        "n": "numeric",
    },
    encoding={"min_count": 1, "target_rates": ["c"]},
)
FILES = {"string": pa.string(), "float": pa.float64(), "float32": pa.float32(), "int": pa.int64()}


def doors(values, folder):
    """The values by the name of the door that they come through."""
    texts = ["" if value is None else str(value) for value in values]
    (folder / "f.csv").write_text("\n".join(["c,n", *(f"{text},{text}" for text in texts), ""]))
    tables = {
        "CSV": whole(read_csv(folder / "f.csv", "f", WANTED, Silent(), missing=("-1",))).table
    }
    is_whole = all(value is None or value.is_integer() for value in values)
    for name, kind in FILES.items():
        if is_whole or name != "int":
            column_values = [text or None for text in texts] if name == "string" else values
            column = pa.array(column_values).cast(kind, safe=False)
            for array, about in ((column, ""), (column.dictionary_encode(), "dictionary of ")):
                pq.write_table(pa.table({"c": array, "n": array}), folder / "f.parquet")
                tables[about + name] = whole(
                    read_parquet(folder / "f.parquet", "f", WANTED, Silent())
                ).table
    for kind in ("float64", "float32", "object", *["Int64"] * is_whole):
        tables[f"frame of {kind}"] = pd.DataFrame({"c": values, "n": values}, dtype=kind)
    categories = pd.DataFrame({"c": [text or None for text in texts], "n": values})
    records = [{"c": value, "n": value} for value in values]
    return tables | {
        "categories": categories.astype({"c": "category"}),
        "JSON": json.loads(json.dumps(records)),
    }


@pytest.mark.parametrize("training", ["CSV", *FILES])
@pytest.mark.parametrize(
    "values", [[0.0, -0.0, 1.0, 2.0, -1.0, 7e6, None], [0.5, 0.1, 1.0, None, 0.5], [-2.0], [None]]
)
def test_numbers(training, values, tmp_path):
    tables = doors(values, tmp_path)
    if training not in tables:
        training = "float"  # fractions are no whole numbers
    fitter = EncoderFitter(CARD)
    provisional = fitter.take(
        tables[training], np.ones(len(values), bool), np.zeros((len(values), 1), np.float32)
    )
    encoder = fitter.finish()
    trained, rows = fitter.encode(provisional, None), RawRows(encoder)
    for name, table in tables.items():
        served = rows.checked(table, str) if isinstance(table, pa.Table) else rows.table(table)
        for encoded, expected in zip(encoder.encode(served), trained, strict=True):
            np.testing.assert_array_equal(
                encoded, expected, err_msg=f"trained on {training}, served by {name}"
            )


@pytest.mark.parametrize("column", [["1", "1.0"], ["a|1", "1.0|b"]])
def test_the_user_is_told_of_two_spellings_which_stay_apart(column, recorder):
    fitter = EncoderFitter(CARD)
    table = pa.table({"c": column, "n": [1.0] * 2})
    provisional = fitter.take(table, np.ones(2, bool), np.zeros((2, 1), np.float32))
    encoder = fitter.finish(recorder)
    lists = "|" in column[0]
    notes = [note.partition(": they are two categories")[0] for note in recorder.notes]
    assert (
        notes
        == [f"shop: '{name}' has one number as '1' and as '1.0'" for name in ("c", "list")][lists:]
    )
    assert [part.source.spelled for part in encoder.fields[:2]] == [not lists, True]
    for form in (table, pd.DataFrame({"c": column, "n": 1.0}), table.to_pylist()):
        ids = encoder.encode(RawRows(encoder).table(form))[0]
        np.testing.assert_array_equal(ids, fitter.encode(provisional, None)[0])
        assert len(set(ids[:, 0])) == 2
