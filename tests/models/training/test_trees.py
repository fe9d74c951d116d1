"""Boosted trees on generated data, the columns that they are given, and trees as the teacher of a
network.
"""

from typing import cast

import numpy as np
import pytest

from bench.core.records import Job
from bench.core.rows import REPLICATED
from bench.core.schema import Field, Schema, Task
from bench.data import Store
from bench.models.training import teacher
from bench.models.training.teacher import FOLDER, taught
from bench.models.training.tree_data import FOLDS, PRIOR_ROWS, RowLimits, TreeFeatures, draw, width
from bench.models.training.tree_model import Grown, run_trees
from bench.models.training.tree_settings import RANGES, TreeSettings, configurations
from bench.models.training.tree_training import train_trees
from bench.testing.training_checks import VALUES, MemoryStore


class TestFeatures:
    SCHEMA = Schema(
        (Field("sex", 3), Field("item", 400), Field("tags", 5, slots=2)), ("age",), (Task("click"),)
    )

    def made(self, n=500):
        rng = np.random.default_rng(0)
        ids = np.column_stack(
            [
                1 + rng.integers(0, 3, n),
                4 + rng.integers(0, 400, n),
                404 + rng.integers(0, 5, n),
                404 + rng.integers(0, 5, n),
            ]
        )
        ids[:50, 3] = 0  # one tag only
        labels = (rng.random(n) < 0.3).astype(np.float32)
        dense = np.arange(n, dtype=np.float32)[:, None]
        return (
            ids.astype(np.int32),
            dense,
            labels,
            *TreeFeatures.learn(self.SCHEMA, ids, dense, labels, seed=1),
        )

    def test_small_fields_are_categories_and_large_or_multi_valued_ones_rates(self):
        ids, dense, _, features, columns = self.made()
        assert features.categorical.tolist() == [False, True, False, False, False, False]
        for matrix in (columns, features.of(ids, dense)):
            assert matrix.shape == (500, 6) == (500, width(self.SCHEMA))
            np.testing.assert_array_equal(matrix[:, 0], dense[:, 0])
            np.testing.assert_array_equal(matrix[:, 1], ids[:, 0] - 1)

    def test_rates_are_those_of_a_slow_twin(self):
        ids, dense, labels, features, of_train_rows = self.made()
        mean = labels.mean()
        fold = np.random.default_rng(1).integers(FOLDS, size=500, dtype=np.uint8)
        for row in (0, 60, 499):
            for of_train in (True, False):
                counted = (fold != fold[row]) if of_train else np.ones(500, bool)
                rates = []
                for tag in ids[row, 2:][ids[row, 2:] > 0]:
                    seen = [
                        labels[r]
                        for r in range(500)
                        for slot in (2, 3)
                        if ids[r, slot] == tag and counted[r]
                    ]
                    rates.append((sum(seen) + PRIOR_ROWS * mean) / (len(seen) + PRIOR_ROWS))
                columns = of_train_rows if of_train else features.of(ids, dense)
                assert columns[row, 4] == pytest.approx(np.mean(rates), rel=1e-5)

    def test_a_rows_own_label_is_not_in_its_columns(self):
        ids, dense, labels, _, columns = self.made()
        for row in (3, 77):
            changed = labels.copy()
            changed[row] = 1 - changed[row]
            _, again = TreeFeatures.learn(self.SCHEMA, ids, dense, changed, seed=1)
            # the mean of all moves a little
            assert again[row] == pytest.approx(columns[row], abs=4e-3)


class TestRows:
    def test_rows_are_drawn_of_those_that_count(self, tiny):
        split = type(tiny)(rows=40_000, tasks=tiny.schema.tasks[:2]).split("train")
        labels, parent = split.labels[:, 1], split.labels[:, 0]
        counts = np.flatnonzero((parent == 1) & ~np.isnan(labels))
        whole = draw(split, 1, 0, 40_000, seed=1)
        np.testing.assert_array_equal(whole.ids, split.ids[counts])
        np.testing.assert_array_equal(whole.labels, labels[counts])
        drawn, again, second = (draw(split, 1, 0, 5000, seed) for seed in (1, 1, 2))
        assert len(drawn) == len(second) == 5000
        np.testing.assert_array_equal(drawn.dense, again.dense)
        assert not np.array_equal(drawn.dense, second.dense)
        # In the split's order, none twice, and from its whole length: dense values are distinct.
        places = np.searchsorted(np.sort(split.dense[counts, 0]), np.sort(drawn.dense[:, 0]))
        assert len(set(places.tolist())) == 5000
        rows = [
            int(np.flatnonzero(split.dense[:, 0] == value)[0]) for value in drawn.dense[::50, 0]
        ]
        assert rows == sorted(rows)
        assert np.mean(rows) == pytest.approx(20_000, rel=0.1)
        assert len(draw(split, 1, 0, 7, seed=1)) == 7


