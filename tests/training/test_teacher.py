"""Boosted trees as the teacher of a network."""

from typing import cast

import numpy as np
import pytest

from bench.core.objectives import Objective
from bench.core.schema import Task
from bench.data import Store
from bench.data.store import Split
from bench.testing.training import SMALL, MemoryStore
from bench.training import teacher
from bench.training.config import TrialConfig
from bench.training.loop import Trainer
from bench.training.teacher import FOLDER, FOLDS, taught

TASKS = (Task("click"), Task("buy", parent="click"), Task("like"), Task("stay", "regression"))


class Chequered(MemoryStore):
    """Clicks by a board of squares over two numbers, which trees find at once."""

    def _make(self, rows, seed):
        rng = np.random.default_rng(seed)
        dense = rng.random((rows, 2)).astype(np.float32)
        board = np.random.default_rng(9).random((6, 6)) * 0.8 + 0.1
        at = (dense * 6).astype(int)
        truth = board[at[:, 0], at[:, 1]]
        labels = (rng.random(rows) < truth).astype(np.float32)[:, None]
        ids = np.tile([1, 21, 0, 27], (rows, 1)).astype(np.int32)
        return Split(ids, dense, labels, np.zeros(rows, np.int32))


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


@pytest.mark.slow
def test_a_taught_network_is_nearer_to_the_truth_on_what_trees_find(tmp_path):
    """In the mean over seeds: of one seed the order of both differs by processor."""
    given, means = Chequered(rows=3000, tasks=(Task("click"),)), []
    given.path = tmp_path
    for loss in ("log", "distilled"):
        dotted = SMALL | {"loss.kind": loss, "optim.epochs": 30, "sharing.shared_bottom.layers": "64-32"}
        made = [
            Trainer(cast(Store, given), TrialConfig.parse(dotted), [Objective("click.auc", "maximize")], seed)
            for seed in range(4)
        ]
        for each in made:
            each.run_to()
        means.append(np.mean([each.metrics("confirm")["confirm/click.logloss"] for each in made]))
    assert means[1] < means[0] - 0.005
