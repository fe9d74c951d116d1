"""Picking by a written policy."""

import json
from dataclasses import replace

import numpy as np
import pytest
from choice_toys import CLICK, EQUAL, LIKE, made, served_of
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_toys import noisy

from bench.core.errors import UserError
from bench.core.objectives import Objective
from bench.core.plain import parse_toml
from bench.core.records import Point
from bench.core.schema import Task
from bench.frontier.choices import head_choices, served_choices
from bench.frontier.options import read_bound, read_value
from bench.frontier.pick import NothingPasses, pick
from bench.frontier.policy import Guard, Policy, read_policy
from bench.frontier.stability import ENOUGH
from bench.results.effect import Effect
from bench.results.frontier import frontier
from bench.results.ledger import ALL, PARTS
from bench.results.points import estimates, points_of_run

OUTCOMES = (Objective(CLICK, "maximize"), Objective(LIKE, "maximize"))
ROWS = {
    "current": (0.134, 0.583),
    "7": (0.139, 0.563),
    "7 b": (0.135, 0.584),
    "7 c": (0.155, 0.466),
    "8": (0.1335, 0.606),
    "8 b": (0.127, 0.606),
}


def heads_of(points, objectives):
    return head_choices(frontier([], objectives, baselines=points), points)


def choose(choices, **policy):
    return pick(choices, [], Policy.model_validate(policy))


def asked(maximize, at_least=None, at_most=None):
    return Policy().asked(maximize, at_least or {}, at_most or {}, {})


RULES = (
    {"rule": "knee"},
    {"rule": "weights", "weights": {CLICK: 3, LIKE: 1}},
    {"rule": "utopia"},
    {"rule": "epsilon", "epsilon": {"best": LIKE, "subject_to": {CLICK: "98% of current"}}},
)
ANY = st.dictionaries(st.integers(0, 99).map(str), st.tuples(*[st.floats(0.01, 1.0)] * 2), min_size=1, max_size=12)


