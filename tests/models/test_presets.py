from __future__ import annotations

from itertools import product

import pytest

from bench.models.config import PRESETS, architecture_name
from bench.models.funnels import FUNNELS
from bench.models.sharing import SHARING


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_two_known_kinds_and_is_found_by_them(name):
    preset = PRESETS[name]
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
