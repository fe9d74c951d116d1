from __future__ import annotations

from itertools import product

import pytest

from bench.core.errors import UserError
from bench.core.registry import Config
from bench.core.validation import validate
from bench.models.config import PRESETS, SomeLayers, TowerConfig, architecture_name, expand, overridden
from bench.models.funnels import FUNNELS
from bench.models.sharing import SHARING


class Options(Config):
    layers: SomeLayers = (8,)


@pytest.mark.parametrize(
    ("value", "layers", "text"),
    [
        ("128-64", (128, 64), "128-64"),
        ("7", (7,), "7"),
        ([128, 64], (128, 64), "128-64"),
        ((5,), (5,), "5"),
        ("", (), ""),
        ([], (), ""),
    ],
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


@pytest.mark.parametrize("value", ["", []])
def test_experts_need_a_layer(value):
    with pytest.raises(UserError, match="at least one layer"):
        validate(Options, {"layers": value}, "options")


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan"), "much"])
def test_dropout_is_a_probability_below_one(dropout):
    with pytest.raises(UserError, match="dropout"):
        validate(TowerConfig, {"dropout": dropout}, "tower")


def test_a_preset_names_two_known_kinds_and_is_found_by_them():
    for name, preset in PRESETS.items():
        assert set(preset) == {"sharing.kind", "funnel.kind"}
        assert preset["sharing.kind"] in SHARING
        assert preset["funnel.kind"] in FUNNELS
        assert architecture_name(preset["sharing.kind"], preset["funnel.kind"]) == name


def test_architecture_names_are_unique():
    names = [architecture_name(sharing, funnel) for sharing, funnel in product(SHARING, FUNNELS)]
    assert len(set(names)) == len(names)


def test_what_has_no_familiar_name_is_named_by_both_kinds():
    assert architecture_name("shared_embeddings", "entire_space") == "esmm"
    assert architecture_name("ple", "entire_space") == "ple+entire_space"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"numeric.kind": "none"}, {"sharing.kind": "mmoe", "sharing.mmoe.experts": 3, "numeric.kind": "none"}),
        ({"numeric.kind": "bucket"}, {"sharing.kind": "mmoe", "sharing.mmoe.experts": 3, "numeric.bucket.bins": 9}),
        ({"sharing.kind": "ple"}, {"sharing.kind": "ple", "numeric.bucket.bins": 9}),
        ({"architecture": "mmoe"}, {"architecture": "mmoe", "sharing.mmoe.experts": 3, "numeric.bucket.bins": 9}),
        ({"architecture": "esmm"}, {"architecture": "esmm", "numeric.bucket.bins": 9}),
        ({"optim.lr": 1.0}, {"sharing.kind": "mmoe", "sharing.mmoe.experts": 3, "numeric.bucket.bins": 9}),
    ],
)
def test_a_kind_that_is_given_takes_the_place_of_the_options_of_another(given, found):
    file = {"sharing.kind": "mmoe", "sharing.mmoe.experts": 3, "numeric.kind": "bucket", "numeric.bucket.bins": 9}
    kind = {} if "numeric.kind" in found else {"numeric.kind": "bucket"}
    assert overridden(file, given) == kind | found | given
    assert overridden({"architecture": "esmm"}, {"sharing.kind": "ple"}) == {
        "funnel.kind": "entire_space",
        "sharing.kind": "ple",
    }
    assert expand(overridden({"architecture": "ple"}, {"architecture": "esmm"}))["funnel.kind"] == "entire_space"
