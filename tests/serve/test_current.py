"""A packaged or registered model as the current production point of a run."""

from pathlib import Path

import pytest
from serving_toys import FUNNEL, funnel_package, package_of

from bench.app.runs.current import read_current
from bench.app.tracking import model_registry
from bench.core.errors import UserError
from bench.core.records import Point
from bench.data import load_card
from bench.deciding.score import Score
from bench.ledger.points import parts_of
from bench.models.training.ensemble import networks_in

TASKS = ("click", "purchase")


def test_a_package_gives_its_configuration_and_score(package, monkeypatch):
    card, folder = load_card(FUNNEL), package.folder
    current = read_current(str(folder), card, TASKS, folder, None)
    assert current.config == package.manifest.parts[0].config
    assert (current.kind, current.weights, current.scaled) == (
        "power",
        {"click": 1.0, "purchase": 0.5},
        False,
    )
    asked: list[tuple[Path, str, str | None]] = []
    monkeypatch.setattr(
        model_registry, "registered", lambda *arguments: asked.append(arguments) or package
    )
    registered = read_current("models:/shop@champion", card, TASKS, folder, "sqlite:///here.db")
    assert registered == current.model_copy(update={"source": "models:/shop@champion"})
    assert asked == [(folder, "models:/shop@champion", "sqlite:///here.db")]


@pytest.mark.slow  # trains several models
@pytest.mark.parametrize("kind", ["blend", "composite", "trees"])
def test_a_package_of_any_kind_gives_the_parts_that_are_trained_again(kind, store, tmp_path):
    package = package_of(kind, tmp_path / "package", store)
    current = read_current(str(package.folder), load_card(FUNNEL), TASKS, tmp_path, None)
    parts = parts_of(current.point, [current.point], TASKS)
    assert [shares for _, shares in parts] == [part.shares for part in package.manifest.parts]
    assert [networks_in(part.config) for part, _ in parts] == [
        [] if part.trees else [part.config] for part in package.manifest.parts
    ]


@pytest.mark.slow
def test_a_score_of_conditional_predictions_has_no_fusion(store, tmp_path):
    package = funnel_package(
        tmp_path / "package", store, score=Score(weights={"purchase.cvr": 1.0})
    )
    with pytest.raises(UserError, match=r"score: expected weights .* found purchase.cvr = 1"):
        read_current(str(package.folder), load_card(FUNNEL), TASKS, tmp_path, None)


def test_a_blend_has_the_network_and_the_trees_where_it_takes_some_of_both():
    network = Point("trial", {"sharing.kind": "mmoe"}, "mmoe", 5)
    trees = Point("trees", {"trees.click.leaves": 7}, "trees")

    def blend(click, buy):
        shares = {"blend.share.click": click, "blend.share.buy": buy}
        point = Point(
            "blend", {"blend.network": "5", "blend.trees": "trees", **shares}, "blend", None
        )
        return parts_of(point, [network, trees], ["click", "buy"])

    assert blend(0.75, 0.0) == [(network, (0.75, 0.0)), (trees, (0.25, 1.0))]
    assert blend(1.0, 1.0) == [(network, (1.0, 1.0))]
