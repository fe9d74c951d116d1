"""The current production point: what a file may say, what is refused, and how it ranks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.records import Point, Replicate
from bench.core.rows import CONFIRM
from bench.core.schema import Schema, Task
from bench.data import load_card
from bench.frontier.serving import Serving
from bench.results.fusion import Fusion
from bench.results.served.measuring import Candidate
from bench.run.current import Current, lasting_current, read_current
from bench.run.folder import DatasetRun
from bench.run.result import DatasetResult, _current

CARD = load_card("synthetic-funnel@rows=2000")
TASKS = ("click", "purchase")


def read(tmp_path: Path, text: str, card: Any = CARD) -> Current:
    file = tmp_path / "current.toml"
    file.write_text(text)
    return read_current(str(file), card, TASKS, tmp_path, None)


def current(content: Current | None) -> Any:
    """Of a run's part that keeps this."""
    kept = {} if content is None else {"shop": content}
    run = SimpleNamespace(manifest=SimpleNamespace(current=kept))
    part = SimpleNamespace(run=run, key="shop", tasks=[SimpleNamespace(name=task) for task in TASKS])
    part.current = DatasetRun.current.fget(part)  # type: ignore[attr-defined]
    return part


def test_a_file_with_a_configuration_and_weights(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        [config]
        "sharing.kind" = "mmoe"
        optim.lr = 0.002
        [score]
        kind = "sum"
        weights = { click = 3, purchase = 1 }
        """,
    )
    assert found.config is not None
    assert (found.config["sharing.kind"], found.config["optim.lr"]) == ("mmoe", 0.002)
    assert found.config["optim.epochs"]  # the whole configuration: no later default changes it
    said = current(found).current
    assert said.point == Point("current", found.config, "mmoe")
    assert said.fusion({"click": 0.1, "purchase": 0.01}) == Fusion("sum", (0.75, 0.25))
    assert str(tmp_path / "current.toml") in said.sentence
    assert "mmoe" in said.sentence


def test_a_picked_file_with_its_length_and_equal_weights(tmp_path: Path) -> None:
    (tmp_path / "picked.toml").write_text('"sharing.kind" = "ple"\n"training.until" = 1600\n')
    found = read(tmp_path, 'config = "picked.toml"')
    said = current(found).current
    assert said.point is not None
    assert (said.point.until, said.point.sharing) == (1600, "ple")
    assert said.fusion({"click": 0.1, "purchase": 0.01}) == Fusion("power", (0.5, 0.5))


def test_a_logged_score_has_no_model(tmp_path: Path) -> None:
    found = read(tmp_path, 'column = "todays_score"', SimpleNamespace(logged=("todays_score",)))
    said = current(found).current
    assert (said.id, said.point, said.column) == ("current", None, "todays_score")
    assert "todays_score" in said.sentence
    assert "favours it" in said.sentence


@pytest.mark.parametrize(("scores", "against"), [([0.1, 0.2], ""), ([0.1, np.nan], " (50.0% of test's rows lack it")])
def test_rows_without_the_logged_score_are_said(scores: list[float], against: str) -> None:
    part = current(Current(source="today.toml", column="todays_score"))
    rows: Any = dict.fromkeys(("confirm", "test"), SimpleNamespace(tasks=["click"], logged={"todays_score": scores}))
    _, said = _current(part, [], rows)
    assert said.startswith(f"today's score, column 'todays_score'{against}")
    assert ("rank last" in said) == bool(against)


def test_without_a_file_the_single_task_models_stand_for_it() -> None:
    said = current(None).current
    assert (said.id, said.point) == ("single_task", None)
    assert said.fusion({"click": 0.1, "purchase": 0.01}) == Fusion("power", (0.5, 0.5))
    assert not said.sentence


@pytest.mark.parametrize("given", [False, True])
def test_what_stands_for_a_current_point_that_was_not_confirmed_is_said(tmp_path: Path, given: bool) -> None:
    part = current(read(tmp_path, 'config = { "sharing.kind" = "mmoe" }') if given else None)
    stands: Any = Candidate("equal_weights", "equal weights", "mmoe", "baseline", (), lambda *at: np.zeros((0, 2)))
    rows: Any = {CONFIRM: SimpleNamespace(tasks=TASKS)}
    now, against = _current(part, [stands], rows)
    assert now is not None
    assert now.id == "equal_weights"
    missing = f"{tmp_path / 'current.toml'} was not" if given else "no single-task model was"
    assert against == f"the baseline 'equal weights' at its best weights ({missing} confirmed)"
    served: Any = SimpleNamespace(today=False)
    why = "" if given else ", as nobody said what is served (--current)"
    result: Any = SimpleNamespace(run=part, serving=Serving(served, {}, against), asked="")
    assert DatasetResult.current.fget(result) == f"All are compared with {against}{why}."  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"current.toml: .*expected either `config` or `column`, found neither"),
        ('column = "x"\n[config]\n"sharing.kind" = "mmoe"', "found both"),
        ('column = "x"\n[score]\nkind = "sum"', "no table `score` beside `column`"),
        ('column = "x"', "expected a score that the card names under `logged`, found 'x'"),
        ('config = "none.toml"', "none.toml"),
        ('[config]\n"sharing.kind" = "mmo"', "current.toml: unknown sharing kind 'mmo'"),
        ('[config]\n"sharing.knd" = "mmoe"', "knd"),
        ('[config]\n"balancing.static.weight.like" = 2.0', "weight: unknown task 'like'"),
        ("[config]\n[score]\nweights = { like = 1 }", "score.weights: unknown task 'like'"),
        ("[config]\n[score]\nweights = { click = -1 }", "greater than or equal to 0"),
        ("[config]\n[score]\nweights = { click = 0 }", "expected a weight above 0, found none"),
        ('[config]\n[score]\nkind = "product"', "kind"),
        ("typo = 1", "typo"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        read(tmp_path, text)


def test_what_does_not_fit_the_data_or_is_not_there_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    numbers = Schema((), ("price",), (Task("click", "binary"), Task("purchase", "binary", "click")))
    monkeypatch.setattr("bench.run.current.shape_of", lambda card, tasks: numbers)
    with pytest.raises(UserError, match=r"current.toml: interaction.kind = 'fm' does not fit this data"):
        read(tmp_path, '[config]\n"interaction.kind" = "fm"')
    with pytest.raises(UserError, match="expected a TOML file, a package's folder or models:/NAME/VERSION, found no"):
        read_current(str(tmp_path / "other.toml"), CARD, TASKS, tmp_path, None)
    with pytest.raises(UserError, match="expected a packaged model"):
        read_current(str(tmp_path), CARD, TASKS, tmp_path, None)


def test_a_path_may_be_beside_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suites, here = tmp_path / "suites", tmp_path / "here"
    for folder in (suites, here):
        folder.mkdir()
    monkeypatch.chdir(here)
    (suites / "now.toml").touch()
    assert lasting_current("now.toml", suites) == str(suites / "now.toml")
    assert lasting_current("now.toml") == str(here / "now.toml")
    assert lasting_current("models:/shop@champion", suites) == "models:/shop@champion"


def test_replicates_of_an_earlier_current_model_are_not_those_of_this_one() -> None:
    replicates = (Replicate(1, 1, {}),)
    first, second = (Point("current", {"sharing.kind": kind}, kind, replicates=replicates) for kind in ("mmoe", "ple"))
    trees = Point("trees", {}, "trees", replicates=replicates)
    now = Current(source="-", config=first.config, weights={"click": 1.0})
    assert now.without_earlier([trees, first, second]) == [trees, first]
    assert Current().without_earlier([trees, first, second]) == [trees]
    assert replace(first, replicates=()).training == first.training
