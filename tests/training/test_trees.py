"""Boosted trees on generated data, and the columns that they are given."""

import numpy as np
import pytest

from bench.data.store import Split
from bench.records import Job
from bench.schema import Field, Schema, Task
from bench.training.metrics import evaluate
from bench.training.tree_features import FOLDS, PRIOR_ROWS, TreeFeatures
from bench.training.trees import LEAVES, run_trees


def split(ids, labels):
    n = len(ids)
    return Split(
        np.asarray(ids, np.int32),
        np.arange(n, dtype=np.float32)[:, None],
        np.asarray(labels, np.float32)[:, None],
        np.full(n, -1, np.int32),
    )


class TestFeatures:
    SCHEMA = Schema((Field("sex", 3), Field("item", 400), Field("tags", 5, slots=2)), ("age",), (Task("click"),))

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
        labels[rng.random(n) < 0.1] = np.nan
        train = split(ids, labels)
        return train, labels, TreeFeatures(self.SCHEMA, train, labels, np.arange(n), seed=1)

    def test_small_fields_are_categories_and_large_or_multi_valued_ones_rates(self):
        train, _, features = self.made()
        assert features.categorical.tolist() == [False, True, False, False, False, False]
        assert features.train.shape == (500, 6)
        np.testing.assert_array_equal(features.train[:, 0], train.dense[:, 0])
        np.testing.assert_array_equal(features.train[:, 1], train.ids[:, 0] - 1)

    def test_rates_are_those_of_a_slow_twin(self):
        train, labels, features = self.made()
        mean = np.nanmean(labels)
        fold = np.random.default_rng(1).integers(FOLDS, size=500)
        for row in (0, 60, 499):
            for of_train in (True, False):
                others = (fold != fold[row]) if of_train else np.ones(500, bool)
                rates = []
                for tag in train.ids[row, 2:][train.ids[row, 2:] > 0]:
                    seen = [labels[r] for r in range(500) for slot in (2, 3) if train.ids[r, slot] == tag and others[r]]
                    seen = [label for label in seen if label == label]
                    rates.append((sum(seen) + PRIOR_ROWS * mean) / (len(seen) + PRIOR_ROWS))
                columns = features.train if of_train else features.of(train)
                assert columns[row, 4] == pytest.approx(np.mean(rates), rel=1e-5)

    def test_a_rows_own_label_is_not_in_its_columns(self):
        train, labels, features = self.made()
        for row in (3, 77):
            if np.isnan(labels[row]):
                continue
            other = labels.copy()
            other[row] = 1 - other[row]
            again = TreeFeatures(self.SCHEMA, train, other, np.arange(500), seed=1)
            assert again.train[row] == pytest.approx(features.train[row], abs=4e-3)  # the mean of all moves a little


class TestJob:
    """On a split where labels follow one dense column and one field."""

    @staticmethod
    def job(tasks, seed=1):
        names = tuple(task.name for task in tasks)
        return Job(-3, 1, {}, "-", seed, ("valid", "test"), (), names, 1, resamples=8)

    def test_it_measures_what_a_network_job_measures(self, tiny):
        tasks = tiny.schema.tasks
        found = run_trees(self.job(tasks), tiny)
        zeros = np.zeros((64, len(tasks)))
        for name in ("valid", "test"):
            data = tiny.split(name)
            expected = set(evaluate(data.labels, zeros + 0.5, zeros + 0.5, data.group, tasks, f"{name}/"))
            assert {key for key in found.metrics if key.startswith(name)} >= expected - {f"{name}/rating.spearman"}
        assert set(found.resampled) <= set(found.metrics)
        assert all(len(values) == 8 for values in found.resampled.values())
        assert all(leaves in LEAVES for leaves in found.config.values())

    def test_it_learns_and_the_same_seed_repeats(self, tiny):
        first, again, other = (run_trees(self.job(tiny.schema.tasks, seed), tiny).metrics for seed in (1, 1, 2))
        assert first == again
        assert first != other
        assert first["test/" + tiny.schema.tasks[0].name + ".auc"] > 0.6

    def test_a_task_of_one_class_is_said_to_be_so(self, tiny):
        class Flat:
            schema = tiny.schema

            def split(self, name):
                whole = tiny.split(name)
                return Split(whole.ids, whole.dense, whole.stored_labels * 0, whole.group)

        with pytest.raises(FloatingPointError, match="no two classes"):
            run_trees(self.job(tiny.schema.tasks), Flat())
