from __future__ import annotations

from typing import Any

import pytest

from bench import content
from bench.data import load_card, parse_card
from bench.data.listing import explain


def card(split: dict[str, Any], **more: Any):
    values = {
        "id": "x",
        "title": "x",
        "licence": "x",
        "citation": "x",
        "homepage": "x",
        "reader": {"kind": "csv", "missing": ["NA", "?"]},
        "files": [{"name": "a.csv"}, {"name": "b.csv"}],
        "tasks": [
            {"name": "click", "column": "c", "positive": ["yes"], "negative": ["no"]},
            {"name": "buy", "columns": ["c", "b"], "parent": "click", "optional": True},
            {"name": "stars", "column": "s", "kind": "regression"},
        ],
        "columns": {
            "u": "categorical",
            "p": {"kind": "numeric", "log1p": True},
            "hour": {"kind": "categorical", "from": "hm", "derive": "hour_of_hhmm"},
        },
        "group": "u",
        "time": "t",
        "post_exposure": ["dwell"],
        "encoding": {"target_rates": ["u"]},
        "split": split,
    }
    return parse_card(values | more, "a card")


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


@pytest.mark.parametrize("name", content.names("datasets"))
def test_sentences_end(name: str) -> None:
    sentences = explain(load_card(name))
    assert len(sentences) >= 4
    assert all(sentence[-1] == "." and "  " not in sentence for sentence in sentences)
