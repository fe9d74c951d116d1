"""What is said beside a served front."""

from unittest.mock import Mock

import numpy as np
import pytest

from bench.frontier.serving import _note


@pytest.mark.parametrize(
    ("outcome", "size", "named", "said"),
    [
        ("click.ndcg@5", 3, True, "A random order has click.ndcg@5 0.72."),
        (
            "click.recall@10%",
            3,
            False,
            "Groups have 3.0 rows on average: a random order of them has an ndcg@5 of 0.71 or",
        ),
        ("click.recall@10%", 3, True, ""),
        ("click.recall@10%", 8, False, ""),
        ("click.ndcg@5", 8, False, ""),
    ],
)
def test_it_is_said_what_a_random_order_scores_within_groups(outcome: str, size: int, named: bool, said: str) -> None:
    rows = Mock(kept=24, of=24, group=np.repeat(np.arange(24 // size), size), units=np.arange(30, dtype=np.uint64))
    metric = Mock()
    metric.name = outcome
    found = _note({"confirm": rows}, Mock(measures=(metric,), random=np.array([0.72 if size == 3 else 0.4])), named)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_few_units_are_said_of_the_rows_that_intervals_are_of() -> None:
    rows = {
        split: Mock(kept=60, of=60, group=np.full(60, -1), units=np.arange(60, dtype=np.uint64) % many)
        for split, many in (("valid", 5), ("confirm", 30), ("test", 12))
    }
    found = _note(rows, Mock(measures=(), random=np.empty(0)), True)
    assert found == (
        "The test split has 12 independent units, such as users: with fewer than 30, intervals are too narrow."
    )
