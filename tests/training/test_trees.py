"""Boosted trees on generated data, and the columns that they are given."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn import ensemble
from sklearn.ensemble import HistGradientBoostingClassifier

from bench.core.errors import TrainingError
from bench.core.records import Job
from bench.core.rows import REPLICATED
from bench.core.schema import Field, Number, Schema, Task
from bench.data.store import Split
from bench.testing.metrics import evaluate
from bench.testing.training import VALUES, MemoryStore
from bench.training import tree_data, trees
from bench.training.tree_data import A_CELL, A_ROW, FOLDS, PREDICTED, PRIOR_ROWS, Share, TreeFeatures, draw, width
from bench.training.tree_model import _predictions, run_trees
from bench.training.tree_settings import RANGES, TreeSettings, best_by_task, configurations
from bench.training.trees import MOST_TREES, train_trees


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
        dense = np.arange(n, dtype=np.float32)[:, None]
        return ids.astype(np.int32), dense, labels, *TreeFeatures.learn(self.SCHEMA, ids, dense, labels, seed=1)

    def test_small_fields_are_categories_and_large_or_multi_valued_ones_rates(self):
        ids, dense, _, features, columns = self.made()
        assert features.categorical.tolist() == [False, True, False, False, False, False]
        for found in (columns, features.of(ids, dense)):
            assert found.shape == (500, 6) == (500, width(self.SCHEMA))
            np.testing.assert_array_equal(found[:, 0], dense[:, 0])
            np.testing.assert_array_equal(found[:, 1], ids[:, 0] - 1)

    def test_rates_are_those_of_a_slow_twin(self):
        ids, dense, labels, features, of_train_rows = self.made()
        mean = labels.mean()
        fold = np.random.default_rng(1).integers(FOLDS, size=500, dtype=np.uint8)
        for row in (0, 60, 499):
            for of_train in (True, False):
                others = (fold != fold[row]) if of_train else np.ones(500, bool)
                rates = []
                for tag in ids[row, 2:][ids[row, 2:] > 0]:
                    seen = [labels[r] for r in range(500) for slot in (2, 3) if ids[r, slot] == tag and others[r]]
                    rates.append((sum(seen) + PRIOR_ROWS * mean) / (len(seen) + PRIOR_ROWS))
                columns = of_train_rows if of_train else features.of(ids, dense)
                assert columns[row, 4] == pytest.approx(np.mean(rates), rel=1e-5)

    def test_ranges_of_numbers_are_left_out(self):
        ids, dense, labels, _, columns = self.made()
        number = Number("age", 0, None, (0.0, 9.0), (500,))
        schema = replace(self.SCHEMA, fields=(*self.SCHEMA.fields, Field("age_bucket", 3)), numbers=(number,))
        wide = np.column_stack([ids, np.full(500, schema.offsets[3] + 1, np.int32)])
        features, found = TreeFeatures.learn(schema, wide, dense, labels, seed=1)
        np.testing.assert_array_equal(found, columns)
        assert features.of(wide, dense).shape == (500, width(schema)) == (500, 6)
        assert len(features.categorical) == 6

    def test_a_rows_own_label_is_not_in_its_columns(self):
        ids, dense, labels, _, columns = self.made()
        for row in (3, 77):
            other = labels.copy()
            other[row] = 1 - other[row]
            _, again = TreeFeatures.learn(self.SCHEMA, ids, dense, other, seed=1)
            assert again[row] == pytest.approx(columns[row], abs=4e-3)  # the mean of all moves a little


class TestJob:
    """On a split where labels follow one dense column and one field."""

    @staticmethod
    def job(tasks, seed=1, **config):
        names = tuple(task.name for task in tasks)
        return Job(None, 1, config, "-", seed, REPLICATED, (), names, 1, resamples=8, kind="trees")

    def test_it_measures_what_a_network_job_measures(self, tiny):
        tasks = tiny.schema.tasks
        found = run_trees(self.job(tasks), tiny)
        zeros = np.zeros((64, len(tasks)))
        for name in REPLICATED:
            data = tiny.split(name)
            expected = set(evaluate(data.labels, zeros + 0.5, zeros + 0.5, data.group, tasks, f"{name}/"))
            assert {key for key in found.metrics if key.startswith(name)} >= expected - {f"{name}/rating.spearman"}
        assert {key for key in found.resampled if not key.endswith("rarer")} <= set(found.metrics)
        assert {key.split("/")[0] for key in found.resampled} == {"confirm", "test"}  # validation is the search's
        assert all(len(values) == 8 for values in found.resampled.values())
        for task in tasks:
            assert TreeSettings().dotted(task.name).items() <= found.config.items()
            assert 1 <= found.config[f"trees.{task.name}.trees"] <= MOST_TREES

    def test_it_learns_and_the_same_seed_repeats(self, tiny):
        every = [run_trees(self.job(tiny.schema.tasks, seed), tiny).metrics for seed in (1, 1, 2)]
        assert all(metrics["cost/latency_ms"] > 0 < metrics["cost/parameters"] for metrics in every)
        first, again, other = ({k: v for k, v in each.items() if "latency" not in k} for each in every)
        assert first == again
        assert first != other
        assert first["test/" + tiny.schema.tasks[0].name + ".auc"] > 0.6

    @pytest.mark.slow  # it loads torch and scikit-learn
    def test_a_new_process_takes_no_more_threads_than_the_job_has(self) -> None:
        """A limit holds for the libraries that are loaded, and the first trees of a process load theirs."""
        code = (
            "from threadpoolctl import threadpool_info\n"
            "from bench.system.machine import tree_threads\n"
            "with tree_threads(1):\n"
            "    import sklearn.ensemble\n"
            "    assert {pool['num_threads'] for pool in threadpool_info()} == {1}"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_a_task_of_one_class_is_said_to_be_so(self, tiny):
        class Flat:
            schema = tiny.schema

            def split(self, name):
                whole = tiny.split(name)
                return Split(whole.ids, whole.dense, whole.stored_labels * 0, whole.group)

        with pytest.raises(FloatingPointError, match="no two classes"):
            run_trees(self.job(tiny.schema.tasks), Flat())

    def test_the_configuration_s_settings_are_those_of_the_trees(self, tiny, monkeypatch: pytest.MonkeyPatch) -> None:
        made = {}

        class Known(HistGradientBoostingClassifier):
            def fit(self, *arguments, **options):
                made[len(made)] = self.get_params()
                return super().fit(*arguments, **options)

        monkeypatch.setattr(ensemble, "HistGradientBoostingClassifier", Known)
        names = [task.name for task in tiny.schema.tasks]
        own = TreeSettings(0.2, 7, 5, 3.0, 0.25)
        found = run_trees(self.job(tiny.schema.tasks, **own.dotted(names[1])), tiny)
        expected = {at: own if at == 1 else TreeSettings() for at in range(len(names))}
        keys = ("learning_rate", "max_leaf_nodes", "min_samples_leaf", "l2_regularization", "max_features")
        assert {at: TreeSettings(*(made[at][key] for key in keys)) for at in made} == expected
        assert own.dotted(names[1]).items() <= found.config.items()

    def test_memory_bounds_what_is_learnt_from_and_predicted_at_once(
        self, tiny, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the sizes of what scikit-learn is given; the store has far more rows than the memory allowed holds."""
        store = type(tiny)(rows=6000, tasks=tiny.schema.tasks[:2])
        columns, given = width(store.schema), []

        class Known(HistGradientBoostingClassifier):
            def fit(self, X, y, weights, X_val, y_val, sample_weight_val):
                given.append((len(X), len(X_val)))
                assert X.dtype == X_val.dtype == np.float32
                return super().fit(X, y, X_val=X_val, y_val=y_val)

            def predict_proba(self, X):
                given.append((len(X),))
                return super().predict_proba(X)

        monkeypatch.setattr(ensemble, "HistGradientBoostingClassifier", Known)
        memory = 1 << 20
        monkeypatch.setattr(trees, "MOST_TREES", 5)
        monkeypatch.setattr(tree_data, "memory_limit", lambda: memory)
        run_trees(self.job(store.schema.tasks), store)
        a_row = columns * A_CELL + A_ROW
        fits = [sizes for sizes in given if len(sizes) == 2]
        assert len(fits) == 2
        assert all(sum(sizes) * a_row <= memory for sizes in fits)
        assert max(fits)[0] > 0.7 * memory * 0.75 / a_row  # and what there is of it is used
        pieces = [size for size, *more in given if not more]
        assert max(pieces) * a_row <= memory / 4
        assert sum(pieces) == 2 * len(REPLICATED) * 6000  # tasks and splits


