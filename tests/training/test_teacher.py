"""Boosted trees as the teacher of a network."""

from typing import cast

import numpy as np
import pytest

from bench.core.schema import Task
from bench.data import Store
from bench.testing.training import MemoryStore
from bench.training import teacher
from bench.training.teacher import FOLDER, FOLDS, taught

TASKS = (Task("click"), Task("buy", parent="click"), Task("like"), Task("stay", "regression"))


def store(folder, **given):
    found = MemoryStore(rows=400, tasks=TASKS, **given)
    found.path = folder
    return cast(Store, found)


@pytest.fixture(autouse=True)
def one_try(monkeypatch):
    """Trees of all folds but one choose the settings."""
    monkeypatch.setattr(teacher, "TRIES", 1)


def test_labels_move_towards_the_trees_where_no_other_label_hangs_on_them(tmp_path):
    given = store(tmp_path)
    labels = given.split("train").labels
    labels[::7, 2] = np.nan
    found = taught(given, 0.25, 1, print)
    assert found.columns is None
    np.testing.assert_array_equal(found.labels[:, [0, 3]], labels[:, [0, 3]])
    for at, counts in ((1, labels[:, 0] == 1), (2, ~np.isnan(labels[:, 2]))):
        said = np.load(tmp_path / FOLDER / f"{TASKS[at].name}.npy")
        np.testing.assert_array_equal(np.isnan(said), ~counts)
        np.testing.assert_allclose(found.labels[counts, at], 0.75 * labels[counts, at] + 0.25 * said[counts], rtol=1e-5)
        np.testing.assert_array_equal(found.labels[~counts, at], labels[~counts, at])
        assert 0 < said[counts].min() < said[counts].max() < 1


def test_a_row_is_predicted_without_its_own_label(tmp_path):
    said = []
    for name in ("as it is", "another label"):
        given = store(tmp_path / name)
        if said:
            given.split("train").labels[7, 2] = 1 - given.split("train").labels[7, 2]
        said.append(taught(given, 1, 1, print).labels[:, 2])
    moved = said[0] != said[1]
    assert not moved[7]
    assert 1 - 2 / FOLDS < moved.mean() < 1  # trees of the other folds have seen it
