"""The current production point: what a file may say, how it ranks, and what a refresh may lose to
it.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.app.runs.current import CurrentPoint, read_current
from bench.app.runs.refresh import _worse
from bench.core.errors import UserError
from bench.core.records import Point, Replicate
from bench.core.schema import Schema, Task
from bench.data import load_card
from bench.deciding.policy import Guard, Policy
from bench.deciding.score import Score
from bench.ledger.effect import Effect
from bench.ledger.fusion import Fusion
from bench.serve.judgements import Judgement

CARD = load_card("synthetic-funnel@rows=2000")
TASKS = ("click", "purchase")


def read(tmp_path, text, card=CARD):
    file = tmp_path / "current.toml"
    file.write_text(text)
    return read_current(str(file), card, TASKS, tmp_path, None)


def test_a_file_with_a_configuration_and_weights(tmp_path):
    current = read(
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
    assert (current.config["sharing.kind"], current.config["optim.lr"]) == ("mmoe", 0.002)
    assert current.config["optim.epochs"]  # the whole configuration: no later default changes it
    assert current.point == Point("current", current.config, "mmoe")
    assert current.fusion({"click": 0.1, "purchase": 0.01}) == Fusion("sum", (0.75, 0.25))
    assert f"the mmoe model of {tmp_path / 'current.toml'}" in current.sentence


def test_a_file_takes_the_score_that_an_answer_says(tmp_path):
    rates = {"click": 0.1, "purchase": 0.01}
    for formula, fusion in (
        ("1 p_click + 12.8 p_purchase", Fusion.of("sum", [0.1, 0.128])),
        ("p_click^0.785 * p_purchase^0.215", Fusion.of("power", [0.785, 0.215])),
        ("p_purchase", Fusion.of("power", [0.0, 1.0])),
    ):
        current = read(
            tmp_path, f'[config]\n"sharing.kind" = "mmoe"\n[score]\nformula = "{formula}"'
        )
        assert current.fusion(rates).kind == fusion.kind
        assert current.fusion(rates).weights == pytest.approx(fusion.weights)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"current.toml: .*expected either `config` or `column`, found neither"),
        ('column = "x"\n[score]\nkind = "sum"', "no table `score` beside `column`"),
        ('column = "x"', "expected a score that the card names under `logged`, found 'x'"),
        ('[config]\n"sharing.kind" = "mmo"', "current.toml: unknown sharing kind 'mmo'"),
        ('[config]\n"balancing.static.weight.like" = 2.0', "weight: unknown task 'like'"),
        ("[config]\n[score]\nweights = { click = -1 }", "greater than or equal to 0"),
        ("typo = 1", "typo"),
        (
            '[config]\n[score]\nformula = "p_clik"',
            "score.formula: expected a sum or a product of powers of p_",
        ),
        ('[config]\n[score]\nformula = "exp(p_click)"', "score.formula: unknown function 'exp'"),
        ('[config]\n[score]\nkind = "sum"\nformula = "p_click"', "expected `formula` alone"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(tmp_path, text, says):
    with pytest.raises(UserError, match=says):
        read(tmp_path, text)


def test_what_does_not_fit_the_data_or_is_not_there_is_refused(tmp_path, monkeypatch):
    numbers = Schema((), ("price",), (Task("click", "binary"), Task("purchase", "binary", "click")))
    monkeypatch.setattr("bench.app.runs.current.shape_of", lambda card, tasks: numbers)
    with pytest.raises(
        UserError, match=r"current.toml: interaction.kind = 'fm' does not fit this data"
    ):
        read(tmp_path, '[config]\n"interaction.kind" = "fm"')
    with pytest.raises(
        UserError,
        match="expected TOML, a package's folder, column:NAME or models:/NAME/VERSION, found no",
    ):
        read_current(str(tmp_path / "other.toml"), CARD, TASKS, tmp_path, None)
    with pytest.raises(UserError, match="expected a packaged model"):
        read_current(str(tmp_path), CARD, TASKS, tmp_path, None)


@pytest.mark.parametrize(
    ("score", "weights"),
    [
        (
            {"weights": {"click": 3.0, "purchase.ctcvr": 2.0}, "rates": {"click": 0.5}},
            {"click": 6, "purchase": 2},
        ),
        ({"weights": {"click": 3.0, "purchase.cvr": 2.0}}, None),
        ({"weights": {"click": 3.0, "purchase.ctcvr": -2.0}}, None),
    ],
)
def test_a_package_ranks_as_its_score_says_if_that_is_of_all_impressions(
    tmp_path, monkeypatch, score, weights
):
    tasks = SimpleNamespace(task_names=TASKS)
    part = SimpleNamespace(config={"sharing.kind": "mmoe"})
    manifest = SimpleNamespace(score=Score(**score), name=CARD.key, parts=[part], data_schema=tasks)
    monkeypatch.setattr(
        "bench.serve.package.Package.open", lambda path: SimpleNamespace(manifest=manifest)
    )
    if weights is None:
        with pytest.raises(
            UserError, match=r"at least 0 of predictions on all impressions, found purchase.c"
        ):
            read_current(str(tmp_path), CARD, TASKS, tmp_path, None)
        return
    current = read_current(str(tmp_path), CARD, TASKS, tmp_path, None)
    assert (current.kind, current.weights, current.config["sharing.kind"]) == (
        "sum",
        weights,
        "mmoe",
    )
    rates = {"click": 0.1, "purchase": 0.01}
    # of predictions as they are
    assert current.fusion(rates) == Fusion.of("sum", [6 * 0.1, 2 * 0.01])


def test_replicates_of_an_earlier_current_model_are_not_those_of_this_one():
    replicates = (Replicate(1, 1, {}),)
    first, second = (
        Point("current", {"sharing.kind": kind}, kind, replicates=replicates)
        for kind in ("mmoe", "ple")
    )
    trees = Point("trees", {}, "trees", replicates=replicates)
    now = CurrentPoint(source="-", config=first.config, weights={"click": 1.0})
    assert now.without_earlier([trees, first, second]) == [trees, first]
    assert CurrentPoint().without_earlier([trees, first, second]) == [trees]
    assert replace(first, replicates=()).training == first.training


@pytest.mark.parametrize(
    ("loss", "gain", "refused"),
    [(0.0, (-0.03, -0.05, -0.01), True), (0.02, (-0.03, -0.05, -0.01), False), (0.02, (-0.04, -0.05, -0.03), True),
     (None, (-0.03, -0.05, -0.01), False), (None, (-0.1, -0.12, -0.08), True), (0.0, (0.01, -0.01, 0.03), False)],
)  # fmt: skip
def test_a_sure_loss_beyond_the_guard_is_refused(loss, gain, refused):
    guard = Guard() if loss is None else Guard(max_loss_vs_current=loss)
    decision = SimpleNamespace(serving=SimpleNamespace(rates={}))
    deployment = SimpleNamespace(
        policy=Policy(rule="knee", guard=guard), result=SimpleNamespace(decision=decision)
    )
    difference = Effect(*(0.5 * bound for bound in gain))
    judgements = [
        Judgement("click.recall@10%", "larger", Effect(0.5, 0.4, 0.6), Effect(0.5), difference)
    ]
    assert list(_worse(judgements, deployment)) == ["click.recall@10%"] * refused
