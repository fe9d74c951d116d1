"""The part of validation on which a trial is first measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.records import Job, TrialResult
from bench.data import Store, load_card, prepare
from bench.data.store import Split, part_of
from bench.training import job as jobs
from bench.training.job import run_job


def split(group: np.ndarray) -> Split:
    rows = len(group)
    place = np.arange(rows, dtype=np.float32)
    return Split(np.arange(rows, dtype=np.int32)[:, None], place[:, None], place[:, None], group.astype(np.int32))


def test_a_part_keeps_groups_whole_and_the_order() -> None:
    whole = split(np.repeat(np.arange(2_000), 5))
    part = part_of(whole, 4_000)
    assert 3_500 < len(part) < 4_500
    assert (np.unique(part.group, return_counts=True)[1] == 5).all()
    assert (np.diff(part.ids[:, 0]) > 0).all()
    for array in (part.dense, part.stored_labels):
        np.testing.assert_array_equal(array[:, 0], part.ids[:, 0])


def test_a_part_of_rows_without_a_group_is_a_fair_draw() -> None:
    part = part_of(split(np.full(10_000, -1)), 2_500)
    assert 2_300 < len(part) < 2_700
    halves = np.histogram(part.ids[:, 0], bins=10, range=(0, 10_000))[0]
    assert (np.abs(halves - 250) < 60).all()


def test_a_split_that_has_no_more_rows_is_its_own_part() -> None:
    whole = split(np.full(100, -1))
    assert part_of(whole, 100) is whole


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return prepare(load_card("synthetic-funnel@rows=4000"), tmp_path_factory.mktemp("home"))


def job(store: Store, **changes: object) -> Job:
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
    return replace(of, **changes)  # type: ignore[arg-type]


def metrics(result: TrialResult) -> dict[str, float]:
    return {name: value for name, value in result.metrics.items() if name.startswith("valid/")}


def test_the_first_look_is_on_a_part_and_what_follows_on_all(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    on = metrics(run_job(job(store, until=None, resume=path)))
    monkeypatch.undo()
    assert on == metrics(run_job(job(store, until=None)))


def test_where_a_part_does_not_define_an_objective_all_rows_are_looked_at(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_job(job(store))
    monkeypatch.setattr(jobs, "LEAST_ROWS", 1)
    monkeypatch.setattr(jobs, "ROWS_A_SAMPLE", 0.002)  # one row, whose labels have one class
    jobs._part.cache_clear()
    assert metrics(run_job(job(store))) == metrics(whole)
