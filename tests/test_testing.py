"""The checks of `bench.testing` fail for entries that do something else."""

import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import UserError
from bench.core.plugins import registry_of
from bench.core.registry import Config, Entry
from bench.data.batches import Batches
from bench.deciding.policy import PickRule, weighted
from bench.models import products
from bench.models.balancing import LossWeighting
from bench.models.contracts import Interaction, Sharing
from bench.models.funnels import FUNNELS
from bench.models.funnels.direct import Direct
from bench.models.losses.base import LogLoss
from bench.models.model_options import HiddenConfig
from bench.models.sharing.shared_bottom import SharedBottom
from bench.testing import checks, models, training_checks


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
def named(monkeypatch):
    """Adds a class to a registry, under the name `mine`."""

    def added(group, build):
        registry = registry_of(group)
        monkeypatch.setattr(
            registry, "_all", {**registry, "mine": Entry(build, Config, "-", "of a test")}
        )

    return added


class Layers(Sharing):
    """Layers of torch as they are drawn: a shared one, and one for each task."""

    def __init__(self, inputs, tasks, config):
        super().__init__()
        self.first = nn.Linear(inputs, 32)
        self.heads = nn.ModuleList(nn.Linear(32, 8) for _ in range(tasks))
        self.outputs = 8

    def shared(self, x):
        h: Tensor = torch.relu(self.first(x[0]))
        return h

    def forward(self, x):
        h = self.shared(x)
        return torch.stack([torch.relu(head(h)) for head in self.heads])

    def shared_parameters(self):
        head_parameters = {
            id(parameter) for parameter in self.heads.parameters() if len(self.heads) > 1
        }
        return (
            parameter for parameter in self.parameters() if id(parameter) not in head_parameters
        )


class OffAtFirst(Layers):
    """Half of the shared units are off in all rows."""

    def __init__(self, inputs, tasks, config):
        super().__init__(inputs, tasks, config)
        nn.init.constant_(self.first.bias[:16], -2.0)


class ZeroAtFirst(Layers):
    """The second factor is 0, so the first one has no gradient."""

    def __init__(self, inputs, tasks, config):
        super().__init__(inputs, tasks, config)
        self.down, self.up = nn.Linear(inputs, 2, bias=False), nn.Linear(2, 32, bias=False)
        nn.init.zeros_(self.up.weight)

    def shared(self, x):
        h: Tensor = super().shared(x) + self.up(self.down(x[0]))
        return h


class Attention(Layers):
    """Torch's own attention, over four tokens of a row."""

    def __init__(self, inputs, tasks, config):
        super().__init__(inputs, tasks, config)
        self.layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=32, batch_first=True)

    def shared(self, x):
        h: Tensor = self.layer(super().shared(x).unflatten(1, (4, 8))).flatten(1)
        return h


class Unused(Layers):
    """Has a parameter that nothing reads."""

    def __init__(self, inputs, tasks, config):
        super().__init__(inputs, tasks, config)
        self.spare = nn.Linear(4, 4)


class Declared(Unused):
    """Says that this parameter changes no output."""

    zero_gradient = frozenset({"spare.weight", "spare.bias"})


class HalfUsed(Layers):
    """Reads half of a parameter."""

    def __init__(self, inputs, tasks, config):
        super().__init__(inputs, tasks, config)
        self.scales = nn.Parameter(torch.ones(2, 32))

    def shared(self, x):
        return super().shared(x) * self.scales[0]


class Detached(HalfUsed):
    """Reads all of it, and cuts half of it from its gradient."""

    def shared(self, x):
        return super().shared(x) * self.scales[1].detach()


REFUSED = {Unused: "spare.weight", HalfUsed: "scales", Detached: "scales"}


@pytest.mark.parametrize(
    "build",
    [Plain, Layers, OffAtFirst, ZeroAtFirst, Attention, Declared, *REFUSED],
    ids=lambda part: part.__name__,
)
@pytest.mark.parametrize("tasks", ["one", "mixed", "chain"])
def test_a_parameter_counts_as_connected_only_if_it_is(named, build, tasks):
    named("sharing", build)
    several = [models.shared_parameters_are_declared_exactly] if tasks != "one" else []
    for check in (models.the_gradient_reaches_every_parameter, *several):
        torch.manual_seed(0)
        if build not in REFUSED:
            check(tasks, {"sharing": "mine"})
        else:
            with pytest.raises(AssertionError, match=f"sharing.*{REFUSED[build]}"):
                check(tasks, {"sharing": "mine"})


@pytest.mark.parametrize(
    "build",
    [Plain, Layers, OffAtFirst, ZeroAtFirst, Attention, Declared, *REFUSED],
    ids=lambda part: part.__name__,
)
def test_a_parameter_counts_as_trained_only_if_it_is(named, build):
    named("sharing", build)
    if build not in REFUSED:
        training_checks.it_reaches_every_parameter_and_fits_64_rows(
            training_checks.MemoryStore(), {"sharing.kind": "mine"}
        )
        return
    with pytest.raises(AssertionError, match=f"sharing.*{REFUSED[build]}.*: no gradient ever"):
        training_checks.it_reaches_every_parameter_and_fits_64_rows(
            training_checks.MemoryStore(), {"sharing.kind": "mine"}
        )