class TestRows:
    def test_a_share_is_bounded_by_memory_and_by_itself(self, tiny) -> None:
        split = tiny.split("train")
        a_row = 4 * (split.ids.shape[1] + split.dense.shape[1]) + 10 * A_CELL + A_ROW
        assert Share.of(split, 10, memory=8000 * a_row) == Share(6000, 2000, 2000)
        assert Share.of(split, 10, memory=1 << 50) == Share(1_000_000, 250_000, PREDICTED)
        assert Share.of(split, 10, memory=1) == Share(1, 1, 256)

    def test_rows_are_drawn_of_those_that_count(self, tiny) -> None:
        split = type(tiny)(rows=40_000, tasks=tiny.schema.tasks[:2]).split("train")
        own, parent = split.labels[:, 1], split.labels[:, 0]
        counts = np.flatnonzero((parent == 1) & ~np.isnan(own))
        whole = draw(split, 1, 0, 40_000, seed=1)
        np.testing.assert_array_equal(whole.ids, split.ids[counts])
        np.testing.assert_array_equal(whole.labels, own[counts])
        drawn, again, other = (draw(split, 1, 0, 5000, seed) for seed in (1, 1, 2))
        assert len(drawn) == len(other) == 5000
        np.testing.assert_array_equal(drawn.dense, again.dense)
        assert not np.array_equal(drawn.dense, other.dense)
        # In the split's order, none twice, and from its whole length: dense values are distinct.
        places = np.searchsorted(np.sort(split.dense[counts, 0]), np.sort(drawn.dense[:, 0]))
        assert len(set(places.tolist())) == 5000
        rows = [int(np.flatnonzero(split.dense[:, 0] == value)[0]) for value in drawn.dense[::50, 0]]
        assert rows == sorted(rows)
        assert np.mean(rows) == pytest.approx(20_000, rel=0.1)
        assert len(draw(split, 1, 0, 7, seed=1)) == 7


