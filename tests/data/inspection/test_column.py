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
from bench.data.inspection.labels import FOLDS, SMOOTHING, group_auc, halves_of, out_of_fold
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
        (pa.array(["1", "inf"]), None, False),
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


N = 3000
RNG = np.random.default_rng(0)
SPLIT = (np.arange(N) % 3).astype(np.int8)


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    score, label = rng.integers(0, 7, 500) / 7, rng.integers(0, 2, 500)
    assert group_auc(score, label.astype(float), 1.0 - label) == pytest.approx(roc_auc_score(label, score))


def test_the_out_of_fold_means_are_those_of_a_loop():
    rng = np.random.default_rng(1)
    cells = rng.integers(0, 9, 300)
    fold = np.random.default_rng(0).integers(0, FOLDS, 300)
    for binary, y in ((True, (rng.random(300) < cells / 9).astype(float)), (False, cells + rng.normal(size=300))):
        score = np.empty(300)
        for i in range(300):
            others = y[(cells == cells[i]) & (fold != fold[i])]
            score[i] = (others.sum() + y.mean()) / (len(others) + 1)
        wanted = roc_auc_score(y, score) if binary else r2_score(y, score)
        assert out_of_fold(cells, known(y, binary)) == pytest.approx(wanted)


@pytest.mark.parametrize("binary", [True, False])
def test_scores_are_those_of_a_loop_over_validation(binary):
    n, split = 300, SPLIT[:300]
    values = np.where(RNG.random(n) < 0.1, np.nan, RNG.integers(0, 12, n))
    chance = np.nan_to_num(values, nan=5) / 12
    y = (RNG.random(n) < chance).astype(float) if binary else chance + RNG.normal(size=n) / 3
    y[::17] = np.nan
    halves = halves_of(split, {"y": known(y, binary)})
    cells = count_column("c", pa.array(values, from_pandas=True)).cells()
    learn, tried = (np.flatnonzero((part == split) & ~np.isnan(y)) for part in (0, 1))
    said = []
    for row in tried:
        same = [y[i] for i in learn if values[i] == values[row] or (np.isnan(values[i]) and np.isnan(values[row]))]
        said.append((sum(same) + SMOOTHING * y[learn].mean()) / (len(same) + SMOOTHING))
    wanted = roc_auc_score(y[tried], said) if binary else r2_score(y[tried], said)
    assert halves.tell(cells)["y"] == pytest.approx(wanted)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXT, st.one_of(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.lists(TEXT))))
def test_what_is_written_reads_back(values):
    assert tomllib.loads("".join(f"{key(name)} = {toml(value)}\n" for name, value in values.items())) == values


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back(value):
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


@given(TEXT)
def test_a_comment_stays_a_comment(text):
    assert tomllib.loads("\n".join(comment(text)) + "\n") == {}
