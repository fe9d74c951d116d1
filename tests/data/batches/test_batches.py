from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from bench.core.errors import UserError
from bench.data.batches import Batch, Batches
from bench.data.store import Split
from bench.system.machine import MEMORY_VARIABLE, memory_limit

MIB = 1 << 20


@pytest.fixture
def labels() -> np.ndarray:
    """Three tasks of 5000 rows, some unobserved, the second a child of the first."""
    rng = np.random.default_rng(0)
    click = rng.random(5000) < 0.3
    buy = click & (rng.random(5000) < 0.2)
    weight = rng.normal(size=5000)
    values = np.stack([click, buy, weight], axis=1).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    return values


@pytest.fixture
def split(tmp_path: Path, labels: np.ndarray, mapped: Callable[..., Split]) -> Split:
    return mapped(tmp_path, labels)


def test_within_memory_the_order_is_one_permutation_of_all_rows(
    split: Split, labels: np.ndarray, rows_of: Callable[[Batch], np.ndarray]
) -> None:
    """Published results rest on this order."""
    for source in (split, Split(*map(np.array, (split.ids, split.dense, split.labels, split.group)))):
        batches = list(Batches(source).shuffled(64, seed=7))
        expected = np.random.default_rng(7).permutation(5000)[: 5000 // 64 * 64]
        np.testing.assert_array_equal(np.concatenate([rows_of(batch) for batch in batches]), expected)
        np.testing.assert_array_equal(torch.cat([batch.labels for batch in batches]), labels[expected])


@pytest.mark.parametrize("memory", [None, 75_000])
def test_a_pass_can_begin_in_its_middle(
    split: Split, rows_of: Callable[[Batch], np.ndarray], memory: int | None
) -> None:
    data = Batches(split) if memory is None else Batches(split, memory)
    assert data.in_memory == (memory is None)
    whole = [rows_of(batch) for batch in data.shuffled(32, seed=3)]
    rest = [rows_of(batch) for batch in data.shuffled(32, seed=3, start=100)]
    np.testing.assert_array_equal(whole[100:], rest)
    assert list(data.shuffled(32, seed=3, start=len(whole))) == []


@pytest.mark.parametrize("rows", [1, 63, 64, 200])
def test_steps_counts_the_batches_of_a_pass(tmp_path: Path, rows: int, mapped: Callable[..., Split]) -> None:
    data = Batches(mapped(tmp_path, np.zeros((rows, 1))))
    batches = list(data.shuffled(64, seed=0))
    assert len(batches) == data.steps(64) == max(1, rows // 64)
    assert {len(batch.labels) for batch in batches} == {min(64, rows)}


def test_in_order_gives_every_row_once_in_its_place(
    split: Split, labels: np.ndarray, rows_of: Callable[[Batch], np.ndarray]
) -> None:
    for source in (split, Split(*map(np.array, (split.ids, split.dense, split.labels, split.group)))):
        batches = list(Batches(source).in_order(512))
        np.testing.assert_array_equal(np.concatenate([rows_of(batch) for batch in batches]), np.arange(5000))
        np.testing.assert_array_equal(torch.cat([batch.labels for batch in batches]), labels)
        assert [len(batch.labels) for batch in batches] == [512] * 9 + [392]


def test_whether_it_fits_is_decided_by_its_bytes(split: Split) -> None:
    stored = sum(array.nbytes for array in (split.ids, split.dense, split.labels))
    assert Batches(split, memory=stored).in_memory
    assert not Batches(split, memory=stored - 1).in_memory
    plain = Split(*map(np.array, (split.ids, split.dense, split.labels, split.group)))
    assert Batches(plain, memory=1).in_memory


def test_the_limit_is_the_variable_or_half_of_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "3")
    assert memory_limit() == 3 * MIB
    monkeypatch.delenv(MEMORY_VARIABLE)
    assert 0 < memory_limit() <= psutil.virtual_memory().total // 2


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "4G"])
def test_a_limit_that_is_no_number_of_mib(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, value)
    with pytest.raises(UserError, match=f"SEESAW_MEMORY_MB to be a whole number of MiB above 0, found '{value}'"):
        memory_limit()


