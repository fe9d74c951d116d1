from __future__ import annotations

import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from bench.data.readers import base
from bench.data.readers.base import RawTable, ahead, whole


def numbers(closed: list[int], fail_at: int = 99) -> Iterator[tuple[int, int]]:
    try:
        for number in range(5):
            if number == fail_at:
                raise ValueError("five")
            yield number, threading.get_ident()
    finally:
        closed.append(1)


def test_the_next_item_is_made_in_another_thread_and_order_is_kept() -> None:
    closed: list[int] = []
    found = list(ahead(numbers(closed)))
    assert [number for number, _ in found] == list(range(5))
    assert threading.get_ident() not in {thread for _, thread in found}
    assert closed == [1]


def test_an_error_comes_where_its_item_would() -> None:
    items = ahead(numbers([], fail_at=3))
    assert [next(items)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="five"):
        next(items)


def test_who_stops_early_closes_the_source() -> None:
    closed: list[int] = []
    items = ahead(numbers(closed))
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert closed == [1]


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
