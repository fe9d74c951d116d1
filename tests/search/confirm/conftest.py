import pytest
from search_toys import ignore, make_job, toy_plan, train

from bench.search.driver import search
from bench.search.executors import InlineExecutor
from bench.search.study import Study


@pytest.fixture(autouse=True)
def _quick_disk(no_fsync):
    pass


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """The folder of a search of 12 trials that is over."""
    folder, plan = tmp_path_factory.mktemp("searched"), toy_plan(trials=12)
    with Study.open(folder, plan) as study:
        search(plan, study, InlineExecutor(train), make_job, ignore)
    return folder
