"""The driver, of whole trainings and by rungs: order, resumption, budget, checkpoints, kills;
closed forms.
"""

import itertools
import json
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kill_toys import LADDER as KILLED
from rung_toys import FULL, LADDER, poor, rung_plan, spent
from rung_toys import train as train_by_rungs
from search_toys import (
    ShuffledExecutor,
    YoungestFirst,
    essence,
    ignore,
    interrupted_at,
    make_job,
    toy_plan,
    train,
    train_with_failures,
)

from bench.core.records import Job
from bench.core.system.progress import Silent
from bench.search.driver import Checkpoints, search
from bench.search.executors import InlineExecutor
from bench.search.samplers import SAMPLERS
from bench.search.standing import Standing
from bench.search.study import FILE, Study


class Notes(Silent):
    def __init__(self):
        self.notes: list[str] = []
        self.total = 0.0
        self.done = 0.0

    @contextmanager
    def show(self, work):
        self.total, self.done = work.total or 0, work.done

        def advance(amount):
            self.done += amount

        yield advance

    def note(self, text):
        self.notes.append(text)


def run(folder, plan, executor, notes=None):
    with Study.open(folder, plan) as study:
        search(plan, study, executor, make_job, ignore, notes)
        return study.records()


class TestBudget:
    def test_trials_are_a_total_that_a_resumed_search_continues_to(self, tmp_path):
        assert len(run(tmp_path, toy_plan(trials=6), InlineExecutor(train))) == 6
        longer = run(tmp_path, toy_plan(trials=10), InlineExecutor(train))
        assert len(longer) == 10
        assert len(run(tmp_path, toy_plan(trials=4), InlineExecutor(train))) == 10
        assert essence(longer) == essence(
            run(tmp_path / "once", toy_plan(trials=10), InlineExecutor(train))
        )

    @pytest.mark.parametrize("slots", [1, 3])
    def test_at_the_time_limit_what_runs_ends_and_nothing_else_begins(self, tmp_path, slots):
        ticks = itertools.count()
        plan = toy_plan(trials=20, seconds=11.5)
        with Study.open(tmp_path, plan) as study:
            executor = ShuffledExecutor(train, slots, 0)
            search(plan, study, executor, make_job, ignore, clock=lambda: float(next(ticks)))
            records = study.records()
            assert study.cut_short
        assert 8 <= len(records) <= 11
        assert {record.state for record in records} == {"completed"}
        whole = run(tmp_path / "whole", toy_plan(trials=20), ShuffledExecutor(train, slots, 1))
        assert essence(records) == essence(whole)[: len(records)]
        plan_with_time = toy_plan(trials=len(records), seconds=1e9)
        with Study.open(
            tmp_path, plan_with_time
        ) as study:  # as much time, and as many trials as there are
            search(plan_with_time, study, ShuffledExecutor(train, slots, 0), make_job, ignore)
            assert not study.cut_short


class TestOrder:
    @pytest.mark.parametrize("slots", [2, 4])
    def test_the_search_does_not_depend_on_who_finishes_first(self, tmp_path, slots):
        plan = toy_plan(trials=20)
        runs = [
            essence(
                run(
                    tmp_path / str(order), plan, ShuffledExecutor(train_with_failures, slots, order)
                )
            )
            for order in range(3)
        ]
        assert runs[0] == runs[1] == runs[2]


class TestFailures:
    def test_the_search_goes_on_and_every_reason_is_kept(self, tmp_path):
        notes, plan = Notes(), toy_plan(trials=14)
        with Study.open(tmp_path, plan) as study:
            search(plan, study, InlineExecutor(train_with_failures), make_job, ignore, notes)
            records = study.records()
        failures = {record.number: record.failure for record in records if record.failure}
        assert {number: failure.kind for number, failure in failures.items()} == {
            3: "diverged",
            5: "diverged",
            6: "configuration",
            8: "diverged",
            9: "bug",
        }
        assert failures[3].reason == "the loss of click became nan at step 7"
        assert failures[6].reason == "sharing.kind = 'ple' does not fit this data: no reason"
        assert re.fullmatch(
            r"KeyError: 'boom' \(search_toys\.py:\d+ in train_with_failures\)", failures[9].reason
        )
        assert [record.number for record in records if record.state == "completed"] == [
            0,
            1,
            2,
            4,
            7,
            10,
            11,
            12,
            13,
        ]
        assert [note.split(":")[0] for note in notes.notes] == [
            "trial 3 failed (diverged)",
            "trial 5 failed (diverged)",
            "trial 6 failed (configuration)",
            "trial 8 failed (diverged)",
            "trial 9 failed (bug)",
        ]
        assert (notes.total, notes.done) == (14, 14)


