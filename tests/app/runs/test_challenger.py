"""`--point ID`: a point that the user names, at its best weights, in place of the pick; and what
refusals name.
"""

import pytest
from remake import unpack

import bench
from bench.app.cli import main
from bench.app.runs.backtest import backtest, plan_of
from bench.app.runs.deployment import deployment_of
from bench.app.runs.later_options import BacktestOptions, DeployOptions
from bench.core.errors import UserError
from bench.core.system.lock import FolderLock
from bench.core.system.progress import Silent
from bench.deciding.challenger import challenger_of, pick_challenger, points_of

KEEP = 'rule = "knee"\n[guard]\nmax_loss_vs_current = 0.0\nconfidence = 0.999\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The stored runs."""
    folder = tmp_path_factory.mktemp("home")
    unpack(folder)
    return folder


@pytest.fixture(scope="module")
def two(home):
    """A run with a current model, whose verdict is that nobody can tell."""
    return bench.load_run("two", home)


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    """A policy under which nothing but what is served passes."""
    file = tmp_path_factory.mktemp("policy") / "keep.toml"
    file.write_text(KEEP)
    return file


def test_it_has_the_weights_of_the_verdicts_contest(two):
    decision = two.decision
    best = decision.contests()[0].best
    served = decision.serving.served
    for point in best:
        assert challenger_of(decision, point).row == best[point]
        chosen = pick_challenger(decision, point)
        assert (chosen.point, chosen.row) == (point, best[point])
        assert chosen.weights == served.table["weights"].iloc[best[point]]
    assert (
        "the best for it by the policy, within its limits"
        in pick_challenger(decision, "7").sentence
    )


def test_what_keeps_no_limit_has_its_best_weights_all_the_same_and_that_is_said(two):
    decision = two.decision
    (outside,) = {*points_of(decision)} - {*decision.contests()[0].best} - {"equal_weights"}
    challenger = challenger_of(decision, outside)
    contest, table = decision.contests()[0], decision.serving.served.table
    rows = (table["point"] == outside).to_numpy().nonzero()[0]
    scores = contest.goal.worth(decision.choices.values(decision.choices.names))[rows]
    assert (challenger.row, challenger.keeps_limits) == (rows[scores.argmax()], False)
    assert "none of which keep its limits" in pick_challenger(decision, outside).reason


def test_an_unknown_one_is_one_sentence_with_those_that_there_are(two):
    points = "known are 0, 4, 5, 6, 7, current, equal_weights, single_task, trees$"
    for ask in (challenger_of, pick_challenger):
        with pytest.raises(UserError, match=f"^--point: unknown point 'tree' .*{points}"):
            ask(two.decision, "tree")
    with pytest.raises(
        UserError, match=r"--point: expected a point that was trained again .* found '1'"
    ):
        two.plan(point="1")


def test_of_heads_alone_it_is_the_point(home):
    decision = bench.load_run("unconfirmed", home).decision
    assert challenger_of(decision, "3").both is None
    assert pick_challenger(decision, "3").trial == 3


def test_a_deployment_takes_it_with_its_score(home, two):
    deployment = deployment_of(home, DeployOptions(target="two", point="trees"))
    best = pick_challenger(two.decision, "trees")
    assert (deployment.point.id, deployment.pick.weights, deployment.asked) == (
        "trees",
        best.weights,
        True,
    )
    assert (
        deployment.command.endswith("--as challenger --seed 0 --point trees")
        or "--point trees" in deployment.command
    )
    assert deployment.unsure == ""


@pytest.mark.slow
def test_keep_of_a_logged_score_is_no_dead_end(home, keep):
    """The pick is a column of the log, which nobody can train."""
    points = "0, 1, 2, 6, 7, single_task, equal_weights, trees$"
    with pytest.raises(
        UserError, match=f"column 'today'.* `seesaw deploy four --point ID` takes .*{points}"
    ):
        deployment_of(home, DeployOptions(target="four", policy=keep))
    assert deployment_of(home, DeployOptions(target="four", policy=keep, point="2")).point.id == "2"


