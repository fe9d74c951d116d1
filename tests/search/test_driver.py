import itertools
import re
from contextlib import contextmanager

import pytest
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

from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.samplers import SAMPLERS
from bench.search.study import FILE, Study
from bench.system.progress import Silent


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
        assert essence(longer) == essence(run(tmp_path / "once", toy_plan(trials=10), InlineExecutor(train)))

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
        more = toy_plan(trials=len(records), seconds=1e9)
        with Study.open(tmp_path, more) as study:  # as much time, and as many trials as there are
            search(more, study, ShuffledExecutor(train, slots, 0), make_job, ignore)
            assert not study.cut_short


class TestOrder:
    @pytest.mark.parametrize("slots", [2, 4])
    def test_the_search_does_not_depend_on_who_finishes_first(self, tmp_path, slots):
        plan = toy_plan(trials=20)
        runs = [
            essence(run(tmp_path / str(order), plan, ShuffledExecutor(train_with_failures, slots, order)))
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
        assert re.fullmatch(r"KeyError: 'boom' \(search_toys\.py:\d+ in train_with_failures\)", failures[9].reason)
        assert [record.number for record in records if record.state == "completed"] == [0, 1, 2, 4, 7, 10, 11, 12, 13]
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
        waiting = {record.number for record in study.records() if record.state == "completed"} - set(range(study.told))
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