class TestSettings:
    def test_configurations_begin_with_the_defaults_and_stay_within_their_ranges(self):
        configs = configurations(["a", "b"], 9, seed=3)
        assert configs[:4] == configurations(["a", "b"], 4, seed=3)
        assert configurations(["a"], 1, seed=3) == [TreeSettings().dotted("a")]
        assert TreeSettings.of(configs[0], "a") == TreeSettings()
        assert configs != configurations(["a", "b"], 9, seed=4)
        for config in configs[1:]:
            settings = TreeSettings.of(config, "a")
            assert settings == TreeSettings.of(config, "b")
            for name, (low, high) in RANGES.items():
                assert low <= getattr(settings, name) <= high
                assert type(getattr(settings, name)) is type(low)
        assert len({tuple(config.items()) for config in configs}) == 9


def test_a_regression_with_a_parent_has_both_readings():
    """Trees learn where the parent happened; what all impressions are expected to bring is the
    product.
    """
    store = MemoryStore(400, VALUES)
    names = tuple(task.name for task in VALUES)
    metrics = run_trees(
        Job(None, 1, {}, "-", 1, REPLICATED, (), names, 1, kind="trees"), store
    ).metrics
    wanted = {"watch.cvr.rmse", "watch.ctcvr.rmse", "watch.ctcvr.decile_error", "stay.rmse"}
    assert {"cost/latency_ms", *(f"test/{name}" for name in wanted)} <= set(metrics)
    trained = [
        train_trees(store, task, TreeSettings(), RowLimits.of(store.split("train"), 5), task)
        for task in range(3)
    ]
    ((conditional, joint),) = list(Grown(store, tuple(trained), 1000).predictions("test"))
    np.testing.assert_allclose(joint[:, 1], conditional[:, 0] * conditional[:, 1], rtol=1e-6)
    np.testing.assert_array_equal(joint[:, 2], conditional[:, 2])


TAUGHT = (Task("click"), Task("buy", parent="click"), Task("like"), Task("stay", "regression"))


def store(folder, **options):
    built = MemoryStore(rows=400, tasks=TAUGHT, **options)
    built.path = folder
    return cast(Store, built)


@pytest.fixture(autouse=True)
def one_try(monkeypatch):
    """Trees of all folds but one choose the settings."""
    monkeypatch.setattr(teacher, "TRIES", 1)


def test_labels_move_towards_the_trees_where_no_other_label_hangs_on_them(tmp_path):
    source = store(tmp_path)
    labels = source.split("train").labels
    labels[::7, 2] = np.nan
    result = taught(source, 0.25, 1, print)
    assert result.columns is None
    np.testing.assert_array_equal(result.labels[:, [0, 3]], labels[:, [0, 3]])
    for task, counts in ((1, labels[:, 0] == 1), (2, ~np.isnan(labels[:, 2]))):
        predicted = np.load(tmp_path / FOLDER / f"{TAUGHT[task].name}.npy")
        np.testing.assert_array_equal(np.isnan(predicted), ~counts)
        np.testing.assert_allclose(
            result.labels[counts, task],
            0.75 * labels[counts, task] + 0.25 * predicted[counts],
            rtol=1e-5,
        )
        np.testing.assert_array_equal(result.labels[~counts, task], labels[~counts, task])
        assert 0 < predicted[counts].min() < predicted[counts].max() < 1


def test_a_row_is_predicted_without_its_own_label(tmp_path):
    results = []
    for name in ("as it is", "another label"):
        source = store(tmp_path / name)
        if results:
            source.split("train").labels[7, 2] = 1 - source.split("train").labels[7, 2]
        results.append(taught(source, 1, 1, print).labels[:, 2])
    moved = results[0] != results[1]
    assert not moved[7]
    assert 1 - 2 / teacher.FOLDS < moved.mean() < 1  # trees of the other folds have seen it
