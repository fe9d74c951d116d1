"""Ctrl-C, a second driver and SIGKILL, on the real command line in processes of their own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from unittest.mock import MagicMock

import psutil
import pytest
import torch

from bench.core.errors import UserError
from bench.core.records import Job, TrialResult
from bench.run import create, execute
from bench.run.folder import Run
from bench.run.request import Request
from bench.search.executors.base import Options

ROOT = Path(__file__).parents[2]


class Command:
    """`seesaw` in a process of its own."""

    def __init__(self, home: Path, *arguments: object) -> None:
        command = [sys.executable, "-m", "bench", *map(str, arguments), "--home", str(home)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=200)
        return self.process.returncode, out, err


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def log(home: Path, name: str) -> int:
    """Bytes of the run's log."""
    return sum(path.stat().st_size for path in (home / "runs" / name).glob("*/study.jsonl"))


def front(text: str) -> list[tuple[int, dict[str, float]]]:
    """Trials and their quality; times and memory may differ."""
    return [
        (point["trial"], {key: value for key, value in point["metrics"].items() if not key.startswith("cost/")})
        for point in json.loads(text)["points"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_ctrl_c_ends_cleanly_twice_as_well_and_the_run_goes_on(shop, tmp_path: Path, executor: str) -> None:
    """While it works, a second driver is refused."""
    home = tmp_path / "home"
    shop.edit(shop.suite, "trials = 6", "trials = 200")  # it shall not end by itself
    run = Command(home, "run", shop.suite, "--raw", shop.raw, "--name", "a", "--executor", executor, "--workers", 2)
    until(lambda: log(home, "a") > 6000 or run.process.poll() is not None)
    children = psutil.Process(run.process.pid).children(recursive=True)

    second = Command(home, "resume", "a").end()
    assert second[0] == 2, second
    assert second[1] == ""
    (line,) = second[2].splitlines()
    assert line.startswith("seesaw: ")
    assert f"expected no other driver, found one at work (process {run.process.pid})" in line

    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.end()
    assert code == 130, err
    assert "runs/a` goes on" in err
    assert "Traceback" not in err
    assert out == ""
    until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children), 20)
    assert executor == "inline" or len(children) >= 2

    manifest = home / "runs" / "a" / "run.json"
    values = json.loads(manifest.read_text())
    values["suite"]["budget"]["trials"] = 6  # a limit may be moved
    manifest.write_text(json.dumps(values))
    code, out, err = Command(home, "resume", "a", "--json").end()
    assert code == 0, err
    assert front(out)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_the_undisturbed_one(shop, tmp_path: Path) -> None:
    home, chance = tmp_path / "home", random.Random(5)
    shop.edit(shop.suite, "trials = 6", "trials = 14")
    options = ("--raw", shop.raw, "--executor", "inline", "--json")
    code, whole, err = Command(home, "run", shop.suite, "--name", "whole", *options).end()
    assert code == 0, err
    command, killed = Command(home, "run", shop.suite, "--name", "wild", *options), 0
    while killed < 6:
        size = log(home, "wild")
        until(lambda: log(home, "wild") > size or command.process.poll() is not None)  # noqa: B023 (called here)
        time.sleep(chance.uniform(0, 0.3))
        if command.process.poll() is not None:
            break
        os.kill(command.process.pid, signal.SIGKILL)
        command.end()
        killed += 1
        command = Command(home, "resume", "wild", "--json")
    code, out, err = command.end()
    assert code == 0, err
    assert killed >= 3
    assert front(out) == front(whole)
    assert json.loads(out)["hypervolume"] == json.loads(whole)["hypervolume"]


@pytest.mark.parametrize(
    ("name", "made"), [("a", ["a", "the run 'a' exists; go on with"]), (None, ["suite", "suite-2"])]
)
def test_of_two_runs_that_begin_at_once_neither_replaces_the_other(
    shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, made: list[str]
) -> None:
    together, check = Barrier(2), create._check_data
    monkeypatch.setattr(create, "_check_data", lambda *given: (check(*given), together.wait()))

    def begin(_: int) -> str:
        try:
            return create.create(
                tmp_path, Request(suite=str(shop.suite), name=name, raw=shop.raw, executor="inline")
            ).name
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(begin, range(2)))
    assert [each[: len(wanted)] for each, wanted in zip(found, made, strict=True)] == made


def test_a_cluster_is_looked_for_before_a_run_is_written(seesaw, shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the number of workers is given, so that the same command can be typed again."""

    def nowhere(options: Options) -> int:
        raise UserError(f"expected a Ray cluster at {options.address}, found none")

    monkeypatch.setattr(create, "ray_module", lambda name: SimpleNamespace(slots=nowhere))
    ray = ("--executor", "ray", "--address", "here:1", "--workers", "2", "--name", "a")
    said = seesaw("run", shop.suite, "--raw", shop.raw, *ray)
    assert (said.code, said.err) == (2, "seesaw: expected a Ray cluster at here:1, found none\n")
    assert seesaw("status", "a").code == 2


def test_the_device_reaches_every_job(seesaw, shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that seems to have a GPU; a resume may take another, and is refused one that is not there."""
    asked: list[str] = []

    def note(job: Job) -> TrialResult:
        asked.append(job.device)
        raise FloatingPointError("it is enough to know where")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(execute, "run_job", note)
    monkeypatch.setattr(execute, "Reporter", MagicMock())  # MLflow takes longer than all the rest
    seesaw("run", shop.suite, "--raw", shop.raw, "--name", "a", "--executor", "inline", "--device", "cpu")
    assert asked == ["cpu"] * 6
    seesaw("resume", "a", "--trials", "8", "--device", "cuda")
    assert asked[6:] == ["cuda"] * 2
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = seesaw("resume", "a", "--trials", "9", "--device", "cuda")
    assert (said.code, "expected a CUDA device that torch can use, found none" in said.err) == (2, True)
    kept = Run.open(tmp_path / "home", "a").manifest
    assert (kept.request.device, kept.suite.budget.trials) == ("cuda", 8)
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--executor", "ray", "--device", "cuda")
    assert (said.code, "expected --gpus above 0 beside cuda" in said.err) == (2, True)


@pytest.mark.slow
def test_a_job_time_is_kept_and_a_job_beyond_it_recorded(seesaw, shop) -> None:
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--name", "a", "--trials", 1, "--job-time", "0.002s")
    assert said.code in (0, 2), said.err  # no trial is completed, so there is nothing to choose from
    status = json.loads(seesaw("status", "a", "--json").out)
    assert status["completed"] == 0
    assert status["failed"] == 1
    assert {failure["reason"] for failure in status["failures"]} == {
        "tried 3 times; at last it took longer than 0.002 s"
    }
    assert {failure["kind"] for failure in status["failures"]} == {"infrastructure"}
