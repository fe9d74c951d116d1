"""How well chunk-shuffled reading mixes, on data for which reading in file order is as bad as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest

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
