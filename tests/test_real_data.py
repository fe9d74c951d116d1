"""Real data, end to end: below these figures something is broken. And data whose best reachable AUC
is known.
"""

import itertools

import pytest

from bench.core.objectives import primary
from bench.core.records import Job
from bench.data import load_card, prepare
from bench.models.funnels import FUNNELS
from bench.models.sharing import SHARING
from bench.models.training.job import run_job

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def measure(store, seed=0, **config):
    store = store.with_tasks(store.default_tasks)
    objectives = tuple(primary(task, in_groups=False) for task in store.schema.tasks)
    dotted = {name.replace("__", "."): value for name, value in config.items()}
    return run_job(
        Job(
            0,
            0,
            dotted,
            str(store.path),
            seed,
            ("valid", "test"),
            objectives,
            store.default_tasks,
            threads=1,
        )
    ).metrics


@pytest.mark.parametrize("kind", ["shared_bottom", "ple"])
def test_census_income(kind, home, census_raw):
    store = prepare(load_card("census-income"), home, census_raw)
    metrics = measure(
        store, sharing__kind=kind, optim__lr=3e-3, optim__epochs=2, optim__batch_size=1024
    )
    assert metrics["test/income.auc"] >= 0.946
    assert metrics["test/never_married.auc"] >= 0.993
    assert metrics["test/income.pcoc"] == pytest.approx(1, abs=0.15)


def test_census_income_education(home, census_raw):
    store = prepare(load_card("census-income-education"), home, census_raw)
    assert "education" not in {field.name for field in store.schema.fields}
    assert {task.name for task in store.schema.tasks} == {"education", "never_married", "income"}
    assert store.default_tasks == ("education", "never_married")
    metrics = measure(store, optim__lr=3e-3, optim__epochs=1, optim__batch_size=1024)
    assert metrics["test/never_married.auc"] >= 0.99
    assert metrics["test/education.auc"] >= 0.87


def test_kuairand_late_window(home, kuairand_raw):
    store = prepare(load_card("kuairand-pure@late-window"), home, kuairand_raw)
    metrics = measure(store, optim__lr=2e-3, optim__epochs=2, optim__batch_size=1024)
    assert metrics["test/click.auc"] >= 0.725
    assert metrics["test/long_view.ctcvr.auc"] >= 0.72
    assert metrics["test/like.auc"] >= 0.80


@pytest.mark.parametrize(
    ("sharing", "funnel"), list(zip(SHARING, itertools.cycle(FUNNELS), strict=False))
)
def test_every_sharing_and_funnel_comes_near_the_best_reachable_auc(sharing, funnel, home):
    store = prepare(load_card("synthetic-funnel"), home)
    kinds = {"sharing__kind": sharing, "funnel__kind": funnel, "embedding__dim": 8}
    metrics = measure(store, **kinds, optim__lr=5e-3, optim__epochs=2, optim__batch_size=1024)
    best = store.manifest["reachable"]["test/click.auc"]
    assert best - 0.02 <= metrics["test/click.auc"] <= best + 0.01