class TestResume:
    @pytest.mark.slow
    @pytest.mark.parametrize("sampler", SAMPLERS)
    def test_an_interrupted_search_ends_as_the_undisturbed_one(self, tmp_path, sampler):
        plan = toy_plan(trials=48, sampler=sampler)
        whole = essence(run(tmp_path / "whole", plan, InlineExecutor(train)))
        for trial in (0, 13, 29, 44):
            with pytest.raises(KeyboardInterrupt):
                run(tmp_path / "parts", plan, InlineExecutor(interrupted_at(train, trial)))
            assert Study.read(tmp_path / "parts").record(trial).state == "running"
        assert essence(run(tmp_path / "parts", plan, InlineExecutor(train))) == whole

    def test_running_trials_are_run_again_and_finished_ones_are_not(self, tmp_path):
        plan, jobs = toy_plan(trials=12), []

        def spy(job):
            jobs.append(job)
            return train(job)

        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, plan, YoungestFirst(interrupted_at(spy, 5), 3, 0))
        before = {job.trial: job for job in jobs}
        study = Study.read(tmp_path)
        waiting = {
            record.number for record in study.records() if record.state == "completed"
        } - set(range(study.told))
        again, rest = set(study.running()), set(range(study.asked, 12))
        assert (again, waiting, rest) == ({0, 1, 5}, {2, 3, 4}, set(range(6, 12)))
        jobs.clear()
        run(tmp_path, plan, ShuffledExecutor(spy, 3, 1))
        assert {job.trial for job in jobs} == again | rest
        assert not {job.trial for job in jobs} & (set(before) | waiting)

    @pytest.mark.parametrize("slots", [1, 2])
    def test_a_search_whose_log_was_cut_anywhere_ends_as_the_undisturbed_one(self, tmp_path, slots):
        """As after a power cut: whatever part of the file is left, the rest is found again."""
        plan = toy_plan(trials=16)
        whole = essence(run(tmp_path / "whole", plan, ShuffledExecutor(train, slots, 0)))
        text = (tmp_path / "whole" / FILE).read_bytes()
        first = text.index(b"\n")  # the first line is written in one piece
        for part in range(12):
            end = first + 1 + (len(text) - first) * part // 12 + part
            folder = tmp_path / f"{part}"
            folder.mkdir()
            (folder / FILE).write_bytes(text[:end])
            assert essence(run(folder, plan, ShuffledExecutor(train, slots, part))) == whole


class Spy:
    """Keeps the jobs that ended well; interrupts the n-th, before it trains or after its checkpoint
    is written.
    """

    def __init__(self, run=train_by_rungs, stops_at=None, after=False):
        self.jobs: list[Job] = []
        self._run, self._stops_at, self._after = run, stops_at, after
        self._calls = itertools.count()

    def __call__(self, job):
        here = next(self._calls) == self._stops_at
        if here and not self._after:
            raise KeyboardInterrupt
        result = self._run(job)
        if here:
            raise KeyboardInterrupt
        self.jobs.append(job)
        return result


def jobs_of(records):
    """(order, trial, rung) of every job with a result, in order."""
    return sorted(
        (result.order, record.number, rung)
        for record in records
        for rung, result in enumerate(record.rungs)
    )


class TestResumeByRungs:
    @pytest.mark.slow
    @pytest.mark.parametrize("after", [False, True])
    def test_a_crash_in_any_job_changes_nothing_and_repeats_no_finished_job(self, tmp_path, after):
        plan, whole = rung_plan(budget=5 * FULL), Spy()
        records = essence(run(tmp_path / "whole", plan, InlineExecutor(whole)))
        for number in range(len(whole.jobs)):
            folder, first, second = tmp_path / f"{number}", Spy(stops_at=number, after=after), Spy()
            with pytest.raises(KeyboardInterrupt):
                run(folder, plan, InlineExecutor(first))
            assert essence(run(folder, plan, InlineExecutor(second))) == records
            assert len(first.jobs) + len(second.jobs) == len(whole.jobs)
            assert [job.until for job in first.jobs + second.jobs] == [
                job.until for job in whole.jobs
            ]
            assert all(job.resume is not None for job in second.jobs if job.until != LADDER[0])

    def test_a_lost_checkpoint_costs_time_alone_and_is_said(self, tmp_path):
        plan = rung_plan(budget=6 * FULL)
        whole = essence(run(tmp_path / "whole", plan, InlineExecutor(train_by_rungs)))
        notes = Notes()
        lost = []

        def loses(job):
            result = train_by_rungs(job)
            if job.until == 16:
                Path(job.checkpoint or "").unlink()
                lost.append(job.trial)
            return result

        assert essence(run(tmp_path / "lossy", plan, InlineExecutor(loses), notes)) == whole
        again = [record["number"] for record in whole if len(record["rungs"]) == 3]
        assert set(again) <= set(lost)
        assert sorted(notes.notes) == sorted(
            f"trial {number} is trained again from its beginning: its checkpoint is gone"
            for number in again
        )

    def test_checkpoints_take_no_more_than_they_may_and_change_nothing(self, tmp_path):
        plan, notes, taken = rung_plan(budget=6 * FULL), Notes(), []
        with Study.open(tmp_path / "few", few := replace(plan, checkpoint_bytes=450.0)) as study:

            def look(record):
                taken.append(Checkpoints(tmp_path / "few").used()[1])

            search(few, study, InlineExecutor(train_by_rungs), make_job, look, notes)
            records = essence(study.records())
        assert records == essence(run(tmp_path / "whole", plan, InlineExecutor(train_by_rungs)))
        assert 300 < max(taken) <= 450
        assert notes.notes  # some went on without theirs

    def test_of_too_many_checkpoints_those_of_the_worst_waiting_trials_go(self, tmp_path):
        plan, checkpoints = rung_plan(), Checkpoints(tmp_path, max_bytes=25)
        states = ["waiting", "waiting", "running", "failed", "waiting"]
        standings = [
            Standing(number, "mmoe", ((value, value),), state)
            for number, (value, state) in enumerate(
                zip([0.3, 0.1, 0.0, 0.9, 0.2], states, strict=True)
            )
        ]
        for number in range(5):
            path = checkpoints.path(number, 0)
            path.parent.mkdir(parents=True)
            path.write_bytes(b"ten bytes.")
        checkpoints.tidy(standings, len(LADDER))
        assert checkpoints.used() == (4, 40)  # that of the failed one is of no use
        checkpoints.fit(standings, plan.rules)
        assert [number for number in range(5) if checkpoints.path(number, 0).is_file()] == [0, 2]


