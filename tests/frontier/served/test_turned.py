"""Confirmation rows and test in each other's place."""

import numpy as np
import pytest

from bench.core.rows import CONFIRM, SEARCH, TEST
from bench.results.served import turned as module
from bench.results.served.turned import few, turned


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
    monkeypatch.setattr(module, "FEW", int((rows[TEST].labels > 0).sum(axis=0).min()) + more)
    assert few(rows) is found
