"""What jobs measure and leave: first looks on a part, and predictions of whole groups, in whole
files.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from in_memory import binary

from bench.core.errors import UserError
from bench.core.records import Job
from bench.core.rows import REPLICATED
from bench.data import load_card, prepare
from bench.data.store import StoredSplit, part_of
from bench.measure import predictions
from bench.measure.predictions import KEPT, name_of, read_rows
from bench.measure.resamples import units_of
from bench.models.training import job as jobs
from bench.models.training.ensemble import ensemble_of
from bench.models.training.job import run_job
from bench.models.training.kept import keeping, write_rows

CONFIG = {"sharing.kind": "mmoe", "optim.epochs": 1, "embedding.dim": 4, "tower.layers": "8"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return prepare(load_card("synthetic-funnel@rows=3000"), tmp_path_factory.mktemp("home"))


def job(store, kind, folder):
    config: dict[str, Any] = CONFIG
    if kind == "trees":
        config = {}
    elif kind == "ensemble":
        config = ensemble_of(CONFIG, store.with_tasks(store.default_tasks).schema)
    trial = 5 if kind == "trial" else None
    return Job(
        trial,
        2,
        config,
        str(store.path),
        7,
        REPLICATED,
        ("click.auc",),
        store.default_tasks,
        1,
        until=2000 if trial else None,
        device="cpu",
        resamples=4,
        predictions=str(folder),
        kind=kind,
    )


def measured(folder, split, name):
    """AUC of what was kept."""
    rows, joint = read_rows(folder, split), predictions.predictions(folder, split, name)
    assert (joint.dtype, joint.shape) == (np.float32, rows.labels.shape)
    areas = [binary(rows.labels[:, task], joint[:, task], rows.group) for task in range(2)]
    return {f"{split}/click.auc": areas[0]["auc"], f"{split}/purchase.ctcvr.auc": areas[1]["auc"]}


@pytest.mark.parametrize("kind", ["trial", "trees", "ensemble"])
def test_what_is_kept_is_what_was_measured(store, tmp_path, kind):
    write_rows(store, tmp_path)
    asked = job(store, kind, tmp_path)
    result = run_job(asked)
    name = name_of(asked.training, asked.replicate)
    for split in KEPT:
        kept_values = measured(tmp_path, split, name)
        assert {key: result.metrics[key] for key in kept_values} == kept_values
    assert sum(path.name.startswith(f"{name}.") for path in tmp_path.iterdir()) == len(KEPT)
    without = run_job(replace(asked, predictions=None))
    assert {k: v for k, v in result.metrics.items() if "latency" not in k} == {
        k: v for k, v in without.metrics.items() if "latency" not in k
    }


def test_the_rows_are_those_of_the_store(store, tmp_path):
    write_rows(store, tmp_path)
    train, test, rows = store.split("train"), store.split("test"), read_rows(tmp_path, "test")
    assert (rows.tasks, rows.kinds) == (("click", "purchase"), ("binary", "binary"))
    np.testing.assert_allclose(
        rows.rates, [train.labels[:, 0].mean(), train.labels.prod(axis=1).mean()], rtol=1e-6
    )
    assert (rows.kept, rows.of) == (len(test), len(test))
    np.testing.assert_array_equal(
        rows.labels, np.stack([test.labels[:, 0], test.labels.prod(axis=1)], axis=1)
    )
    np.testing.assert_array_equal(rows.group, test.group)
    np.testing.assert_array_equal(rows.units, units_of(test.group, 0))
    assert rows.segments == store.segments
    np.testing.assert_array_equal(rows.codes, test.segments)
    assert rows.logged == {}
    assert read_rows(tmp_path / "elsewhere", "test") is None


def test_of_many_rows_whole_groups_are_kept(store, tmp_path, monkeypatch):
    whole, few = tmp_path / "whole", tmp_path / "few"
    write_rows(store, whole)
    run_job(job(store, "trial", whole))
    monkeypatch.setattr(predictions, "MOST_OF_SPLIT", 200)
    write_rows(store, few)
    run_job(job(store, "trial", few))
    name = name_of("5@2000", 2)
    rows, whole_split = read_rows(few, "test"), store.split("test")
    assert rows.of == len(whole_split)
    assert 100 < rows.kept < 320
    inside = np.isin(whole_split.group, rows.group)
    np.testing.assert_array_equal(rows.group, whole_split.group[inside])
    kept_joint, all_of_them = (
        predictions.predictions(folder, "test", name) for folder in (few, whole)
    )
    assert kept_joint is not None
    np.testing.assert_array_equal(kept_joint, all_of_them[inside])
    units = np.arange(100_000, dtype=np.uint64)
    assert predictions.sampled(units, "test", 1000).mean() == pytest.approx(0.2, abs=0.005)


def test_what_fails_in_the_middle_leaves_no_file(store, tmp_path):
    path = tmp_path / "5-1.test.npy"
    with suppress(ZeroDivisionError), keeping(path, 2, "test", 20) as keep:
        keep(np.zeros((10, 2), np.float32), np.arange(10, dtype=np.uint64))
        assert len(list(tmp_path.iterdir())) == 1
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())
    (tmp_path / ".5-1.test.npy.a.part").touch()  # of a process that was killed
    write_rows(store, tmp_path)
    assert not list(tmp_path.glob("*.part"))
    assert {path.suffix for path in tmp_path.iterdir()} == {".npy", ".json"}


@pytest.fixture
def two(tmp_path):
    for name in ("1-1", "2-1"):
        with keeping(tmp_path / f"{name}.test.npy", 2, "test", 2) as keep:
            keep(
                np.array([[1, 2], [3, 4]], np.float32) * int(name[0]), np.arange(2, dtype=np.uint64)
            )
    return tmp_path


def flips(text):
    """With one bit of some byte changed: of the header, of the values, of the digest."""
    return [
        text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        for place in (0, 9, 61, len(text) // 2, -40, len(text) - 1)
    ]


@pytest.mark.parametrize(
    "name", ["test.labels.npy", "test.group.npy", "test.units.npy", "rows.json"]
)
def test_rows_that_were_changed_cut_or_removed_are_named_and_written_again(store, tmp_path, name):
    write_rows(store, tmp_path)
    file = tmp_path / name
    whole, facts = file.read_bytes(), (tmp_path / "rows.json").read_bytes()
    for text in (*flips(whole), whole[:-1], whole[:5], b"", b"[]", b'{"seen": {}}'):
        file.write_bytes(text)
        with pytest.raises(
            UserError, match=rf"found {file} changed, cut or gone; `seesaw run RUN` writes it again"
        ):
            read_rows(tmp_path, "test")
    write_rows(store, tmp_path)
    assert (file.read_bytes(), (tmp_path / "rows.json").read_bytes()) == (whole, facts)
    if name != "rows.json":
        file.unlink()
        with pytest.raises(UserError, match=rf"found {file} changed, cut or gone"):
            read_rows(tmp_path, "test")


def test_predictions_that_were_changed_or_renamed_are_named(two):
    file = predictions.path(two, "test", "1-1")
    whole, foreign = file.read_bytes(), predictions.path(two, "test", "2-1").read_bytes()
    for text in (*flips(whole), whole[:-1], b"", foreign):
        file.write_bytes(text)
        with pytest.raises(UserError, match=rf"found {file} changed, cut or gone"):
            predictions.predictions(two, "test", "1-1")


def split(group):
    rows = len(group)
    place = np.arange(rows, dtype=np.float32)
    return StoredSplit(
        np.arange(rows, dtype=np.int32)[:, None],
        place[:, None],
        place[:, None],
        group.astype(np.int32),
    )


def test_a_part_keeps_groups_whole_and_the_order():
    whole = split(np.repeat(np.arange(2_000), 5))
    part = part_of(whole, 4_000)
    assert 3_500 < len(part) < 4_500
    assert (np.unique(part.group, return_counts=True)[1] == 5).all()
    assert (np.diff(part.ids[:, 0]) > 0).all()
    for array in (part.dense, part.stored_labels):
        np.testing.assert_array_equal(array[:, 0], part.ids[:, 0])


def look(store, **changes):
    config = {"optim.epochs": 1, "optim.batch_size": 128, "sharing.kind": "shared_bottom"}
    names = ("click.auc", "purchase.ctcvr.auc")
    order = Job(
        1,
        0,
        config,
        str(store.path),
        3,
        ("valid",),
        names,
        store.default_tasks,
        1,
        device="cpu",
        until=512,
    )
    return replace(order, **changes)


def metrics(result):
    return {name: value for name, value in result.metrics.items() if name.startswith("valid/")}


def test_the_first_look_is_on_a_part_and_what_follows_on_all(store, tmp_path, monkeypatch):
    path = str(tmp_path / "checkpoint")
    whole = run_job(look(store, checkpoint=path))
    monkeypatch.setattr(jobs, "FIRST_LOOK_ROWS", 100)
    jobs._part.cache_clear()
    first = run_job(look(store, checkpoint=path))
    assert set(metrics(first)) == set(metrics(whole))
    assert metrics(first) != metrics(whole)
    assert "cost/latency_ms" not in first.metrics
    assert (
        "cost/latency_ms"
        in run_job(look(store, objectives=("click.auc", "cost/latency_ms"))).metrics
    )
    assert metrics(run_job(look(store, replicate=1))) == metrics(whole)
    rest = run_job(look(store, until=None, resume=path))
    monkeypatch.undo()
    full = run_job(look(store, until=None))
    assert (metrics(rest), rest.curve) == (metrics(full), full.curve)
    assert (
        rest.speed["samples_trained"]
        == full.speed["samples_trained"]
        > first.speed["samples_trained"]
        == 512
    )
    assert (first.finished, rest.finished, full.finished) == (False, True, True)
