import pytest
import torch

from bench.balancing import BALANCING
from bench.core.errors import UserError
from bench.core.registry import choose


def build(weight: dict[str, object], tasks: list[str]):
    options = choose(BALANCING, "balancing", {"kind": "static", "static": {"weight": weight}}, "static").options
    return BALANCING["static"].build(tasks, options)


def test_weights_are_normalised_and_default_to_one() -> None:
    balancer = build({"like": 4.0}, ["click", "like", "share"])
    torch.testing.assert_close(balancer.weight, torch.tensor([0.5, 2.0, 0.5]))
    torch.testing.assert_close(balancer(torch.tensor([1.0, 10.0, 100.0])), torch.tensor(70.5))


def test_only_ratios_count() -> None:
    for factor in (1e-300, 1e-10, 1e10, 1e308):
        found = build({"click": factor, "like": factor / 4}, ["click", "like"]).weight
        torch.testing.assert_close(found, torch.tensor([1.6, 0.4]))


def test_a_weight_for_no_task_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match=r"balancing\.static\.weight: unknown task 'lik' \(did you mean 'like'\?\)"):
        build({"lik": 1.0}, ["click", "like"])


@pytest.mark.parametrize("bad", [0, -1.0, float("inf"), float("nan"), "much"])
def test_a_weight_that_is_no_positive_number_is_the_users_mistake(bad: object) -> None:
    with pytest.raises(UserError, match=r"balancing\.static\.weight\.like: "):
        build({"like": bad}, ["click", "like"])
