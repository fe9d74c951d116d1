import tomllib
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_labels import known
from sklearn.metrics import r2_score, roc_auc_score

from bench.data.inspection.column import count_column, markers_in
from bench.data.inspection.labels import FOLDS, out_of_fold
from bench.data.inspection.render import comment, key, toml


@pytest.mark.parametrize("dictionary", [False, True])
def test_counts_are_those_of_a_counter(dictionary):
    texts = [None if i % 7 == 0 else ["", " a", "a ", "b", "NA", "é, x"][i % 6] for i in range(300)]
    array = pa.array(texts)
    column = count_column("c", array.dictionary_encode() if dictionary else array, ["NA"])
    wanted = Counter(text.strip() for text in texts if text is not None and text.strip() not in ("", "NA"))
    assert dict(zip(column.texts(), column.counts.tolist(), strict=True)) == wanted
    assert column.known == sum(wanted.values())
    back = [None if code < 0 else column.texts()[code] for code in column.codes]
    assert back == [t.strip() if t is not None and t.strip() not in ("", "NA") else None for t in texts]


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
    column = count_column("c", array)
    assert (None if column.numbers is None else column.numbers.tolist()) == numbers
    assert column.whole == whole


@pytest.mark.parametrize(
    ("values", "held"),
    [
        (["1", "NA", "30"], ["NA"]),
        (["1", r"\N", "NaN"], [r"\N", "NaN"]),
        (["DE", "NA"], []),
        (["DE", "?"], ["?"]),
        (["-1", "3", "4"], []),
    ],
)
def test_texts_that_mean_missing(values, held):
    """`NA` is one among numbers; among names it may be a country."""
    assert markers_in(count_column("c", pa.array(values))) == held


@pytest.mark.parametrize("mixed", [1.0, 20.0])
def test_the_out_of_fold_means_are_those_of_a_loop(mixed):
    rng = np.random.default_rng(1)
    cells = rng.integers(0, 9, 300)
    fold = np.random.default_rng(0).integers(0, FOLDS, 300)
    for binary, y in ((True, (rng.random(300) < cells / 9).astype(float)), (False, cells + rng.normal(size=300))):
        score = np.empty(300)
        for i in range(300):
            others = y[(cells == cells[i]) & (fold != fold[i])]
            score[i] = (others.sum() + mixed * y.mean()) / (len(others) + mixed)
        wanted = roc_auc_score(y, score) if binary else r2_score(y, score)
        assert out_of_fold(cells, known(y, binary), mixed) == pytest.approx(wanted)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(TEXT, TEXT | NUMBER | st.booleans() | st.lists(TEXT)))
def test_what_is_written_reads_back(values):
    assert tomllib.loads("".join(f"{key(name)} = {toml(value)}\n" for name, value in values.items())) == values


@given(TEXT)
def test_a_comment_stays_a_comment(text):
    assert tomllib.loads("\n".join(comment(text)) + "\n") == {}


def test_ranges_of_numbers_are_in_order_about_equal_and_missing_is_apart():
    numbers = np.random.default_rng(5).normal(size=2000).round(2)
    numbers[::5] = np.nan
    cells, known = count_column("c", pa.array(numbers, from_pandas=True)).cells(10), ~np.isnan(numbers)
    assert (cells[~known] == cells[known].max() + 1).all()
    assert (np.diff(cells[known][np.argsort(numbers[known])]) >= 0).all()
    assert np.bincount(cells[known]).tolist() == pytest.approx([160] * 10, rel=0.1)
