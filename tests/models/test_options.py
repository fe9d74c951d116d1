"""Options of ways of sharing and of their layers, fields that they name, and names of
architectures.
"""

from dataclasses import replace
from typing import get_args, get_origin

import pytest
import torch
import torch.nn.functional as F

from bench.core.errors import UserError
from bench.core.schema import Field, Schema, Task
from bench.core.validation import validate
from bench.models import layers
from bench.models.contracts import Layout
from bench.models.funnels import FUNNELS
from bench.models.layers import BatchedLinear, BatchedMLP, Gates, largest, mix, together
from bench.models.model_options import ExpertConfig, TowerConfig, architecture_name, presets
from bench.models.sharing import SHARING
from bench.models.sharing.pepnet import PEPNet, PEPNetConfig
from bench.models.training.config import TrialConfig

FIELDS = (Field("user", 9), Field("item", 7), Field("tags", 5, slots=2), Field("page", 4))
SCHEMA = Schema(FIELDS, ("age", "price"), (Task("click"),), scenario="page")
DIM = 3
INPUTS = len(FIELDS) * DIM + 2


def build(kind, tasks, config):
    torch.manual_seed(0)
    return SHARING[kind].build.of(Layout(SCHEMA, DIM), tasks, config)


def others(config, name, default):
    """Values of an option other than its default."""
    annotation = config.model_fields[name].annotation
    if get_args(annotation) and isinstance(default, str):
        return [value for value in get_args(annotation) if value != default]
    if get_origin(annotation) is tuple:
        return ["item,tags", "tags"] if str in get_args(annotation) else ["6", "7-5-4"]
    return [default + 1, default + 2] if isinstance(default, int) else [0.3]


@pytest.mark.parametrize("kind", SHARING)
def test_every_knob_does_something(kind):
    """It changes the parameters, or what is computed of the same input."""
    config = SHARING[kind].config
    small = {"layers": "8-4"} if "layers" in config.model_fields else {}

    def seen(**options):
        sharing = build(kind, 2, config.model_validate(small | options))
        torch.manual_seed(1)
        x = torch.randn(sharing.input_sets(2), 20, INPUTS)
        return [sharing(x), *sharing.parameters()]

    before = seen()
    for name in config.model_fields:
        for value in others(config, name, getattr(config(), name)):
            after = seen(**{name: value})
            same = len(before) == len(after) and all(map(torch.equal, before, after))
            assert not same, f"{name} = {value!r} changes nothing"


@pytest.mark.parametrize(
    ("value", "layers", "text"),
    [("128-64", (128, 64), "128-64"), ([128, 64], (128, 64), "128-64"), ("", (), "")],
)
def test_layers_are_read_from_text_and_lists_and_written_as_text(value, layers, text):
    config = validate(TowerConfig, {"layers": value}, "tower")
    assert config.layers == layers
    assert config.model_dump(mode="json")["layers"] == text
    assert validate(TowerConfig, config.model_dump(mode="json"), "tower") == config


@pytest.mark.parametrize("value", ["128_64", "128-", "a", "12-0", "1.5", [0], [1.5], 64, None, "٣"])
def test_bad_layers_are_the_users_mistake_and_named(value):
    with pytest.raises(UserError) as caught:
        validate(TowerConfig, {"layers": value}, "tower")
    assert "layers" in str(caught.value)


def test_a_preset_names_two_known_kinds_and_is_found_by_them():
    for name, preset in presets().items():
        assert set(preset) == {"sharing.kind", "funnel.kind"}
        assert preset["sharing.kind"] in SHARING
        assert preset["funnel.kind"] in FUNNELS
        assert architecture_name(preset["sharing.kind"], preset["funnel.kind"]) == name


TIMED = Schema(
    (Field("hour", 24), Field("user", 90), Field("item", 70)), ("age",), (Task("click"),)
)


def columns(schema=TIMED, **options):
    """Of the domain and of the prior."""
    network = PEPNet.of(Layout(schema, 2), 2, PEPNetConfig.model_validate(options))
    return network.domain.tolist(), network.prior.tolist()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [("", [2, 3]), ("hour", [0, 1]), ("item, user", [2, 3, 4, 5]), ("user,user", [2, 3])],
)
def test_the_prior_is_of_the_named_fields_else_of_the_one_with_most_values(fields, expected):
    assert columns(fields=fields)[1] == expected


def test_the_gate_on_the_input_sees_the_cards_scenario_and_the_others_do_not():
    assert columns() == ([2, 3], [2, 3])
    assert columns(replace(TIMED, scenario="hour")) == ([0, 1], [2, 3])
    assert columns(replace(TIMED, scenario="hour"), domain="item", fields="hour") == (
        [4, 5],
        [0, 1],
    )
    with pytest.raises(UserError, match=r"sharing\.pepnet\.domain: .*'itme'"):
        columns(domain="itme")


@pytest.mark.parametrize("kind", ["star", "mlora"])
def test_weights_of_their_own_are_for_a_card_with_few_scenarios(kind):
    assert "names no scenario" in str(SHARING[kind].unfit(TIMED))
    assert SHARING[kind].unfit(replace(TIMED, scenario="user")) is None
    many_pages = replace(TIMED, fields=(Field("page", 5001),), scenario="page")
    assert "'page' has 5,000 values" in str(SHARING[kind].unfit(many_pages))
    with pytest.raises(UserError, match="names no scenario"):
        TrialConfig.parse({"architecture": kind}).check_fit(TIMED)


