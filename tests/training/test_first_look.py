"""The part of validation on which a trial is first measured."""

from dataclasses import replace

import numpy as np
import pytest

from bench.core.records import Job
from bench.data import load_card, prepare
from bench.data.store import StoredSplit, part_of
from bench.training import job as jobs
from bench.training.job import run_job


def split(group):
    rows = len(group)
    place = np.arange(rows, dtype=np.float32)
    return StoredSplit(np.arange(rows, dtype=np.int32)[:, None], place[:, None], place[:, None], group.astype(np.int32))


def test_a_part_keeps_groups_whole_and_the_order():
    whole = split(np.repeat(np.arange(2_000), 5))
    part = part_of(whole, 4_000)
    assert 3_500 < len(part) < 4_500
    assert (np.unique(part.group, return_counts=True)[1] == 5).all()
    assert (np.diff(part.ids[:, 0]) > 0).all()
    for array in (part.dense, part.stored_labels):
        np.testing.assert_array_equal(array[:, 0], part.ids[:, 0])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return prepare(load_card("synthetic-funnel@rows=4000"), tmp_path_factory.mktemp("home"))


def job(store, **changes):
    of = Job(
        trial=1,
        replicate=0,
        config={"optim.epochs": 1, "optim.batch_size": 128, "sharing.kind": "shared_bottom"},
        store=str(store.path),
        seed=3,
        splits=("valid",),
        objectives=("click.auc", "purchase.ctcvr.auc"),
        tasks=("click", "purchase"),
        threads=1,
        device="cpu",
        until=512,
    )
    return replace(of, **changes)


def metrics(result):
    return {name: value for name, value in result.metrics.items() if name.startswith("valid/")}


def test_the_first_look_is_on_a_part_and_what_follows_on_all(store, tmp_path, monkeypatch):
    path = str(tmp_path / "checkpoint")
    whole = run_job(job(store, checkpoint=path))
    monkeypatch.setattr(jobs, "LEAST_ROWS", 100)
    jobs._part.cache_clear()
    first = run_job(job(store, checkpoint=path))
    assert set(metrics(first)) == set(metrics(whole))
    assert metrics(first) != metrics(whole)
    assert "cost/latency_ms" not in first.metrics
    assert "cost/latency_ms" in run_job(job(store, objectives=("click.auc", "cost/latency_ms"))).metrics
    assert metrics(run_job(job(store, replicate=1))) == metrics(whole)
    rest = run_job(job(store, until=None, resume=path))
    monkeypatch.undo()
    full = run_job(job(store, until=None))
    assert (metrics(rest), rest.curve) == (metrics(full), full.curve)
    assert rest.speed["samples_trained"] == full.speed["samples_trained"] > first.speed["samples_trained"] == 512
    assert (first.finished, rest.finished, full.finished) == (False, True, True)
