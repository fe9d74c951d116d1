"""Settings of a sweep, denser where a front bends; and the second test of few rows, in which splits change places."""

import numpy as np
import pytest

from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.results.served import turned as module
from bench.results.served.sweep import Sweep
from bench.results.served.turned import few, turned


def test_it_is_refined_where_the_front_has_a_gap_and_never_without_end():
    sweep = Sweep(2, ["power"])

    def outcomes():  # a jump between weights of .45 and .6, flat elsewhere
        a = np.array([each.weights[1] for each in sweep.settings])
        step = 1 / (1 + np.exp(-40 * (a - 0.52)))
        return np.stack([1 - step, step], axis=-1)[None]

    for _ in range(10):
        values = outcomes()
        if not (new := sweep.refine(values, np.ones(values.shape[:2], dtype=bool))):
            break
        assert all(0.3 < each.weights[1] < 0.7 for each in new)
    assert len(sweep.settings) <= 40


def test_each_split_stands_under_the_others_name_and_nothing_else_moves(world):
    made = world(300)
    own = [made.candidate("a")]
    others, moved = turned(own, made.rows)
    for split, other in ((SEARCH, SEARCH), (CONFIRM, TEST), (TEST, CONFIRM)):
        assert moved[split] is made.rows[other]
        assert np.array_equal(others[0].predictions(split, 1), own[0].predictions(other, 1))
    again, _ = turned(others, moved)
    assert np.array_equal(again[0].predictions(TEST, 0), own[0].predictions(TEST, 0))


@pytest.mark.parametrize(("more", "found"), [(0, False), (1, True)])
def test_rows_are_few_by_the_rarest_task(world, monkeypatch, more, found):
    rows = world(300).rows
    monkeypatch.setattr(module, "FEW_POSITIVES", int((rows[TEST].labels > 0).sum(axis=0).min()) + more)
    assert few(rows) is found