class LinearInteraction(Interaction):
    """A layer of torch for each set of inputs."""

    def __init__(self, layout, sets, config):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(layout.inputs, layout.inputs) for _ in range(sets))
        self.outputs = layout.inputs

    def forward(self, x):
        return torch.stack([layer(inputs) for layer, inputs in zip(self.layers, x, strict=True)])


class LinearTransfer(Direct):
    """A layer of torch between towers and outputs."""

    def transfer(self, width):
        return nn.Linear(width, width)


class Heir(SharedBottom):
    """Adds a layer of torch to a part of ours, and says nothing of precision."""

    def __init__(self, inputs, tasks, config):
        super().__init__(inputs, tasks, HiddenConfig())
        self.more = nn.Linear(self.outputs, self.outputs)

    def forward(self, x):
        h: Tensor = self.more(super().forward(x))
        return h


PLAIN = [
    ("sharing", Layers),
    ("sharing", Attention),
    ("sharing", Heir),
    ("interaction", LinearInteraction),
]


@pytest.mark.parametrize(("group", "build"), [*PLAIN, ("funnel", LinearTransfer)])
@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_a_part_that_says_nothing_of_precision_gets_float32(
    named, monkeypatch, group, build, precision
):
    monkeypatch.setattr(products, "has_bf16_units", lambda device: True)
    monkeypatch.setattr(products, "WORTH_IT", 0)
    named(group, build)
    trainer = training_checks.trainer(
        training_checks.MemoryStore(), {f"{group}.kind": "mine", "optim.precision": precision}
    )
    linear = next(module for module in trainer.model.modules() if isinstance(module, nn.Linear))
    seen = []
    for module in (linear, trainer.model.towers):
        module.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].dtype))
    trainer.step(*next(Batches(trainer.store.split("train")).in_order(64)))
    assert set(seen) == {torch.float32, torch.bfloat16}  # the layer, and the part of ours beside it


def test_all_parts_of_ours_say_that_they_know_lower_precision():
    ours = [
        *registry_of("sharing")._ours.values(),
        *registry_of("interaction")._ours.values(),
        FUNNELS["aitm"],
    ]
    assert [entry.build for entry in ours if not entry.build.lower_precision] == []


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


class Single(Mixed, lower_precision=True):
    """One matrix for all input sets, which knows float32 alone, and says otherwise."""

    def __init__(self, layout, sets, config):
        super().__init__(layout, sets, config)
        self.linear = nn.Linear(layout.inputs, layout.inputs)

    def forward(self, x):
        h: Tensor = self.linear(x)
        return h


def loss_by(change):
    """The log loss (B, T), changed together with the labels."""

    class Changed(LogLoss):
        def forward(self, logits, labels, counted, context):
            return change(super().forward(logits, labels, counted, context), labels)

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
    ("group", "entry", "check", "sentence"),
    [
        (
            "sharing",
            Entry(TooFew, Config, "-", ""),
            "its_state_is_its_parameters",
            r"representations \(4, 16, 8\)",
        ),
        ("interaction", Entry(Mixed, Config, "-", ""), APART, "embedding.weight.*own, moves 2"),
        ("interaction", Entry(Single, Config, "-", ""), "it_trains_in_bf16", "same dtype"),
        (
            "loss",
            loss_by(lambda losses, labels: losses.mean(1, keepdim=True)),
            OF_A_LOSS,
            r"expected .*\(32, 4\)",
        ),
        (
            "loss",
            loss_by(lambda losses, labels: losses * (1 + labels.roll(1, 1))),
            OF_A_LOSS,
            "labels of task",
        ),
        ("balancing", Entry(Idle, Config, "-", ""), TRAINED, "balancer.weight"),
        ("rule", PickRule(weighted, "is the best"), NAMED, ""),
        ("rule", PickRule(changes_its_gains, "{names}"), SCORED, ""),
        ("rule", PickRule(lambda gains, terms: gains, "{names}"), SCORED, ""),
        ("rule", PickRule(summed, "{names}"), "scores_go_with_their_rows", ""),
        ("rule", PickRule(lambda gains, terms: -gains @ terms.weights, "{names}"), RISES, ""),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_broken_part_fails(monkeypatch, group, entry, check, sentence):
    registry = registry_of(group)
    monkeypatch.setattr(registry, "_all", {**registry, "broken": entry})
    (tried,) = (candidate for candidate in checks(group, "broken") if str(candidate) == check)
    with pytest.raises(
        (AssertionError, ValueError, RuntimeError, UserError), match=sentence
    ) as caught:
        tried()
    assert caught.value.__notes__[0].startswith(f"expected of {check}: ")
