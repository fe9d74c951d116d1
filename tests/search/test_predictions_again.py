"""A confirmation whose kept predictions are gone trains those replicates again, and stores nothing else."""

from dataclasses import replace

from rung_toys import leaving_predictions
from search_toys import OBJECTIVES, SCHEMA, ignore, make_job, toy_plan, train

from bench.confirm.baselines import baselines_of
from bench.confirm.race import confirm, shortlist
from bench.core.records import Job
from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.study import Study

REFERENCE = {objective.name: 0.0 for objective in OBJECTIVES}
PLAN = toy_plan(trials=6)


def confirmed(folder):
    """The jobs of a confirmation, and what is stored then."""
    jobs: list[Job] = []

    def run(job):
        jobs.append(job)
        return leaving_predictions(job)

    def kept_job(*given):
        return replace(make_job(*given), predictions=str(folder / "predictions"))

    with Study.open(folder, PLAN) as study:
        chosen = shortlist(study.records(), OBJECTIVES, REFERENCE, 2)
        others = baselines_of(study.records(), OBJECTIVES, REFERENCE, ("trees", "equal_weights"), SCHEMA)
        confirm(study, InlineExecutor(run), kept_job, chosen, 2, ignore, baselines=others)
        return jobs, [study.replicates(), study.baselines()]


def test_only_what_is_gone_is_trained_again(tmp_path):
    with Study.open(tmp_path, PLAN) as study:
        search(PLAN, study, InlineExecutor(train), make_job, ignore)
    jobs, stored = confirmed(tmp_path)
    files = {path: path.read_bytes() for path in (tmp_path / "predictions").iterdir()}
    assert len(files) == 3 * len(jobs)  # splits
    assert confirmed(tmp_path) == ([], stored)
    gone = sorted(files)[:1] + [path for path in files if path.name.startswith("equal_weights")][:1]
    gone[0].unlink()
    gone[1].write_bytes(files[gone[1]].replace(b"test", b"tost"))
    again, as_before = confirmed(tmp_path)
    assert len(again) == 2
    assert all(job in jobs for job in again)
    assert as_before == stored
    assert {path: path.read_bytes() for path in (tmp_path / "predictions").iterdir()} == files
