"""The per-task composite of single-task models, and the names of baselines."""

from dataclasses import replace

import pytest

from bench.frontier.baselines import baseline_table, name_of
from bench.frontier.composite import composite, kept_names, sources_of
from bench.objectives import Objective
from bench.records import COMPOSITE, STATIC_WEIGHTS, TrialRecord

SIZE = Objective("cost/parameters", "minimize")


@pytest.fixture
def singles(trial):
    """Trial 0 is the better of the search in like, trial 1 in click; their replicates say the opposite."""
    first = trial(0, 0.70, 0.84, "single_task", runs=(((0.71, 0.81), (0.61, 0.71)), ((0.73, 0.82), (0.63, 0.72))))
    second = trial(1, 0.74, 0.80, "single_task", runs=(((0.69, 0.83), (0.59, 0.73)), ((0.70, 0.85), (0.60, 0.75))))
    sized = []
    for record, size in ((first, 100.0), (second, 300.0)):
        runs = tuple(
            replace(
                run,
                seed=run.replicate,
                metrics=run.metrics | {"cost/parameters": size},
                resampled={key: [run.replicate + record.number, 0.0] for key in run.metrics},
            )
            for run in record.replicates
        )
        sized.append(replace(record, replicates=runs))
    return [*sized, trial(2, 0.9, 0.9)]


def test_each_task_comes_from_the_point_that_the_search_found_best_in_it(singles, objectives):
    found = composite(singles, (*objectives, SIZE))
    assert (found.number, found.architecture, found.sharing) == (COMPOSITE, "single_task", "single_task")
    assert [run.seed for run in found.replicates] == [1, 2]
    assert [run.metrics["confirm/click.auc"] for run in found.replicates] == [0.69, 0.70]
    assert [run.metrics["test/like.auc"] for run in found.replicates] == [0.71, 0.72]
    assert found.replicates[0].metrics["cost/parameters"] == 100 / 2 + 300 / 2
    assert found.replicates[0].resampled["test/like.auc"] == [1.0, 0.0]
    assert found.replicates[0].resampled["test/click.auc"] == [2.0, 0.0]


def test_its_predictions_are_from_each_tasks_own_replicate_of_the_seed(singles, objectives):
    sources = sources_of(singles, objectives)
    assert {task: point.number for task, point in sources.items()} == {"click": 1, "like": 0}
    assert kept_names(sources, ("click", "like", "share"), 2) == ["1-2", "0-2", "1-2"]
    assert kept_names(sources, ("click", "like"), 7) is None
    assert kept_names(sources_of(singles[2:], objectives), ("click", "like"), 2) is None


def test_replicates_are_joined_by_seed(singles, objectives):
    first, second, shared = singles
    moved = replace(first, replicates=tuple(replace(run, seed=run.seed + 1) for run in first.replicates))
    assert [run.seed for run in composite([moved, second], objectives).replicates] == [2]
    apart = replace(first, replicates=tuple(replace(run, seed=run.seed + 7) for run in first.replicates))
    assert composite([apart, second], objectives) is None
    assert composite([shared], objectives) is None


def test_the_table_has_the_composite_first_and_a_row_for_each_weight(singles, objectives):
    runs = singles[0].replicates

    def static(like: float, lr: float) -> TrialRecord:
        config = {"balancing.kind": "static", "balancing.static.weight.click": 1.0, "optim.lr": lr}
        config["balancing.static.weight.like"] = like
        return TrialRecord(STATIC_WEIGHTS, "completed", {}, config, "static_weights", replicates=runs)

    others = [static(0.25, 1.0), static(2.51984, 1.0), static(0.25, 2.0)]
    others[2] = replace(others[2], replicates=runs[:1])
    table = baseline_table(singles, others, objectives)
    assert table["name"].tolist() == ["single_task", "static_weights 4:1", "static_weights 1:2.52"]
    assert table["trial"].tolist() == ["0, 1", "", ""]
    assert table["replicates"].tolist() == [2, 1, 2]  # of one weight the latest counts
    assert table.loc[0, "confirm/click.auc.mean"] == pytest.approx(0.695)
    assert (table["confirm/click.auc.low"] < table["confirm/click.auc.mean"]).all()
    assert name_of(static(1.0, 1.0)) == "static_weights 1:1"