class TestBudgetByRungs:
    @pytest.mark.parametrize(("slots", "budget"), [(1, FULL), (3, 100), (1, 777), (3, 777)])
    def test_samples_are_a_total_that_is_used_up_and_never_passed(self, tmp_path, slots, budget):
        records = run(
            tmp_path, rung_plan(budget=budget), ShuffledExecutor(train_by_rungs, slots, 0)
        )
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
            records = study.records()
            jobs = [study.history.steps[number] for number in range(study.asked)]
            assert study.seconds >= 30.5
        assert 25 <= len(jobs) <= 34
        (top,) = [
            record
            for record in records
            if record.sharing == "single_task" and record.state == "completed"
        ]
        assert [step.trial for step in jobs[-2:]] == [top.number] * 2
        spy = Spy()
        # the time is a total: a resumed search has none left
        run(tmp_path, plan, InlineExecutor(spy))
        assert not spy.jobs


def test_a_failure_above_keeps_the_rungs_below(tmp_path):
    def fails(job):
        if job.trial % 3 == 1 and job.until == LADDER[1]:
            raise FloatingPointError("the loss of click became nan")
        return train_by_rungs(job)

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
class TestConcludeByRungs:
    @pytest.mark.parametrize("slots", [1, 3])
    def test_a_concluded_search_goes_on_as_if_it_never_had_been_where_it_may(self, tmp_path, slots):
        for folder, conclude in (("never", False), ("twice", True)):
            for budget in (3, 5, 9):
                plan = rung_plan(budget=budget * FULL)
                for again in (False, True):
                    with Study.open(tmp_path / folder, plan) as study:
                        search(
                            plan,
                            study,
                            ShuffledExecutor(spy := Spy(), slots, budget),
                            make_job,
                            ignore,
                        )
                        assert not (again and spy.jobs)  # nothing is left within the same limits
                        if conclude:
                            study.conclude()
                            Checkpoints(tmp_path / folder).clear()
                            assert study.concluded
                            assert "waiting" not in {record.state for record in study.records()}
        twice, never = (Study.read(tmp_path / folder) for folder in ("twice", "never"))
        assert twice.history.steps == never.history.steps
        assert twice.history.standings == never.history.standings
        ended = {"waiting": "pruned"}
        assert essence(twice.records()) == [
            record | {"state": ended.get(record["state"], record["state"])}
            for record in essence(never.records())
        ]


SCRIPT = Path(__file__).with_name("kill_toys.py")


def searched(folder, executor, kills, budget):
    command = [sys.executable, str(SCRIPT), str(folder), executor, str(kills), "11", str(budget)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "trials"), [(54, 20)], ids=["54 kills"])
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_search_whose_drivers_and_workers_are_killed_ends_as_the_undisturbed_one(
    tmp_path, executor, kills, trials
):
    """The budget is that of `trials` trials of full length."""
    budget = trials * KILLED[-1]
    quiet = searched(tmp_path / "quiet", executor, 0, budget)
    wild = searched(tmp_path / "wild", executor, kills, budget)
    assert quiet["killed"] == {}
    assert quiet["begun"] == quiet["jobs"] == wild["jobs"]

    killed = wild["killed"]
    assert sum(killed.values()) >= kills
    assert killed["driver"] >= kills / 5
    assert executor == "inline" or killed["worker"] >= kills / 5

    assert wild["again"] == {}  # no job whose outcome was on disk was begun again
    slots = 1 if executor == "inline" else 2
    in_flight = killed["driver"] * slots + killed.get("worker", 0)
    assert wild["begun"] <= wild["jobs"] + in_flight

    studies = [Study.read(tmp_path / name) for name in ("quiet", "wild")]
    first, second = ([*essence(study.records())] for study in studies)
    assert first == second
    assert studies[0].history.standings == studies[1].history.standings
    assert studies[0].history.steps == studies[1].history.steps
    assert budget - KILLED[0] < spent(studies[1].records()) <= budget
