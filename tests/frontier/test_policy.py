"""Picking by a written policy."""

import itertools
import json
from dataclasses import replace

import pytest

from bench.errors import UserError
from bench.frontier.frontier import frontier
from bench.frontier.pick import pick
from bench.frontier.policy import Policy, read_policy

SOME = Policy.model_validate({"guard": {"max_loss_vs_single_task": 0.002}})
ANYTHING = Policy.model_validate({"guard": {"max_loss_vs_single_task": float("inf")}})


def choose(records, objectives, policy=ANYTHING):
    return pick(frontier(records, objectives), records, objectives, policy)


@pytest.fixture
def records(trial, failed):
    """Single-task 0 is dominated; of the front 1, 2, 3 the last loses like; 2 is the knee of all three."""
    return [
        trial(0, 0.720, 0.800, kind="single_task"),
        trial(1, 0.722, 0.810),
        trial(2, 0.735, 0.806, balancing="uncertainty"),
        trial(3, 0.740, 0.780, kind="ple"),
        failed(4),
    ]


def test_golden_knee(records, objectives):
    found = choose(records, objectives)
    assert (found.trial, found.architecture, found.rule) == (2, "mmoe", "knee")
    assert found.config["balancing.kind"] == "uncertainty"
    assert found.metrics == {"valid/click.auc": 0.735, "valid/like.auc": 0.806}
    assert found.reason.startswith(
        "Trial 2 (mmoe, uncertainty) is picked because it is the best compromise between the extremes "
        "of the 3 points: 0.416 beyond the line or plane through them, each objective scaled to its range there. "
    )
    assert "guard" not in found.reason  # it allowed anything
    assert found.removed == ()
    assert [each.trial for each in found.runners_up] == [1, 3]


def test_golden_guard_and_reason(records, objectives):
    found = choose(records, objectives, SOME)
    assert found.trial == 1  # two extremes remain, both at distance 0: the earlier one
    (gone,) = found.removed
    assert (gone.trial, gone.architecture) == (3, "ple")
    assert gone.reason == "it is 0.02 worse in like.auc than single-task trial 0 (0.8), where 0.002 is allowed"
    assert found.reason == (
        "Trial 1 (mmoe, static) is picked because it is the earlier trial of 2 points that the rule 'knee' puts first "
        "together. "
        "It reaches valid/click.auc 0.722 (+0.002 against single-task), valid/like.auc 0.81 (+0.01 against "
        "single-task) (one run in the search, not yet confirmed; gains are positive where it is better). "
        "The guard, no loss against single-task beyond 0.002 in click.auc, 0.002 in like.auc, removed 1 of the "
        "front's 3 points."
    )


def test_equal_scores_go_to_the_smaller_model(trial, objectives):
    records = [trial(0, 0.7, 0.8, parameters=20.0), trial(1, 0.8, 0.7, parameters=10.0)]
    found = choose(records, objectives)
    assert found.trial == 1
    assert "is the smaller model of 2 points that the rule 'knee' puts first together" in found.reason


def test_front_of_one_point(trial, objectives):
    found = choose([trial(7), trial(8, 0.5, 0.5)], objectives)
    assert found.trial == 7
    assert "is the only point of the front." in found.reason
    assert found.runners_up == ()


def test_only_point_that_the_guard_lets_through(records, objectives):
    policy = Policy.model_validate({"guard": {"max_loss_vs_single_task": {"click.auc": -0.01, "like.auc": 0.002}}})
    found = choose(records, objectives, policy)
    assert found.trial == 2
    assert "is the only point of the front that the guard lets through." in found.reason
    assert "removed 2 of the front's 3 points" in found.reason


def test_without_single_task_trials_the_reason_says_so(records, objectives):
    found = choose(records[1:], objectives, Policy())
    assert found.trial == 2
    assert "could not judge click.auc, like.auc: no single-task trial" in found.reason


def test_replicate_means_where_there_are_replicates(records, trial, objectives):
    """The search's knee falls back on fresh seeds: another is picked."""
    test = (0.6, 0.6)
    two = replace(records[2], replicates=trial(2, runs=(((0.72, 0.79), test), ((0.72, 0.79), test))).replicates)
    rest = [replace(records[i], replicates=trial(i, runs=((v, test),)).replicates) for i, v in
            ((0, (0.72, 0.80)), (1, (0.73, 0.81)), (3, (0.74, 0.79)))]  # fmt: skip
    found = choose([two, *rest], objectives, Policy())
    assert found.trial == 1
    assert found.metrics == {"confirm/click.auc": 0.73, "confirm/like.auc": 0.81}
    assert "(one replicate on confirmation rows, unseen by the search; gains" in found.reason


@pytest.mark.slow
def test_no_test_value_influences_the_pick(trial, objectives):
    """Every permutation of test values over trials, and their absence, gives the same pick with the same words."""
    valid = [(0.70, 0.80), (0.71, 0.81), (0.72, 0.805), (0.74, 0.79)]
    tests = [(0.1, 0.9), (0.9, 0.1), (0.5, 0.5), (0.99, 0.99)]

    def records(order):
        made = [
            trial(i, *valid[i], kind="single_task" if i == 0 else "mmoe", runs=((valid[i], tests[j]),) * 2)
            for i, j in enumerate(order)
        ]
        with_test = [{f"test/{name}.auc": tests[j][k] for k, name in enumerate(("click", "like"))} for j in order]
        return [replace(r, metrics=r.metrics | extra) for r, extra in zip(made, with_test, strict=True)]

    def without_test(record):
        runs = tuple(
            replace(run, metrics={k: v for k, v in run.metrics.items() if "test/" not in k})
            for run in record.replicates
        )
        return replace(record, metrics={k: v for k, v in record.metrics.items() if "test/" not in k}, replicates=runs)

    found = [choose(records(order), objectives, Policy()) for order in itertools.permutations(range(4))]
    found.append(choose([without_test(record) for record in records(range(4))], objectives, Policy()))
    assert all(each == found[0] for each in found)
    assert "test" not in json.dumps(found[0].to_json())


def test_a_front_on_test_is_refused(records, objectives):
    with pytest.raises(ValueError, match="expected a frontier on confirm or valid, found 'test'"):
        pick(frontier(records, objectives, split="test"), records, objectives, Policy())


def test_nothing_completed(failed, objectives):
    with pytest.raises(UserError, match="none of the 2 trials has completed with a value of every objective"):
        choose([failed(0), failed(1)], objectives)


def test_json_is_strict(records, objectives):
    document = json.loads(json.dumps(choose(records, objectives, SOME).to_json(), allow_nan=False))
    assert document["trial"] == 1
    assert document["removed"][0]["trial"] == 3


def test_policy_file(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text('rule = "knee"\n[guard.max_loss_vs_single_task]\n"income.auc" = 0.001\n')
    assert read_policy(path).guard.max_loss_vs_single_task == {"income.auc": 0.001}
    path.write_text("")
    assert read_policy(path) == Policy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'rule = "nee"',
            "rule: unknown rule 'nee' (did you mean 'knee'?); known are epsilon, knee, revenue",
        ),
        ("gaurd = 1", "unknown key 'gaurd' (did you mean 'guard'?); known are epsilon, guard, retrain"),
        ("[guard]\nmax_loss = 1", "unknown key 'guard.max_loss'"),
        ("[guard]\nmax_loss_vs_single_task = 'x'", "guard.max_loss_vs_single_task: expected a number, or a table"),
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
