"""How well chunk-shuffled reading mixes, on data for which reading in file order is as bad as can be."""

import numpy as np
import pytest

from bench.data.batches import Batches
from bench.data.chunks import Plan, shuffled_by_chunk

ROWS, SIZE, PLAN = 1 << 16, 256, Plan(window=1 << 13, chunk=32)


@pytest.fixture(scope="module")
def by_label(tmp_path_factory, mapped):
    """All negatives, then all positives (a tenth); a row's number is its time."""
    labels = (np.arange(ROWS) >= 0.9 * ROWS)[:, None]
    return mapped(tmp_path_factory.mktemp("sorted"), labels)


def spread(batches, what):
    return float(np.std([what(batch) for batch in batches], ddof=1))


def positives(batch):
    return float(batch.labels.mean())


def moment(batch):
    return float(batch.ids[:, 0].double().mean())


@pytest.mark.parametrize("what", [positives, moment])
def test_batch_means_of_sorted_data_spread_like_those_of_a_full_shuffle(by_label, what):
    """Standard deviation over a pass's 256 batches within 15% of drawing without replacement from all rows."""
    values = by_label.labels[:, 0] if what is positives else np.arange(ROWS)
    drawn = float(values.std(ddof=1)) * np.sqrt((1 - SIZE / ROWS) / SIZE)
    found = np.mean([spread(shuffled_by_chunk(by_label, PLAN, SIZE, seed), what) for seed in range(6)])
    full = np.mean([spread(Batches(by_label).shuffled(SIZE, seed), what) for seed in range(6)])
    assert full == pytest.approx(drawn, rel=0.1)  # the reference itself
    assert found == pytest.approx(drawn, rel=0.15)
    assert spread(Batches(by_label).in_order(SIZE), what) > 10 * drawn
