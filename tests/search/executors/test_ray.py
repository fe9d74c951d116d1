"""The Ray executor on a real cluster of two nodes on this machine, one processor each."""

import os
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from executor_checks import OF_ALL
from rung_toys import rung_plan, slow_train, train
from search_toys import ShuffledExecutor, essence, ignore, make_job, wait_until

from bench.core.errors import UserError
from bench.search.driver import search
from bench.search.executors import RAY, InlineExecutor, ProcessExecutor
from bench.search.executors.base import Options
from bench.search.study import Study

pytestmark = pytest.mark.slow  # a cluster of two nodes takes minutes

ray = pytest.importorskip("ray", reason="Ray, an extra of this package, is not installed")

from ray.cluster_utils import Cluster  # noqa: E402

from bench.search.executors import ray as ours  # noqa: E402
from bench.search.executors.ray import RayExecutor  # noqa: E402

HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two_nodes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1]), *sys.path]))
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        cluster.second = add_node(cluster)
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def add_node(cluster):
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    return node


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "home" / "store" / "toy@1" / f"print-{tmp_path.name}"
    (folder / "train").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "train" / "ids.npy").write_bytes(bytes(range(256)) * 100)
    return folder


def executor(cluster, run, store, **options):
    return RayExecutor(run, 2, Options(address=cluster.address, store=str(store), **options))


def searched(folder, store, executor, **changes):
    plan = rung_plan(**changes)
    with closing(executor), Study.open(folder, plan) as study:
        search(plan, study, executor, lambda *args: make_job(*args, store=str(store)), ignore)
        return essence(study.records())


def test_a_search_on_two_nodes_equals_that_of_a_process_pool(two_nodes, store, tmp_path):
    on_ray = searched(tmp_path / "ray", store, executor(two_nodes, train, store))
    assert on_ray == searched(tmp_path / "process", store, ProcessExecutor(train, 2))
    assert on_ray == searched(tmp_path / "here", store, ShuffledExecutor(train, 2, 1))
    one = RayExecutor(train, 1, Options(address=two_nodes.address, store=str(store)))
    few = {"budget": 200}
    assert searched(tmp_path / "one", store, one, **few) == searched(
        tmp_path / "inline", store, InlineExecutor(train), **few
    )


def test_it_does_what_every_executor_must(two_nodes, tmp_path):
    for check in OF_ALL:
        check(RAY, Options(address=two_nodes.address), tmp_path)


def test_a_node_lost_in_the_middle_changes_no_result(two_nodes, store, tmp_path):
    """Where a job had just ended there, which no note says, the node is lost again in another
    search.
    """
    few = {"budget": 600}
    expected = searched(tmp_path / "here", store, ShuffledExecutor(slow_train, 2, 1), **few)
    notes: list[str] = []
    for attempt in range(4):
        folder = tmp_path / f"ray-{attempt}"
        thread = threading.Thread(target=lose, args=(two_nodes, folder / "study.jsonl", store))
        thread.start()
        records = searched(
            folder, store, executor(two_nodes, slow_train, store, note=notes.append), **few
        )
        thread.join()
        two_nodes.second = add_node(two_nodes)  # for what comes after
        assert [record["failure"] for record in records] == [None] * len(records)
        assert records == expected
        if any("machine was lost" in note or "worker died" in note for note in notes):
            return
    pytest.fail(f"no job was lost with its node: {notes}")


def lose(nodes, log, store):
    """Takes the second node away while it works, once a few jobs are done; most are not."""
    at_work = store.with_name(nodes.second.node_id)
    wait_until(lambda: log.exists() and log.stat().st_size > 6_000, 60)
    wait_until(lambda: not at_work.exists(), 60)
    wait_until(at_work.exists, 60)
    raylet = nodes.second.all_processes["raylet"][0].process.pid
    workers = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
    for worker in workers:  # else one ends its job before it sees that the node is gone
        os.kill(int(worker), signal.SIGKILL)
    nodes.remove_node(nodes.second, allow_graceful=False)


def test_a_machine_that_does_not_fit_is_named_before_any_job(two_nodes, tmp_path, monkeypatch):
    with pytest.raises(
        UserError,
        match=r"^Ray machine .*: expected the store .* that all machines share, found none",
    ):
        executor(two_nodes, train, tmp_path)
    monkeypatch.setattr(ours, "__version__", "0.0.0")
    with pytest.raises(
        UserError,
        match=r"^Ray machine .*: expected version 0\.0\.0 of seesaw, which the driver has",
    ):
        executor(two_nodes, train, tmp_path)


def test_a_cluster_that_does_not_start_ends_in_one_sentence(monkeypatch):
    def init(address, **options):
        if address == "local":
            raise Exception("The current node timed out during startup.")
        raise ConnectionError("no cluster")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ours.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ours.ray, "init", init)
    expected = "expected to begin a Ray cluster on this machine, but it did not start: The current"
    with pytest.raises(UserError, match=expected), ours.cluster(Options()):
        pass
