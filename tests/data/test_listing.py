from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import content
from bench.data import Card, describe, load_card, prepare, prepared
from bench.data.listing import card_schema


@pytest.mark.parametrize("name", content.names("datasets"))
def test_a_description_is_plain_json(name: str) -> None:
    shown = describe(load_card(name))
    assert json.loads(json.dumps(shown)) == shown
    assert shown["id"] == name
    assert shown["tasks"]
    assert shown["columns"]


def test_a_description_says_what_the_card_says() -> None:
    shown = describe(load_card("kuairand-pure@late-window"))
    assert shown["key"] == "kuairand-pure@late-window"
    assert shown["variants"] == ["late-window"]
    assert shown["default_tasks"] == ["click", "long_view", "like"]
    assert shown["tasks"][1] == {
        "name": "long_view",
        "kind": "binary",
        "columns": ["is_click", "long_view"],
        "positive": [],
        "parent": "click",
        "optional": False,
    }
    assert shown["columns"]["hour"] == {"kind": "categorical", "from": "hourmin", "derive": "hour_of_hhmm"}
    assert shown["split"]["test"] == {"first": 20220506}
    assert shown["needs_network"]
    assert not describe(load_card("synthetic-funnel"))["needs_network"]


def test_stores_are_listed(tmp_path: Path) -> None:
    assert prepared(tmp_path) == []
    store = prepare(load_card("synthetic-funnel@rows=2000"), tmp_path)
    (listed,) = prepared(tmp_path)
    assert listed["path"] == str(store.path)
    assert listed["key"] == "synthetic-funnel@rows=2000"
    assert sum(listed["rows"].values()) == 2000


def test_the_schema_knows_what_a_cards_file_may_say() -> None:
    """What `Card` alone does not: short forms, numbers among values, variants."""
    plain, schema = Card.model_json_schema(by_alias=True), card_schema()
    assert set(schema["properties"]) == {*plain["properties"], "variants"}
    assert "numeric" in schema["properties"]["columns"]["additionalProperties"]["anyOf"][0]["enum"]
    assert "number" in schema["$defs"]["TaskRule"]["properties"]["positive"]["items"]["type"]
    variant = schema["properties"]["variants"]["additionalProperties"]
    assert set(variant["properties"]) == set(plain["properties"])
    assert "required" not in variant


@pytest.mark.slow
def test_every_card_fits_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    for name in content.names("datasets"):
        jsonschema.validate(content.read_toml(content.find("datasets", name)), card_schema())
