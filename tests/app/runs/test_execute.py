"""Single steps of carrying out a run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.app.runs import execute
from bench.app.runs.execute import drawn_with_twin
from bench.app.runs.jobs import JobMaker
from bench.core.records import Point
from bench.core.rows import CONFIRM, SEARCH, TEST

TREES = Point("trees", {}, "boosted trees")


@pytest.fixture
def make_job():
    request = SimpleNamespace(seed=3, threads=1, device="cpu")
    part = SimpleNamespace(run=SimpleNamespace(request=request), folder=Path("run"))
    plan = SimpleNamespace(objectives=(), tasks=("click", "like"))
    return JobMaker(part, SimpleNamespace(path=Path("store")), plan, ("click.recall@10%",))


def test_replicates_of_one_number_have_one_seed_and_trainings_of_the_search_have_their_own(
    make_job,
):
    blend = Point("blend", {}, "blend")
    seeds = {
        (point.kind, number): make_job(point, number, (SEARCH,)).seed
        for point in (TREES, blend)
        for number in (0, 1, 2)
    }
    assert seeds["trees", 1] == seeds["blend", 1]
    assert seeds["trees", 2] == seeds["blend", 2]
    assert len({*seeds.values()}) == 4


def test_only_replicates_are_resampled_and_leave_predictions(make_job):
    searched, replicate = make_job(TREES, 0, (SEARCH,)), make_job(TREES, 1, (SEARCH, CONFIRM, TEST))
    assert (searched.resamples, searched.predictions) == (0, None)
    assert replicate.resamples > 0
    assert replicate.predictions == "run/predictions"


@pytest.mark.parametrize(("with_twins", "trained"), [(True, ["a", "b"]), (False, [])])
def test_a_result_is_drawn_again_until_the_picked_network_has_its_twin(
    monkeypatch, with_twins, trained
):
    """Each confirmed twin may change the pick."""
    missing, steps = ["a", "b"], []
    monkeypatch.setattr(execute, "_missing_twin", lambda *_: missing[0] if missing else None)
    monkeypatch.setattr(execute, "_drawn", lambda _: steps.append("drawn") or len(steps))

    def confirm(*arguments):
        # no points of the search, and as many replicates as of the others
        assert arguments[3:5] == (
            [],
            2,
        )
        steps.append(arguments[-1][0])
        missing.pop(0)

    monkeypatch.setattr(execute, "confirm", confirm)
    names = ("study", "executor", "make_job", "reference", "on_record")
    execution = SimpleNamespace(
        **dict.fromkeys(names), confirms=SimpleNamespace(replicates=2), with_twins=with_twins
    )
    execution.before = lambda *stages: None
    result = drawn_with_twin(execution)
    assert [step for step in steps if step != "drawn"] == trained
    assert steps[-1] == "drawn"
    assert result == len(steps)
