"""The race of a confirmation: where replicates go, and that nothing but confirmation rows decides
it.
"""

from dataclasses import replace
from shutil import copytree

import pytest
from rung_toys import leaving_predictions
from search_toys import (
    OBJECTIVES,
    SCHEMA,
    TASKS,
    ShuffledExecutor,
    YoungestFirst,
    ignore,
    interrupted_after,
    make_job,
    toy_plan,
    train,
)

from bench.core.records import TRAINED, Job, Point, RungResult, TrialRecord, TrialResult
from bench.core.rows import REPLICATED
from bench.core.system.progress import Silent
from bench.ledger.points import points_of_run
from bench.models.training.tree_settings import TreeSettings
from bench.search.confirm.baselines import baselines_of, full_lengths, tries_of, tuned
from bench.search.confirm.race import confirm, shortlist
from bench.search.executors import InlineExecutor
from bench.search.study import Study

REFERENCE = {objective.name: 0.0 for objective in OBJECTIVES}
RACE = {"replicates": 2, "budget": 20, "seed": 7}
PLAN = toy_plan(trials=12)


@pytest.fixture
def confirmed(done, tmp_path):
    """Confirms that search in a folder of its own, and reads what is there then."""

    def carry_out(name, executor, race=RACE, wanted=TRAINED, make=make_job):
        folder = tmp_path / name
        if not folder.exists():
            copytree(done, folder)
        with Study.open(folder, PLAN) as study:
            chosen = shortlist(study.records(), OBJECTIVES, REFERENCE, 5)
            baselines = baselines_of(study.records(), OBJECTIVES, REFERENCE, wanted, SCHEMA)
            confirm(study, executor, make, chosen, on_record=ignore, baselines=baselines, **race)
        return Study.read(folder)

    return carry_out


def replicates(study):
    """By point the numbers of its replicates, their seeds and a value."""
    return {
        training: [(run.replicate, run.seed, run.metrics["confirm/click.auc"]) for run in runs]
        for training, runs in study.replicates().items()
    }


def close(job):
    """All configurations but trial 10 are nearly as good, so that seeds decide."""
    if job.kind in ("trees", "ensemble"):
        return TrialResult(
            {f"{split}/{task}.auc": 0.7 for split in job.splits for task in TASKS}, {}, [], {}
        )
    result = train(replace(job, config={"balancing.static.weight.like": 1.0, **job.config}))
    flat = {key: 0.7 + 0.02 * (value % 0.1) for key, value in result.metrics.items()}
    place = -1 - TRAINED.index(job.kind) if job.trial is None else job.trial
    luck = (job.seed * (place + 5)) % 997 - 498
    worse = 0.02 * (job.trial == 10)
    noisy = {
        key: value + luck * 4e-6 * (1 + key.count("like")) - worse for key, value in flat.items()
    }
    return TrialResult(noisy, result.speed, result.curve, result.config)


def test_replicates_go_to_the_undecided_up_to_the_budget(confirmed):
    jobs: list[Job] = []
    study = confirmed("a", InlineExecutor(lambda job: jobs.append(job) or close(job)))
    points = len({job.training for job in jobs})
    assert [job.replicate for job in jobs[: 2 * points]] == [1] * points + [2] * points
    assert [job.kind for job in jobs].index("trees") == 0  # which take longest
    counts = {
        record.number: len(record.replicates) for record in study.records() if record.replicates
    }
    assert 2 <= min(counts.values()) < max(counts.values())
    assert sum(counts.values()) == 20
    assert [len(point.replicates) for point in study.baselines()] == [2, 2, 2, 2]
    points = points_of_run(study.records(), study.baselines(), OBJECTIVES)
    trained = {
        point.training: point.replicates
        for point in points
        if point.replicates and point.kind != "single_task"
    }
    assert trained == study.replicates()  # every replicate is one point's


@pytest.mark.parametrize(
    "make", [lambda: ShuffledExecutor(close, 3, 1), lambda: YoungestFirst(close, 8, 0)]
)
def test_the_same_with_any_number_of_workers(confirmed, make):
    alone = confirmed("a", InlineExecutor(close))
    assert replicates(confirmed("b", make())) == replicates(alone)


