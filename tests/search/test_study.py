import math

import pytest
from rung_toys import rung_plan
from search_toys import essence, ignore, job_of, make_job, toy_plan, toy_space, train

from bench.core.errors import UserError
from bench.core.records import Failure, Outcome, TrialResult
from bench.core.rows import REPLICATED
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.study import Study


def test_a_trial_goes_from_running_to_completed(tmp_path):
    plan = toy_plan()
    with Study.open(tmp_path, plan) as study:
        number, config = study.ask(plan, {})
        assert (study.running(), study.record(0).state) == ({0: config}, "running")
        job = job_of(number, 0, config, ("valid",))
        study.finish(number, Outcome(job, train(job), None, 1000.0, 2.5))
        assert (study.told, len(study.finished), study.running()) == (0, 1, {})
        record = study.tell(number)
    result = train(job)
    assert (record.state, record.architecture) == ("completed", config["sharing.kind"])
    assert (record.metrics, record.speed, record.curve) == (result.metrics, result.speed, result.curve)
    assert (record.config, record.started, record.seconds) == (result.config, 1000.0, 2.5)
    assert record.params == {key: value for key, value in config.items() if key != "optim.epochs"}


@pytest.mark.parametrize(
    ("metrics", "kind", "reason"),
    [
        ({"valid/click.auc": 0.5, "valid/like.auc": math.nan}, "diverged", "finite value of valid/like.auc, found nan"),
        ({"valid/click.auc": 0.5}, "bug", "expected a value of valid/like.auc, found none"),
    ],
)
def test_a_result_without_its_objectives_is_a_failure(tmp_path, metrics, kind, reason):
    plan = toy_plan()
    with Study.open(tmp_path, plan) as study:
        number, config = study.ask(plan, {})
        study.finish(number, Outcome(job_of(number, 0, config, ("valid",)), TrialResult(metrics, {}, [], config)))
        record = study.tell(number)
    assert record.state == "failed"
    assert record.failure.kind == kind
    assert reason in record.failure.reason
    assert record.metrics.keys() == metrics.keys()  # kept, to see what happened


def test_a_second_driver_is_refused(tmp_path):
    plan = toy_plan()
    with Study.open(tmp_path, plan), pytest.raises(UserError, match="found one at work"):
        Study.open(tmp_path, plan)
    Study.open(tmp_path, plan).close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, "expected seed = 7, with which this run began, found 8"),
        ({"space": toy_space().restricted({"optim.lr": 0.1})}, "expected space = "),
        ({"eta": (3.0,)}, r"expected eta = \[4\.0\], .* found \[3\.0\]"),
        ({"ladder": ()}, "expected ladder = .* found None"),
    ],
)
def test_a_run_cannot_become_another(tmp_path, change, message):
    Study.open(tmp_path, rung_plan()).close()
    with pytest.raises(UserError, match=message):
        Study.open(tmp_path, rung_plan(**change))
    Study.open(tmp_path, rung_plan(budget=10**6, trials=99)).close()  # no lock is left; limits may move


def test_replicates_join_their_trial(tmp_path):
    plan = toy_plan(trials=3)
    with Study.open(tmp_path, plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
        before = essence(study.records())
        for replicate in (2, 1):
            job = job_of(1, replicate, study.record(1).config, REPLICATED)
            failure = Failure("diverged", "nan") if replicate == 2 else None
            study.add_replicate(Outcome(job, None if failure else train(job), failure))
        records = Study.read(tmp_path).records()
    assert [one.replicate for one in records[1].replicates] == [1, 2]
    assert records[1].replicates[0].seed == job_of(1, 1, {}, ()).seed
    assert set(records[1].replicates[0].metrics) == {f"{s}/{t}.auc" for s in REPLICATED for t in ("click", "like")}
    assert records[1].replicates[1].failure == Failure("diverged", "nan")
    joined = essence(records)
    joined[1]["replicates"] = []
    assert joined == before