@settings(max_examples=20)
@given(policy=st.sampled_from(RULES), rows=ANY, seed=st.integers(0, 9))
def test_a_pick_keeps_its_limits_is_not_dominated_and_does_not_depend_on_the_rows_order(policy, rows, seed):
    rows = {"current": (0.4, 0.4)} | rows
    choices = made(rows)
    found = choose(choices, **policy)
    mine, today = np.array(rows[found.point]), np.array(rows["current"])
    least = np.array([0.98, 0.0]) if policy["rule"] == "epsilon" else np.array([0.95, 0.95])
    passing = [np.array(row) for row in rows.values() if (row >= least * today - 1e-12).all()]
    assert any((mine == row).all() for row in passing)
    if found.role == "trial":  # where nothing gains beyond noise, the current point stays
        assert not any((row >= mine).all() and (row > mine + 1e-9).any() for row in passing)
    names = [list(rows)[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    again = choose(made({name: rows[name] for name in names}), **policy)
    assert rows[again.point] == pytest.approx(rows[found.point])


def test_the_most_likes_at_98_percent_of_the_clicks():
    found = pick(made(ROWS, noise=0.002), [], asked(LIKE, {CLICK: "98% of current"}))
    assert (found.point, found.kind, found.weights) == ("8", "power", {"click": 0.5, "like": 0.5})
    assert found.outcomes == {CLICK: 0.1335, LIKE: 0.606}
    assert found.sentence == (
        "The pick is trial 8 (mmoe): it has the best like.recall@10% with click.recall@10% at least 98% of current."
    )
    assert found.reason.startswith(f"{found.sentence} Against current: click.recall@10% -0.37% (")
    assert "like.recall@10% +3.9% (" in found.reason
    assert "). Values here are means over replicates on validation and confirmation rows" in found.reason
    assert [each.point for each in found.runners_up] == ["7", "current"]
    assert found.short.startswith("The pick is trial 8 (mmoe) with the weights click 0.5, like 0.5 (power), against")
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["weights"] == {"click": 0.5, "like": 0.5}


def test_where_nothing_gains_you_keep_what_you_have():
    found = choose(made({"current": (0.134, 0.583), "7": (0.1341, 0.5825), "8": (0.12, 0.6)}, noise=0.01))
    assert (found.point, found.role, found.trial) == ("current", "current", None)
    assert found.sentence.startswith("Keep what you have: nothing gains on the current point, current")


def test_a_gain_over_nothing_is_no_per_cent():
    found = choose(made({"current": (0.1, 0.0), "7": (0.12, 0.02)}, noise=0.01))
    assert f"{LIKE} 0.02 (there: 0)" in found.short
    assert "it holds in 100% of retrainings" in found.short


def test_where_only_the_limits_keep_the_current_point_the_pick_says_so():
    found = choose(made({"current": (0.134, 0.583), "8": (0.12, 0.8)}, noise=0.01))
    assert (found.point, found.unlimited) == ("current", 1)
    assert found.sentence.startswith("Keep what you have: nothing within the limits gains")


def test_a_trial_that_is_the_current_point_itself_is_kept_by_the_limits_too():
    rows = {"7": (0.134, 0.583), "single_task": (0.134, 0.583), "8": (0.12, 0.8)}
    found = choose(made(rows, current="single_task"))
    assert (found.point, found.unlimited) == ("7", 2)


# The two faults that were found in use


def test_no_pick_is_dominated_by_a_baseline():
    """Equal weights beat trial 7 in both outcomes: they are the pick, whatever P(non-dominated) says."""
    rows = {"current": (0.1, 0.5), "7": (0.12, 0.6), "equal_weights": (0.121, 0.61)}
    for policy in RULES:
        assert choose(made(rows, p_nondominated=[0.1, 0.9998, 0.2]), **policy).point == "equal_weights"


def test_trees_are_picked_like_any_other_model():
    rows = {"current": (0.1, 0.5), "7": (0.102, 0.52), "trees": (0.12, 0.6)}
    assert choose(made(rows, noise=0.001)).point == "trees"


def test_a_pick_that_other_draws_would_not_make_names_the_others():
    close = {"current": (0.1, 0.5), "7": (0.12, 0.60), "8": (0.1199, 0.6)}
    found = choose(made(close, noise=0.02))
    assert found.stability.holds < ENOUGH
    assert f"Unsure: it holds in only {found.stability.holds:.0%} of retrainings" in found.reason
    assert "First instead: trial 8 (mmoe) in" in found.reason
    sure = choose(made({"current": (0.1, 0.5), "7": (0.12, 0.60), "8": (0.11, 0.6)}, noise=0.002))
    assert sure.stability.holds >= ENOUGH
    assert f"It holds in {sure.stability.holds:.0%} of retrainings." in sure.reason


def test_a_simpler_choice_that_is_as_good_is_named_or_taken():
    rows = {
        "current": (0.1, 0.5),
        "7": (0.12, 0.6),
        "8": (0.1199, 0.5995),
        "equal_weights": (0.1198, 0.6),
        "9": (0.11, 0.6),
    }
    sizes = [9e4, 9e4, 3e4, 9e4, 1e3]
    found = choose(made(rows, noise=0.01, size=sizes))
    assert (found.point, found.as_good) == ("7", ("trial 8", "equal weights"))
    assert "As good within noise (and within 0.5% in every outcome) are trial 8 (mmoe) with" in found.sentence
    assert choose(made(rows, noise=0.01, size=sizes), simplest=True).point == "8"
    assert choose(made(rows, noise=1e-5, size=sizes), simplest=True).point == "7"  # surely behind


# Where nothing passes


@settings(max_examples=20)
@given(bound=st.floats(0.15, 0.9), share=st.integers(130, 300))
def test_what_is_advised_is_enough(bound, share):
    policy = {"guard": {"at_least": {CLICK: bound, LIKE: f"{share}% of current"}}}
    with pytest.raises(
        NothingPasses, match=r"nothing passes the guard; the nearest is .* would pass if guard.at_least"
    ) as error:
        choose(made({"current": (0.1, 0.5), "7": (0.12, 0.6), "8": (0.14, 0.4)}), **policy)
    values = parse_toml("\n".join(each.toml for each in error.value.remedies), "advice")
    assert choose(made({"current": (0.1, 0.5), "7": (0.12, 0.6), "8": (0.14, 0.4)}), **values) == error.value.pick


@pytest.mark.parametrize(
    ("outcome", "today", "other", "guard", "noise"),
    [
        ("watch.spearman", 0.1, -0.05, {"at_least": {"watch.spearman": "98% of current"}}, 0.0),
        ("watch.spearman", 0.1, -0.05, {"at_least": {"watch.spearman": "98% of current"}}, 1e-5),
        ("watch.spearman", 0.0, -0.05, {"max_loss_vs_current": 0.02}, 0.0),
        ("watch.spearman", 0.1, -0.05, {"max_loss_vs_current": 0.02}, 0.0),
        ("watch.spearman", 0.1, -0.05, {"max_loss_vs_current": {"watch.spearman": 0.02}}, 0.0),
        ("like.recall@10%", 0.1, 0.0005, {"at_least": {"like.recall@10%": "98% of current"}}, 0.0),
        ("cost/parameters", 2.0, 2e20, {"at_most": {"cost/parameters": "110% of current"}}, 0.0),
    ],
)
def test_of_any_size_what_is_advised_is_enough(outcome, today, other, guard, noise):
    """The current point is far too slow, and the guard asks too much of the other one."""
    rows, guard = {"current": (0.1, today), "7": (0.2, other)}, {**guard}
    guard["at_most"] = {**guard.get("at_most", {}), "cost/latency_ms": 5}
    more = {"cost/latency_ms": [1e30, 1.0]}
    choices = made(rows, noise=noise, outcomes=(CLICK, outcome), served=False, **more)
    with pytest.raises(NothingPasses, match="nothing passes the guard; the nearest is") as error:
        choose(choices, guard=guard)
    advice = parse_toml("\n".join(each.toml for each in error.value.remedies), "advice")["guard"]
    advice["at_most"] = guard["at_most"] | advice.get("at_most", {})
    assert choose(choices, guard=guard | advice) == error.value.pick


# What a policy chooses among


@pytest.fixture
def run(trial):
    """The trials of a run, single-task 0 and 1 and a trial 2 that gains in both; and its trees."""
    test = (0.5, 0.5)
    values = {0: (0.72, 0.79), 1: (0.70, 0.80), 2: (0.725, 0.805), 3: (0.73, 0.81)}
    made = {
        number: trial(
            number, *value, kind="single_task" if number in (0, 1) else "mmoe",
            runs=tuple(((value[0] + move, value[1] - move), test) for move in (-0.001, 0.0, 0.001)), parameters=10.0,
        )
        for number, value in values.items()
    }  # fmt: skip
    *trials, last = (
        replace(p, replicates=tuple(replace(r, seed=i) for i, r in enumerate(p.replicates))) for p in made.values()
    )
    return trials, [Point("trees", {}, "trees", metrics={"cost/parameters": 10.0}, replicates=last.replicates)]


def test_heads_are_chosen_among_with_baselines_and_the_single_task_models_as_current(run, objectives):
    every = points_of_run(*run, objectives)
    choices = heads_of(every, objectives)
    assert choices.table["point"].tolist() == ["0", "1", "2", "single_task", "trees"]
    assert (choices.current, choices.served, choices.draws.shape) == (3, False, (1000, 5, 2))
    assert choices.table["on_front"].tolist() == [False, False, False, False, True]
    found = pick(choices, every, Policy())
    assert (found.point, found.trial, found.kind) == ("trees", None, None)
    assert "Against best single-task models: click.auc +0." in found.reason


def test_a_pick_reads_validation_and_confirmation_rows_where_all_were_measured_on_both(run, objectives):
    every = points_of_run(*run, objectives)
    both = heads_of(every, objectives)
    values, names = both.values(both.objectives), list(both.objectives)
    assert values == pytest.approx(estimates(every, objectives) + 0.005)  # the toys have .01 more on validation
    assert both.draws.mean(axis=0) == pytest.approx(values, abs=2e-3)
    unseen = [replace(one, metrics={key: value for key, value in one.metrics.items() if key != f"valid/{names[0]}"})
              for one in every[-1].replicates]  # fmt: skip
    found = heads_of([*every[:-1], replace(every[-1], replicates=tuple(unseen))], objectives)
    assert found.values(names[:1]) == pytest.approx(estimates(every, objectives)[:, :1])
    assert found.values(names[1:]) == pytest.approx(values[:, 1:])


def test_what_was_not_confirmed_is_chosen_by_what_the_search_saw(trial, failed, objectives):
    records = [trial(0, 0.7, 0.8), trial(1, 0.72, 0.79), trial(2, 0.69, 0.7), failed(3)]
    front = frontier(records, objectives)
    choices = head_choices(front, front.points)
    found = pick(choices, front.points, Policy())
    assert (found.point, choices.current, found.stability.holds) == ("1", None, None)
    assert "It has click.auc 0.72, like.auc 0.79." in found.reason
    assert "The guard could not judge click.auc, like.auc: there is no current point." in found.reason
    with pytest.raises(UserError, match="nothing to pick from: no trial has completed"):
        pick(head_choices(frontier([], objectives), []), [], Policy())


def test_no_test_value_influences_a_pick(run, objectives):
    both = [points_of_run(*each, objectives) for each in (run, [[_test_replaced(one) for one in part] for part in run])]
    found = [pick(heads_of(every, objectives), every, Policy()) for every in both]
    told = [json.dumps(each.to_json()) for each in found]
    assert told[0] == told[1]
    assert "test" not in told[0]


def test_no_test_value_of_a_served_front_influences_a_pick(run, objectives):
    """Nor is any among the choices."""
    rows = {"current": (0.1, 0.5), "1": (0.11, 0.55), "2": (0.12, 0.51), "trees": (0.13, 0.6)}
    cells = np.random.default_rng(2).random((4, 2, len(PARTS)))
    front = served_of(made(rows, noise=0.02), {"country=US": cells})
    others = [[_test_replaced(one) for one in part] for part in run]
    policy = Policy(guard=Guard.model_validate({"segments": {"max_loss": 0.9}}))
    told = []
    for served, of in ((front, run), (noisy(front), others)):
        points = points_of_run(*of, objectives)
        choices = served_choices(served, points, EQUAL)
        assert {split for split, _ in choices.ledger.cells} == set(choices.ledger.draws) == {"confirm"}
        told.append(json.dumps(pick(choices, points, policy).to_json()).encode())
    assert told[0] == told[1]


def _test_replaced(made):
    """A trial or a point with other metrics on test."""
    noise = np.random.default_rng(made.number).random

    def moved(metrics):
        return {key: float(noise()) if key.startswith("test/") else value for key, value in metrics.items()}

    runs = tuple(replace(each, metrics=moved(each.metrics)) for each in made.replicates)
    return replace(made, metrics=moved(made.metrics), replicates=runs)


def test_serving_points_have_the_costs_and_heads_of_their_points(run, objectives):
    served = made({"2": (0.1, 0.5), "2 b": (0.12, 0.4), "trees": (0.1, 0.6), "unknown": (0.1, 0.1)}, current="unknown")
    cells = np.full((4, 2, len(PARTS)), np.nan)
    cells[0, 0] = 0.11, 0.1, 0.12, 0.1, 0.0, 0.2, np.nan
    front = served_of(served, {"country=US": cells})
    choices = served_choices(front, points_of_run(*run, objectives), EQUAL)
    assert choices.ledger.gains(0, "confirm", "country=US")[CLICK] == Effect(0.1, 0.0, 0.2)
    assert choices.table[f"{CLICK}[country=US]"].dropna().to_dict() == {0: 0.11}
    valid = front.cells["confirm", ALL] + np.array([[0.02], [0.0]])
    longer = replace(front, cells=front.cells | {("valid", ALL): valid})
    both = served_choices(longer, points_of_run(*run, objectives), EQUAL)
    assert both.values([CLICK, LIKE]) == pytest.approx(choices.values([CLICK, LIKE]) + np.array([0.01, 0.0]))
    choices.check(f"{CLICK}[country=US]", "guard.at_least", directed=True)
    with pytest.raises(UserError, match=r"unknown outcome of a segment .*did you mean .*country=US"):
        choices.check(f"{CLICK}[country=UK]", "guard.at_least")
    assert read_bound("--at-least", "a.auc[country=US]=98% of current") == ("a.auc[country=US]", "98% of current")
    assert choices.objectives == (CLICK, LIKE)
    assert choices.table["click.auc"].tolist()[:3] == [0.725, 0.725, 0.73]
    assert choices.table["size"].tolist() == [10.0, 10.0, 10.0, np.inf]
    assert choices.sign("cost/parameters") == -1
    choices.check("click.auc", "guard.at_least", directed=True)


# Files and options


@pytest.mark.parametrize(
    "policy", [*RULES, {"guard": {"max_loss_vs_current": float("inf"), "within": {"a.pcoc": [1, 2]}}}]
)
def test_a_policy_written_as_toml_is_the_same(policy):
    given = Policy.model_validate(policy)
    assert Policy.model_validate(parse_toml(given.toml, "toml")) == given


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('rule = "nee"', "rule: unknown rule 'nee' (did you mean 'knee'?); known are epsilon, knee, utopia"),
        ("gaurd = 1", "unknown key 'gaurd' (did you mean 'guard'?); known are epsilon, guard, retrain"),
        ("[guard]\nmax_loss = 1", "unknown key 'guard.max_loss'"),
        ("[guard]\nat_least = { 'click.auc' = '98' }", "guard.at_least.click.auc: expected a number, or a share of"),
        (
            "[guard]\nat_least = { 'click.auc' = '0.98% of current' }",
            "guard.at_least.click.auc: expected a number, or a",
        ),
        ("[guard]\nmax_loss_vs_current = 3", "max_loss_vs_current: expected a fraction such as 0.02 for 2%, or inf"),
        ("[guard]\nmax_loss_vs_current = { 'a.recall@10%' = 5 }", "expected a fraction such as 0.02 for 2%"),
        ("[guard.segments]\nmax_loss = 2", "guard.segments.max_loss: expected a fraction such as 0.02 for 2%"),
        ('rule = "epsilon"', "expected a table 'epsilon' beside the rule 'epsilon', found none"),
        ("[weights]\nclick.auc = 1", "expected no table 'weights' beside the rule 'knee'"),
        ("rule = 'weights'\n[weights]\nclick.auc = -1", "expected finite weights of at least 0"),
        ("rule = ", "not valid TOML"),
    ],
)
def test_a_wrong_policy_file_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_policy(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("click.recall@10%=98% of current", (CLICK, "98% of current")),
        (" cost/latency_ms = 5 ", ("cost/latency_ms", 5.0)),
        ("cost/parameters=2e6", ("cost/parameters", 2e6)),
    ],
)
def test_bounds_of_options(text, found):
    assert read_bound("--at-least", text) == found


