"""How well chunk-shuffled reading mixes, on data for which reading in file order is as bad as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from bench.data.batches import Batch, Batches
from bench.data.chunks import Plan, shuffled_by_chunk
from bench.data.store import Split

ROWS, SIZE, PLAN = 1 << 16, 256, Plan(window=1 << 13, chunk=32)


@pytest.fixture(scope="module")
def by_label(tmp_path_factory: pytest.TempPathFactory, mapped: Callable[..., Split]) -> Split:
    """All negatives, then all positives (a tenth); a row's number is its time."""
    labels = (np.arange(ROWS) >= 0.9 * ROWS)[:, None]
    return mapped(tmp_path_factory.mktemp("sorted"), labels)


def spread(batches: Iterable[Batch], what: Callable[[Batch], float]) -> float:
    return float(np.std([what(batch) for batch in batches], ddof=1))


def positives(batch: Batch) -> float:
    return float(batch.labels.mean())


def moment(batch: Batch) -> float:
    return float(batch.ids[:, 0].double().mean())


@pytest.mark.parametrize("what", [positives, moment])
def test_batch_means_of_sorted_data_spread_like_those_of_a_full_shuffle(
    by_label: Split, what: Callable[[Batch], float]
) -> None:
    """Standard deviation over a pass's 256 batches within 15% of drawing without replacement from all rows."""
    values = by_label.labels[:, 0] if what is positives else np.arange(ROWS)
    drawn = float(values.std(ddof=1)) * np.sqrt((1 - SIZE / ROWS) / SIZE)
    found = np.mean([spread(shuffled_by_chunk(by_label, PLAN, SIZE, seed), what) for seed in range(6)])
    full = np.mean([spread(Batches(by_label).shuffled(SIZE, seed), what) for seed in range(6)])
    assert full == pytest.approx(drawn, rel=0.1)  # the reference itself
    assert found == pytest.approx(drawn, rel=0.15)
    assert spread(Batches(by_label).in_order(SIZE), what) > 10 * drawn


def test_rows_of_one_chunk_in_a_batch(by_label: Split, rows_of: Callable[[Batch], np.ndarray]) -> None:
    """A row meets (B - 1)(c - 1) / (w - 1) others of its chunk: its c - 1 neighbours are spread over the window."""
    met = []
    for batch in shuffled_by_chunk(by_label, PLAN, SIZE, 0):
        counts = np.bincount(rows_of(batch) // PLAN.chunk)
        met.append((counts * (counts - 1)).sum() / SIZE)
    assert np.mean(met) == pytest.approx((SIZE - 1) * (PLAN.chunk - 1) / (PLAN.window - 1), rel=0.05)


def test_neighbours_in_a_batch_are_no_neighbours_in_the_file(
    by_label: Split, rows_of: Callable[[Batch], np.ndarray]
) -> None:
    rows = np.concatenate([rows_of(batch) for batch in shuffled_by_chunk(by_label, PLAN, SIZE, 0)])
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.02
    distance = np.abs(np.diff(rows)).mean()
    assert distance == pytest.approx(ROWS / 3, rel=0.03)  # of two uniform points


TRAIN_SIZE = 512


def auc(batches: Callable[[int], Iterable[Batch]], seed: int, x: torch.Tensor, y: torch.Tensor) -> float:
    """Of a small network after one pass, on the last quarter of the rows drawn at random beforehand."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2, fused=True)
    held_out = torch.rand(len(y), generator=torch.Generator().manual_seed(0)) < 0.25
    for batch in batches(seed):
        rows = batch.ids[:, 0].long()
        rows = rows[~held_out[rows]]
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x[rows])[:, 0], y[rows])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float(roc_auc_score(y[held_out], net(x[held_out])[:, 0]))


def test_training_on_drifting_data_is_as_good_as_with_a_full_shuffle(by_label: Split) -> None:
    """Rows sorted by a feature that turns the meaning of another; validation AUC within the noise between seeds."""
    generator = torch.Generator().manual_seed(1)
    time = torch.linspace(-2, 2, ROWS)
    x = torch.cat([time[:, None], torch.randn(ROWS, 3, generator=generator)], dim=1)
    logits = time * x[:, 1] + 0.5 * x[:, 2] + time
    y = (torch.rand(ROWS, generator=generator) < logits.sigmoid()).float()
    whole = Batches(by_label)
    full = np.array([auc(lambda seed: whole.shuffled(TRAIN_SIZE, seed), seed, x, y) for seed in range(3)])
    chunked = np.array(
        [auc(lambda seed: shuffled_by_chunk(by_label, PLAN, TRAIN_SIZE, seed), seed, x, y) for seed in range(3)]
    )
    in_order = auc(lambda seed: whole.in_order(TRAIN_SIZE), 0, x, y)
    noise = np.sqrt((full.var(ddof=1) + chunked.var(ddof=1)) / 3)
    assert abs(chunked.mean() - full.mean()) < max(3 * noise, 0.002)
    assert in_order < full.mean() - 0.02
