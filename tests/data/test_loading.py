from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import UserError
from bench.data import load_card, parse_card
from bench.data.splits import TimeSplit
from bench.system import content

NAMES = content.names("datasets")


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_card_is_sound_and_has_a_datasheet(name: str) -> None:
    card = load_card(name)
    assert card.id == card.key == name
    datasheet = content.find("datasets", name).with_name("README.md").read_text()
    for task in card.tasks:
        assert f"`{task.name}`" in datasheet or f"| {task.name}" in datasheet, task.name
    for variant in card.origin.variants:
        assert load_card(f"{name}@{variant}").key == f"{name}@{variant}"


def test_a_variant_changes_what_it_names() -> None:
    full, late = load_card("kuairand-pure"), load_card("kuairand-pure@late-window")
    assert late.key == "kuairand-pure@late-window"
    assert late.id == full.id
    assert isinstance(late.split, TimeSplit)
    assert late.split.test.first == 20220506
    assert late.columns == full.columns
    assert len(late.files) == len(full.files) - 1


@pytest.mark.parametrize(
    ("suffix", "key"),
    [("p=0.5", "p=0.5"), ("p=.50", "p=0.5"), ("p=-.5, seed=3", "p=-0.5,seed=3"), ("seed=3,p=1", "p=1.0,seed=3")],
)
def test_a_generators_parameters_have_one_spelling(suffix: str, key: str) -> None:
    assert load_card(f"synthetic-relatedness@{suffix}").key == f"synthetic-relatedness@{key}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("census-incom", "unknown dataset 'census-incom' .did you mean 'census-income'"),
        ("kuairand-pure@late", "unknown variant of 'kuairand-pure' 'late'; known are late-window"),
        ("census-income@p=1", "'p' cannot be set: only generated data has parameters"),
        ("synthetic-relatedness@p=2", "reader.parameters: p: .*less than or equal to 1, found 2"),
        ("synthetic-relatedness@q=1", "unknown key 'q'; known are c, d, m, noise, p, rows, seed"),
        ("synthetic-relatedness@p=high", "expected parameter=number after '@', found 'p=high'"),
        ("synthetic-relatedness@rows=1e3x", "expected parameter=number"),
        ("nowhere/card.toml", "dataset file not found"),
        ("@", "unknown dataset ''"),
        (__file__, "expected a card; `seesaw card FILE --label COLUMN` writes one"),
    ],
)
def test_a_wrong_name_is_one_sentence(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load_card(name)
    assert "\n" not in str(caught.value)


def test_a_path_may_hold_an_at_sign_and_a_variant_may_follow(shop: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "me@home"
    folder.mkdir()
    path = folder / "card.toml"
    path.write_text(
        """
id = "mine"
title = "t"
licence = "l"
citation = "c"
homepage = "h"
reader = { kind = "csv" }
files = [{ name = "a.csv" }]
columns = { x = "numeric" }
tasks = [{ name = "y", column = "y" }]
split = { kind = "random", valid = 0.1, test = 0.1 }
variants.half.split = { kind = "random", valid = 0.2, test = 0.5 }
"""
    )
    assert load_card(str(path)).key == "mine"
    assert load_card(str(folder)).origin.folder == folder
    assert load_card(f"{path}@half").split.test == 0.5  # type: ignore[union-attr]


def test_two_variants_at_once_are_refused(shop: dict[str, Any]) -> None:
    shop["variants"] = {"a": {}, "b": {}}
    assert parse_card(shop, "here", "a").key == "shop@a"
    with pytest.raises(UserError, match="expected one variant, found 'a' and 'b'"):
        parse_card(shop, "here", "a,b")
    with pytest.raises(UserError, match="variants: expected a table of tables"):
        parse_card(shop | {"variants": ["a"]}, "here")
