import pytest
from data_toys import sample_of

from bench.core.errors import UserError
from bench.data.inspection.labels import find_labels, positive_values
from bench.data.tasks import TaskRule


def labels_of(parents, **columns):
    return find_labels(dict.fromkeys(columns, ""), parents, sample_of(columns))


def one(values, positive=""):
    (label,) = find_labels({"y": positive}, {}, sample_of({"y": values})).values()
    return label


@pytest.mark.parametrize(
    ("values", "table"),
    [
        ([0, 1, 1], {}),
        ([1.0, 0.0, None], {}),
        (["False", "true"], {}),
        (["yes", "no"], {"positive": ["yes"], "negative": ["no"]}),
        ([-1, 1, 1], {"positive": ["1"], "negative": ["-1"]}),
        (["low", "high", "low"], {"positive": ["high"], "negative": ["low"]}),
        ([1, 2, 5], {"kind": "regression"}),
    ],
)
def test_how_a_label_is_read(values, table):
    label = one(values)
    assert label.table == {"name": "y", "column": "y"} | table
    TaskRule.model_validate(label.table)


def test_the_value_that_means_yes_may_be_said():
    assert positive_values(["y=b=c", "a=b"], ["y", "a=b"]) == {"y": "b=c", "a=b": ""}
    assert one(["a", "b", "c"], "b").table["positive"] == ["b"]
    assert one([1.0, 2.0, 3.0], "2.0").table["positive"] == ["2"]
    with pytest.raises(UserError, match="unknown value 'd'"):
        one(["a", "b"], "d")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1", "1"], "found only '1'"),
        ([None, None], "no value"),
        (["a", "b", "c"], "3 texts"),
        ([[1]], "type list"),
    ],
)
def test_what_cannot_be_a_label(values, message):
    with pytest.raises(UserError, match=message):
        one(values)


def test_names_of_tasks_fit_the_card():
    labels = labels_of(
        {}, **{name: [0, 1] for name in ("Is Click", "is_click", "7d", "Ünï", "Score")}
    )
    assert len(labels) == 5
    assert "label_score" in labels  # a package has a score of its own
    for label in labels.values():
        TaskRule.model_validate(label.table)


def test_a_child_without_its_parent_is_counted_and_mended():
    buy = labels_of({"buy": "click"}, buy=[1, 0, 1, 0], click=[0, 0, 1, 1])["buy"]
    assert buy.table == {"name": "buy", "columns": ["click", "buy"], "parent": "click"}
    assert "1 rows" in buy.notes[0]
    assert buy.y.tolist() == [0, 0, 1, 0]


def test_a_number_after_an_event():
    columns = {"click": [0, 0, 1, 1], "seconds": [0.5, 0, 3.5, 2]}
    seconds = labels_of({"seconds": "click"}, **columns)["seconds"]
    assert seconds.table == {
        "name": "seconds",
        "column": "seconds",
        "kind": "regression",
        "parent": "click",
    }
    assert "1 rows have another seconds than 0 though click = 0" in seconds.notes[-1]
    with pytest.raises(UserError, match="'seconds' holds numbers"):
        labels_of({"click": "seconds"}, **columns)


@pytest.mark.parametrize(
    ("buy", "message"),
    [
        ([1, 0, 0, 0], "is always 0 there"),
        ([0, 0, 1, 1], "is always 1 there"),
        ([1.5, 2.5, 3.5, 3.5], "is always 3.5 there"),
        ([1, 0, None, None], "is missing there"),
    ],
)
def test_a_funnel_with_nothing_to_learn_is_refused(buy, message):
    with pytest.raises(UserError, match=message):
        labels_of({"buy": "click"}, click=[0, 0, 1, 1], buy=buy)
