"""Options of ways of sharing, fields that they name, layers in text, and names of architectures."""

from dataclasses import replace
from typing import get_args, get_origin

import pytest
import torch

from bench.core.errors import UserError
from bench.core.schema import Field, Schema, Task
from bench.core.validation import validate
from bench.models.config import TowerConfig, architecture_name, presets
from bench.models.contracts import Layout
from bench.models.funnels import FUNNELS
from bench.models.sharing import SHARING
from bench.models.sharing.pepnet import PEPNet, PEPNetConfig
from bench.training.config import TrialConfig

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


TIMED = Schema((Field("hour", 24), Field("user", 90), Field("item", 70)), ("age",), (Task("click"),))


def columns(schema=TIMED, **options):
    """Of the domain and of the prior."""
    made = PEPNet.of(Layout(schema, 2), 2, PEPNetConfig.model_validate(options))
    return made.domain.tolist(), made.prior.tolist()


@pytest.mark.parametrize(
    ("fields", "expected"), [("", [2, 3]), ("hour", [0, 1]), ("item, user", [2, 3, 4, 5]), ("user,user", [2, 3])]
)
def test_the_prior_is_of_the_named_fields_else_of_the_one_with_most_values(fields, expected):
    assert columns(fields=fields)[1] == expected


def test_the_gate_on_the_input_sees_the_cards_scenario_and_the_others_do_not():
    assert columns() == ([2, 3], [2, 3])
    assert columns(replace(TIMED, scenario="hour")) == ([0, 1], [2, 3])
    assert columns(replace(TIMED, scenario="hour"), domain="item", fields="hour") == ([4, 5], [0, 1])
    with pytest.raises(UserError, match=r"sharing\.pepnet\.domain: .*'itme'"):
        columns(domain="itme")


@pytest.mark.parametrize("kind", ["star", "mlora"])
def test_weights_of_their_own_are_for_a_card_with_few_scenarios(kind):
    assert "names no scenario" in str(SHARING[kind].unfit(TIMED))
    assert SHARING[kind].unfit(replace(TIMED, scenario="user")) is None
    many = replace(TIMED, fields=(Field("page", 5001),), scenario="page")
    assert "'page' has 5,000 values" in str(SHARING[kind].unfit(many))
    with pytest.raises(UserError, match="names no scenario"):
        TrialConfig.parse({"architecture": kind}).check_fit(TIMED)