@pytest.mark.parametrize("text", ["", "click.auc", "click.auc=", "=5", "click.auc=98%", "click.auc=much", "a=inf%"])
def test_what_is_no_bound_is_one_sentence(text):
    with pytest.raises(UserError, match=r"^--at-most: expected METRIC=NUMBER or METRIC=98% of current, .* found '"):
        read_bound("--at-most", text)


def test_options_replace_the_rule_and_keep_the_guard():
    given = Policy.model_validate(
        {"rule": "weights", "weights": {CLICK: 1}, "guard": {"at_most": {"cost/parameters": 5}}}
    )
    found = given.asked(LIKE, {CLICK: "98% of current"}, {"cost/latency_ms": 3.0}, {})
    assert (found.rule, found.epsilon.best, found.weights) == ("epsilon", LIKE, {})
    assert found.guard.at_most == {"cost/parameters": 5.0, "cost/latency_ms": 3.0}
    assert found.guard.at_least == {CLICK: "98% of current"}
    worth = given.asked(None, {}, {}, {"click": 1.0, "like": 40.0})
    assert (worth.rule, worth.values, worth.weights) == ("value", {"click": 1.0, "like": 40.0}, {})
    assert worth.guard == given.guard
    with pytest.raises(UserError, match=r"values: unknown task 'buy'"):
        given.asked(None, {}, {}, {"buy": 40.0}).check((Task("click"), Task("like")))


