from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import content
from bench.data import describe, load_card, prepare, prepared


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
