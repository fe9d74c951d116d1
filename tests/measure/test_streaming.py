"""Outcomes beyond memory equal those within it, whatever the pieces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.schema import Task
from bench.measure.labelled import Labelled
from bench.measure.outcomes import Measure
from bench.measure.spaces import Observed
from bench.measure.stream import Stream

TASK = Task("stay", "regression")
NAMES = tuple(
    f"stay.{cut}"
    for cut in ("ndcg@1", "ndcg@4", "ndcg@1000", "value@3", "recall@3", "value@12.5%", "value@100%", "map@3", "mrr")
)


@settings(deadline=None, max_examples=40)  # the first call compiles
@given(
    rows=st.integers(0, 80),
    pieces=st.lists(st.integers(0, 80), max_size=4),
    limit=st.integers(1, 100),
    levels=st.sampled_from([1, 3, 10**6]),
    groups=st.sampled_from([0, 4, 300]),
    seed=st.integers(0, 1000),
)
def test_neither_pieces_nor_a_limit_change_an_outcome(rows, pieces, limit, levels, groups, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 4, rows).astype(np.float32)
    labels[rng.random(rows) < 0.1] = np.nan
    scores = (rng.integers(-levels, levels, rows) / levels).astype(np.float32)
    group = rng.integers(-1, groups, rows) if groups else np.full(rows, -1)
    stream = Stream(TASK, NAMES, limit)
    for part in np.split(np.arange(rows), sorted(pieces)):
        stream.add(Observed(labels[part], group[part], predictions=scores[part]))
    expected = Measure((TASK,), NAMES, Labelled(labels[:, None], group)).values(scores)[0]
    known = {name: value for name, value in zip(NAMES, expected.tolist(), strict=True) if value == value}
    for _ in range(2):  # asking changes nothing
        assert stream.result() == pytest.approx(known, rel=1e-12, abs=1e-15)


def test_a_score_spread_over_many_bits_is_cut_exactly_beyond_memory():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(size=500) * 10.0 ** rng.integers(-30, 30, 500), [0.0, -0.0]]).astype(np.float32)
    labels, group = (rng.random(502) < 0.3).astype(np.float32), np.full(502, -1)
    names = [f"a.{cut}" for cut in ("recall@7", "ndcg@50", "recall@49.8%", "recall@50%")]
    stream = Stream(Task("a"), names, 64)
    stream.add(Observed(labels, group, predictions=scores))
    expected = Measure((Task("a"),), names, Labelled(labels[:, None], group)).values(scores)[0]
    assert list(stream.result().values()) == pytest.approx(expected.tolist(), rel=1e-12)