@pytest.mark.parametrize("text", ["", "buy", "buy=", "=40", "buy=-1", "buy=0", "buy=inf", "buy=nan", "buy=4O"])
def test_what_is_no_value_is_one_sentence(text):
    assert read_value(" buy = 40 ") == ("buy", 40.0)
    with pytest.raises(UserError, match=r"^--value: expected TASK=NUMBER above 0, as in buy=40, found '"):
        read_value(text)


def test_names_are_checked_before_a_search():
    tasks = (Task("click"), Task("like"))
    Policy.model_validate({"guard": {"at_least": {CLICK: 0.1, "like.gauc_positives": 0.1, "click.pcoc": 1}}}).check(
        tasks
    )
    with pytest.raises(UserError, match=r"epsilon: unknown metric 'lick.auc'"):
        Policy.model_validate({"rule": "epsilon", "epsilon": {"best": "lick.auc"}}).check(tasks)
    with pytest.raises(UserError, match=r"guard: outcome 'shop.recall@5': unknown task 'shop'"):
        Policy.model_validate({"guard": {"at_least": {"shop.recall@5": 1}}}).check(tasks)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("x.ndcg@5", {}, {}), "--maximize: outcome 'x.ndcg@5': unknown task 'x'"),
        (("click.pcoc", {}, {}), "--maximize: 'click.pcoc' has no best direction"),
        ((CLICK, {"like.ndcg@7[country=US]": 0.1}, {}), "--at-least: unknown outcome of a segment"),
        ((LIKE, {f"{LIKE}[country=US]": 0.1}, {}), "--at-least: unknown outcome of a segment"),
        ((CLICK, {}, {"cost/size": 5.0}), "--at-most: unknown metric 'cost/size'"),
        ((CLICK, {"like": 0.1}, {}), "--at-least: expected an outcome such as like.ndcg@5,"),
        ((CLICK, {"like.recall@2.5%": 0.1}, {}), "--at-least: 'like.recall@2.5%' is not among this run's outcomes"),
    ],
)
def test_a_metric_that_is_not_known_is_said_with_the_option_that_named_it(asked, says):
    choices = made({"7": (0.1, 0.5), "current": (0.1, 0.4)}, **{"click.pcoc": [1.0, 1.0]})
    policy = Policy().asked(*asked, {})
    with pytest.raises(UserError) as error:  # noqa: PT012
        policy.check((Task("click"), Task("like")))
        pick(choices, [], policy)
    assert str(error.value).startswith(says)
