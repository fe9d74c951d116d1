"""What a page tells a user to type."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

from bench.cli.options import assignments
from bench.data import load_card
from bench.objectives import primary
from bench.run.page import mlflow_search, train_command


def result(name: str = "first", fixed: dict[str, Any] | None = None, tasks: tuple[str, ...] = ()) -> Any:
    config = fixed or {}
    searched = {"optim.lr": 0.01, "optim.batch_size": 512}
    trial = SimpleNamespace(config={**config, **searched, "optim.clip": 0.0}, params=searched)
    card = load_card("synthetic-funnel")
    chosen = [task for task in card.tasks if task.name in (tasks or card.default_tasks)]
    run = SimpleNamespace(name=name, space=SimpleNamespace(fixed=dict.fromkeys(config, "?")))
    own = SimpleNamespace(run=run, key="synthetic-funnel", card=card, tasks=chosen, ranked=())
    objectives = [SimpleNamespace(name=primary(task, in_groups=False)) for task in chosen]
    return SimpleNamespace(run=own, pick=None, objectives=objectives, records=[trial])


def test_a_configuration_is_trained_as_the_run_trained_it() -> None:
    assert train_command(result()) == "seesaw train synthetic-funnel"
    fixed = {"optim.epochs": 2, "tower.layers": "64-32"}
    words = shlex.split(train_command(result(fixed=fixed, tasks=("click",))))
    assert words[:3] == ["seesaw", "train", "synthetic-funnel"]
    assert words[3::2] == ["--set"] * 3
    assert assignments(words[4::2]) == fixed | {"training.tasks": ["click"]}


def test_a_name_cannot_end_the_search_for_its_run() -> None:
    tags = {"seesaw.run": "o\\'hara", "seesaw.dataset": "synthetic-funnel", "seesaw.trial": "{trial}"}
    assert mlflow_search(result("o'hara")) == " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