@pytest.mark.parametrize("kind", ["single_task", "shared_bottom", "mmoe", "ple"])
def test_defaults_take_the_compiled_passes(kind, monkeypatch):
    entry = SHARING[kind]
    sharing = entry.build(20, 3, entry.config())
    monkeypatch.setattr(layers, "_one_by_one", lambda *_: pytest.fail("the slow path was taken"))
    sharing(torch.randn(sharing.input_sets(3), 4, 20)).sum().backward()


ACTIVATIONS = {
    "relu": torch.nn.ReLU(),
    "gelu": torch.nn.GELU(),
    "silu": torch.nn.SiLU(),
    "tanh": torch.nn.Tanh(),
}


KNOBS = [
    (2, (5, 3), 9, activation, norm)
    for activation in ACTIVATIONS
    for norm in ("none", "layer", "rms")
]
SHAPES = [((), 7), ((5,), 1), ((8, 4), 0), ((8, 4, 3), 7)]
PLAIN = [
    (groups, layers, batch, "relu", "none") for groups in (1, 2, 6) for layers, batch in SHAPES
]


@pytest.mark.parametrize(("groups", "layers", "batch", "activation", "norm"), [*KNOBS, *PLAIN])
def test_experts_equal_torchs_own_modules(groups, layers, batch, activation, norm):
    """In value and gradient, expert by expert."""
    mlp = BatchedMLP(6, 10, layers, activation=activation, norm=norm).double()
    for parameter in mlp.parameters():  # biases start at zero: make them count
        torch.nn.init.normal_(parameter)
    assert mlp(torch.zeros(2, 0, 10, dtype=torch.float64)).shape == (6, 0, mlp.outputs)
    x = torch.randn(groups, batch, 10, dtype=torch.float64, requires_grad=True)
    outputs, expected = mlp(x), []
    for expert in range(6):
        h = x[expert * groups // 6]
        for number, linear in enumerate(mlp.layers):
            h = F.linear(h, linear.weight[expert], linear.bias[expert])
            if norm == "layer":
                h = F.layer_norm(
                    h, h.shape[1:], mlp.norms[number].scale[expert], mlp.norms[number].shift[expert]
                )
            elif norm == "rms":
                h = F.rms_norm(h, h.shape[1:], mlp.norms[number].scale[expert], eps=1e-5)
            h = ACTIVATIONS[activation](h)
        expected.append(h)
    torch.testing.assert_close(outputs, torch.stack(expected))
    wanted, upstream = [x, *mlp.parameters()], torch.randn_like(outputs)
    gradients = (
        torch.autograd.grad(out, wanted, upstream) for out in (outputs, torch.stack(expected))
    )
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize(
    ("k", "dtype"), [(1, torch.float32), (2, torch.float64), (4, torch.float32)]
)
def test_a_sparse_gate_is_a_softmax_over_its_highest_scores(k, dtype):
    scores = torch.randn(3, 7, 5, dtype=dtype, requires_grad=True)
    experts = torch.randn(5, 7, 4, dtype=dtype, requires_grad=True)
    mixed = mix(largest(scores, k), experts)[0]
    rows = []
    for gate in range(3):
        for sample in range(7):
            values, chosen = scores[gate, sample].sort(descending=True)
            rows.append(values[:k].softmax(0) @ experts[chosen[:k], sample])
    expected = torch.stack(rows).view(3, 7, 4)
    torch.testing.assert_close(mixed, expected)
    upstream = torch.randn_like(mixed)
    gradients = (torch.autograd.grad(out, [scores, experts], upstream) for out in (mixed, expected))
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("gate_layers", [(), (6,), (6, 5)])
def test_a_deep_gate_is_a_relu_network(gate_layers):
    gates = Gates(3, 8, 4, ExpertConfig(gate_layers=gate_layers)).double()
    x = torch.randn(1, 7, 8, dtype=torch.float64)
    scores = gates(*together(x, [gates.first]))
    for gate in range(3):
        h = x[0]
        for layer in gates.hidden.layers:
            h = F.relu(F.linear(h, layer.weight[gate], layer.bias[gate]))
        torch.testing.assert_close(scores[gate], F.linear(h, gates.linear.weight[gate]))


def test_weights_have_the_variance_that_keeps_activations_their_size():
    linear = BatchedLinear(4, 300, 200, gain=2**0.5)
    assert not linear.bias.any()
    for expert in linear.weight:  # each slice as its own layer would be: fan-in 300, not 4 * 300
        assert expert.var().item() == pytest.approx(2 / 300, rel=0.03)
    deep = BatchedMLP(3, 256, [256] * 6)
    power = deep(torch.randn(1, 512, 256)).square().mean(dim=(1, 2))
    assert (power > 0.4).all()
    assert (power < 2.5).all()


@pytest.mark.parametrize(("layers", "whole"), [((400,), 6), ((300, 400), 1801)])
def test_dropout_falls_on_each_expert_apart_and_only_in_training(layers, whole):
    mlp = BatchedMLP(2, 5, layers, dropout=0.25)
    for parameter in mlp.parameters():
        torch.nn.init.ones_(parameter)
    x = torch.ones(1, 50, 5)
    outputs = mlp(x)
    dropped = outputs == 0
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(dropped[0], dropped[1])
    torch.testing.assert_close(
        outputs[~dropped].mean(), torch.tensor(whole / 0.75), rtol=0.01, atol=0
    )
    assert (outputs[~dropped].std() < 1e-3) == (len(layers) == 1)  # hidden layers are dropped, too
    assert (mlp.eval()(x) == whole).all()
