"""A card's mistakes, each as one sentence."""

from typing import Any

import pytest

from bench.core.errors import UserError
from bench.data import parse_card


def change(values, path, value):
    """Sets `a.b.0` in nested tables and lists; without a path, several tables."""
    if not path:
        return values | value
    *parents, last = path.split(".")
    table: Any = values
    for part in parents:
        table = table[int(part)] if isinstance(table, list) else table[part]
    table[int(last) if isinstance(table, list) else last] = value
    return values


def times(train, valid, test):
    return {"time": "day", "split": {"kind": "time", "train": train, "valid": valid, "test": test}}


CLICK = {"name": "click", "column": "click"}
WATCH = {"name": "watch", "column": "weight", "kind": "regression", "parent": "click"}
FILES = {"kind": "files", "train": ["log.csv"]}
MISTAKES = [
    ("columns.price.from", "", "columns.price.from: expected at least 1 character"),
    ("columns.price.kind", "number", "unknown kind 'number' (did you mean 'numeric'?)"),
    ("columns.price.derive", "hour", "unknown derivation 'hour'"),
    ("tasks.1.parent", "clic", "task 'buy': unknown parent 'clic'; known are click, buy"),
    ("tasks.0.parent", "buy", "parents form a cycle: click -> buy -> click"),
    ("tasks.1.name", "click", "task 'click' is defined twice"),
    (
        "tasks.1.name",
        "score",
        'gives the score to rank by this one; say name = "label_score" and leave the column',
    ),
    ("tasks.0.optional", True, "its parent 'click' is optional"),
    ("tasks.1.columns", ["click", "buy"], "expected either 'column' or 'columns'"),
    (
        "tasks.1",
        {"name": "buy", "columns": ["click", "buy"], "kind": "regression"},
        "a regression has one 'column'",
    ),
    ("tasks.1.negative", ["0"], "'negative' needs 'positive'"),
    (
        "tasks.0",
        {"name": "click", "column": "click", "kind": "regression"},
        "its parent 'click' must be binary",
    ),
    (
        "tasks.0",
        {"name": "click", "column": "c", "positive": [1], "negative": [1.0]},
        "both positive and negative",
    ),
    ("columns.click", "categorical", "input 'click' reads 'click', the label of task 'click'"),
    (
        "post_exposure",
        ["price"],
        "input 'price' reads 'price', which is listed under post_exposure",
    ),
    ("tasks.0.truth", "price", "input 'price' reads 'price', the truth behind a label"),
    ("encoding", {"target_rates": ["price"]}, "unknown categorical input 'price'"),
    ("split", {"kind": "random", "valid": 0.5, "test": 0.5}, "nothing is left for train"),
    ("split", {"kind": "weekly"}, "split: unknown kind 'weekly'; known are column, cut, files"),
    ("split", FILES | {"test": ["x.csv"], "valid_fraction": 0.1}, "unknown file 'x.csv'"),
    ("split", FILES | {"test": ["log.csv"], "valid_fraction": 0.1}, "'log.csv' is named twice"),
    ("split", FILES | {"test": ["a"]}, "one of 'valid', 'valid_fraction'"),
    (
        "split",
        times({"last": 1}, {"first": 2, "last": 2}, {"first": 3})["split"],
        "needs the top-level key 'time'",
    ),
    (
        "",
        times({"last": 5}, {"first": 5, "last": 6}, {"first": 7}),
        "must end before valid begins, found 5 and 5",
    ),
    ("", times({"last": 5}, {"first": 8, "last": 7}, {"first": 9}), "valid is empty"),
    ("", times({"last": "a"}, {"first": 6, "last": 7}, {"first": 8}), "all numbers or all strings"),
    ("tasks", [CLICK | {"optional": True}], "every task is optional"),
    (
        "tasks",
        [CLICK, WATCH | {"duration": "day"}],
        "duration: expected a column that a numeric input reads",
    ),
    (
        "tasks",
        [CLICK, WATCH | {"censored": "weight"}],
        "censored: expected another column than the label's, found",
    ),
    ("tasks", [CLICK | {"censored": "price"}], "'censored' is for a regression"),
    ("tasks", [CLICK | {"where": {"day": {}}}], "expected 'first', 'last' or both"),
    ("tasks", [CLICK | {"where": {"day": []}}], "where.day.values: expected at least 1 item"),
    ("tasks", [CLICK | {"matures": "7d"}], "'matures' needs the top-level keys 'time' and 'as_of'"),
    (
        "",
        {"as_of": "soon", "time": "day", "tasks": [CLICK | {"matures": "7d"}]},
        "as_of: expected times in seconds",
    ),
    ("weight", "price", "the column that 'weight' names"),
    ("sampling", {"task": "click", "rate": 0}, "expected a rate above 0 and at most 1"),
    ("sampling", {"task": "clack", "rate": 0.5}, "sampling.task: unknown task 'clack'"),
    (
        "sampling",
        {"task": "buy", "rate": 0.5},
        "expected a binary task without parent, found 'buy'",
    ),
    ("segments", {"a": {"column": "day", "known": "user"}}, "expected either 'column' or 'known'"),
    ("segments", {"a": {"known": "user", "ranges": [1]}}, "'ranges' go with 'column'"),
    (
        "segments",
        {"a": {"column": "day", "ranges": [2, 2]}},
        "expected ranges that rise, found [2.0, 2.0]",
    ),
    ("segments", {"a": {"column": "click"}}, "found 'click', a label"),
    (
        "",
        {"segments": {"a": {"column": "day"}}, "post_exposure": ["day"]},
        "'day', which is listed under post_exp",
    ),
    (
        "history",
        {"actions": ["click"]},
        "history: expected the top-level key 'group', and 'time' there or in the",
    ),
    (
        "",
        {"group": None, "time": "day", "history": {}},
        "history: expected the top-level key 'group'",
    ),
    ("logged", ["price"], "input 'price' reads 'price', which is listed under logged"),
    ("logged", ["buy"], "logged: expected a score, found 'buy', a label"),
    ("files", [], "at least one file"),
    (
        "files",
        [{"name": "part-*.csv", "sha256": "0" * 64}],
        "several files, which have no sha256 in common",
    ),
    ("files", [{"name": "log.csv"}, {"name": "log.csv"}], "file 'log.csv' is listed twice"),
    ("files.0.name", "../log.csv", "files.0.name"),
    ("reader", {"kind": "csv", "columns": ["user", "user"]}, "column 'user' is named twice"),
    (
        "reader",
        {"kind": "synthetic", "generator": "funnel", "parameters": ["rows"]},
        "parameters: expected a table",
    ),
    ("reader", {"kind": "csv", "separator": "::"}, "or the end of a line, found '::'"),
    ("reader", {"kind": "csv", "separator": "é"}, "or the end of a line, found 'é'"),
    (
        "items",
        {"click": "author"},
        "items: expected names that no task or other column of items has, found 'click'",
    ),
    (
        "items",
        {"shown": "click"},
        "items.shown: expected a column that is known before the impression, found 'click'",
    ),
    ("reader", {"kind": "csv", "joins": [{"file": "x.csv", "on": "user"}]}, "unknown file 'x.csv'"),
    (
        "sources",
        [{"kind": "url", "urls": {"b.csv": "https://example.org/x"}}],
        "no source offers the file 'log.csv'",
    ),
    (
        "sources",
        [{"kind": "url", "url": "https://example.org"}],
        "either 'url' with 'members', or 'urls'",
    ),
    (
        "sources",
        [{"kind": "url", "urls": {"log.csv": "https://a.org/x;sid=secret"}}],
        "port and path, found 'https://a.org/x***'",
    ),
    (
        "sources",
        [{"kind": "url", "urls": {"log.csv": "https://a.org/x?sid=secret"}}],
        "port and path, found 'https://a.org/x***'",
    ),
    (
        "sources",
        [{"kind": "package", "name": "a", "version": "1", "members": {"log.csv": "x"}}],
        "key 'sources.0",
    ),
]


@pytest.mark.parametrize(
    ("path", "value", "message"), MISTAKES, ids=[f"{p}={v}"[:60] for p, v, _ in MISTAKES]
)
def test_a_mistake_is_one_sentence_that_names_it(shop, path, value, message):
    shop["columns"]["price"] = {"kind": "numeric"}
    with pytest.raises(UserError) as caught:
        parse_card(change(shop, path, value), "cards/shop.toml")
    text = str(caught.value)
    assert text.startswith("cards/shop.toml: ")
    assert message in text
    assert "\n" not in text
