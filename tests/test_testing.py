"""The checks of `bench.testing` fail for entries that do something else."""

import pytest
import torch
from torch import Tensor, nn

from bench.balancing import LossWeighting
from bench.core.errors import UserError
from bench.core.plugins import registry_of
from bench.core.registry import Config, Entry
from bench.frontier.policy import PickRule, weighted
from bench.models.contracts import Interaction, Sharing
from bench.models.losses.base import LogLoss
from bench.testing import checks, models


class Plain(Sharing):
    """Of torch's own layers: one for all tasks, and a scale for each."""

    def __init__(self, inputs, tasks, config):
        super().__init__()
        self.first, self.scale = nn.Linear(inputs, 8), nn.Parameter(torch.ones(tasks, 1, 8))
        nn.init.zeros_(self.first.bias)
        self.outputs = 8

    def forward(self, x):
        h: Tensor = torch.relu(self.first(x)) * self.scale
        return h

    def shared_parameters(self):
        return self.parameters() if len(self.scale) == 1 else self.first.parameters()


@pytest.fixture
def plain(monkeypatch):
    sharing = registry_of("sharing")
    entry = Entry(Plain, Config, "-", "a layer, and a scale for each task")
    monkeypatch.setattr(sharing, "_all", {**sharing, "plain": entry})
    return {"sharing": "plain"}


def test_a_sharing_may_be_of_torch_layers(plain):
    models.the_gradient_reaches_every_parameter("mixed", plain)
    models.shared_parameters_are_declared_exactly("mixed", plain)


class TooFew(Plain):
    """Gives two representations for any number of tasks."""

    def forward(self, x):
        return super().forward(x)[:2]


class Mixed(Interaction):
    """Adds what other input sets have, and so other tasks."""

    def __init__(self, layout, sets, config):
        super().__init__()
        self.outputs = layout.inputs

    def forward(self, x):
        return x + x.mean(0, keepdim=True)


class Single(Mixed):
    """One matrix for all input sets, which knows float32 alone."""

    def __init__(self, layout, sets, config):
        super().__init__(layout, sets, config)
        self.linear = nn.Linear(layout.inputs, layout.inputs)

    def forward(self, x):
        h: Tensor = self.linear(x)
        return h


def loss_by(change):
    """The log loss (B, T), changed together with the labels."""

    class Changed(LogLoss):
        def forward(self, logits, labels, known, context):
            return change(super().forward(logits, labels, known, context), labels)

    return Entry(Changed, Config, "-", "changed")


class Idle(LossWeighting):
    """Has a weight that it does not use."""

    def __init__(self, tasks, config):
        super().__init__(tasks)
        self.weight = nn.Parameter(torch.zeros(len(tasks)))

    def forward(self, losses):
        return losses.sum()


def changes_its_gains(gains, terms):
    gains += 1.0
    return weighted(gains, terms)


def summed(gains, terms):
    """Scores that depend on the rows before."""
    return (gains @ terms.weights).cumsum(-1)


SCORED, NAMED = "every_row_has_a_score", "it_can_be_named_in_a_policy_and_in_a_sentence"
RISES = "a_score_never_falls_as_a_gain_rises"
OF_A_LOSS = "a_tasks_loss_is_its_own"
APART = "shared_parameters_are_declared_exactly[two-single_task]"
TRAINED = "it_reaches_every_parameter_and_fits_64_rows"


@pytest.mark.parametrize(
    ("group", "entry", "check", "said"),
    [
        ("sharing", Entry(TooFew, Config, "-", ""), "its_state_is_its_parameters", r"representations \(4, 16, 8\)"),
        ("interaction", Entry(Mixed, Config, "-", ""), APART, "embedding.weight.*own, moves 2"),
        ("interaction", Entry(Single, Config, "-", ""), "it_trains_in_bf16", "same dtype"),
        ("loss", loss_by(lambda losses, labels: losses.mean(1, keepdim=True)), OF_A_LOSS, r"expected .*\(32, 4\)"),
        ("loss", loss_by(lambda losses, labels: losses * (1 + labels.roll(1, 1))), OF_A_LOSS, "labels of task"),
        ("balancing", Entry(Idle, Config, "-", ""), TRAINED, "balancer.weight"),
        ("rule", PickRule(weighted, "is the best"), NAMED, ""),
        ("rule", PickRule(changes_its_gains, "{names}"), SCORED, ""),
        ("rule", PickRule(lambda gains, terms: gains, "{names}"), SCORED, ""),
        ("rule", PickRule(summed, "{names}"), "scores_go_with_their_rows", ""),
        ("rule", PickRule(lambda gains, terms: -gains @ terms.weights, "{names}"), RISES, ""),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_broken_part_fails(monkeypatch, group, entry, check, said):
    registry = registry_of(group)
    monkeypatch.setattr(registry, "_all", {**registry, "broken": entry})
    (tried,) = (each for each in checks(group, "broken") if str(each) == check)
    with pytest.raises((AssertionError, ValueError, RuntimeError, UserError), match=said) as caught:
        tried()
    assert caught.value.__notes__[0].startswith(f"expected of {check}: ")
