"""The frontier as cells, as tables and as JSON."""

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench.core.objectives import Objective
from bench.results.frontier import frontier
from bench.results.ledger import ALL, PARTS


@pytest.fixture
def searched(trial, failed):
    """Six trials of a search: 1 and 3 are the front, 4 has no like AUC, 5 failed."""
    blind = trial(4, 0.99, float("nan"))
    return [trial(0, 0.70, 0.70), trial(1, 0.72, 0.80), trial(2, 0.71, 0.79), trial(3, 0.74, 0.75), blind, failed(5)]


@pytest.fixture
def confirmed(searched, trial):
    """The same, where 2 and 3 were confirmed: 3 keeps its place, 2 comes out better than the search saw it."""
    two = trial(2, 0.71, 0.79, runs=(((0.75, 0.74), (0.73, 0.72)), ((0.77, 0.76), (0.75, 0.76))))
    three = trial(3, 0.74, 0.75, runs=(((0.72, 0.78), (0.70, 0.70)),), failed_runs=1)
    return [two if r.number == 2 else three if r.number == 3 else r for r in searched]


def test_order_of_records_does_not_matter(confirmed, objectives):
    shuffled = confirmed.copy()
    random.Random(0).shuffle(shuffled)
    first, second = frontier(confirmed, objectives), frontier(shuffled, objectives)
    pd.testing.assert_frame_equal(first.wide, second.wide)
    assert first.to_json() == second.to_json()


def test_what_trees_alone_tell_almost_fully_is_suspected(confirmed, objectives):
    """By trees only: networks hardly find a difference of two columns."""
    found = frontier(confirmed, objectives)

    def told(trees, network, metric="auc"):
        table = pd.DataFrame({"point": ["7", "8", "trees"], "role": ["trial", "trial", "baseline"]})
        cells = np.full((3, 2, len(PARTS)), np.nan)
        cells[..., 0] = np.transpose([[network, np.nan, trees], [0.7, 0.6, 0.72]])
        own = (Objective(f"click.{metric}", "maximize"), found.measures[1])
        return replace(found, table=table, cells={("confirm", ALL): cells}, measures=own).suspicion

    assert all("click" in told(0.9961, 0.7, metric) for metric in ("auc", "gauc"))
    assert told(0.985, 0.975) == told(0.95, 0.7) == found.suspicion == ""
