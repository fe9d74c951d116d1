"""The Ray executor on a real cluster of two nodes on this machine, one processor each."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from executor_checks import OF_ALL
from poison_toys import poison
from rung_toys import essence, leaving_predictions, rung_plan, slow_train, train
from search_toys import ShuffledExecutor, ignore, job_of, make_job, wait_until

from bench.core.errors import UserError
from bench.core.records import Failure, Job
from bench.measure.predictions import DIGEST, KEPT
from bench.search.driver import search
from bench.search.executors import EXECUTORS, RAY, InlineExecutor, ProcessExecutor
from bench.search.executors.base import Executor, Options
from bench.search.study import Study

pytestmark = pytest.mark.slow  # a cluster of two nodes takes minutes

ray = pytest.importorskip("ray", reason="Ray, an extra of this package, is not installed")

from ray.cluster_utils import Cluster  # noqa: E402

from bench.search.executors import ray as ours  # noqa: E402
from bench.search.executors.ray import RayExecutor  # noqa: E402

HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def two_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head and a second node; that one keeps stores in a home of its own."""
    home = tmp_path_factory.mktemp("node-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1]), *sys.path]))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.home = home
        cluster.second = add_node(cluster)
        try:
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def add_node(cluster: Cluster) -> Any:
    node = cluster.add_node(num_cpus=1, env_vars={"SEESAW_NODE_HOME": str(cluster.home)})
    cluster.wait_for_nodes()
    return node


@pytest.fixture
def store(tmp_path: Path) -> Path:
    made = tmp_path / "home" / "store" / "toy@1" / f"print-{tmp_path.name}"
    (made / "train").mkdir(parents=True)
    (made / "manifest.json").write_text("{}")
    (made / "train" / "ids.npy").write_bytes(bytes(range(256)) * 100)
    return made


def jobs_on(store: Path) -> Callable[..., Job]:
    """A maker of jobs of a trial at full length."""
    return lambda *args: job_of(*args, store=str(store))


def executor(cluster: Cluster, run: Any, store: Path, **more: Any) -> RayExecutor:
    return RayExecutor(run, 2, Options(address=cluster.address, store=str(store), **more))


def searched(folder: Path, store: Path, executor: Executor, **changes: Any) -> list[dict[str, Any]]:
    plan = rung_plan(**changes)
    with closing(executor), Study.open(folder, plan) as study:
        search(plan, study, executor, lambda *args: make_job(*args, store=str(store)), ignore)
        return essence(study.records())


def test_a_search_on_two_nodes_equals_that_of_a_process_pool(two_nodes: Cluster, store: Path, tmp_path: Path) -> None:
    on_ray = searched(tmp_path / "ray", store, executor(two_nodes, train, store))
    assert on_ray == searched(tmp_path / "process", store, ProcessExecutor(train, 2))
    assert on_ray == searched(tmp_path / "here", store, ShuffledExecutor(train, 2, 1))
    one = RayExecutor(train, 1, Options(address=two_nodes.address, store=str(store)))
    few = {"budget": 200}
    assert searched(tmp_path / "one", store, one, **few) == searched(
        tmp_path / "inline", store, InlineExecutor(train), **few
    )


def test_it_does_what_every_executor_must(two_nodes: Cluster) -> None:
    for check in OF_ALL:
        check(RAY, Options(address=two_nodes.address))


def test_both_nodes_work_and_the_second_from_a_store_of_its_own(
    two_nodes: Cluster, store: Path, tmp_path: Path
) -> None:
    """A search whose every job reads the store where it was sent, and says where that was."""
    with closing(executor(two_nodes, slow_train, store)) as pool:
        for trial in range(6):
            pool.submit(jobs_on(store)(trial, 0, {"sharing.kind": "x"}, ("valid",)))
        outcomes = [pool.next() for _ in range(6)]
    homes = {outcome.result.config["store"] for outcome in outcomes if outcome.result}
    copy = two_nodes.home / "store" / "toy@1" / store.name
    assert homes == {str(store), str(copy)}
    assert (copy / "train" / "ids.npy").read_bytes() == (store / "train" / "ids.npy").read_bytes()
    assert {outcome.job.store for outcome in outcomes} == {str(store)}


def test_checkpoints_go_to_the_node_and_come_back(two_nodes: Cluster, store: Path, tmp_path: Path) -> None:
    """Both at once, so that each node has one: their files are what a run here leaves."""
    pool = executor(two_nodes, slow_train, store)
    with closing(pool):
        for rung, until in enumerate((4, 16)):
            for trial in range(2):
                job = jobs_on(store)(trial, 0, {"sharing.kind": "x"}, ("valid",))
                before = str(tmp_path / f"{trial}" / "0") if rung else None
                pool.submit(replace(job, until=until, checkpoint=str(tmp_path / f"{trial}" / f"{rung}"), resume=before))
            outcomes = [pool.next(), pool.next()]
            assert all(outcome.result for outcome in outcomes), outcomes
    assert len({outcome.result.config["store"] for outcome in outcomes if outcome.result}) == 2
    for trial in range(2):
        assert sorted(path.name for path in (tmp_path / f"{trial}").iterdir()) == ["0", "1"]
        assert json.loads((tmp_path / f"{trial}" / "1").read_text())["at"] == 16


def test_predictions_come_to_the_driver_whole(two_nodes: Cluster, store: Path, tmp_path: Path) -> None:
    with closing(executor(two_nodes, leaving_predictions, store)) as pool:
        for trial in range(4):
            job = jobs_on(store)(trial, 1, {"sharing.kind": "x"}, ("valid", "confirm", "test"))
            pool.submit(replace(job, predictions=str(tmp_path / "predictions")))
        outcomes = [pool.next() for _ in range(4)]
    assert len({outcome.result.config["store"] for outcome in outcomes if outcome.result}) == 2
    expected = {
        f"{job.trial}-1.{split}.npy": f"{job.trial} {job.seed} None {split}".encode()
        for job in (outcome.job for outcome in outcomes)
        for split in KEPT
    }
    found = {path.name: path.read_bytes()[:-DIGEST] for path in (tmp_path / "predictions").iterdir()}
    assert found == expected


def test_a_poisonous_job_is_recorded_and_the_others_do_not_notice(two_nodes: Cluster, store: Path) -> None:
    notes: list[str] = []
    with closing(executor(two_nodes, poison, store, retries=1, note=notes.append)) as pool:
        for trial in range(4):
            pool.submit(jobs_on(store)(trial, 0, {"how": "kill" if trial == 1 else ""}, ("valid",)))
        found = {outcome.job.trial: outcome for outcome in (pool.next() for _ in range(4))}
    assert found[1].failure == Failure("infrastructure", "tried 2 times; at last its worker died")
    assert all(found[trial].result for trial in (0, 2, 3))
    assert len(notes) == 1


def test_a_job_beyond_its_time_is_ended(two_nodes: Cluster, store: Path) -> None:
    with closing(executor(two_nodes, poison, store, retries=0, job_seconds=2.0)) as pool:
        for trial in range(3):
            pool.submit(jobs_on(store)(trial, 0, {"how": "spin" if trial == 1 else ""}, ("valid",)))
        found = {outcome.job.trial: outcome for outcome in (pool.next() for _ in range(3))}
    assert found[1].failure == Failure("infrastructure", "it took longer than 2 s")
    assert found[0].result is not None
    assert found[2].result is not None


def test_a_node_lost_in_the_middle_changes_no_result(two_nodes: Cluster, store: Path, tmp_path: Path) -> None:
    """Where a job had just ended there, which no note says, the node is lost again in another search."""
    few = {"budget": 600}
    expected = strip(searched(tmp_path / "here", store, ShuffledExecutor(slow_train, 2, 1), **few))
    notes: list[str] = []
    for attempt in range(4):
        folder = tmp_path / f"ray-{attempt}"
        thread = threading.Thread(target=lose, args=(two_nodes, folder / "study.jsonl"))
        thread.start()
        found = searched(folder, store, executor(two_nodes, slow_train, store, note=notes.append), **few)
        thread.join()
        two_nodes.second = add_node(two_nodes)  # for what comes after
        assert [record["failure"] for record in found] == [None] * len(found)
        assert strip(found) == expected
        if any("machine was lost" in note or "worker died" in note for note in notes):
            return
    pytest.fail(f"no job was lost with its node: {notes}")


def lose(nodes: Cluster, log: Path) -> None:
    """Takes the second node away while it works, once a few jobs are done; most are not."""
    at_work = nodes.home / "store" / "toy@1" / "at-work"
    wait_until(lambda: log.exists() and log.stat().st_size > 6_000, 60)
    wait_until(lambda: not at_work.exists(), 60)
    wait_until(at_work.exists, 60)
    raylet = nodes.second.all_processes["raylet"][0].process.pid
    workers = Path(f"/proc/{raylet}/task/{raylet}/children").read_text().split()
    for worker in workers:  # else one ends its job before it sees that the node is gone
        os.kill(int(worker), signal.SIGKILL)
    nodes.remove_node(nodes.second, allow_graceful=False)


def strip(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without where a job found its store."""
    return [
        record | {"config": {key: v for key, v in record["config"].items() if key != "store"}} for record in records
    ]


def test_files_travel_in_parts_the_empty_ones_too(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "CHUNK", 10_000)
    (store / "empty").touch()
    parts = list(ours.pieces(str(store)))
    assert [(name, len(part)) for name, part in parts] == [
        ("empty", 0),
        ("manifest.json", 2),
        ("train/ids.npy", 10_000),
        ("train/ids.npy", 10_000),
        ("train/ids.npy", 5_600),
    ]
    assert list(ours.pieces(str(store / "manifest.json"))) == [(".", b"{}")]
    with pytest.raises(FileNotFoundError):
        list(ours.pieces(str(store / "missing")))


def test_a_machine_that_does_not_fit_is_named_before_any_job(
    two_nodes: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here for its version."""
    monkeypatch.setattr(ours, "__version__", "0.0.0")
    with pytest.raises(UserError, match=r"^Ray machine .*: expected version 0\.0\.0 of seesaw, which the driver has"):
        executor(two_nodes, train, tmp_path)


def test_slots_are_what_the_machines_hold(two_nodes: Cluster) -> None:
    assert ours.slots(Options(address=two_nodes.address)) == 2
    with pytest.raises(UserError, match="expected a machine of the Ray cluster with 2 processors, 0 GPUs and 0 MB"):
        ours.slots(Options(address=two_nodes.address, threads=2))
    with pytest.raises(UserError, match=r"1 processors, 0\.5 GPUs"):
        ours.slots(Options(address=two_nodes.address, gpus=0.5))


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.search.executors.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"found none installed; in the checkout, pip install '.\[ray\]'"):
        EXECUTORS["ray"](train, 1, Options())


def test_an_address_without_a_cluster_is_refused(two_nodes: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with (
        pytest.raises(UserError, match=r"expected HOST:PORT of a cluster .* found 'ray://a:1'"),
        ours.cluster(Options(address="ray://a:1")),
    ):
        pass
