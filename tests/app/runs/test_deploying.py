"""Deployments of one run: one at a time, and whatever ends one, nothing is left half-done."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.app.runs import deploy
from bench.app.runs.deploy import deploying
from bench.app.tracking.model_registry import CHAMPION, DATASET, TASKS, ModelRegistry
from bench.core.errors import UserError

CODE = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from bench.core.system.atomic import scratch_folder
from bench.app.runs import deploy
deploy.check_name = lambda deployment: None
folder = Path(sys.argv[1])
part = SimpleNamespace(folder=folder, run=SimpleNamespace(tracking_uri=""))
with deploy.deploying(SimpleNamespace(part=part, parts=[])), scratch_folder(folder / "deploy"):
    os.kill(os.getpid(), int(sys.argv[2]))
"""


def deployment(folder, uri="", named=False):
    part = SimpleNamespace(
        folder=folder,
        run=SimpleNamespace(store_address=uri),
        task_names=("click", "buy"),
        key="/a/card.toml",
    )
    return SimpleNamespace(part=part, parts=[], name="shop", named=named)


@pytest.fixture
def without_registry(monkeypatch):
    monkeypatch.setattr(deploy, "check_name", lambda deployment: None)


@pytest.mark.usefixtures("without_registry")
def test_two_at_once(tmp_path):
    with deploying(deployment(tmp_path)):
        sentence = rf"expected no other deployment, found one at work \(process {os.getpid()}\)"
        with pytest.raises(UserError, match=sentence), deploying(deployment(tmp_path)):
            pass
    with deploying(deployment(tmp_path)):
        pass


def test_a_registry_that_cannot_be_reached_is_told_before_a_training(tmp_path):
    (tmp_path / "file").touch()
    address = f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}"
    with (
        pytest.raises(UserError, match="could not list the models"),
        deploying(deployment(tmp_path, address)),
    ):
        raise AssertionError("nothing may begin")


PREDICTS = "which predicts visit, found a pick that predicts click, buy"


@pytest.mark.parametrize(
    ("tags", "named", "sentence"),
    [
        ({}, False, ""),
        ({TASKS: "buy", DATASET: "/a/card.toml"}, False, ""),
        ({TASKS: "buy"}, False, ""),
        ({TASKS: "buy", DATASET: "/b/card.toml"}, True, ""),
        ({TASKS: "visit", DATASET: "/a/card.toml"}, True, PREDICTS),
        (
            {TASKS: "buy", DATASET: "/b/card.toml"},
            False,
            "whose data are /b/card.toml, found a pick on /a/card.toml",
        ),
    ],
)
def test_another_model_of_the_same_name_is_not_replaced(
    tmp_path, monkeypatch, tags, named, sentence
):
    """A version of the same model is; its champion has these tags."""
    monkeypatch.setattr(ModelRegistry, "__init__", lambda self, uri: None)
    monkeypatch.setattr(ModelRegistry, "aliases", lambda self, name: {CHAMPION: "1"})
    monkeypatch.setattr(
        ModelRegistry, "_version", lambda self, name, number: SimpleNamespace(tags=tags)
    )
    refusal = pytest.raises(UserError, match=f"registered model 'shop', {sentence}; .* with --name")
    with refusal if sentence else nullcontext(), deploying(deployment(tmp_path, named=named)):
        assert not sentence, "nothing may begin"


@pytest.mark.slow  # seconds for a process that loads torch
@pytest.mark.usefixtures("without_registry")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_a_killed_one_leaves(tmp_path, number):
    command = [sys.executable, "-c", CODE, str(tmp_path), str(int(number))]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, check=False)
    assert done.returncode == {signal.SIGTERM: 143, signal.SIGINT: -signal.SIGINT}.get(
        number, -number
    ), done.stderr
    assert bool(list(tmp_path.glob(".*.part"))) == (number == signal.SIGKILL)
    with deploying(deployment(tmp_path)):
        assert [path.name for path in tmp_path.iterdir()] == ["deploy.lock"]
