"""Columns: what is counted of them, how cards write it, and what they are for."""

import tomllib
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from data_toys import known
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score, roc_auc_score

from bench.core.plain import toml, toml_key
from bench.data.inspection.column import count_column, markers_in
from bench.data.inspection.labels import FOLDS, out_of_fold
from bench.data.inspection.render import comment
from bench.data.inspection.roles import find_kind, find_rate


@pytest.mark.parametrize("dictionary", [False, True])
def test_counts_are_those_of_a_counter(dictionary):
    texts = [None if i % 7 == 0 else ["", " a", "a ", "b", "NA", "é, x"][i % 6] for i in range(300)]
    array = pa.array(texts)
    column = count_column("c", array.dictionary_encode() if dictionary else array, ["NA"])
    wanted = Counter(
        text.strip() for text in texts if text is not None and text.strip() not in ("", "NA")
    )
    assert dict(zip(column.texts(), column.counts.tolist(), strict=True)) == wanted
    assert column.n_present == sum(wanted.values())
    back = [None if code < 0 else column.texts()[code] for code in column.codes]
    assert back == [
        t.strip() if t is not None and t.strip() not in ("", "NA") else None for t in texts
    ]


@pytest.mark.parametrize(
    ("array", "numbers", "whole"),
    [
        (pa.array([3, 1, 3, None]), [3, 1], True),
        (pa.array([0.5, float("nan"), 2.0]), [0.5, 2.0], False),
        (pa.array(["10", "2.5", " 3 "]), [10, 2.5, 3], False),
        (pa.array(["1", "inf", "2"]), [1, 2], True),
        (pa.array(["007", "12"]), None, False),
    ],
)
def test_numbers(array, numbers, whole):
    column = count_column("c", array, ["inf"])
    assert (None if column.numbers is None else column.numbers.tolist()) == numbers
    assert column.whole == whole


@pytest.mark.parametrize(
    ("values", "markers"),
    [
        (["1", "NA", "30"], ["NA"]),
        (["1", r"\N", "NaN"], [r"\N", "NaN"]),
        (["DE", "NA"], []),
        (["DE", "?"], ["?"]),
        (["-1", "3", "4"], []),
        (["1", "inf", "-inf"], ["inf", "-inf"]),
    ],
)
def test_texts_that_mean_missing(values, markers):
    """`NA` is one among numbers; among names it may be a country."""
    assert markers_in(count_column("c", pa.array(values))) == markers


@pytest.mark.parametrize("mixed", [1.0, 20.0])
def test_the_out_of_fold_means_are_those_of_a_loop(mixed):
    rng = np.random.default_rng(1)
    cells = rng.integers(0, 9, 300)
    fold = np.random.default_rng(0).integers(0, FOLDS, 300)
    for binary, y in (
        (True, (rng.random(300) < cells / 9).astype(float)),
        (False, cells + rng.normal(size=300)),
    ):
        score = np.empty(300)
        for i in range(300):
            other_folds = y[(cells == cells[i]) & (fold != fold[i])]
            score[i] = (other_folds.sum() + mixed * y.mean()) / (len(other_folds) + mixed)
        wanted = roc_auc_score(y, score) if binary else r2_score(y, score)
        assert out_of_fold(cells, known(y, binary), mixed) == pytest.approx(wanted)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(TEXT, TEXT | NUMBER | st.booleans() | st.lists(TEXT)))
def test_what_is_written_reads_back(values):
    assert (
        tomllib.loads(
            "".join(f"{toml_key(name)} = {toml(value)}\n" for name, value in values.items())
        )
        == values
    )


@given(TEXT)
def test_a_comment_stays_a_comment(text):
    assert tomllib.loads("\n".join(comment(text)) + "\n") == {}


def test_ranges_of_numbers_are_in_order_about_equal_and_missing_is_apart():
    numbers = np.random.default_rng(5).normal(size=2000).round(2)
    numbers[::5] = np.nan
    cells = count_column("c", pa.array(numbers, from_pandas=True)).cells(10)
    present = ~np.isnan(numbers)
    assert (cells[~present] == cells[present].max() + 1).all()
    assert (np.diff(cells[present][np.argsort(numbers[present])]) >= 0).all()
    assert np.bincount(cells[present]).tolist() == pytest.approx([160] * 10, rel=0.1)


RNG = np.random.default_rng(0)
WORDS = np.array(
    ["good", "bad", "ok", "quick", "brown", "fox", "dog", "cat", "tree", "sun", "moon"]
)


def kind(name, values):
    option = find_kind(count_column(name, pa.array(values)), {}).option
    return None if option is None else dict(option)


