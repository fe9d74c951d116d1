"""Chunk-shuffled reading: which rows, in which order, in how much memory, and how well it mixes."""

import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.errors import UserError
from bench.core.system.machine import peak_memory_mb, reset_peak_memory
from bench.data.batches import Batches
from bench.data.chunks import LARGEST_WINDOW, PassPlan, shuffled_by_chunk


@given(
    st.integers(1, 400),
    st.integers(1, 50),
    st.integers(1, 12),
    st.integers(1, 120),
    st.integers(0, 1),
)
@example(400, 7, 2, 100, 0)  # a batch larger than a window
@example(400, 100, 4, 100, 0)  # one window
@settings(max_examples=60)
def test_each_row_once_but_for_the_left_over(mapped, rows_of, rows, chunk, chunks, size, seed):
    with tempfile.TemporaryDirectory() as folder:
        split = mapped(Path(folder), np.arange(rows)[:, None])
        batches = list(shuffled_by_chunk(split, PassPlan(chunk * chunks, chunk), size, seed))
        seen = (
            np.concatenate([rows_of(batch) for batch in batches])
            if batches
            else np.empty(0, np.int64)
        )
        assert len(set(seen)) == len(seen) == rows // size * size
        assert {len(batch.ids) for batch in batches} <= {size}
        for batch in batches:
            np.testing.assert_array_equal(batch.labels[:, 0], rows_of(batch))


@given(rows=st.integers(1, 3000), chunk=st.integers(1, 40), chunks=st.integers(1, 30))
def test_a_window_has_one_chunk_of_every_stratum(rows, chunk, chunks):
    windows = PassPlan(chunk * chunks, chunk).windows(rows, np.random.default_rng(0))
    count = -(-rows // chunk)
    assert sorted(itertools.chain(*(w.tolist() for w in windows))) == list(range(count))
    strata = -(-count // len(windows))
    for window in windows:
        assert 0 < len(window) <= chunks
        stratum_of = (window // len(windows)).tolist()
        # the last stratum may be short
        assert stratum_of in (
            list(range(strata)),
            list(range(strata - 1)),
        )


def order(rows_of, batches):
    return [row for batch in batches for row in rows_of(batch).tolist()]


def test_the_order_depends_on_the_seed_alone(tmp_path, mapped, rows_of):
    data = Batches(mapped(tmp_path, np.zeros((20_000, 1))), memory=200_000)
    first = order(rows_of, data.shuffled(100, seed=0))
    assert order(rows_of, data.shuffled(100, seed=0)) == first

    def slowly():
        for number, batch in enumerate(data.shuffled(100, seed=0)):
            time.sleep(0.002 * (number % 7 == 0))
            yield batch

    assert order(rows_of, slowly()) == first
    second = order(rows_of, data.shuffled(100, seed=1))
    assert sorted(second) == sorted(first) == list(range(20_000))
    assert np.mean(np.array(second) == np.array(first)) < 0.01


@given(memory=st.integers(1 << 20, 1 << 34), sample=st.integers(4, 2000), size=st.integers(1, 8192))
def test_a_plan_stays_within_its_memory(memory, sample, size):
    try:
        plan = PassPlan.within(memory, sample, size)
    except UserError:
        assert PassPlan(1024, 64).memory(sample, size) > memory
        return
    assert plan.memory(sample, size) <= memory
    assert (
        plan.window == LARGEST_WINDOW
        or PassPlan(2 * plan.window, plan.chunk).memory(sample, size) > memory
    )
    assert plan.window % plan.chunk == 0
    assert plan.window // plan.chunk >= 16


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of resident memory cannot be reset")
def test_resident_memory_stays_within_the_limit(tmp_path, mapped):
    """A split of 96 MB with 8 MiB allowed: what the process takes, mapped pages included."""
    rows, limit = 1 << 20, 8 << 20
    split = mapped(tmp_path, np.zeros((rows, 3)), columns=(1, 0), slots=18, dense=3)
    data = Batches(split, limit)
    for pass_over in (
        lambda: sum(len(batch.ids) for batch in data.shuffled(512, seed=0)),
        lambda: sum(len(batch.ids) for batch in data.in_order(4096)),
    ):
        reset_peak_memory()
        before = peak_memory_mb()
        assert pass_over() == rows
        # and 4 MiB for a thread and its allocator
        assert peak_memory_mb() - before < (limit >> 20) + 4
    reset_peak_memory()
    before = peak_memory_mb()
    data.label_means([None, None])
    assert peak_memory_mb() - before < 16
    reset_peak_memory()
    before = peak_memory_mb()
    assert (
        sum(int(batch.ids[0, 0]) >= 0 for batch in Batches(split).shuffled(512, seed=0))
        == rows // 512
    )
    # as a whole it does take its size: the measurement sees mapped pages
    assert peak_memory_mb() - before > 80


ROWS, SIZE, PLAN = 1 << 16, 256, PassPlan(window=1 << 13, chunk=32)


@pytest.fixture(scope="module")
def by_label(tmp_path_factory, mapped):
    """All negatives, then all positives (a tenth); a row's number is its time."""
    labels = (np.arange(ROWS) >= 0.9 * ROWS)[:, None]
    return mapped(tmp_path_factory.mktemp("sorted"), labels)


def spread(batches, statistic):
    return float(np.std([statistic(batch) for batch in batches], ddof=1))


def positives(batch):
    return float(batch.labels.mean())


def moment(batch):
    return float(batch.ids[:, 0].double().mean())


@pytest.mark.parametrize("statistic", [positives, moment])
def test_batch_means_of_sorted_data_spread_like_those_of_a_full_shuffle(by_label, statistic):
    """Standard deviation over a pass's 256 batches within 15% of drawing without replacement from
    all rows.
    """
    values = by_label.labels[:, 0] if statistic is positives else np.arange(ROWS)
    drawn = float(values.std(ddof=1)) * np.sqrt((1 - SIZE / ROWS) / SIZE)
    chunked = np.mean(
        [spread(shuffled_by_chunk(by_label, PLAN, SIZE, seed), statistic) for seed in range(6)]
    )
    full = np.mean([spread(Batches(by_label).shuffled(SIZE, seed), statistic) for seed in range(6)])
    assert full == pytest.approx(drawn, rel=0.1)  # the reference itself
    assert chunked == pytest.approx(drawn, rel=0.15)
    assert spread(Batches(by_label).in_order(SIZE), statistic) > 10 * drawn
