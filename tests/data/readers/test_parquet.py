from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.core.errors import UserError
from bench.data.checks import Rejects, Sieve, checked
from bench.data.duplicates import RowSet
from bench.data.readers import base
from bench.data.readers.base import whole
from bench.data.readers.parquet import read_parquet
from bench.data.values import as_text


def test_wanted_columns_alone_are_read(tmp_path: Path, recorder: Any) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"z": [0, 0], "a": [1, 2], "b": ["x", None]}), path)
    raw = whole(read_parquet(path, "f", {"a": "number", "b": "text"}, recorder))
    assert raw.table.to_pydict() == {"a": [1, 2], "b": ["x", None]}
    assert raw.place(1) == f"{path}, row 2"
    assert recorder.done == {"reading f.parquet": path.stat().st_size}
    assert whole(read_parquet(path, "f", {}, recorder, keep_all=True)).table.num_columns == 3


@pytest.mark.parametrize("twice", ["a", "z"])
def test_a_column_twice_is_one_sentence(tmp_path: Path, recorder: Any, twice: str) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table([[1], [2], [3]], names=["z", "a", twice]), path)
    with pytest.raises(UserError, match=f"f.parquet: expected each column once, found '{twice}' 2 times"):
        list(read_parquet(path, "f", {"a": "number"}, recorder))


def test_bytes_are_texts(tmp_path: Path, recorder: Any) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"a": [b"x", None, b"\xff"], "b": pa.array([b"y", b"z", None], pa.large_binary())}), path)
    table = whole(read_parquet(path, "f", {"a": "text", "b": "text"}, recorder)).table
    assert table["b"].to_pylist() == ["y", "z", None]
    assert table["a"].slice(0, 2).to_pylist() == ["x", None]
    sieve = Sieve(Rejects(drop=True), str, 3)
    checked(table, {"a": "text", "b": "text"}, (), sieve)
    assert sieve.bad.tolist() == [False, False, True]


@pytest.mark.skipif(int(pa.__version__.partition(".")[0]) < 21, reason="this pyarrow cannot write views of texts")
def test_uuids_json_and_views_are_texts(tmp_path: Path, recorder: Any) -> None:
    path, first = tmp_path / "f.parquet", UUID(int=7)
    columns = {
        "id": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([first.bytes, None], pa.binary(16))),
        "json": pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(['{"a": 1}', None])),
        "flag": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())),
        "text": pa.array(["x", None], pa.string_view()),
    }
    pq.write_table(pa.table(columns), path)
    table = whole(read_parquet(path, "f", dict.fromkeys(columns, "text"), recorder)).table
    assert table.to_pydict() == {
        "id": [str(first), None],
        "json": ['{"a": 1}', None],
        "flag": [1, None],
        "text": ["x", None],
    }
    assert RowSet().new(table).all()


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("s", "Asia/Tokyo"), pa.date32(), pa.date64()])
def test_dates_that_python_does_not_have_are_bad_rows(kind: Any) -> None:
    day, size = np.array([0, 3_000_000, -800_000, 2932896]), {"us": 86400_000_000, "s": 86400, "ms": 86400_000}
    days = pa.types.is_date32(kind)
    numbers = pa.array(day * (1 if days else size[getattr(kind, "unit", "ms")]), pa.int32() if days else pa.int64())
    sieve = Sieve(Rejects(drop=True), lambda row: f"row {row}", len(day))
    table = checked(pa.table({"at": numbers.cast(kind)}), {"at": "text"}, (), sieve)
    assert sieve.bad.tolist() == [False, True, True, getattr(kind, "tz", None) is not None]
    assert sieve.rejects.first == "row 1: 'at': expected a date of the years 1 to 9999, found another"
    assert as_text(table["at"]).codes.tolist()[:3] == [0, -1, -1]


def test_it_comes_in_parts_and_progress_is_in_bytes(
    tmp_path: Path, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PART", 7)
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"a": list(range(50))}), path, row_group_size=20)
    told, rows = [], []
    for part in read_parquet(path, "f", {"a": "number"}, recorder):
        told.append(recorder.done["reading f.parquet"])
        assert part.table.num_rows <= 7
        rows += [(value, part.place(at)) for at, value in enumerate(part.table["a"].to_pylist())]
    assert rows == [(value, f"{path}, row {value + 1}") for value in range(50)]
    assert told == sorted(told)
    assert 0 < told[4] < recorder.done["reading f.parquet"] == path.stat().st_size