def texts(values):
    return [str(value) for value in values]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("country", texts(RNG.choice(["DE", "FR", "US"], 200))),
        ("item_id", texts(RNG.integers(0, 60, 200))),
        ("coupon", ["yes", None] * 30),
        ("zip", [f"{value:05d}" for value in RNG.integers(0, 60, 200)]),
        ("PUMA", RNG.integers(10, 90, 200) * 100),
        ("city", texts(RNG.choice(["Paris, TX", "New York, NY", "Albany, NY", "Austin, TX"], 200))),
        ("bin", texts(RNG.choice(["[0,10)", "[10,20)", "[20,30)", "[30,40)"], 200))),
    ],
)
def test_categories(name, values):
    assert kind(name, values) == {"kind": "categorical"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("score", RNG.normal(size=500)),
        ("age", RNG.integers(18, 90, 500)),
        ("item_price", RNG.integers(1, 90, 500)),
    ],
)
def test_quantities(name, values):
    options = kind(name, values)
    assert options["kind"] == "numeric"
    assert "log1p" not in options


def tried(name, values, label):
    """The finding where a label is there to try encodings on."""
    return find_kind(count_column(name, pa.array(values)), {"y": known(label)})


def happens(chance):
    return (np.random.default_rng(1).random(len(chance)) < chance).astype(float)


MANY = 20_000


def test_whole_numbers_whose_neighbours_differ_are_codes():
    rng = np.random.default_rng(2)  # folds are drawn by 0
    values, chance = rng.integers(0, 400, MANY), rng.random(400)
    assert tried("broker", values, happens(chance[values])).option == {"kind": "categorical"}
    for name, of_value in (("broker", np.arange(400) / 400), ("broker_count", chance)):
        option = tried(name, values, happens(of_value[values])).option
        assert option["kind"] == "numeric"


def test_few_counts_are_numbers():
    few = RNG.poisson(2, MANY)
    for name in ("clicks_7d", "num_items", "children"):
        column = tried(name, few, happens(np.full(MANY, 0.5)))
        assert (column.option["kind"], "a count, by its name" in column.why) == ("numeric", True)
    assert tried("orders_id", few, happens(np.full(MANY, 0.5))).option == {"kind": "categorical"}


@pytest.mark.parametrize("separator", ["|", ";", ","])
def test_lists(separator):
    values = [
        separator.join(sorted(set(RNG.choice(WORDS, RNG.integers(0, 4))))) for _ in range(400)
    ]
    assert kind("tags", values) == {"kind": "multi-valued", "separator": separator, "max_length": 3}


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("c", ["x"] * 50, "constant"),
        (
            "hhnum",
            np.repeat(RNG.permutation(300), RNG.integers(1, 5, 300)),
            "id of a household or a visit",
        ),
        (
            "h_seq",
            np.repeat(RNG.permutation(1200), RNG.integers(1, 5, 1200)),
            "rows of one value follow each other",
        ),
        ("finalwt", RNG.uniform(100, 3000, 500).round(2), "weight of the sample's design"),
        ("price", [f"{n},{n % 10}" for n in RNG.integers(0, 50, 200)], "1.5, not 1,5"),
        ("instance weight", RNG.uniform(100, 3000, 500).round(2), "weight of the sample's design"),
        ("row", np.cumsum(RNG.integers(1, 4, 100)), "every row"),
        ("note", [" ".join(RNG.choice(WORDS, 8)) for _ in range(100)], "free text"),
        ("ts", 1_700_000_000 + RNG.integers(0, 10**6, 100), "seconds since 1970"),
        ("revenue", [f"{n:,}" for n in RNG.integers(0, 5000, 200)], "1234, not 1,234"),
        ("ids", [{"a": 1}, {"a": 2}] * 20, "type struct"),
    ],
)
def test_left_out(name, values, reason):
    column = find_kind(count_column(name, pa.array(values)), {})
    assert not column.makes_input
    assert reason in column.why


N = 3000
SPLIT = (np.arange(N) % 3).astype(np.int8)


def rate_of(values, label):
    return find_rate(count_column("id", pa.array(values)), {"y": known(label)}, SPLIT)


def test_target_rates_are_taken_where_ids_repeat_and_tell():
    ids, chance = RNG.integers(0, 150, N), RNG.random(150)
    label = (RNG.random(N) < chance[ids]).astype(float)
    taken = rate_of([f"u{n}" for n in ids], label)
    assert "of validation's rows have a value that 5 rows of train or more have" in (taken or "")
    assert rate_of([f"u{n}" for n in ids], (RNG.random(N) < 0.5).astype(float)) is None
    assert rate_of([f"u{n}" for n in np.arange(N) // 3], label) is None
    assert rate_of([f"u{n}" for n in ids % 100], label) is None
