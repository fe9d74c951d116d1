"""Cells that hold what their column cannot, splits that are left empty, and what counts as missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from corruptions import goods
from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work

PRICE, DAY, CLICK, BUY = 2, 4, 6, 7


def cell(line: int, column: int, value: bytes) -> Edit:
    return lambda work: work.cell("log.csv", line, column, value)


def column(column: int, value: bytes, lines: range = range(2, goods.ROWS + 2)) -> Edit:
    """One value in many lines."""

    def corrupt(work: Work) -> None:
        for line in lines:
            work.cell("log.csv", line, column, value)

    return corrupt


def stored(name: str, values: Callable[[list[Any]], Any]) -> Edit:
    """A column of the parquet file replaced."""

    def corrupt(work: Work) -> None:
        rows = goods.table()
        goods.write_parquet(
            work.raw, rows.set_column(rows.column_names.index(name), name, pa.array(values(rows[name].to_pylist())))
        )

    return corrupt


def textual_time(work: Work) -> None:
    work.card_edit("train = { last = 14 }", 'train = { last = "14" }')
    work.card_edit("valid = { first = 15, last = 17 }", 'valid = { first = "15", last = "17" }')
    work.card_edit("test = { first = 18 }", 'test = { first = "18" }')
    for line in range(2, 92):
        work.cell("log.csv", line, DAY, f"{1 + (line - 2) // 10:02}".encode())
    work.cell("log.csv", 42, DAY, b"yesterday")


def late(work: Work) -> None:
    """Every row of test is a bad one."""
    work.card_edit("bad_row_limit = 0.05", "bad_row_limit = 0.5")
    for day in (b"18", b"19", b"20"):
        work.edit("log.csv", b"," + day + b",", b",late,")


def beyond(work: Work) -> None:
    for user in range(10):
        work.edit("log.csv", f"\nu{user},".encode(), f"\n9999999999999999999{user},".encode())


VALID = range(142, 172)

TABLE: tuple[Entry, ...] = (
    Refused(
        "a label of 2",
        "log",
        cell(40, CLICK, b"2"),
        "{raw}/log.csv, line 40: 'click', the label of task 'click': expected 0 or 1, found '2'",
    ),
    Refused(
        "a textual time that does not parse",
        "log",
        textual_time,
        "{raw}/log.csv, line 42: 'day': expected a time such as '14', found 'yesterday'",
    ),
    Refused("no time at all", "log", column(DAY, b""), "shop: split 'train' is empty: no row falls into it"),
    Refused(
        "no rows in a split",
        "log",
        lambda work: work.remove("log.csv", *VALID),
        "shop: split 'valid' (half of validation) is empty: 'day' runs from 1 to 20 in log.csv",
    ),
    Refused(
        "dropped: all rows of a split",
        "drops",
        late,
        "shop: split 'test' is empty: 'day' runs from 1 to 17 in log.csv",
    ),
    Refused(
        "a value that no split has",
        "columns",
        lambda work: work.edit("log.csv", b",valid\n", b",validation\n"),
        "shop: split 'valid' (half of validation) is empty: no row falls into it",
    ),
    Refused(
        "no positives in a split",
        "log",
        column(BUY, b"0", VALID),
        "shop: task 'buy' needs both classes in split 'valid' (half of validation), but 0 of 18 are positive",
    ),
    Refused(
        "dates instead of a number for the time in parquet",
        "parquet",
        stored("day", lambda own: pa.array(own, pa.int32()).cast(pa.date32())),
        "{raw}/log.parquet...'day': expected numbers, found a column of type date32...",
    ),
    Kept("beyond the largest number", "log", cell(50, PRICE, b"1e999"), cell(50, PRICE, b"")),
    Kept("a number in another spelling", "log", cell(50, PRICE, b"+2.40e+1"), cell(50, PRICE, b"24")),
    Kept("ids beyond int64 that differ in the last digit", "log", beyond, equal="train/*.npy"),
    Kept(
        "null, NaN and infinite in parquet",
        "parquet",
        stored("price", lambda own: [None, float("nan"), float("inf"), *own[3:]]),
        stored("price", lambda own: [None, None, None, *own[3:]]),
    ),
)
