"""Formulas are read as they are written, and rank alike in SQL and Python."""

import math
import sqlite3

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.formula import quoted, read
from bench.core.formula_languages import computed, python_of, sql_of, text_of

COLUMNS = ("p_click", "p-buy", "a ]b", "select", 'say "x"', "log", "price", "p.x")
FORMULAS = {
    "3 p_click + 40 p_click [p-buy]": "3 p_click + 40 p_click [p-buy]",
    "3*p_click+4e1*[a ]]b]": "3 p_click + 40 [a ]]b]",
    "p_click^0.8 * [p-buy]^.2": "p_click^0.8 * [p-buy]^0.2",
    "p_click**0.98 * (p_click [p-buy])^0.02": "p_click^0.98 * (p_click [p-buy])^0.02",
    "price [select]^0.588": "price * select^0.588",
    "p_click - 2 ([log] - p.x)": "p_click - 2 ([log] - 1 p.x)",
    "sigmoid(-0.4 + 1.3 logit(p_click)) + log(price) / 4": (
        "sigmoid(-0.4 + 1.3 logit(p_click)) + 0.25 log(price)"
    ),
    'log ([say "x"] + 1)': 'log([say "x"] + 1)',
    "2 [select]^-1": "2 * select^-1",
}


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.01, 0.99, 200) for name in COLUMNS}


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_written_as_it_is_read(text, columns):
    expression = read(text, "--weights")
    assert text_of(expression) == FORMULAS[text]
    again = computed(read(text_of(expression), ""), columns, "")
    assert computed(expression, columns, "") == pytest.approx(again, rel=1e-9)


@pytest.mark.parametrize("text", FORMULAS)
def test_sql_and_python_rank_alike(text, columns):
    expression = read(text, "--weights")
    ranks = np.argsort(computed(expression, columns, ""))
    assert np.array_equal(
        np.argsort(eval(python_of(expression), {"np": np, "log": columns})), ranks
    )
    base = sqlite3.connect(":memory:")
    functions = {"LN": (1, math.log), "EXP": (1, math.exp), "POWER": (2, math.pow)}
    functions |= {"GREATEST": (2, max), "LEAST": (2, min)}
    for name, (count, function) in functions.items():
        base.create_function(name, count, function)
    named = ", ".join('"' + name.replace('"', '""') + '" REAL' for name in columns)
    base.execute(f"CREATE TABLE shown ({named})")
    places = ", ".join("?" * len(columns))
    rows = [*zip(*(values.tolist() for values in columns.values()), strict=True)]
    base.executemany(f"INSERT INTO shown VALUES ({places})", rows)
    scores = [
        row[0] for row in base.execute(f"SELECT {sql_of(expression)} FROM shown ORDER BY rowid")
    ]
    base.close()
    assert np.array_equal(np.argsort(scores), ranks)


@pytest.mark.parametrize("name", COLUMNS)
def test_any_name_of_a_column_is_quoted_where_needed(name):
    assert [*computed(read(f"2 {quoted(name)}", ""), {name: np.ones(1)}, "")] == [2.0]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "3", "p +", "a & b", "a and b", "2 3 p", "(" * 100_000 + "p" + ")" * 100_000,
        "(" * 40 + "p" + ")" * 40,
        "1e999 p", "10^10^10 p", "10^99 10^99 p", "9" * 5_000 + " p", "p^101", "p^q", "1 / p", "-1^0.5 + (-1)^0.5 p",
        "__import__('os')", "exp(p)", "log(p, q)", "log()", "p if q else r", "p := q", "p.q()",
        "+ ".join(["p "] * 500), "[p", "\0", "p\0", "p^^2", "p^", "p ** ** 2", "-" * 450 + "p",
        "1e-320 p",
    ],
)  # fmt: skip
def test_what_is_no_formula_ends_in_one_sentence(text):
    with pytest.raises(UserError) as error:
        read(text, "--weights")
    assert str(error.value).startswith("--weights: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
