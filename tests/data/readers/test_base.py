from __future__ import annotations

import pyarrow as pa
import pytest

from bench.data.readers import base
from bench.data.readers.base import RawTable, whole


def test_parts_and_the_whole_have_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PART", 3)
    raw = RawTable("f", pa.table({"a": list(range(8))}), lambda row: f"line {row + 1}")
    parts = list(raw.parts())
    assert [part.table["a"].to_pylist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [part.place(1) for part in parts] == ["line 2", "line 5", "line 8"]
    again = whole(parts)
    assert again.table.equals(raw.table)
    assert [again.place(row) for row in range(8)] == [raw.place(row) for row in range(8)]
    assert [part.table.num_rows for part in RawTable("f", raw.table.slice(0, 0), raw.place).parts()] == [0]