@pytest.mark.parametrize("jobs", [8, 19])
def test_the_same_after_an_interruption(confirmed, jobs):
    whole = confirmed("a", InlineExecutor(close))
    assert sum(map(len, replicates(whole).values())) > 19
    stops = interrupted_after(jobs, close)
    with pytest.raises(KeyboardInterrupt):
        confirmed("b", ShuffledExecutor(stops, 3, 2))
    assert replicates(confirmed("b", InlineExecutor(close))) == replicates(whole)


def test_neither_test_nor_the_searchs_rows_decide_anything(confirmed):
    """Both are measured with each replicate; the race is the same where they say the opposite of
    confirmation rows.
    """

    def treacherous(job):
        result = close(job)
        for key, value in [
            (key, value) for key, value in result.metrics.items() if key.startswith("confirm")
        ]:
            result.metrics.update(
                {key.replace("confirm", split): -value for split in ("valid", "test")}
            )
        result.resampled.update(
            {key: [float(job.seed)] for key in result.metrics if key.startswith("test")}
        )
        return result

    assert replicates(confirmed("a", InlineExecutor(treacherous))) == replicates(
        confirmed("b", InlineExecutor(close))
    )


def test_replicates_whose_predictions_are_gone_are_trained_again_and_stored_as_they_were(
    confirmed, tmp_path
):
    folder = tmp_path / "predictions"

    def make(*arguments):
        return replace(make_job(*arguments), predictions=str(folder))

    def again():
        """The jobs of a confirmation, and what is stored then."""
        jobs: list[Job] = []
        executor = InlineExecutor(lambda job: jobs.append(job) or leaving_predictions(job))
        study = confirmed("a", executor, {"replicates": 2}, ("trees", "equal_weights"), make)
        return jobs, study.replicates(), {path: path.read_bytes() for path in folder.iterdir()}

    jobs, stored, files = again()
    assert len(files) == len(REPLICATED) * len(jobs)
    assert again() == ([], stored, files)
    gone, damaged = (
        next(path for path in files if path.name.startswith(name))
        for name in ("trees", "equal_weights")
    )
    gone.unlink()
    damaged.write_bytes(files[damaged][:-1])
    retrained, *rest = again()
    assert sorted(job.kind for job in retrained) == ["equal_weights", "trees"]
    assert all(job in jobs for job in retrained)
    assert rest == [stored, files]


class TestBaselines:
    def test_what_cannot_be_is_left_out(self):
        config = {"sharing.kind": "single_task"}
        values = {"valid/click.auc": 0.7, "valid/like.auc": 0.7}
        single = TrialRecord(0, "completed", {}, config, "single_task", values)
        baselines = baselines_of([single], OBJECTIVES, {}, TRAINED, SCHEMA)
        assert [baseline.kind for baseline in baselines] == ["trees", "ensemble"]

    def test_another_configuration_of_the_same_name_is_another_record(self, confirmed):
        """As where a search went on and another point is the best."""
        study = confirmed("a", InlineExecutor(close), {"replicates": 1}, ("equal_weights",))
        with Study.open(study.folder, PLAN) as study:
            before = study.baselines()[0]
            moved = Point("equal_weights", {**before.config, "optim.lr": 0.123}, "equal_weights")
            confirm(study, InlineExecutor(close), make_job, [], 2, ignore, baselines=[moved])
            first, second = study.baselines()
        assert [replicate.replicate for replicate in first.replicates] == [1]
        assert [replicate.replicate for replicate in second.replicates] == [1, 2]
        assert second.replicates[0].seed == first.replicates[0].seed
        assert second.config["optim.lr"] == 0.123


