from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from bench.core.errors import UserError
from bench.core.system.machine import MEMORY_VARIABLE, memory_limit
from bench.data.batches import Batches
from bench.data.store import StoredSplit

MIB = 1 << 20


@pytest.fixture
def labels():
    """Three tasks of 5000 rows, some unobserved, the second a child of the first."""
    rng = np.random.default_rng(0)
    click = rng.random(5000) < 0.3
    buy = click & (rng.random(5000) < 0.2)
    weight = rng.normal(size=5000)
    values = np.stack([click, buy, weight], axis=1).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


@pytest.fixture
def split(tmp_path, labels, mapped):
    return mapped(tmp_path, labels)


def test_within_memory_the_order_is_one_permutation_of_all_rows(split, labels, rows_of):
    """Published results rest on this order."""
    for source in (
        split,
        StoredSplit(*map(np.array, (split.ids, split.dense, split.labels, split.group))),
    ):
        batches = list(Batches(source).shuffled(64, seed=7))
        expected = np.random.default_rng(7).permutation(5000)[: 5000 // 64 * 64]
        np.testing.assert_array_equal(
            np.concatenate([rows_of(batch) for batch in batches]), expected
        )
        np.testing.assert_array_equal(
            torch.cat([batch.labels for batch in batches]), labels[expected]
        )


@pytest.mark.parametrize("rows", [1, 63, 64, 200])
def test_steps_counts_the_batches_of_a_pass(tmp_path, rows, mapped):
    data = Batches(mapped(tmp_path, np.zeros((rows, 1))))
    batches = list(data.shuffled(64, seed=0))
    assert len(batches) == data.steps(64) == max(1, rows // 64)
    assert {len(batch.labels) for batch in batches} == {min(64, rows)}


def test_the_lower_limit_of_a_container_counts(monkeypatch, tmp_path):
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("bench.core.system.machine._CONTAINER_LIMIT", str(limit))
    for text, expected in (("1048576\n", MIB // 2), ("max\n", psutil.virtual_memory().total // 2)):
        limit.write_text(text)
        assert memory_limit() == expected


@pytest.mark.parametrize("memory", [1 << 30, 99_999])
@pytest.mark.parametrize("columns", [None, (1, 0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_label_means(tmp_path, labels, memory, columns, weighted, monkeypatch, mapped):
    monkeypatch.setattr("bench.data.batches.LABEL_BLOCK", 1024)
    parents, weights = [None, 0, None] if columns is None else [1, None], np.arange(5000) % 3 * 1.0
    split = replace(
        mapped(tmp_path, labels, columns),
        weights=weights[:, None].astype(np.float32) if weighted else None,
    )
    means = Batches(split, memory).label_means(parents)
    click, buy, weight = (np.ma.masked_invalid(column) for column in labels.T.astype(np.float64))
    bought = np.ma.masked_where(click.filled(0) != 1, buy)
    expected = [
        np.ma.average(values, weights=weights if weighted else None)
        for values in (click, bought, weight)
    ]
    np.testing.assert_allclose(
        means, expected if columns is None else [expected[1], expected[0]], rtol=1e-5
    )


def test_the_mean_of_no_label_is_a_half(tmp_path, mapped):
    labels = np.array([[0, np.nan], [0, np.nan]])
    assert Batches(mapped(tmp_path, labels)).label_means([None, 0]).tolist() == [0, 0.5]


def test_a_file_that_lacks_rows(split):
    path = Path(str(split.labels.filename))
    path.write_bytes(path.read_bytes()[:-1])
    data = Batches(split, memory=99_999)
    for batches in (data.in_order(100), data.shuffled(100, seed=0)):
        with pytest.raises(UserError, match=r"labels.npy: expected 5000 rows, found fewer"):
            list(batches)
