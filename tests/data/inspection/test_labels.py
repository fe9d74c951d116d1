from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bench.core.errors import UserError
from bench.data.inspection.column import count_column
from bench.data.inspection.labels import find_labels, label_columns, parents_of
from bench.data.tasks import TaskRule


def counted(**columns):
    return {name: count_column(name, pa.array(values)) for name, values in columns.items()}


def one(values, positive: str | None = None):
    (label,) = find_labels({"y": positive}, {}, counted(y=values)).values()
    return label


@pytest.mark.parametrize(
    ("values", "table"),
    [
        ([0, 1, 1], {}),
        (["0", "1", ""], {}),
        ([1.0, 0.0, None], {}),
        ([True, False], {}),
        (["False", "true"], {}),
        (["yes", "no"], {"positive": ["yes"], "negative": ["no"]}),
        ([-1, 1, 1], {"positive": ["1"], "negative": ["-1"]}),
        (["n", "Y"], {"positive": ["Y"], "negative": ["n"]}),
        (["low", "high", "low"], {"positive": ["high"], "negative": ["low"]}),
        ([1, 2, 5], {"kind": "regression"}),
    ],
)
def test_how_a_label_is_read(values, table: dict) -> None:
    label = one(values)
    assert label.table == {"name": "y", "column": "y"} | table
    TaskRule.model_validate(label.table)


def test_values_are_what_the_table_says() -> None:
    column = counted(y=["low", "low", "high", None])
    (label,) = find_labels({"y": None}, {}, column).values()
    assert np.array_equal(label.y, [0, 0, 1, np.nan], equal_nan=True)
    assert "rarer" in one(["a", "b", "a"]).notes[-1]


def test_a_stray_value_among_zeros_and_ones_is_told() -> None:
    assert one([0, 1] * 50 + [2]).notes == (
        "1 of 101 labels are neither 0 nor 1, such as 2, so a number is predicted; for a yes or no say --label y=VALUE",
    )


def test_yes_and_no_in_several_spellings() -> None:
    label = one(["yes", "YES", "no", "No"])
    assert label.y.tolist() == [1, 1, 0, 0]
    assert label.notes == ()
    assert one(["yes", "YES", "no"], "yes").notes == ("'YES' is another value than 'yes' and means 0",)


def test_the_value_that_means_yes_may_be_said() -> None:
    assert label_columns(["y=b=c", "a=b"], ["y", "a=b"]) == {"y": "b=c", "a=b": None}
    assert one(["a", "b", "c"], "b").table["positive"] == ["b"]
    assert one([1.0, 2.0, 3.0], "2.0").table["positive"] == ["2"]
    with pytest.raises(UserError, match="unknown value 'd'"):
        one(["a", "b"], "d")


@pytest.mark.parametrize(
    ("value", "name"), [("yes", "dead"), ("dead", "dead"), ("no", "not_dead"), ("alive", "dead_alive"), (None, "dead")]
)
def test_a_task_is_called_by_the_value_that_means_yes(value: str | None, name: str) -> None:
    other = "no" if value in (None, "yes") else "yes"
    assert list(find_labels({"dead": value}, {}, counted(dead=[value or "yes", other]))) == [name]


@pytest.mark.parametrize(
    ("values", "message"),
    [(["1", "1"], "found only '1'"), ([None, None], "no value"), (["a", "b", "c"], "3 texts"), ([[1]], "type list")],
)
def test_what_cannot_be_a_label(values, message: str) -> None:
    with pytest.raises(UserError, match=message):
        one(values)


def test_names_of_tasks_fit_the_card() -> None:
    columns = counted(**{"Is Click": [0, 1], "is_click": [0, 1], "7d": [0, 1], "Ünï": [0, 1], "Score": [0, 1]})
    labels = find_labels(dict.fromkeys(columns), {}, columns)
    assert len(labels) == 5
    assert "label_score" in labels  # a package has a score of its own
    for label in labels.values():
        TaskRule.model_validate(label.table)


def test_a_child_without_its_parent_is_counted_and_mended() -> None:
    columns = counted(click=[0, 0, 1, 1], buy=[1, 0, 1, 0])
    buy = find_labels({"buy": None, "click": None}, {"buy": "click"}, columns)["buy"]
    assert buy.table == {"name": "buy", "columns": ["click", "buy"], "parent": "click"}
    assert "1 rows" in buy.notes[0]
    assert buy.y.tolist() == [0, 0, 1, 0]


def test_a_chain_is_mended_from_its_top() -> None:
    columns = counted(a=[0, 1, 1, 1, 1], b=[1, 1, 1, 0, 1], c=[1, 1, 0, 1, 1])
    labels = find_labels({"c": None, "b": None, "a": None}, {"c": "b", "b": "a"}, columns)
    assert labels["c"].table["columns"] == ["a", "b", "c"]


def test_other_spellings_than_0_and_1_are_told_but_not_multiplied() -> None:
    columns = counted(click=["no", "no", "yes", "yes"], buy=[1, 0, 1, 0])
    buy = find_labels({"click": None, "buy": None}, {"buy": "click"}, columns)["buy"]
    assert buy.table["column"] == "buy"
    assert "look at them" in buy.notes[0]


def test_a_number_after_an_event() -> None:
    columns = counted(click=[0, 0, 1, 1], seconds=[0.5, 0, 3.5, 2])
    seconds = find_labels({"click": None, "seconds": None}, {"seconds": "click"}, columns)["seconds"]
    assert seconds.table == {"name": "seconds", "column": "seconds", "kind": "regression", "parent": "click"}
    assert "1 rows have a number there though click = 0" in seconds.notes[-1]
    with pytest.raises(UserError, match="'seconds' holds numbers"):
        find_labels({"click": None, "seconds": None}, {"click": "seconds"}, columns)


@pytest.mark.parametrize(
    ("buy", "message"),
    [
        ([1, 0, 0, 0], "is always 0 there"),
        ([0, 0, 1, 1], "is always 1 there"),
        ([1.5, 2.5, 3.5, 3.5], "is always 3.5 there"),
        ([1, 0, None, None], "is missing there"),
    ],
)
def test_a_funnel_with_nothing_to_learn_is_refused(buy, message: str) -> None:
    columns = counted(click=[0, 0, 1, 1], buy=buy)
    with pytest.raises(UserError, match=message):
        find_labels({"click": None, "buy": None}, {"buy": "click"}, columns)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["b"], "CHILD=PARENT"),
        (["b=x"], "unknown label 'x'"),
        (["b=a", "b=c"], "two parents"),
        (["a=a"], "cycle: a -> a"),
        (["a=b", "b=c", "c=b"], "cycle"),
    ],
)
def test_parents_that_cannot_be(given: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parents_of(given, ["a", "b", "c"])


def test_the_absence_of_a_label_has_a_name_of_its_own() -> None:
    assert find_labels({"poor": "0"}, {}, counted(poor=[0, 0, 0, 1]))["not_poor"].mean == 0.75
