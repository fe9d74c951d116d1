"""Candidates and rows of two conflicting tasks with known probabilities."""

import numpy as np
import pytest
from ledger_toys import made_rows
from scipy.special import expit

from bench.core.objectives import Objective
from bench.ledger.served.measuring import Candidate

OUTCOMES = (Objective("click.recall@10%", "maximize"), Objective("like.recall@10%", "maximize"))


class World:
    """Three splits of rows; candidates predict the true logits with errors of their own and of the
    seed.
    """

    def __init__(self, n=1500, tasks=2, seed=0, codes=False, valid=None):
        self.rng, self.logits, self.rows = np.random.default_rng(seed), {}, {}
        for split in ("confirm", "test", "valid"):
            n = valid or n if split == "valid" else n
            x = self.rng.normal(size=(n, tasks))
            self.logits[split] = np.linspace(-1.5, -3, tasks) + x - 0.4 * x[:, ::-1]
            p, extra = expit(self.logits[split]), {}
            if codes:
                country_codes = self.rng.integers(-1, 2, (n, 1)).astype(np.int16)
                extra = {"segments": {"country": ("US", "FR")}, "codes": country_codes}
            labels = self.rng.random(p.shape) < p
            self.rows[split] = made_rows(
                labels, ("click", "like"), p.mean(axis=0).tolist(), **extra
            )

    def candidate(self, name, role="trial", seeds=(1, 2, 3), noise=0.3, worse=0.0):
        """Logits are off by `noise` for each seed and by `worse` for all of them."""
        noise_rng = np.random.default_rng(sum(map(ord, name)))
        predictions = {}
        for split, logits in self.logits.items():
            bias = worse * noise_rng.normal(size=logits.shape)
            predictions[split] = [
                expit(logits + bias + noise * noise_rng.normal(size=logits.shape))
                for _ in seeds or (0,)
            ]
        return Candidate(
            name,
            f"trial {name}",
            "mmoe",
            role,
            seeds,
            lambda split, run: predictions[split][run].astype("f4"),
        )


@pytest.fixture
def world():
    """Makes a `World`."""
    return World


@pytest.fixture
def outcomes():
    return OUTCOMES
