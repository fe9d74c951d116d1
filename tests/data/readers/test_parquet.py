import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.data.checks import Rejects, Sieve, checked
from bench.data.readers.base import whole
from bench.data.readers.parquet import read_parquet
from bench.data.values import as_text


def test_bytes_are_texts(tmp_path, recorder):
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"a": [b"x", None, b"\xff"], "b": pa.array([b"y", b"z", None], pa.large_binary())}), path)
    table = whole(read_parquet(path, "f", {"a": "text", "b": "text"}, recorder)).table
    assert table["b"].to_pylist() == ["y", "z", None]
    assert table["a"].slice(0, 2).to_pylist() == ["x", None]
    sieve = Sieve(Rejects(drop=True), str, 3)
    checked(table, {"a": "text", "b": "text"}, (), sieve)
    assert sieve.bad.tolist() == [False, False, True]


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("s", "Asia/Tokyo"), pa.date32(), pa.date64()])
def test_dates_that_python_does_not_have_are_bad_rows(kind):
    day, size = np.array([0, 3_000_000, -800_000, 2932896]), {"us": 86400_000_000, "s": 86400, "ms": 86400_000}
    days = pa.types.is_date32(kind)
    numbers = pa.array(day * (1 if days else size[getattr(kind, "unit", "ms")]), pa.int32() if days else pa.int64())
    sieve = Sieve(Rejects(drop=True), lambda row: f"row {row}", len(day))
    table = checked(pa.table({"at": numbers.cast(kind)}), {"at": "text"}, (), sieve)
    assert sieve.bad.tolist() == [False, True, True, getattr(kind, "tz", None) is not None]
    assert sieve.rejects.first == "row 1: 'at': expected a date of the years 1 to 9999, found another"
    assert as_text(table["at"]).codes.tolist()[:3] == [0, -1, -1]
