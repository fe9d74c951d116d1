"""Preparing part by part against a twin that holds all in memory: generated files with every kind
of column.
"""

import gzip
import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import twin
from data_toys import LEAST, arrays

from bench.core.system.progress import Silent
from bench.data import load_card, parse_card, prepare, two_passes
from bench.data.columns.numeric import BucketField, NumericColumn
from bench.data.fetch import at_hand
from bench.data.readers import base, blocks
from bench.data.splits import SPLITS


def check(card, store, raw, home):
    """The store against the twin."""
    slow = twin.prepared(card, at_hand(card, home, raw, Silent()))
    for part in store.encoder.fields:
        vocabulary = (
            list(part.edges) if isinstance(part, BucketField) else list(part.vocabulary.values)
        )
        assert vocabulary == slow.vocabularies[part.name], part.name
    for part in store.encoder.dense:
        if isinstance(part, NumericColumn):
            assert (part.mean, part.scale) == pytest.approx(
                slow.scales[part.name], rel=1e-9, abs=1e-12
            )
    for name, values in slow.segments.items():
        assert store.segments[name] == tuple(values)
    for number in store.schema.numbers:  # edges as models see them
        (mean, scale), edges = (
            slow.scales[number.name],
            np.array(slow.vocabularies[f"{number.name}_bucket"]),
        )
        edges = np.sign(edges) * np.log1p(abs(edges)) if card.columns[number.name].log1p else edges
        np.testing.assert_allclose(number.edges[1:-1], (edges - mean) / scale, atol=1e-5)
        assert store.schema.dense[number.column] == number.name
        assert (
            number.missing is None or store.schema.dense[number.missing] == f"{number.name}_missing"
        )
    for name in SPLITS:
        split = store.split(name)
        for array, expected in slow.arrays[name].items():
            actual = getattr(split, array)
            if array == "dense":
                np.testing.assert_allclose(actual, expected, atol=2e-5)
            else:
                np.testing.assert_array_equal(actual, expected)
        if name != "train":  # what serving does, a reader having parsed the numbers
            rows_of_split = np.flatnonzero(slow.split == SPLITS.index(name))
            kinds = card.raw_columns.items()
            columns = {
                raw: slow.numbers(raw, None) if kind == "number" else slow.table[raw]
                for raw, kind in kinds
            }
            arrow = {
                raw: pa.array(list(column), from_pandas=True).take(rows_of_split)
                for raw, column in columns.items()
            }
            again = store.encoder.encode(pa.table(arrow))
            np.testing.assert_array_equal(again[0], split.ids)
            np.testing.assert_array_equal(again[1], split.dense)


