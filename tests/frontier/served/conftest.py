"""Candidates and rows of two conflicting tasks with known probabilities."""

import numpy as np
import pytest
from scipy.special import expit

from bench.core.objectives import Objective
from bench.measure.predictions import Rows
from bench.results.served.measuring import Candidate

OUTCOMES = (Objective("click.recall@10%", "maximize"), Objective("like.recall@10%", "maximize"))


def rows_of(logits, rng, group=None, codes=None):
    """Rows whose labels are drawn from the logits (N, T)."""
    n, t = logits.shape
    names = ("click", "like", "share")[:t]
    labels = (rng.random(logits.shape) < expit(logits)).astype(np.float32)
    group = np.full(n, -1, np.int32) if group is None else group
    units = np.arange(n, dtype=np.uint64) if group[0] < 0 else group.astype(np.uint64)
    return Rows(
        labels, group, tasks=names, kinds=("binary",) * t, rates=tuple(expit(logits).mean(axis=0).tolist()),
        units=units, segments={} if codes is None else {"country": ("US", "FR")},
        codes=np.empty((n, 0), np.int16) if codes is None else codes, logged={}, of=n,
    )  # fmt: skip


class World:
    """Three splits of rows; candidates predict the true logits with errors of their own and of the seed."""

    def __init__(self, n=1500, tasks=2, seed=0, codes=False, valid=None):
        self.rng, self.logits, self.rows = np.random.default_rng(seed), {}, {}
        for split in ("confirm", "test", "valid"):
            n = valid or n if split == "valid" else n
            x = self.rng.normal(size=(n, tasks))
            self.logits[split] = np.linspace(-1.5, -3, tasks) + x - 0.4 * x[:, ::-1]
            own = self.rng.integers(-1, 2, (n, 1)).astype(np.int16) if codes else None
            self.rows[split] = rows_of(self.logits[split], self.rng, codes=own)

    def candidate(self, name, role="trial", seeds=(1, 2, 3), noise=0.3, worse=0.0):
        """Logits are off by `noise` for each seed and by `worse` for all of them."""
        own = np.random.default_rng(sum(map(ord, name)))
        found = {}
        for split, logits in self.logits.items():
            bias = worse * own.normal(size=logits.shape)
            found[split] = [expit(logits + bias + noise * own.normal(size=logits.shape)) for _ in seeds or (0,)]
        return Candidate(name, f"trial {name}", "mmoe", role, seeds, lambda split, at: found[split][at].astype("f4"))


@pytest.fixture
def world():
    """Makes a `World`."""
    return World


@pytest.fixture
def outcomes():
    return OUTCOMES