class TestTuning:
    """Trees whose merit is a known function of their settings: `click` likes many leaves, `like`
    few.
    """

    TASKS = ("click", "like")

    @staticmethod
    def grow(job):
        click, like = (TreeSettings.of(job.config, task).leaves for task in ("click", "like"))
        merit = {
            "click.logloss": 1 - click / 1000,
            "like.logloss": like / 1000,
            "click.auc": 0.7,
            "like.auc": 0.7,
        }
        metrics = {f"{split}/{key}": value for split in job.splits for key, value in merit.items()}
        return TrialResult(metrics, {}, [], {})

    def tune(self, folder, executor, tries=6, replicates=2):
        with Study.open(folder, PLAN) as study:
            baselines = baselines_of(study.records(), OBJECTIVES, REFERENCE, ("trees",), SCHEMA)
            baselines = tuned(study, executor, make_job, baselines, self.TASKS, tries, 1, Silent())
            confirm(study, executor, make_job, [], replicates, ignore, baselines=baselines)
        return Study.read(folder)

    def test_each_task_is_retrained_with_its_best_of_so_many_tries(self, done, tmp_path):
        jobs: list[Job] = []
        noting = InlineExecutor(lambda job: jobs.append(job) or self.grow(job))
        folder = copytree(done, tmp_path / "a")
        study = self.tune(folder, noting)
        tried, retrained = jobs[:6], jobs[6:]
        assert {job.training for job in tried} == set(study.tries)
        leaves = [TreeSettings.of(job.config, "click").leaves for job in tried]
        assert len(set(leaves)) == 6
        [trees] = study.baselines()
        assert [TreeSettings.of(trees.config, task).leaves for task in self.TASKS] == [
            max(leaves),
            min(leaves),
        ]
        # test stays unopened
        assert {(job.replicate, job.splits) for job in tried} == {(0, ("valid",))}
        assert len({job.seed for job in tried}) == 1
        assert [(job.replicate, job.splits, job.config) for job in retrained] == [
            (number, REPLICATED, trees.config) for number in (1, 2)
        ]
        assert len({job.seed for job in jobs}) == 3
        self.tune(folder, noting, replicates=3)  # tries nothing again, and goes on
        assert [(job.replicate, job.config) for job in jobs[8:]] == [(3, trees.config)]
        self.tune(folder, noting, tries=8, replicates=3)
        assert [job.replicate for job in jobs[9:11]] == [0, 0]

    @pytest.mark.parametrize("jobs", [3, 7])
    def test_the_same_after_an_interruption_and_in_any_order(self, done, tmp_path, jobs):
        whole = self.tune(copytree(done, tmp_path / "a"), InlineExecutor(self.grow))
        stops = interrupted_after(jobs, self.grow)
        folder = copytree(done, tmp_path / "b")
        with pytest.raises(KeyboardInterrupt):
            self.tune(folder, ShuffledExecutor(stops, 3, 2))
        again = self.tune(folder, ShuffledExecutor(self.grow, 3, 4))
        assert again.baselines() == whole.baselines()
        assert len(again.tries) == 6

    def test_where_no_try_has_a_result_the_defaults_are_retrained_and_say_why(self, done, tmp_path):
        def fails(job):
            raise FloatingPointError("task 'like' has no two classes on train")

        [trees] = self.tune(copytree(done, tmp_path / "a"), InlineExecutor(fails)).baselines()
        assert TreeSettings.of(trees.config, "like") == TreeSettings()
        assert {replicate.failure.reason for replicate in trees.replicates} == {
            "task 'like' has no two classes on train"
        }

    def test_there_are_as_many_tries_as_a_kind_of_sharing_had_full_lengths(self):
        def record(*rungs):
            return TrialRecord(
                0,
                "completed",
                {},
                {},
                "a",
                rungs=tuple(RungResult(samples, 0, {}) for samples in rungs),
            )

        assert full_lengths([record()] * 9, [record()] * 9) == 9
        by_rungs = [record(100)] * 40 + [record(100, 1000)] * 6
        assert full_lengths(by_rungs, by_rungs) == 10  # 40 tenths and 6
        assert [tries_of(lengths, 5) for lengths in (0.5, 16, 19.9, 20)] == [3, 3, 3, 4]
