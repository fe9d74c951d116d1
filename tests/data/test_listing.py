from __future__ import annotations

import json
from typing import Any

import pytest
from data_toys import card_of

from bench.data import Card, describe, load_card
from bench.data.listing import card_schema, explain
from bench.system import content


def test_a_description_is_plain_json_and_sentences_that_end() -> None:
    for name in content.names("datasets"):
        card = load_card(name)
        shown, sentences = describe(card), explain(card)
        assert json.loads(json.dumps(shown)) == shown
        assert shown["id"] == name
        assert shown["tasks"], name
        assert shown["columns"], name
        assert shown["needs_network"] == (not name.startswith("synthetic")), name
        assert len(sentences) >= 4, name
        assert all(sentence[-1] == "." and "  " not in sentence for sentence in sentences), name


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


def card(split: dict[str, Any]) -> Card:
    return card_of(
        reader={"kind": "csv", "missing": ["NA", "?"]},
        files=[{"name": "a.csv"}, {"name": "b.csv"}],
        tasks=[
            {"name": "click", "column": "c", "positive": ["yes"], "negative": ["no"]},
            {"name": "buy", "columns": ["c", "b"], "parent": "click", "optional": True},
            {"name": "stars", "column": "s", "kind": "regression"},
        ],
        columns={
            "u": "categorical",
            "p": {"kind": "numeric", "log1p": True},
            "hour": {"kind": "categorical", "from": "hm", "derive": "hour_of_hhmm"},
        },
        group="u",
        time="t",
        post_exposure=["dwell"],
        encoding={"target_rates": ["u"]},
        split=split,
    )


DRAWN = {"kind": "random", "valid": 0.1, "test": 0.2}
TIME = {"kind": "time", "train": {"last": 5}, "valid": {"first": 6, "last": 7}, "test": {"first": 8}}


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (DRAWN, ["drawn for each row", "train 70.0%, valid 10.0%, test 20.0%"]),
        (DRAWN | {"unit": "group"}, ["value of 'u'", "none is in two splits"]),
        ({"kind": "hash", "column": "u", "valid": 0.1, "test": 0.1}, ["a hash of 'u'", "train 80.0%"]),
        (TIME, ["'t'", "train up to 5", "valid from 6 to 7", "test from 8", "left out"]),
        ({"kind": "files", "train": ["a.csv"], "test": ["b.csv"], "valid_fraction": 0.1}, ["10.0% of train's rows"]),
        ({"kind": "column", "column": "w", "train": ["a"], "valid": ["v"], "test": [1]}, ["'w' says", "test is '1'"]),
    ],
)
def test_each_kind_of_split_has_its_sentence(split: dict, said: list[str]) -> None:
    (sentence,) = (sentence for sentence in explain(card(split)) if sentence.startswith("The split"))
    for words in said:
        assert words in sentence


def test_every_rule_has_its_sentence() -> None:
    text = "\n".join(explain(card(DRAWN)))
    for words in (
        "a.csv and b.csv",
        "'NA' and '?' and the empty text mean missing",
        "click is 1 where 'c' is 'yes', 0 where it is 'no'",
        "buy is 1 where 'c' and 'b' are all 1; it can happen only after click",
        "used only when asked for",
        "stars is the number in 's', scaled for training by train, after log(1 + y) where it is skewed",
        "Rows of one 'u' are ranked",
        "never inputs: dwell",
        "hour is made of 'hm' by hour_of_hhmm",
        "after a logarithm: p",
        "u is also described by each task's mean label",
    ):
        assert words in text
