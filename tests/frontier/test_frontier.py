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


def test_golden_front_of_confirmed_trials(confirmed, objectives):
    front = frontier(confirmed, objectives, seed=3)
    row = front.wide.set_index("trial").loc[2]
    assert front.split == "confirm"
    assert row["valid/click.auc"] == 0.71  # what the search saw stays beside the mean
    assert row["confirm/click.auc"] == pytest.approx(0.76)
    assert row["confirm/click.auc.sd"] == pytest.approx(np.std([0.75, 0.77], ddof=1))
    assert row["test/like.auc"] == pytest.approx(0.74)
    assert row["replicates"] == 2
    assert front.table["replicates_failed"].tolist() == [0, 0, 0, 1, 0]
    assert front.table["rank"].tolist() == [pd.NA, pd.NA, 0, 0, pd.NA]  # search values are not set against means
    assert front.hypervolume == pytest.approx(0.26 * 0.25 + 0.22 * 0.03)
    sure = front.table["p_nondominated"]
    assert sure.notna().tolist() == [False, False, True, True, False]
    assert ((sure.dropna() > 0) & (sure.dropna() < 1)).all()


def test_order_of_records_does_not_matter(confirmed, objectives):
    shuffled = confirmed.copy()
    random.Random(0).shuffle(shuffled)
    first, second = frontier(confirmed, objectives), frontier(shuffled, objectives)
    pd.testing.assert_frame_equal(first.wide, second.wide)
    assert first.to_json() == second.to_json()


def test_gains_are_paired_differences_from_the_current_point_or_the_single_task_models(trial, objectives):
    noise = (0.000, 0.004, -0.003)
    single = trial(0, 0.70, 0.80, "single_task", runs=tuple(((0.70 + x, 0.80), (0.70 + x, 0.80)) for x in noise))
    mmoe = trial(1, 0.71, 0.79, "mmoe", runs=tuple(((0.71 + x, 0.79), (0.71 + x, 0.79)) for x in noise))
    alike = [
        replace(r, replicates=tuple(replace(run, seed=run.replicate) for run in r.replicates)) for r in (single, mmoe)
    ]
    found = frontier(alike, objectives)
    assert found.table["point"][found.current] == "single_task"
    row = found.wide.set_index("point").loc["1"]
    gains = found.gains(found.table["point"].tolist().index("1"))
    assert gains["click.auc"].value == row["test/click.auc.gain"] == pytest.approx(0.01)
    assert gains["like.auc"].value == pytest.approx(-0.01)
    paired = gains["click.auc"].high - gains["click.auc"].low
    assert paired < 0.1 * (row["test/click.auc.high"] - row["test/click.auc.low"])  # seeds move both alike
    assert found.table["point"][found.current] == "single_task"
    assert all(each.value == 0 for each in found.gains(found.current).values())


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
