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
from bench.core.plain import parse_toml
from bench.core.records import Point
from bench.core.schema import Task
from bench.deciding.choices import head_choices, served_choices
from bench.deciding.pick import NothingPasses, pick
from bench.deciding.policy import Guard, Policy, read_policy
from bench.deciding.words.pick import difference
from bench.ledger.heads import frontier
from bench.ledger.ledger import PARTS
from bench.ledger.points import estimates, points_of_run

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
ANY = st.dictionaries(
    st.integers(0, 99).map(str), st.tuples(*[st.floats(0.01, 1.0)] * 2), min_size=1, max_size=12
)


@settings(max_examples=20)
@given(policy=st.sampled_from(RULES), rows=ANY, seed=st.integers(0, 9))
def test_a_pick_keeps_its_limits_is_not_dominated_and_does_not_depend_on_the_rows_order(
    policy, rows, seed
):
    rows = {"current": (0.4, 0.4)} | rows
    choices = made(rows)
    chosen = choose(choices, **policy)
    values_of_pick, today = np.array(rows[chosen.point]), np.array(rows["current"])
    floors = np.array([0.98, 0.0]) if policy["rule"] == "epsilon" else np.array([0.95, 0.95])
    passing = [np.array(row) for row in rows.values() if (row >= floors * today - 1e-12).all()]
    assert any((values_of_pick == row).all() for row in passing)
    if chosen.role == "trial":  # where nothing gains beyond noise, the current point stays
        assert not any(
            (row >= values_of_pick).all() and (row > values_of_pick + 1e-9).any() for row in passing
        )
    names = [list(rows)[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    again = choose(made({name: rows[name] for name in names}), **policy)
    assert rows[again.point] == pytest.approx(rows[chosen.point])


def test_the_most_likes_at_98_percent_of_the_clicks():
    chosen = pick(made(ROWS, noise=0.002), [], asked(LIKE, {CLICK: "98% of current"}))
    assert (chosen.point, chosen.kind, chosen.weights) == (
        "8",
        "power",
        {"click": 0.5, "like": 0.5},
    )
    assert chosen.outcomes == {CLICK: 0.1335, LIKE: 0.606}
    assert chosen.sentence == (
        "The pick is trial 8 (mmoe): it has the best like.recall@10% with click.recall@10% at "
        "least 98% of current."
    )
    assert [runner_up.point for runner_up in chosen.runners_up] == ["7", "current"]
    document = json.loads(json.dumps(chosen.to_json(), allow_nan=False))
    assert document["weights"] == {"click": 0.5, "like": 0.5}


def test_where_nothing_gains_you_keep_what_you_have():
    chosen = choose(
        made({"current": (0.134, 0.583), "7": (0.1341, 0.5825), "8": (0.12, 0.6)}, noise=0.01)
    )
    assert (chosen.point, chosen.role, chosen.trial) == ("current", "current", None)


def test_a_simpler_choice_that_is_as_good_is_named_or_taken():
    rows = {
        "current": (0.1, 0.5),
        "7": (0.12, 0.6),
        "8": (0.1199, 0.5995),
        "equal_weights": (0.1198, 0.6),
        "9": (0.11, 0.6),
    }
    sizes = [9e4, 9e4, 3e4, 9e4, 1e3]
    chosen = choose(made(rows, noise=0.01, size=sizes))
    assert (chosen.point, chosen.as_good) == ("7", ("trial 8", "equal weights"))
    assert choose(made(rows, noise=0.01, size=sizes), simplest=True).point == "8"
    assert choose(made(rows, noise=1e-5, size=sizes), simplest=True).point == "7"  # surely behind


# Where nothing passes


@settings(max_examples=20)
@given(bound=st.floats(0.15, 0.9), share=st.integers(130, 300))
def test_what_is_advised_is_enough(bound, share):
    policy = {"guard": {"at_least": {CLICK: bound, LIKE: f"{share}% of current"}}}
    with pytest.raises(
        NothingPasses,
        match=r"nothing passes the guard; the nearest is .* would pass if guard.at_least",
    ) as error:
        choose(made({"current": (0.1, 0.5), "7": (0.12, 0.6), "8": (0.14, 0.4)}), **policy)
    values = parse_toml("\n".join(remedy.toml for remedy in error.value.remedies), "advice")
    assert (
        choose(made({"current": (0.1, 0.5), "7": (0.12, 0.6), "8": (0.14, 0.4)}), **values)
        == error.value.pick
    )


@pytest.mark.parametrize(
    ("outcome", "today", "candidate", "guard", "noise"),
    [
        ("watch.spearman", 0.1, -0.05, {"at_least": {"watch.spearman": "98% of current"}}, 1e-5),
        ("watch.spearman", 0.0, -0.05, {"max_loss_vs_current": 0.02}, 0.0),
        ("watch.spearman", 0.1, -0.05, {"max_loss_vs_current": {"watch.spearman": 0.02}}, 0.0),
        ("cost/parameters", 2.0, 2e20, {"at_most": {"cost/parameters": "110% of current"}}, 0.0),
    ],
)
def test_of_any_size_what_is_advised_is_enough(outcome, today, candidate, guard, noise):
    """The current point is far too slow, and the guard asks too much of the other one."""
    rows, guard = {"current": (0.1, today), "7": (0.2, candidate)}, {**guard}
    guard["at_most"] = {**guard.get("at_most", {}), "cost/latency_ms": 5}
    costs = {"cost/latency_ms": [1e30, 1.0]}
    choices = made(rows, noise=noise, outcomes=(CLICK, outcome), served=False, **costs)
    with pytest.raises(NothingPasses, match="nothing passes the guard; the nearest is") as error:
        choose(choices, guard=guard)
    advice = parse_toml("\n".join(remedy.toml for remedy in error.value.remedies), "advice")[
        "guard"
    ]
    advice["at_most"] = guard["at_most"] | advice.get("at_most", {})
    assert choose(choices, guard=guard | advice) == error.value.pick


# What a policy chooses among


@pytest.fixture
def run(trial):
    """The trials of a run, single-task 0 and 1 and a trial 2 that gains in both; and its trees."""
    test = (0.5, 0.5)
    values = {0: (0.72, 0.79), 1: (0.70, 0.80), 2: (0.725, 0.805), 3: (0.73, 0.81)}
    records = {
        number: trial(
            number,
            *value,
            kind="single_task" if number in (0, 1) else "mmoe",
            runs=tuple(((value[0] + move, value[1] - move), test) for move in (-0.001, 0.0, 0.001)),
            parameters=10.0,
        )
        for number, value in values.items()
    }
    *trials, last = (
        replace(p, replicates=tuple(replace(r, seed=i) for i, r in enumerate(p.replicates)))
        for p in records.values()
    )
    return trials, [
        Point("trees", {}, "trees", metrics={"cost/parameters": 10.0}, replicates=last.replicates)
    ]


def test_a_pick_reads_validation_and_confirmation_rows_where_all_were_measured_on_both(
    run, objectives
):
    points = points_of_run(*run, objectives)
    heads = heads_of(points, objectives)
    values, names = heads.values(heads.names), list(heads.names)
    # the toys have .01 more on validation
    assert values == pytest.approx(estimates(points, objectives) + 0.005)
    assert heads.drawn.mean(axis=0) == pytest.approx(values, abs=2e-3)
    unseen = [
        replace(
            replicate,
            metrics={
                key: value for key, value in replicate.metrics.items() if key != f"valid/{names[0]}"
            },
        )
        for replicate in points[-1].replicates
    ]
    choices = heads_of([*points[:-1], replace(points[-1], replicates=tuple(unseen))], objectives)
    assert choices.values(names[:1]) == pytest.approx(estimates(points, objectives)[:, :1])
    assert choices.values(names[1:]) == pytest.approx(values[:, 1:])


def test_what_was_not_confirmed_is_chosen_by_what_the_search_saw(trial, failed, objectives):
    records = [trial(0, 0.7, 0.8), trial(1, 0.72, 0.79), trial(2, 0.69, 0.7), failed(3)]
    front = frontier(records, objectives)
    choices = head_choices(front, front.points)
    chosen = pick(choices, front.points, Policy())
    assert (chosen.point, choices.current, chosen.stability.holds) == ("1", None, None)
    with pytest.raises(UserError, match="nothing to pick from: no trial has completed"):
        pick(head_choices(frontier([], objectives), []), [], Policy())


def test_no_test_value_influences_a_pick(run, objectives):
    variants = [
        points_of_run(*variant, objectives)
        for variant in (run, [[_test_replaced(one) for one in part] for part in run])
    ]
    picks = [pick(heads_of(points, objectives), points, Policy()) for points in variants]
    documents = [json.dumps(chosen.to_json()) for chosen in picks]
    assert documents[0] == documents[1]
    assert "test" not in documents[0]


def test_no_test_value_of_a_served_front_influences_a_pick(run, objectives):
    """Nor is any among the choices."""
    rows = {"current": (0.1, 0.5), "1": (0.11, 0.55), "2": (0.12, 0.51), "trees": (0.13, 0.6)}
    cells = np.random.default_rng(2).random((4, 2, len(PARTS)))
    front = served_of(made(rows, noise=0.02), {"country=US": cells})
    replaced = [[_test_replaced(one) for one in part] for part in run]
    policy = Policy(guard=Guard.model_validate({"segments": {"max_loss": 0.9}}))
    documents = []
    for served, records in ((front, run), (noisy(front), replaced)):
        points = points_of_run(*records, objectives)
        choices = served_choices(served, points, EQUAL)
        assert {split for split, _ in choices.cells} == {"confirm"}
        assert "test" not in choices.draws
        documents.append(json.dumps(pick(choices, points, policy).to_json()).encode())
    assert documents[0] == documents[1]


def _test_replaced(record):
    """A trial or a point with other metrics on test."""
    noise = np.random.default_rng(record.number).random

    def moved(metrics):
        return {
            key: float(noise()) if key.startswith("test/") else value
            for key, value in metrics.items()
        }

    runs = tuple(
        replace(replicate, metrics=moved(replicate.metrics)) for replicate in record.replicates
    )
    return replace(record, metrics=moved(record.metrics), replicates=runs)


# Files and options


@pytest.mark.parametrize(
    "policy", [*RULES, {"guard": {"max_loss_vs_current": float("inf"), "at_most": {"a.pcoc": 2}}}]
)
def test_a_policy_written_as_toml_is_the_same(policy):
    validated = Policy.model_validate(policy)
    assert Policy.model_validate(parse_toml(validated.toml, "toml")) == validated


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'rule = "nee"',
            "rule: unknown rule 'nee' (did you mean 'knee'?); known are epsilon, knee, utopia",
        ),
        (
            "gaurd = 1",
            "unknown key 'gaurd' (did you mean 'guard'?); known are epsilon, guard, least_gain, retrain",
        ),
        (
            "[guard]\nat_least = { 'click.auc' = '98' }",
            "guard.at_least.click.auc: expected a number, or a share of",
        ),
        (
            "[guard]\nmax_loss_vs_current = 3",
            "max_loss_vs_current: expected a fraction such as 0.02 for 2%, or inf",
        ),
        ('rule = "epsilon"', "expected a table 'epsilon' beside the rule 'epsilon', found none"),
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


def test_differences_are_signed_as_values_move_and_gains_as_they_are_better():
    """Of a cost and a loss, less is better; a head's metric is told in its own unit."""
    choices = made(
        {"7": (0.12, 0.5), "current": (0.1, 0.5)},
        **{"cost/latency_ms": [3.0, 4.0], "click.auc": [0.7123, 0.71]},
    )
    names = [CLICK, "cost/latency_ms", "click.auc"]
    gains = choices.gains(names, choices.values(names))[0]
    assert gains == pytest.approx([0.2, 0.25, 0.023])
    texts = [
        difference(choices, name, gain, gain - 0.01, gain + 0.02)
        for name, gain in zip(names, gains, strict=True)
    ]
    assert texts == ["+20% (+19% to +22%)", "-25% (-27% to -24%)", "+0.0023 (+0.0013 to +0.0043)"]
    assert difference(choices, CLICK, -0.2) == "-20%"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("x.ndcg@5", {}, {}), "--maximize: outcome 'x.ndcg@5': unknown task 'x'"),
        (("click.pcoc", {}, {}), "--maximize: 'click.pcoc' has no best direction"),
        ((CLICK, {"like.ndcg@7[country=US]": 0.1}, {}), "--at-least: unknown outcome of a segment"),
        ((CLICK, {}, {"cost/size": 5.0}), "--at-most: unknown metric 'cost/size'"),
    ],
)
def test_a_metric_that_is_not_known_is_said_with_the_option_that_named_it(asked, says):
    choices = made({"7": (0.1, 0.5), "current": (0.1, 0.4)}, **{"click.pcoc": [1.0, 1.0]})
    policy = Policy().asked(*asked, {})
    with pytest.raises(UserError) as error:  # noqa: PT012
        policy.check((Task("click"), Task("like")))
        pick(choices, [], policy)
    assert str(error.value).startswith(says)
