"""What is said beside a served front."""

from unittest.mock import Mock

import numpy as np
import pytest

from bench.run.serving import _note


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
    rows = Mock(kept=24, of=24, group=np.repeat(np.arange(24 // size), size))
    metric = Mock()
    metric.name = outcome
    found = _note({"confirm": rows}, Mock(measures=(metric,), random=np.array([0.72 if size == 3 else 0.4])), named)
    assert found.startswith(said)
    assert bool(found) == bool(said)
