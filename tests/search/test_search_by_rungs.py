"""The driver in a search by rungs: order, resumption, budget, checkpoints. Training is a closed form."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from rung_toys import FULL, LADDER, poor, rung_plan, spent, train
from search_toys import ShuffledExecutor, essence, ignore, make_job
from test_driver import Notes, run

from bench.core.records import Job
from bench.search.driver import Checkpoints, search
from bench.search.executors import InlineExecutor
from bench.search.standing import Standing
from bench.search.study import Study


class Spy:
    """Keeps the jobs that ended well; interrupts the n-th, before it trains or after its checkpoint is written."""

    def __init__(self, run=train, at=None, after=False):
        self.jobs: list[Job] = []
        self._run, self._at, self._after = run, at, after
        self._calls = itertools.count()

    def __call__(self, job):
        here = next(self._calls) == self._at
        if here and not self._after:
            raise KeyboardInterrupt
        result = self._run(job)
        if here:
            raise KeyboardInterrupt
        self.jobs.append(job)
        return result


def jobs_of(records):
    """(order, trial, rung) of every job with a result, in order."""
    return sorted((at.order, record.number, rung) for record in records for rung, at in enumerate(record.rungs))


class TestResume:
    @pytest.mark.slow
    @pytest.mark.parametrize("after", [False, True])
    def test_a_crash_in_any_job_changes_nothing_and_repeats_no_finished_job(self, tmp_path, after):
        plan, whole = rung_plan(budget=5 * FULL), Spy()
        records = essence(run(tmp_path / "whole", plan, InlineExecutor(whole)))
        for at in range(len(whole.jobs)):
            folder, first, second = tmp_path / f"{at}", Spy(at=at, after=after), Spy()
            with pytest.raises(KeyboardInterrupt):
                run(folder, plan, InlineExecutor(first))
            assert essence(run(folder, plan, InlineExecutor(second))) == records
            assert len(first.jobs) + len(second.jobs) == len(whole.jobs)
            assert [job.until for job in first.jobs + second.jobs] == [job.until for job in whole.jobs]
            assert all(job.resume is not None for job in second.jobs if job.until != LADDER[0])

    def test_a_lost_checkpoint_costs_time_alone_and_is_said(self, tmp_path):
        plan = rung_plan(budget=6 * FULL)
        whole, notes, lost = essence(run(tmp_path / "whole", plan, InlineExecutor(train))), Notes(), []

        def loses(job):
            result = train(job)
            if job.until == 16:
                Path(job.checkpoint or "").unlink()
                lost.append(job.trial)
            return result

        assert essence(run(tmp_path / "lossy", plan, InlineExecutor(loses), notes)) == whole
        again = [record["number"] for record in whole if len(record["rungs"]) == 3]
        assert set(again) <= set(lost)
        assert sorted(notes.notes) == sorted(
            f"trial {number} is trained again from its beginning: its checkpoint is gone" for number in again
        )

    def test_checkpoints_take_no_more_than_they_may_and_change_nothing(self, tmp_path):
        plan, notes, taken = rung_plan(budget=6 * FULL), Notes(), []
        with Study.open(tmp_path / "few", few := replace(plan, checkpoint_bytes=450.0)) as study:

            def look(record):
                taken.append(Checkpoints(tmp_path / "few").used()[1])

            search(few, study, InlineExecutor(train), make_job, look, notes)
            found = essence(study.records())
        assert found == essence(run(tmp_path / "whole", plan, InlineExecutor(train)))
        assert 300 < max(taken) <= 450
        assert notes.notes  # some went on without theirs

    def test_of_too_many_checkpoints_those_of_the_worst_waiting_trials_go(self, tmp_path):
        plan, kept = rung_plan(), Checkpoints(tmp_path, most=25)
        states = ["waiting", "waiting", "running", "failed", "waiting"]
        standings = [
            Standing(number, "mmoe", ((value, value),), state)
            for number, (value, state) in enumerate(zip([0.3, 0.1, 0.0, 0.9, 0.2], states, strict=True))
        ]
        for number in range(5):
            path = kept.path(number, 0)
            path.parent.mkdir(parents=True)
            path.write_bytes(b"ten bytes.")
        kept.tidy(standings, len(LADDER))
        assert kept.used() == (4, 40)  # that of the failed one is of no use
        kept.fit(standings, plan.rules)
        assert [number for number in range(5) if kept.path(number, 0).is_file()] == [0, 2]


class TestBudget:
    @pytest.mark.parametrize(("slots", "budget"), [(1, FULL), (3, 100), (1, 777), (3, 777)])
    def test_samples_are_a_total_that_is_used_up_and_never_passed(self, tmp_path, slots, budget):
        records = run(tmp_path, rung_plan(budget=budget), ShuffledExecutor(train, slots, 0))
        assert budget - LADDER[0] < spent(records) <= budget

    def test_a_larger_budget_goes_on_where_the_smaller_ended(self, tmp_path):
        first, second = Spy(), Spy()
        before = run(tmp_path, rung_plan(budget=3 * FULL), InlineExecutor(first))
        after = run(tmp_path, rung_plan(budget=8 * FULL), InlineExecutor(second))
        assert jobs_of(after)[: len(first.jobs)] == jobs_of(before)
        assert spent(before) <= 3 * FULL < spent(after) <= 8 * FULL
        assert len(jobs_of(after)) == len(first.jobs) + len(second.jobs)

    def test_at_the_time_limit_only_the_baseline_goes_on(self, tmp_path):
        plan = rung_plan(budget=None, share=0.0, seconds=30.5)
        with Study.open(tmp_path, plan) as study:
            executor = InlineExecutor(poor("single_task"))
            ticks = itertools.count()
            search(plan, study, executor, make_job, ignore, clock=lambda: float(next(ticks)))
            records, jobs = study.records(), [study.ledger.steps[number] for number in range(study.asked)]
            assert study.seconds >= 30.5
        assert 25 <= len(jobs) <= 34
        (top,) = [record for record in records if record.sharing == "single_task" and record.state == "completed"]
        assert [step.trial for step in jobs[-2:]] == [top.number] * 2
        spy = Spy()
        run(tmp_path, plan, InlineExecutor(spy))  # the time is a total: a resumed search has none left
        assert not spy.jobs


def test_a_failure_above_keeps_the_rungs_below(tmp_path):
    def fails(job):
        if job.trial % 3 == 1 and job.until == LADDER[1]:
            raise FloatingPointError("the loss of click became nan")
        return train(job)

    with Study.open(tmp_path, plan := rung_plan()) as study:
        search(plan, study, InlineExecutor(fails), make_job, ignore)
        study.conclude()
        failed = [record for record in study.records() if record.failure]
    assert failed
    for record in failed:
        assert (record.state, len(record.rungs)) == ("pruned", 1)
        assert record.metrics == record.rungs[0].metrics
        assert not (tmp_path / "checkpoints" / str(record.number)).exists()


@pytest.mark.slow
class TestConclude:
    @pytest.mark.slow
    @pytest.mark.parametrize("slots", [1, 3])
    def test_a_concluded_search_goes_on_as_if_it_never_had_been_where_it_may(self, tmp_path, slots):
        for folder, conclude in (("never", False), ("twice", True)):
            for budget in (3, 5, 9):
                plan = rung_plan(budget=budget * FULL)
                for again in (False, True):
                    with Study.open(tmp_path / folder, plan) as study:
                        search(plan, study, ShuffledExecutor(spy := Spy(), slots, budget), make_job, ignore)
                        assert not (again and spy.jobs)  # nothing is left within the same limits
                        if conclude:
                            study.conclude()
                            Checkpoints(tmp_path / folder).clear()
                            assert study.concluded
                            assert "waiting" not in {record.state for record in study.records()}
        twice, never = (Study.read(tmp_path / folder) for folder in ("twice", "never"))
        assert twice.ledger.steps == never.ledger.steps
        assert twice.ledger.standings == never.ledger.standings
        ended = {"waiting": "pruned"}
        assert essence(twice.records()) == [
            record | {"state": ended.get(record["state"], record["state"])} for record in essence(never.records())
        ]
