import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from bench.data.reachable import auc, reachable
from bench.data.tasks import TaskRule


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auc_is_that_of_another_library(rows):
    labels, scores = np.array([row[0] for row in rows], np.float32), np.array([float(row[1]) for row in rows])
    if len(set(labels.tolist())) < 2:
        assert np.isnan(auc(labels, scores))
    else:
        assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


def test_a_child_is_measured_among_its_parents_and_among_all():
    rules = (TaskRule(name="click", column="c"), TaskRule(name="buy", column="b", parent="click"))
    labels = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 0]], np.float32)
    truth = {"click": np.array([0.9, 0.2, 0.8, 0.7, 0.1]), "buy": np.array([0.6, 0.5, 0.9, 0.4, 0.3])}
    best = reachable("test", rules, labels, truth)
    clicked = labels[:, 0] == 1
    joint = truth["click"] * truth["buy"]
    assert best == {
        "test/click.auc": pytest.approx(roc_auc_score(labels[:, 0], truth["click"])),
        "test/buy.cvr.auc": pytest.approx(roc_auc_score(labels[clicked, 1], truth["buy"][clicked])),
        "test/buy.ctcvr.auc": pytest.approx(roc_auc_score(labels[:, 1], joint)),
    }


def test_a_regression_with_a_parent_is_measured_where_it_happened_and_on_all_rows():
    rules = (TaskRule(name="z", column="z"), TaskRule(name="y", column="y", kind="regression", parent="z"))
    labels = np.array([[1, 2], [1, 5], [0, np.nan], [0, 7]], np.float32)
    best = reachable("valid", rules, labels, {"z": np.array([0.5, 0.5, 0.5, 0.25]), "y": np.array([2.0, 4, 2, 8])})
    assert best["valid/y.cvr.rmse"] == pytest.approx(np.sqrt(1 / 2))
    assert best["valid/y.ctcvr.rmse"] == pytest.approx(np.sqrt((1 + 9 + 1 + 4) / 4))
