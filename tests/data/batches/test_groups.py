"""Batches of whole groups: every row once, groups together, and how well that mixes."""

import numpy as np
import pytest
import torch

from bench.data.chunks import PassPlan, grouped_order, shuffled_by_chunk

SIZE = 64


def cuts(group, order, size):
    """How many groups no larger than a batch are in more than one."""
    batch_of = np.empty(len(group), int)
    batch_of[order] = np.arange(len(order)) // size
    return sum(
        len(np.unique(batch_of[group == one])) > 1
        for one in np.unique(group[group >= 0])
        if (group == one).sum() <= size
    )


def test_groups_are_whole_and_every_row_comes_once(rng):
    group = rng.permutation(np.repeat(np.arange(400), rng.integers(1, 30, 400)))
    group[rng.random(len(group)) < 0.1] = -1
    order = grouped_order(group, SIZE, np.random.default_rng(1))
    assert np.array_equal(np.sort(order), np.arange(len(group)))
    assert cuts(group, order, SIZE) <= 1  # the last batches may have no other group to fill up with
    assert np.array_equal(order, grouped_order(group, SIZE, np.random.default_rng(1)))
    assert not np.array_equal(order, grouped_order(group, SIZE, np.random.default_rng(2)))


def test_beyond_memory_groups_of_a_window_come_together(tmp_path, mapped):
    """Sessions that lie together in the file; each in one chunk, and so in one window."""
    rows, plan = 1 << 13, PassPlan(window=1 << 11, chunk=64)
    split = mapped(tmp_path, np.zeros((rows, 1)), group=np.arange(rows) // 8)
    batches = list(shuffled_by_chunk(split, plan, SIZE, seed=0, grouped=True))
    ids = torch.cat([batch.ids[:, 0] for batch in batches]).numpy()
    assert np.array_equal(np.sort(ids), np.arange(rows))
    assert all(len(batch.labels) == SIZE for batch in batches)
    assert cuts(np.arange(rows) // 8, ids, SIZE) == 0
    group = torch.cat([batch.group for batch in batches]).numpy()
    assert np.array_equal(group, ids // 8)


def test_means_of_batches_spread_as_groups_drawn_at_random_do():
    """What it does to mixing: the variance of a batch's mean is 1 + (m - 1) r times that of single
    rows.

    Labels that correlate within groups by r, in files sorted by label: the order of the file is
    gone.
    """
    rng, groups, m = np.random.default_rng(0), 4096, 8
    effect = np.sort(rng.normal(size=groups))
    values = np.repeat(effect, m) + rng.normal(size=groups * m)
    r = effect.var() / values.var()
    group = np.repeat(np.arange(groups), m)
    variances = [
        values[grouped_order(group, SIZE, np.random.default_rng(seed))]
        .reshape(-1, SIZE)
        .mean(1)
        .var()
        for seed in range(4)
    ]
    assert np.mean(variances) == pytest.approx(values.var() / SIZE * (1 + (m - 1) * r), rel=0.1)