def log(rows, seed):
    """Texts with blanks, markers, whole numbers as floats, other alphabets, empty and repeated list
    entries.
    """
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 25, rows)
    spelled = [
        [f"{u}", f" {u}", f"{u}.0", f"{u} "][k]
        for u, k in zip(users, rng.integers(0, 4, rows), strict=True)
    ]
    tags = ["Zürich", "a", "1", "1.0", "", "?", " b", "c\u00a0", "日本", "a"]
    click = rng.integers(0, 2, rows)
    return pd.DataFrame(
        {
            "user": [
                ["", "?"][u % 2] if u > 22 else text for u, text in zip(users, spelled, strict=True)
            ],
            "city": rng.choice(
                ["Rome", "Oslo ", "", " ?", "x" * 40, "Łódź", "0", "-0.0", "007"], rows
            ),
            "tags": ["|".join(rng.choice(tags, k)) for k in rng.integers(0, 6, rows)],
            "price": [
                ["", "?", "1e3", *["0"] * 5, f"{x:.3f}"][min(k, 8)]
                for x, k in zip(rng.lognormal(size=rows), rng.integers(0, 20, rows), strict=True)
            ],
            "clock": rng.integers(0, 24, rows) * 100 + rng.integers(0, 60, rows),
            "day": [f"2024-01-{d:02d}" for d in rng.integers(1, 29, rows)],
            "when": rng.integers(0, 1000, rows),
            "part": rng.choice(["train", "train", "dev", "test", "none"], rows),
            "click": [
                ["?", "true", "1.0"][k] if k < 3 else str(c)
                for c, k in zip(click, rng.integers(0, 40, rows), strict=True)
            ],
            "buy": click * rng.integers(0, 2, rows),
            "stay": [
                ["", f"{x:.2f}"][int(k > 0)]
                for x, k in zip(rng.random(rows), rng.integers(0, 9, rows), strict=True)
            ],
            "rate": rng.choice(["0.5", "0.1", "1"], rows),
            "author": rng.choice(["ann", "bo", "?", "cy", *map(str, range(30))], rows),
            "number": np.arange(rows),
            "house": np.where(users < 18, users // 2, ""),
        }
    ).astype(str)


CARD: dict[str, Any] = LEAST | {
    "group": "user",
    "reader": {"kind": "csv", "missing": ["?"]},
    "files": [{"name": "a.csv"}, {"name": "b.csv"}],
    "columns": {
        "user": "categorical",
        "city": {"kind": "categorical", "min_count": 5},
        "tags": {"kind": "multi-valued", "separator": "|", "max_length": 3},
        "price": {"kind": "numeric", "log1p": True},
        "hour": {"kind": "categorical", "from": "clock", "derive": "hour_of_hhmm"},
        "clock": {"kind": "numeric", "missing_flag": True},
        "raw_price": {"kind": "categorical", "from": "price"},
    },
    "tasks": [
        {"name": "click", "column": "click"},
        {"name": "buy", "columns": ["click", "buy"], "parent": "click"},
        {"name": "stay", "column": "stay", "kind": "regression"},
    ],
    "split": {"kind": "random", "valid": 0.2, "test": 0.2},
    "encoding": {"target_rates": ["city", "user"]},
}

VARIANTS: dict[str, dict[str, Any]] = {
    "random rows": {},
    "random groups": {
        "split": {"kind": "random", "valid": 0.3, "test": 0.2, "unit": "group", "seed": 3}
    },
    "test file first": {
        "split": {
            "kind": "files",
            "train": ["b.csv"],
            "test": ["a.csv"],
            "valid_fraction": 0.3,
            "unit": "group",
        }
    },
    "time as number": {
        "time": "when",
        "split": {
            "kind": "time",
            "train": {"first": 100, "last": 500},
            "valid": {"first": 501, "last": 700},
            "test": {"first": 750},
        },
    },
    "hash": {"split": {"kind": "hash", "column": "city", "valid": 0.3, "test": 0.3, "seed": 5}},
    "column": {
        "split": {
            "kind": "column",
            "column": "part",
            "train": ["train"],
            "valid": ["dev"],
            "test": ["test"],
        }
    },
    "column, valid of train's groups": {
        "split": {
            "kind": "column",
            "column": "part",
            "train": ["train"],
            "test": ["test"],
            "valid_fraction": 0.3,
            "unit": "group",
        }
    },
    "files, valid of train's end": {
        "time": "day",
        "split": {
            "kind": "files",
            "train": ["a.csv"],
            "test": ["b.csv"],
            "valid_from": "2024-01-20",
        },
    },
    "duplicates": {"reader": {"kind": "csv", "missing": ["?"], "drop_duplicates": True}},
    "joins": {
        "reader": {
            "kind": "csv",
            "missing": ["?"],
            "joins": [{"file": "users.csv", "on": "user"}, {"file": "cities.csv", "on": "city"}],
        },
        "files": [
            {"name": "a.csv"},
            {"name": "b.csv"},
            {"name": "users.csv"},
            {"name": "cities.csv"},
        ],
        "columns": CARD["columns"]
        | {"age": "numeric", "kind": "categorical", "land": "categorical"},
    },
    "all that is kept beside inputs": {
        "columns": CARD["columns"] | {"tags": CARD["columns"]["tags"] | {"keep": "last"}},
        "tasks": [
            {"name": "click", "column": "click"},
            {
                "name": "buy",
                "column": "buy",
                "parent": "click",
                "where": {"when": {"first": 100}, "city": ["Rome"]},
                "optional": True,
            },
            {
                "name": "stay",
                "column": "stay",
                "kind": "regression",
                "parent": "click",
                "censored": "price",
            },
        ],
        "weight": "number",
        "sampling": {"task": "click", "rate": "rate"},
        "logged": ["number", "when"],
        "segments": {
            "at": {"column": "number", "ranges": [50, 120.5]},
            "author": {"column": "author"},
            "user": {"known": "user"},
        },
        "items": {"author": "author"},
        "item_numbers": {"price": "price"},
    },
    "thinned, by units": {
        "units": "house",
        "sampling": {"task": "click", "rate": 0.25},
        "split": {"kind": "random", "valid": 0.4, "test": 0.2, "unit": "group", "seed": 2},
    },
}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def write(raw, separator):
    a, b = log(150, 0), log(100, 1)
    b = pd.concat([b, a.iloc[10:20], b.iloc[:15]])
    for name, frame in (("a.csv", a), ("b.csv", b)):
        frame.to_csv(raw / name, index=False, sep=separator)
    side = [("user", "age", "kind", "city")] + [
        (f"{u}", ["", f"{20 + u}"][u % 3 > 0], "xyz"[u % 3], "no") for u in range(20)
    ]
    (raw / "users.csv").write_text("".join(",".join(row) + "\n" for row in side))
    (raw / "cities.csv").write_text("land,city\nItaly,Rome\nNorway, Oslo\n?,Łódź\nNone,0\n")


@pytest.mark.parametrize("variant", VARIANTS)
def test_parts_give_what_the_twin_gives(variant, raw, tmp_path, monkeypatch):
    card = parse_card(CARD | VARIANTS[variant], "here")
    write(raw, getattr(card.reader, "separator", ","))
    store = prepare(card, tmp_path / "one", raw)
    check(card, store, raw, tmp_path / "one")
    monkeypatch.setattr(base, "PART", 7)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 12)
    monkeypatch.setattr(two_passes, "CHUNK", 5)
    again = prepare(card, tmp_path / "two", raw)
    assert arrays(again) == arrays(store)
    facts = ("splits", "duplicates_dropped", "outside_splits", "schema")
    assert {key: again.manifest[key] for key in facts} == {
        key: store.manifest[key] for key in facts
    }
    assert (store.manifest["duplicates_dropped"] > 20) == (variant == "duplicates")


