"""Formulas: what is read is written alike, computes alike in SQL and numpy, and hostile text ends in a sentence."""

import math
import sqlite3

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.formula import computed, python_of, quoted, read, sql_of, text_of

FORMULAS = [
    "3 p_click + 40 p_click p_buy",
    "p_click^0.8 * p_buy^0.2",
    "price (p_click p_buy)^0.588 * p_click^0.412",
    "sigmoid(-0.4 + 1.3 logit(p_click)) + 2 log(price)",
    "0.5 [odd name] - p_buy / 4",
    "p_click (1 + 40 p_buy)",
]


@pytest.fixture
def columns(rng):
    columns = {name: rng.uniform(0.01, 0.99, 50) for name in ("p_click", "p_buy", "odd name")}
    return columns | {"price": rng.uniform(1, 9, 50)}


@pytest.mark.parametrize("text", FORMULAS)
def test_what_is_written_is_read_alike(text, columns):
    expression = read(text, "--weights")
    assert read(text_of(expression), "--weights") == expression
    again = computed(read(text_of(expression), "--weights"), columns, "--weights")
    np.testing.assert_allclose(again, computed(expression, columns, "--weights"))


@pytest.mark.parametrize("text", FORMULAS)
def test_sql_and_numpy_rank_rows_as_the_formula_does(text, columns):
    expression = read(text, "--weights")
    expected = np.argsort(computed(expression, columns, "--weights"), kind="stable")
    by_numpy = eval(python_of(expression), {"np": np, "log": columns})  # text of our own, in a test
    np.testing.assert_array_equal(np.argsort(by_numpy, kind="stable"), expected)
    database = sqlite3.connect(":memory:")
    for name, count, function in (("GREATEST", 2, max), ("LEAST", 2, min), ("POWER", 2, pow), ("LN", 1, math.log),
                                  ("EXP", 1, math.exp)):  # fmt: skip
        database.create_function(name, count, function)
    names = ", ".join(f'"{name}" REAL' for name in columns)
    database.execute(f"CREATE TABLE log ({names})")
    database.executemany(
        f"INSERT INTO log VALUES ({', '.join('?' * len(columns))})", zip(*columns.values(), strict=True)
    )
    by_sql = [row[0] for row in database.execute(f"SELECT {sql_of(expression)} FROM log ORDER BY rowid")]
    np.testing.assert_array_equal(np.argsort(by_sql, kind="stable"), expected)


def test_a_name_with_other_characters_stands_in_brackets():
    assert quoted("p_click") == "p_click"
    assert quoted("p-click]") == "[p-click]]]"
    assert quoted("log") == "[log]"


@pytest.mark.parametrize(
    "text",
    [
        "1e999 a + 2 b", "10^10^10 a", "(" * 100_000 + "a", "a" + " + a" * 100_000, "__import__('os')", "a.b()",
        "a if b else c", "a == b", "3", "", "a ^ b", "a / b", "exp(a)", "a ** 1e9", "0^-1 a",
        "9" * 5_000 + " a",
        "[a", "a; b", "f(a)", "-", "((a)", "'a'", "{a}", "a @ b",
    ],
)  # fmt: skip
def test_what_is_no_formula_ends_in_one_sentence(text):
    with pytest.raises(UserError, match=r"^--weights: ") as error:
        read(text, "--weights")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
