"""A run from its search to its answer: single-task models are tuned on the settings of models that
share.
"""

import pytest

from bench.app.runs import execute
from bench.app.runs.folder import Run
from bench.app.runs.result import result_of
from bench.ledger.points import confirmed, network_that_shares, twin_of

pytestmark = pytest.mark.slow  # whole runs of some seconds


def ended(home, name):
    (part,) = Run.open(home, name).datasets.values()
    return result_of(part)


def trained(result):
    """Trainings on fresh seeds."""
    return [
        (point.training, run.replicate)
        for point in result.decision.frontier.points
        for run in point.replicates
    ]


def test_a_run_says_how_much_single_task_models_were_tuned_and_trains_nothing_twice(
    shop, seesaw, tmp_path
):
    shop.run(seesaw, "twins")
    result = ended(tmp_path / "home", "twins")
    assert result.tuning.startswith("Single-task models were tuned by ")
    assert result.tuning in result.current
    assert seesaw("run", "twins").code == 0
    assert trained(ended(tmp_path / "home", "twins")) == trained(result)
    assert seesaw("run", "twins", "--trials", 12).code == 0
    more = ended(tmp_path / "home", "twins")
    assert more.tuning.startswith("Single-task models were tuned by ")
    twins = [point for point in more.decision.frontier.points if point.kind == "twin"]
    assert {len(twin.replicates) for twin in twins} <= {2}


def test_a_picked_network_has_a_twin_even_where_none_was_tuned(shop, seesaw, monkeypatch, tmp_path):
    """It is then confirmed once the front is drawn, on the seeds of all others."""
    shop.write_log(3000, seed=1)
    monkeypatch.setattr(execute, "tune", lambda *arguments: [])
    shop.run(seesaw, "late", "--seed", "4")
    points = ended(tmp_path / "home", "late").decision.frontier.points
    (pick,) = [
        point
        for point in points
        if point.id == ended(tmp_path / "home", "late").decision.pick.point
    ]
    network = network_that_shares(pick, points)
    if network is None:
        pytest.skip(f"on this machine {pick.name} is picked, which shares nothing")
    twin = twin_of(network, filter(confirmed, points))
    assert [run.seed for run in twin.replicates] == [
        run.seed for run in network.replicates[: len(twin.replicates)]
    ]


def test_one_task_has_nothing_to_share_so_there_are_no_twins(shop, seesaw, tmp_path):
    shop.edit(
        shop.suite,
        'objectives = ["click.auc", "buy.ctcvr.auc"]',
        'tasks = ["click"]\nobjectives = ["click.auc"]',
    )
    shop.run(seesaw, "one")
    result = ended(tmp_path / "home", "one")
    assert result.tuning == ""
    assert "twin" not in {point.kind for point in result.decision.frontier.points}