def test_a_policy_that_nothing_passes_leaves_challengers(home, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text('rule = "knee"\n[guard.at_least]\n"click.recall@10%" = 0.999\n')
    with pytest.raises(
        UserError, match=r"nothing passes the guard.*; `seesaw deploy two --point ID` takes .*trees"
    ):
        deployment_of(home, DeployOptions(target="two", policy=file))
    deployment = deployment_of(home, DeployOptions(target="two", policy=file, point="trees"))
    assert "none of which keep its limits" in deployment.pick.reason


def test_a_plan_is_of_its_effect(two):
    decision = two.decision
    challenger = challenger_of(decision, "4")
    plan = two.plan(point="4")
    assert plan["expected"] == challenger.both.utility.to_json()
    assert (plan["point"], plan["who"]) == ("4", "MMoE, 2 experts")
    assert any("What you asked to test, MMoE, 2 experts" in note for note in plan["notes"])
    assert plan["plan"]["gain"] > 0
    assert two.plan()["expected"] != plan["expected"]
    assert (
        "'current' at its best weights is what is served" in two.plan(point="current")["sentence"]
    )


def test_a_backtest_takes_it_at_its_best_weights(two, monkeypatch):
    class Times:
        def cuts(self, cuts, every):
            return ()

    monkeypatch.setattr("bench.app.runs.backtest.times_of", lambda *arguments: Times())
    plan = plan_of(two.found, BacktestOptions(points=("7",)), Silent())
    weights = [plan.ranked["7"].fusion.weights[place] for place in (0, 1)]
    assert weights == pytest.approx([*pick_challenger(two.decision, "7").weights.values()])
    with pytest.raises(
        UserError,
        match=r"beside 'current'.*`seesaw backtest two --point ID` takes .*: 0, 4, 5, 6, 7, ",
    ):
        plan_of(two.found, BacktestOptions(points=("current",)), Silent())


def test_of_two_backtests_at_once_the_second_says_so(two, monkeypatch):
    part = two.found.run
    monkeypatch.setattr("bench.app.runs.backtest.plan_of", lambda *arguments: None)
    monkeypatch.setattr("bench.app.runs.backtest.cost_of", lambda *arguments: "")
    sentence = "expected no other back-test, found one at work"
    with (
        FolderLock(part.folder, "backtest.lock", "back-test"),
        pytest.raises(UserError, match=sentence),
    ):
        backtest(two.found, BacktestOptions(), Silent())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["explain", "four"], "found none; first `seesaw deploy four`"),
        (["explain", "two", "--point", "7"], "found none; first `seesaw deploy two --point 7`"),
        (["score", "two", "--latency"], "found none; `seesaw deploy two` makes one"),
        (
            ["deploy", "two", "--point", "7", "--promote"],
            "--point: expected no --promote or --rollback beside it",
        ),
        (["backtest", "unconfirmed"], "runs/unconfirmed --confirm replicates=3` makes one"),
        (["plan", "unconfirmed"], "`seesaw run RUN --confirm replicates=3` makes one"),
    ],
)
def test_refusals_name_the_command_that_works(home, capsys, words, says):
    assert main([*words, "--home", str(home)]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_challenger_by_default(home, capsys):
    assert main(["deploy", "two", "--point", "trees", "--dry-run", "--home", str(home)]) == 0
    output = capsys.readouterr().out
    assert "As asked: boosted trees" in output
    assert "challenger moves to version (new)" in output


def test_values_of_a_run_with_groups_count_outcomes_that_add_up(home, capsys):
    """Its outcomes are of lists, which do not; so values are refused only where the user named such
    outcomes.
    """
    assert (
        main(["pick", "three", "--value", "click=1", "--value", "buy=40", "--home", str(home)]) == 0
    )
    assert "click.recall@10%" in capsys.readouterr().out