class TestSettings:
    def test_configurations_begin_with_the_defaults_and_stay_within_their_ranges(self) -> None:
        many = configurations(["a", "b"], 9, seed=3)
        assert many[:4] == configurations(["a", "b"], 4, seed=3)
        assert configurations(["a"], 1, seed=3) == [TreeSettings().dotted("a")]
        assert TreeSettings.of(many[0], "a") == TreeSettings()
        assert many != configurations(["a", "b"], 9, seed=4)
        for config in many[1:]:
            settings = TreeSettings.of(config, "a")
            assert settings == TreeSettings.of(config, "b")
            for name, (low, high) in RANGES.items():
                assert low <= getattr(settings, name) <= high
                assert type(getattr(settings, name)) is type(low)
        assert len({tuple(config.items()) for config in many}) == 9

    def test_each_task_has_the_settings_that_validation_found_best(self) -> None:
        first, second, third = (TreeSettings(leaves=leaves) for leaves in (10, 20, 30))
        tasks = ["click", "buy", "spend", "never"]
        metrics = [
            {"valid/click.logloss": 0.3, "valid/buy.cvr.logloss": 0.4, "valid/spend.rmse": 2.0},
            {"valid/click.logloss": 0.2, "valid/buy.cvr.logloss": 0.5, "valid/spend.rmse": 1.0},
            {"valid/click.logloss": 0.2, "test/buy.cvr.logloss": 0.0},
        ]
        configs = [{k: v for t in tasks for k, v in each.dotted(t).items()} for each in (first, second, third)]
        best = best_by_task(tasks, zip(configs, metrics, strict=True))
        assert [TreeSettings.of(best, task).leaves for task in tasks] == [20, 10, 20, TreeSettings().leaves]

    def test_trees_are_tuned_by_what_networks_are_chosen_by(self) -> None:
        configs = [TreeSettings(leaves=leaves).dotted("click") for leaves in (10, 20)]
        metrics = [
            {"valid/click.logloss": 0.3, "valid/click.auc": 0.8, "valid/click.gauc": 0.6, "valid/click.ndcg@5": 0.8},
            {"valid/click.logloss": 0.2, "valid/click.auc": 0.7, "valid/click.gauc": 0.5, "valid/click.ndcg@5": 0.7},
        ]
        leaves = {
            name: TreeSettings.of(best_by_task(["click"], zip(configs, metrics, strict=True), [name]), "click").leaves
            for name in ("click.auc", "click.gauc", "click.ndcg@5", "click.logloss")
        }
        assert leaves == {"click.auc": 20, "click.gauc": 10, "click.ndcg@5": 10, "click.logloss": 20}


def test_a_regression_with_a_parent_has_both_readings() -> None:
    """Trees learn where the parent happened; what all impressions are expected to bring is the product."""
    store = MemoryStore(400, VALUES)
    found = run_trees(TestJob.job(VALUES), store).metrics
    assert {
        "test/watch.cvr.rmse",
        "test/watch.ctcvr.rmse",
        "test/watch.ctcvr.decile_error",
        "test/stay.rmse",
    } <= set(found)
    trained = [train_trees(store, at, TreeSettings(), Share.of(store.split("train"), 5), at) for at in range(3)]
    ((conditional, joint),) = list(_predictions(trained, store, "test", 1000))
    np.testing.assert_allclose(joint[:, 1], conditional[:, 0] * conditional[:, 1], rtol=1e-6)
    np.testing.assert_array_equal(joint[:, 2], conditional[:, 2])


def test_no_rows_to_learn_from_are_not_all_of_them() -> None:
    store = MemoryStore(400, VALUES)
    train, none = store.split("train"), np.empty(0, np.int64)
    with pytest.raises(TrainingError, match="task 'click' has no two classes"):
        train_trees(store, 0, TreeSettings(), Share.of(train, 5), 0, train.taken(none))
