"""Shared by all tests: one core and one thread a test process, no telemetry, and the real data
where it is there.
"""

import gc
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    # else each would start a thread for every core, and all wait for each other
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

if (
    signal.getsignal(signal.SIGINT) == signal.SIG_IGN
):  # as a shell's background jobs have it, and what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np  # noqa: E402  the environment must be set before anything imports it or torch
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no deadline")
SHARED = Path(__file__).parents[2] / "shared" / "data"

# modules that tests share are imported by their own name, from any folder; so are those of studies
FOLDERS = sorted(path for path in Path(__file__).parent.rglob("[!_.]*") if path.is_dir())
sys.path[:0] = map(str, [*FOLDERS, Path(__file__).parents[1] / "studies"])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Without garbage collection: looking again and again through all that imports make took a
    third of the time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path, config):
    """Modules in which all is slow are not imported where nothing slow is asked for."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return "\npytestmark = pytest.mark.slow" in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory):
    """The user's own settings stay as they are."""
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("settings"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def no_fsync(monkeypatch):
    """Thousands of writes to the very disk would take most of a search's time; no test of one cuts
    the power.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def census_raw():
    """The real Census-Income files."""
    return _folder("census-income")


@pytest.fixture(scope="session")
def kuairand_raw():
    """Real KuaiRand-Pure files: the late window's log and both side tables."""
    return _folder("kuairand-pure")


@pytest.fixture(scope="session")
def hotel_raw():
    """The real hotel bookings."""
    return _folder("hotel-bookings")


def _folder(name):
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the real data is not at {folder}")
    return folder
