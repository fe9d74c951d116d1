"""Cells that hold what their column cannot, splits that are left empty, and what counts as missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from corruptions import goods
from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work

USER, PRICE, DAY, HOUR, CLICK, BUY, SPEND, PLAN = 0, 2, 4, 5, 6, 7, 8, 9


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


def bad_textual_time(work: Work) -> None:
    textual_time(work)
    work.cell("log.csv", 42, DAY, b"yesterday")


def beyond(work: Work) -> None:
    for user in range(10):
        work.edit("log.csv", f"\nu{user},".encode(), f"\n9999999999999999999{user},".encode())


VALID = range(142, 172)
CLASSES = "shop: task '{}' needs both classes in split '{}', but {}"

TABLE: tuple[Entry, ...] = (
    Refused(
        "a label of 2",
        "log",
        cell(40, CLICK, b"2"),
        "{raw}/log.csv, line 40: 'click', the label of task 'click': expected 0 or 1, found '2'",
    ),
    Refused(
        "a label in words",
        "log",
        cell(41, BUY, b"maybe"),
        "{raw}/log.csv, line 41: 'buy', the label of task 'buy': expected 0 or 1, found 'maybe'",
    ),
    Refused(
        "a label that is infinite",
        "log",
        cell(41, BUY, b"inf"),
        "{raw}/log.csv, line 41: 'buy', the label of task 'buy': expected 0 or 1, found 'inf'",
    ),
    Refused(
        "a label that the card does not name",
        "log",
        cell(42, PLAN, b"gratis"),
        "{raw}/log.csv, line 42: 'plan', the label of task 'paying': expected one of 'paid', 'free', found 'gratis'",
    ),
    Refused(
        "a quantity to predict in words",
        "log",
        cell(43, SPEND, b"much"),
        "{raw}/log.csv, line 43: 'spend': expected a number, found 'much'",
    ),
    Refused(
        "a number in words",
        "log",
        cell(44, PRICE, b"dear"),
        "{raw}/log.csv, line 44: 'price': expected a number, found 'dear'",
    ),
    Refused(
        "a number with an underscore",
        "log",
        cell(44, PRICE, b"1_000"),
        "{raw}/log.csv, line 44: 'price': expected a number, found '1_000'",
    ),
    Refused(
        "a number to derive from in words",
        "log",
        cell(45, HOUR, b"noon"),
        "{raw}/log.csv, line 45: 'hour': expected a number, found 'noon'",
    ),
    Refused(
        "a time that does not parse",
        "log",
        cell(46, DAY, b"yesterday"),
        "{raw}/log.csv, line 46: 'day': expected a number, found 'yesterday'",
    ),
    Refused(
        "a textual time that does not parse",
        "log",
        bad_textual_time,
        "{raw}/log.csv, line 42: 'day': expected a time such as '14', found 'yesterday'",
    ),
    Refused(
        "times beyond the split's ranges",
        "log",
        column(DAY, b"999"),
        "shop: split 'train' is empty: 'day' runs from 999 to 999 in log.csv",
    ),
    Refused("no time at all", "log", column(DAY, b""), "shop: split 'train' is empty: no row falls into it"),
    Refused(
        "no rows in a split",
        "log",
        lambda work: work.remove("log.csv", *VALID),
        "shop: split 'valid' (half of validation) is empty: 'day' runs from 1 to 20 in log.csv",
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
        "no labels in a split",
        "log",
        column(CLICK, b"", VALID),
        "shop: task 'click' needs both classes in split 'valid' (half of validation), but 0 of 0 are positive",
    ),
    Refused(
        "a number in words in parquet",
        "parquet",
        stored("price", lambda own: [*map(str, own[:70]), "dear", *map(str, own[71:])]),
        "{raw}/log.parquet, row 71: 'price': expected a number, found 'dear'",
    ),
    Refused(
        "lists instead of numbers in parquet",
        "parquet",
        stored("price", lambda own: [[value] for value in own]),
        "{raw}/log.parquet...'price': expected numbers, found a column of type list...",
    ),
    Refused(
        "lists instead of categories in parquet",
        "parquet",
        stored("user", lambda own: [[value] for value in own]),
        "{raw}/log.parquet...'user'...",
    ),
    Refused(
        "dates instead of a number for the time in parquet",
        "parquet",
        stored("day", lambda own: pa.array(own, pa.int32()).cast(pa.date32())),
        "{raw}/log.parquet...'day': expected numbers, found a column of type date32...",
    ),
    Refused(
        "a column of another name in parquet",
        "parquet",
        lambda work: goods.write_parquet(work.raw, goods.table().drop_columns("price")),
        "{raw}/log.parquet: unknown raw column 'price'; known are ...",
    ),
    Kept("not a number", "log", cell(50, PRICE, b"NaN"), cell(50, PRICE, b"")),
    Kept("infinite", "log", cell(50, PRICE, b"inf"), cell(50, PRICE, b"")),
    Kept("beyond the largest number", "log", cell(50, PRICE, b"1e999"), cell(50, PRICE, b"")),
    *(
        Refused(
            f"a quantity to predict of {found}",
            "log",
            cell(50, SPEND, found.encode()),
            "{raw}/log.csv, line 50: 'spend', the label of task 'spend': expected a number that a float32 holds, found "
            f"{found}",
        )
        for found in ("inf", "1e+39")
    ),
    Kept("a number in another spelling", "log", cell(50, PRICE, b"+2.40e+1"), cell(50, PRICE, b"24")),
    Kept("a label in another spelling", "log", cell(2, CLICK, b"True"), cell(2, CLICK, b"1")),
    Kept("a label with a point", "log", cell(2, CLICK, b"1.0"), cell(2, CLICK, b"1")),
    Kept("ids beyond int64 that differ in the last digit", "log", beyond, equal="train/*.npy"),
    Kept(
        "null, NaN and infinite in parquet",
        "parquet",
        stored("price", lambda own: [None, float("nan"), float("inf"), *own[3:]]),
        stored("price", lambda own: [None, None, None, *own[3:]]),
    ),
    Kept(
        "a time that is absent",
        "log",
        cell(46, DAY, b""),
        lambda work: work.remove("log.csv", 46),
        says="shop: left out 1 rows that fall into no split, 1 of them because 'day' is empty",
    ),
)
