"""How many parameters each entry has, in closed form, for its options."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, product
from typing import Any, get_args, get_origin

import pytest
import torch
from model_toys import model_on

from bench.core.errors import UserError
from bench.core.registry import Config
from bench.core.schema import Field, Schema, Task
from bench.core.validation import validate
from bench.models.config import EmbeddingConfig, SomeLayers, TowerConfig, architecture_name, presets
from bench.models.contracts import Layout
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.sharing import SHARING

FIELDS = (Field("user", 9), Field("item", 7), Field("tags", 5, slots=2), Field("page", 4))
SCHEMA = Schema(FIELDS, ("age", "price"), (Task("click"),), scenario="page")
SCENARIOS = 3  # a field's first row is of what is unknown
DIM = 3
INPUTS = len(FIELDS) * DIM + 2


def mlp(c, inputs, layers=None):
    """Weights and biases; normalisation has one scale, and `layer` one shift, for each unit."""
    layers = c.layers if layers is None else layers
    extra = {"none": 0, "rms": 1, "layer": 2}[c.norm]
    return sum((a + 1 + extra) * b for a, b in pairwise((inputs, *layers)))


def gate(c, inputs, experts):
    ends = (inputs, *c.gate_layers)
    return sum((a + 1) * b for a, b in pairwise(ends)) + ends[-1] * experts


def levels(c, inputs):
    """Each level's input width, and whether it is the last."""
    return [(inputs if at == 0 else c.layers[-1], at == c.levels - 1) for at in range(c.levels)]


def level(c, inputs, t, last):
    own, shared = t * c.own_experts, c.shared_experts
    gates = t * gate(c, inputs, c.own_experts + shared) + (0 if last else gate(c, inputs, own + shared))
    return (own + shared) * mlp(c, inputs) + gates


def adatt(i, t, c):
    size, total = 0, t * c.own_experts + c.shared_experts
    for inputs, last in levels(c, i):
        size += total * mlp(c, inputs) + t * gate(c, inputs, total) + (t * c.own_experts if c.own_experts > 1 else 0)
        if c.shared_experts and not last:
            size += gate(c, inputs, total) + (c.shared_experts if c.shared_experts > 1 else 0)
    return size


def stem(i, t, c):
    experts = t * c.own_experts + c.shared_experts
    return experts * mlp(c, i) + t * gate(c, i, experts)


def pepnet(i, t, c):
    prior, domain = (i + DIM * max(1, len(fields)) for fields in (c.fields, c.domain))
    units = [(domain, 1, i), *((prior, t, width) for width in c.layers)]
    gates = [n * ((seen + 1) * c.gate_width + (c.gate_width + 1) * width) for seen, n, width in units]
    return t * mlp(c, i) + sum(gates)


def mlora(i, t, c):
    return mlp(c, i) + SCENARIOS * c.rank * sum(a + b for a, b in pairwise((i, *c.layers)))


SIZES: dict[str, Callable[[int, int, Any], int]] = {  # inputs, tasks, options
    "single_task": lambda i, t, c: t * mlp(c, i),
    "shared_embeddings": lambda i, t, c: 0,
    "shared_bottom": lambda i, t, c: mlp(c, i),
    "omoe": lambda i, t, c: c.experts * mlp(c, i) + gate(c, i, c.experts),
    "mmoe": lambda i, t, c: c.experts * mlp(c, i) + t * gate(c, i, c.experts),
    "cgc": lambda i, t, c: level(c, i, t, last=True),
    "ple": lambda i, t, c: sum(level(c, inputs, t, last) for inputs, last in levels(c, i)),
    "cross_stitch": lambda i, t, c: t * mlp(c, i) + len(c.layers) * t**2,
    "adatt": adatt,
    "stem": stem,
    "pepnet": pepnet,
    "star": lambda i, t, c: mlp(c, i) + SCENARIOS * sum((a + 1) * b for a, b in pairwise((i, *c.layers))),
    "mlora": mlora,
}


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


@pytest.mark.parametrize("kind", SIZES)
def test_it_has_as_many_parameters_as_the_formula_says(kind):
    config = SHARING[kind].config
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        options: dict[str, Any] = {}
        for name in config.model_fields:
            values = [config().model_dump(mode="json")[name], *others(config, name, getattr(config(), name))]
            options[name] = values[int(torch.randint(len(values), (), generator=generator))]
        chosen = config.model_validate(options)
        for tasks in (1, 2, 6):
            counted = sum(parameter.numel() for parameter in build(kind, tasks, chosen).parameters())
            assert counted == SIZES[kind](INPUTS, tasks, chosen), options


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


OF_INTERACTIONS: dict[str, Callable[[int, int, Any], int]] = {  # inputs, input sets, options
    "none": lambda i, s, c: 0,
    "fm": lambda i, s, c: 0,
    "dcn_v2": lambda i, s, c: s * c.layers * ((i * c.rank * 2 if c.rank else i * i) + i),
}


@pytest.mark.parametrize("kind", OF_INTERACTIONS)
def test_an_interaction_has_as_many_as_the_formula_says(kind):
    entry = INTERACTIONS[kind]
    defaults = entry.config().model_dump(mode="json")
    for name in [None, *defaults]:
        changed = others(entry.config, name, defaults[name]) if name else [None]
        for value, sets in product(changed, (1, 3)):
            config = entry.config.model_validate({name: value} if name else {})
            made = entry.build(Layout(SCHEMA, DIM), sets, config)
            counted = sum(parameter.numel() for parameter in made.parameters())
            assert counted == OF_INTERACTIONS[kind](INPUTS, sets, config), (name, value)


CHAIN = (Task("click"), Task("cart", parent="click"), Task("buy", parent="cart"), Task("like"))
TOWER = 5  # hidden units of a tower's one layer, on representations as wide as the inputs
OF_A_TOWER = (INPUTS + 1) * TOWER + TOWER + 1
OF_FUNNELS = {  # beside a tower for each task, by numbers of links between a child and its parent
    "independent": lambda links: 0,
    "entire_space": lambda links: 0,
    "escm2_ipw": lambda links: 0,
    "escm2_dr": lambda links: links * OF_A_TOWER,
    "direct": lambda links: 0,
    "aitm": lambda links: links * (TOWER + 1 + 3 * TOWER) * TOWER,
}


@pytest.mark.parametrize("kind", OF_FUNNELS)
def test_a_funnel_has_as_many_as_the_formula_says(kind):
    for tasks in (CHAIN, CHAIN[:2], CHAIN[:1]):
        embedding = EmbeddingConfig(dim=DIM)
        model = model_on(replace(SCHEMA, tasks=tasks), embedding, (TOWER,), sharing="shared_embeddings", funnel=kind)
        links = sum(task.parent is not None for task in tasks)
        assert model.weights == len(tasks) * OF_A_TOWER + OF_FUNNELS[kind](links)


class Options(Config):
    layers: SomeLayers = (8,)


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
