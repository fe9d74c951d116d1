"""Checks of every pick rule."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.core.arrays import Floats
from bench.deciding.policy import PICK_RULES, Terms

CASES = 40
TABLES = ("", "weights", "epsilon", "values")


def cases(number: int = CASES) -> Iterator[tuple[Floats, Terms]]:
    """Gains (rows, M) with ties, and terms with metrics to minimise, metrics of heads, and weights
    of 0.
    """
    for seed in range(number):
        rng = np.random.default_rng(seed)
        rows, metrics = rng.integers(1, 7), rng.integers(1, 5)
        weights = rng.random(metrics) * (rng.random(metrics) < 0.8)
        weights[rng.integers(metrics)] += 0.1
        gains = rng.uniform(-0.9, 3, (rows, metrics))
        gains[:, rng.integers(metrics)] = 0.25
        signs = np.where(rng.random(metrics) < 0.3, -1.0, 1.0)
        yield gains, Terms(weights / weights.sum(), signs, rng.random(metrics) < 0.2)


def it_can_be_named_in_a_policy_and_in_a_sentence(name: str) -> None:
    """`because` has a place for the metrics, and `table` is one that a policy has."""
    rule = PICK_RULES[name]
    assert "click and like" in rule.because.format(names="click and like"), (
        f"no {{names}} in '{rule.because}'"
    )
    assert rule.table in TABLES, f"expected a table of {TABLES}, found '{rule.table}'"


def every_row_has_a_score(name: str) -> None:
    """A finite one, for one row or many, by itself or in each of many draws; the gains are not
    changed.
    """
    rule = PICK_RULES[name]
    for gains, terms in cases():
        passed = gains.copy()
        for values in (passed, np.stack([passed, passed, passed])):
            scores = np.asarray(rule.score(values, terms))
            assert scores.shape == values.shape[:-1], (
                f"expected scores {values.shape[:-1]}, found {scores.shape}"
            )
            assert np.isfinite(scores).all(), f"expected finite scores of {gains}, found {scores}"
        assert (passed == gains).all(), "the gains were changed in place"


def scores_go_with_their_rows(name: str) -> None:
    """The order of the rows does not matter, and each draw is scored by itself."""
    rule = PICK_RULES[name]
    for seed, (gains, terms) in enumerate(cases()):
        order = np.random.default_rng(seed).permutation(len(gains))
        expected = rule.score(gains, terms)[order]
        np.testing.assert_allclose(rule.score(gains[order], terms), expected, atol=1e-12)
        draws = np.stack([gains - 0.5, gains[order]])
        np.testing.assert_allclose(rule.score(draws, terms)[1], expected, atol=1e-12)


def a_score_never_falls_as_a_gain_rises(name: str) -> None:
    """Of two rows, one at least as good in every metric has no lower score."""
    rule = PICK_RULES[name]
    for gains, terms in cases():
        for metric in range(gains.shape[1]):
            better = gains[:1].copy()
            better[0, metric] += 0.1
            scores = rule.score(np.concatenate([gains, better]), terms)
            assert scores[-1] >= scores[0] - 1e-12, (
                f"{better[0]} scores {scores[-1]}, and {gains[0]} {scores[0]}"
            )


OF_ALL = (
    it_can_be_named_in_a_policy_and_in_a_sentence,
    every_row_has_a_score,
    scores_go_with_their_rows,
    a_score_never_falls_as_a_gain_rises,
)
