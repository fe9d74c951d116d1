"""Every reader: what third parties try theirs with."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_toys import LEAST

from bench.data.readers import FILES
from bench.testing import checks
from bench.testing.readers import ReaderSample

ROWS = [{"user": f"u{n}", "click": str(n % 2)} for n in range(5)]


def card(name, **reader):
    return LEAST | {"reader": reader, "files": [{"name": name}], "columns": {"user": "categorical"}}


def parquet():
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({name: [row[name] for row in ROWS] for name in ROWS[0]}), out)
    return bytes(out.getvalue())


COMMAS = "user,click\n" + "".join(f"{row['user']},{row['click']}\n" for row in ROWS)
COLONS = "".join(f"{row['user']}::{row['click']}\n" for row in ROWS)
SAMPLES = {
    "csv": ReaderSample(
        card("log.csv", kind="csv"), COMMAS.encode(), ROWS, COMMAS.encode() + b"u9,1,1\n", "line 7"
    ),
    "double-colon": ReaderSample(
        card("log.dat", kind="double-colon", columns=["user", "click"]),
        COLONS.encode(),
        ROWS,
        b"u1::1\nu2\n",
        "line 2",
    ),
    "parquet": ReaderSample(card("log.parquet", kind="parquet"), parquet(), ROWS, parquet()[:-9]),
}


def test_every_reader_has_a_sample():
    assert set(SAMPLES) == set(FILES)


@pytest.mark.parametrize(
    "check",
    [check for name in SAMPLES for check in checks("reader", name, sample=SAMPLES[name])],
    ids=str,
)
def test_reader(check):
    check()
