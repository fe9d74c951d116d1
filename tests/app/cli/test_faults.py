"""Ctrl-C, a second driver and SIGKILL, on the real command line in processes of their own."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psutil
import pytest

from bench.app.runs import create
from bench.app.runs.request import Request
from bench.core.errors import UserError

ROOT = Path(__file__).parents[3]


class Command:
    """`seesaw` in a process of its own."""

    def __init__(self, home, *arguments):
        command = [sys.executable, "-m", "bench", *map(str, arguments), "--home", str(home)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def end(self):
        out, err = self.process.communicate(timeout=200)
        return self.process.returncode, out, err


def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def log(home, name):
    """Bytes of the run's log."""
    return sum(path.stat().st_size for path in (home / "runs" / name).glob("*/study.jsonl"))


def front(text):
    """Trials and their quality; times and memory may differ."""
    return [
        (
            point["trial"],
            {key: value for key, value in point["metrics"].items() if not key.startswith("cost/")},
        )
        for point in json.loads(text)["points"]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_ctrl_c_ends_cleanly_twice_as_well_and_the_run_goes_on(shop, tmp_path, executor):
    """While it works, a second driver is refused."""
    home = tmp_path / "home"
    shop.edit(shop.suite, "trials = 6", "trials = 200")  # it shall not end by itself
    run = Command(
        home,
        "run",
        shop.suite,
        "--raw",
        shop.raw,
        "--name",
        "a",
        "--executor",
        executor,
        "--workers",
        2,
    )
    until(lambda: log(home, "a") > 6000 or run.process.poll() is not None)
    children = psutil.Process(run.process.pid).children(recursive=True)

    second = Command(home, "run", "a").end()
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
    until(
        lambda: not any(child.is_running() and child.status() != "zombie" for child in children), 20
    )
    assert executor == "inline" or len(children) >= 2

    manifest = home / "runs" / "a" / "run.json"
    values = json.loads(manifest.read_text())
    values["suite"]["budget"]["trials"] = 6  # a limit may be moved
    manifest.write_text(json.dumps(values))
    code, out, err = Command(home, "run", "a", "--json").end()
    assert code == 0, err
    assert front(out)


@pytest.mark.slow
@pytest.mark.parametrize("with_trainer", [False, True])
def test_a_run_that_is_killed_again_and_again_ends_as_the_undisturbed_one(
    shop, trainer, tmp_path, with_trainer
):
    home, chance = tmp_path / "home", random.Random(5)
    shop.edit(shop.suite, "trials = 6", "trials = 14")
    options = ("--raw", shop.raw, "--executor", "inline", "--json")
    if with_trainer:
        options += ("--trainer", trainer)
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
        command = Command(home, "run", "wild", "--json")
    code, out, err = command.end()
    assert code == 0, err
    assert killed >= 3
    assert front(out) == front(whole)
    assert json.loads(out)["hypervolume"] == json.loads(whole)["hypervolume"]


@pytest.mark.parametrize(
    ("name", "made"),
    [("a", ["--name: expected a name that no run has", "a"]), (None, ["suite", "suite-2"])],
)
def test_of_two_runs_that_begin_at_once_neither_replaces_the_other(
    shop, tmp_path, monkeypatch, name, made
):
    together, check = Barrier(2), create._check_data
    monkeypatch.setattr(create, "_check_data", lambda *given: (check(*given), together.wait()))

    def begin(_):
        try:
            return create.create(
                tmp_path, Request(suite=str(shop.suite), name=name, raw=shop.raw, executor="inline")
            ).name
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(begin, range(2)))
    assert [each[: len(wanted)] for each, wanted in zip(found, made, strict=True)] == made