def test_pairs(raw, tmp_path, monkeypatch, recorder, rng):
    for name in ("train", "test"):
        keys = rng.permutation(60)
        users = [f"{key},{key % 7},{rng.random():.3f}" for key in keys]
        items = [
            f"{rng.integers(0, 70)},{rng.integers(0, 9)},{rng.integers(0, 3)}" for _ in range(300)
        ]
        (raw / f"user_{name}.csv").write_text("\n".join(users) + "\n")
        (raw / f"item_{name}.csv").write_text("\n".join(items) + "\n")
    values = LEAST | {
        "group": "search",
        "reader": {
            "kind": "pairs",
            "on": "search",
            "columns": ["search", "item", "label"],
            "partner_columns": ["search", "segment", "score"],
            "partner": {f"item_{n}.csv": f"user_{n}.csv" for n in ("train", "test")},
        },
        "files": [
            {"name": f"{kind}_{n}.csv"} for n in ("train", "test") for kind in ("item", "user")
        ],
        "columns": {"item": "categorical", "segment": "categorical", "score": "numeric"},
        "tasks": [{"name": "click", "column": "label", "positive": [1, 2]}],
        "split": {
            "kind": "files",
            "train": ["item_train.csv"],
            "test": ["item_test.csv"],
            "valid_fraction": 0.2,
            "unit": "group",
        },
    }
    card = parse_card(values, "here")
    store = prepare(card, tmp_path / "one", raw, recorder)
    check(card, store, raw, tmp_path / "one")
    lost = 600 - sum(split["rows"] for split in store.manifest["splits"].values())
    assert store.manifest["unpaired_dropped"] == lost > 0
    assert f"shop: dropped {lost} rows without a partner" in recorder.notes
    monkeypatch.setattr(base, "PART", 7)
    assert arrays(prepare(card, tmp_path / "two", raw)) == arrays(store)


@pytest.mark.parametrize(
    "name", ["synthetic-funnel@rows=1000", "synthetic-relatedness@rows=500,d=3"]
)
def test_generated_rows(name, tmp_path, monkeypatch):
    store = prepare(load_card(name), tmp_path / "one")
    monkeypatch.setattr(base, "PART", 7)
    again = prepare(load_card(name), tmp_path / "two")
    assert arrays(again) == arrays(store)
    assert again.manifest["reachable"] == store.manifest["reachable"]
    assert not list(store.path.rglob("truth*"))


def heads(card, folder, raw, rows):
    """The first rows of real files, all of those of side tables."""
    raw.mkdir()
    for file in card.files:
        with gzip.open(folder / f"{file.name}.gz", "rt", encoding="utf-8") as source:
            lines = source.readlines()
        keep = lines[:rows] if file.name in card.row_files else lines
        (raw / file.name).write_text("".join(keep), encoding="utf-8")


@pytest.mark.slow
def test_census_income(census_raw, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "PART", 700)
    heads(load_card("census-income"), census_raw, tmp_path / "raw", 3000)
    store = prepare(load_card("census-income"), tmp_path / "home", tmp_path / "raw")
    check(load_card("census-income"), store, tmp_path / "raw", tmp_path / "home")


@pytest.mark.slow
def test_kuairand(kuairand_raw, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "PART", 700)
    # the twin makes none
    card = load_card("kuairand-pure@late-window").model_copy(update={"history": None})
    heads(card, kuairand_raw, tmp_path / "raw", 100_000_000)
    log_file = tmp_path / "raw" / card.row_files[0]
    lines = log_file.read_text().splitlines(keepends=True)
    log_file.write_text(lines[0] + "".join(lines[1::60] + lines[1:400:2]))  # some rows twice
    store = prepare(card, tmp_path / "home", tmp_path / "raw")
    assert store.manifest["duplicates_dropped"] > 0
    check(card, store, tmp_path / "raw", tmp_path / "home")
    assert json.loads((store.path / "manifest.json").read_text())["bad_rows"] == {}
