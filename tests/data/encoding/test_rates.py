"""Target rates are where leakage would come from: each claim against a slow twin, and against random labels."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bench.core.schema import Task
from bench.core.seeds import derive
from bench.data.codes import TextCodes
from bench.data.columns.base import Source
from bench.data.encoding.rates import RatesFitter
from bench.data.values import texts_of

TASKS = (Task("click"), Task("stay", "regression"))
SMOOTHING, FOLDS, SEED = 3.0, 4, 7


def fit(values, labels, tasks=TASKS, smoothing=SMOOTHING, size=11):
    """The part, and what it makes of the very rows it was fitted on."""
    fitter, seen = RatesFitter("user", tasks, smoothing, FOLDS, SEED), TextCodes()
    codes = np.empty(0, np.int32)
    for start in range(0, len(values), size):
        codes = np.append(codes, seen.code(texts_of(pa.array(values[start : start + size], pa.string()))))
        fitter.take(codes[start:], labels[start : start + size], len(seen))
    part = fitter.finish(Source(column="u"), seen.texts)
    np.testing.assert_array_equal(fitter.dense(codes, None), part.encode(table(values)))
    return part, np.concatenate([fitter.dense(codes[i : i + 5], i) for i in range(0, len(values), 5)])


def table(values):
    return pa.table({"u": pa.array(values, pa.string())})


def slow_rates(rows, value, values, labels):
    """By the definition: over `rows` only."""
    rates = []
    for task in range(2):
        seen = [i for i in rows if not np.isnan(labels[i, task])]
        own = [i for i in seen if values[i] == value]
        prior = sum(float(labels[i, task]) for i in seen) / max(len(seen), 1)
        rate = (sum(float(labels[i, task]) for i in own) + SMOOTHING * prior) / (len(own) + SMOOTHING)
        if task == 0:
            rate = min(max(rate, 1e-6), 1 - 1e-6)
            rate = np.log(rate / (1 - rate))
        rates.append(rate)
    return [*rates, np.log1p(sum(values[i] == value for i in rows))]


def standardised(part, values):
    return (np.array(values) - np.array(part.mean)) / np.array(part.scale)


Rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from([0.0, 1.0, np.nan]),
        st.sampled_from([-1.0, 0.5, 2.0, np.nan]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=40)
@given(Rows)
def test_both_kinds_of_rate_follow_their_definition(rows):
    values = [row[0] for row in rows]
    labels = np.array([row[1:] for row in rows], np.float32)
    part, in_train = fit(values, labels)
    everything = list(range(len(rows)))
    fold = np.floor(np.random.default_rng(derive(SEED, "folds")).random(len(rows)) * FOLDS)
    others = [[j for j in everything if fold[j] != fold[i]] for i in everything]

    slow = np.array([slow_rates(others[i], values[i], values, labels) for i in everything])
    np.testing.assert_allclose(in_train, standardised(part, slow), atol=2e-4)
    scale = np.where(slow.std(axis=0) < 1e-9, 1, slow.std(axis=0))
    np.testing.assert_allclose(part.mean, slow.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(part.scale, scale, atol=1e-6)

    new = ["a", "b", "c", None, "never seen"]
    elsewhere = [slow_rates(everything, value, values, labels) for value in new]
    np.testing.assert_allclose(part.encode(table(new)), standardised(part, elsewhere), atol=2e-4)


def test_random_labels_cannot_be_read_from_the_rates_of_train():
    """Many ids of few rows and labels that are pure chance: a rate that held its own row would give them away."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2000, 8000).astype(str).tolist()
    labels = rng.integers(0, 2, (8000, 1)).astype(np.float32)
    part, honest = fit(values, labels, TASKS[:1], smoothing=1.0, size=999)
    leaky = part.encode(table(values))
    assert roc_auc_score(labels[:, 0], leaky[:, 0]) > 0.7
    assert abs(roc_auc_score(labels[:, 0], honest[:, 0]) - 0.5) < 0.05
