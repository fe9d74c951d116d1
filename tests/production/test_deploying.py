"""Deployments of one run: one at a time, and whatever ends one, nothing is left half-done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.core.errors import UserError
from bench.run import deploy
from bench.run.deploy import check_name, deploying
from bench.run.deployment import deployment_of
from bench.tracking.registry import DATASET, TASKS, Registry

CODE = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from bench.system.atomic import scratch_folder
from bench.run import deploy
deploy.check_name = lambda deployment: None
folder = Path(sys.argv[1])
part = SimpleNamespace(folder=folder, run=SimpleNamespace(tracking_uri=""))
with deploy.deploying(SimpleNamespace(part=part, parts=[])), scratch_folder(folder / "deploy"):
    os.kill(os.getpid(), int(sys.argv[2]))
"""


def deployment(folder: Path, uri: str = "", named: bool = False) -> Any:
    tasks = [SimpleNamespace(name="click"), SimpleNamespace(name="buy")]
    part = SimpleNamespace(folder=folder, run=SimpleNamespace(store_address=uri), tasks=tasks, key="/a/card.toml")
    return SimpleNamespace(part=part, parts=[], name="shop", named=named)


@pytest.fixture
def without_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploy, "check_name", lambda deployment: None)


@pytest.mark.usefixtures("without_registry")
def test_two_at_once(tmp_path: Path) -> None:
    with deploying(deployment(tmp_path)):
        sentence = rf"expected no other deployment, found one at work \(process {os.getpid()}\)"
        with pytest.raises(UserError, match=sentence), deploying(deployment(tmp_path)):
            pass
    with deploying(deployment(tmp_path)):
        pass


def test_a_registry_that_cannot_be_reached_is_told_before_a_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    address = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    with pytest.raises(UserError, match="could not list the models"), deploying(deployment(tmp_path, address)):
        raise AssertionError("nothing may begin")


def registered(monkeypatch: pytest.MonkeyPatch, tags: dict[str, str]) -> None:
    """A model of that name, whose champion has these tags."""
    monkeypatch.setattr(Registry, "__init__", lambda self, uri: None)
    monkeypatch.setattr(Registry, "_tags", lambda self, name: tags)


def test_a_new_version_of_the_same_model_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tags in ({}, {TASKS: "buy", DATASET: "/a/card.toml"}, {TASKS: "buy"}):
        registered(monkeypatch, tags)
        check_name(deployment(tmp_path))
    registered(monkeypatch, {TASKS: "buy", DATASET: "/b/card.toml"})
    check_name(deployment(tmp_path, named=True))


@pytest.mark.parametrize(
    ("tags", "named", "sentence"),
    [
        (
            {TASKS: "visit", DATASET: "/a/card.toml"},
            True,
            "which predicts visit, found a pick that predicts click, buy",
        ),
        ({TASKS: "buy", DATASET: "/b/card.toml"}, False, "whose data are /b/card.toml, found a pick on /a/card.toml"),
    ],
)
def test_another_model_of_the_same_name_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], named: bool, sentence: str
) -> None:
    registered(monkeypatch, tags)
    with (
        pytest.raises(UserError, match=f"registered model 'shop', {sentence}; .* with --name"),
        deploying(deployment(tmp_path, named=named)),
    ):
        raise AssertionError("nothing may begin")


@pytest.mark.slow  # seconds for a process that loads torch
@pytest.mark.usefixtures("without_registry")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_a_killed_one_leaves(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path), str(int(number))]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert done.returncode == {signal.SIGTERM: 143, signal.SIGINT: -signal.SIGINT}.get(number, -number), done.stderr
    assert bool(list(tmp_path.glob(".*.part"))) == (number == signal.SIGKILL)
    with deploying(deployment(tmp_path)):
        assert [path.name for path in tmp_path.iterdir()] == ["deploy.lock"]


@pytest.mark.parametrize("name", ["кино", "", "a shop", "a/b", "x" * 300])
def test_a_name_that_the_registry_cannot_have_is_refused_first(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"--name: expected at most 200 of a-z, A-Z, 0-9, '.', '_' and '-', found '"):
        deployment_of(tmp_path, "nothing", None, name, None)