def test_the_lower_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    limit = tmp_path / "memory.max"
    monkeypatch.setattr("bench.system.machine._CONTAINER_LIMIT", str(limit))
    for text, expected in (("1048576\n", MIB // 2), ("max\n", psutil.virtual_memory().total // 2)):
        limit.write_text(text)
        assert memory_limit() == expected


@pytest.mark.parametrize("memory", [1 << 30, 99_999])
def test_a_view_of_fewer_tasks_never_copies_all_labels(
    tmp_path: Path,
    labels: np.ndarray,
    memory: int,
    mapped: Callable[..., Split],
    rows_of: Callable[[Batch], np.ndarray],
) -> None:
    split = mapped(tmp_path, labels, columns=(2, 0))
    data = Batches(split, memory)
    assert data.in_memory == (memory == 1 << 30)
    for batch in data.in_order(700):
        np.testing.assert_array_equal(batch.labels, labels[rows_of(batch)][:, [2, 0]])
    assert "labels" not in vars(split)
    for batch in data.shuffled(64, seed=1):
        np.testing.assert_array_equal(batch.labels, labels[rows_of(batch)][:, [2, 0]])
    assert ("labels" in vars(split)) == data.in_memory
    np.testing.assert_array_equal(split.labels, labels[:, [2, 0]])


@pytest.mark.parametrize("memory", [1 << 30, 99_999])
@pytest.mark.parametrize("columns", [None, (1, 0)])
def test_label_means(
    tmp_path: Path,
    labels: np.ndarray,
    memory: int,
    columns: tuple[int, ...] | None,
    monkeypatch: pytest.MonkeyPatch,
    mapped: Callable[..., Split],
) -> None:
    monkeypatch.setattr("bench.data.batches.LABEL_BLOCK", 1024)
    parents = [None, 0, None] if columns is None else [1, None]
    means = Batches(mapped(tmp_path, labels, columns), memory).label_means(parents)
    click, buy, weight = labels.T.astype(np.float64)
    expected = [np.nanmean(click), np.nanmean(buy[click == 1]), np.nanmean(weight)]
    np.testing.assert_allclose(means, expected if columns is None else [expected[1], expected[0]], rtol=1e-5)


def test_label_means_in_memory_are_torchs_own_mean_to_the_bit(
    tmp_path: Path, labels: np.ndarray, mapped: Callable[..., Split]
) -> None:
    """Published results start from these values."""
    click, buy = torch.from_numpy(labels[:, 0]), torch.from_numpy(labels[:, 1])
    expected = [click[~click.isnan()].mean(), buy[(click == 1) & ~buy.isnan()].mean()]
    assert torch.equal(Batches(mapped(tmp_path, labels[:, :2])).label_means([None, 0]), torch.stack(expected))


def test_the_mean_of_no_label_is_a_half(tmp_path: Path, mapped: Callable[..., Split]) -> None:
    labels = np.array([[0, np.nan], [0, np.nan]])
    assert Batches(mapped(tmp_path, labels)).label_means([None, 0]).tolist() == [0, 0.5]


def test_a_store_without_dense_columns(
    tmp_path: Path, labels: np.ndarray, mapped: Callable[..., Split], rows_of: Callable[[Batch], np.ndarray]
) -> None:
    split = mapped(tmp_path, labels, dense=0)
    for data in (Batches(split), Batches(split, memory=99_999)):
        for batches in (data.in_order(100), data.shuffled(100, seed=0)):
            found = list(batches)
            assert sorted(np.concatenate([rows_of(batch) for batch in found])) == list(range(5000))
            assert {batch.dense.shape for batch in found} == {(100, 0)}


def test_a_file_that_lacks_rows(split: Split) -> None:
    path = Path(str(split.labels.filename))  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[:-1])
    data = Batches(split, memory=99_999)
    for batches in (data.in_order(100), data.shuffled(100, seed=0)):
        with pytest.raises(UserError, match=r"labels.npy: expected 5000 rows, found fewer"):
            list(batches)


def test_too_little_memory_to_shuffle(split: Split) -> None:
    with pytest.raises(UserError, match="expected at least 1 MiB of memory for samples of 24 bytes in batches of 64"):
        Batches(split, memory=2000).shuffled(64, seed=0)
