"""A package changed on purpose, with digests to match, is refused with a sentence before anything
of it runs.
"""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file
from serving_toys import sign, tampered

from bench.core.errors import UserError
from bench.serve import bounds
from bench.serve.package import Package


def at(*path, value):
    """A value at a place of a document; in a list of any length 0 is the first."""

    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def field(**facts):
    return lambda manifest: manifest["data_schema"]["fields"][0].update(facts)


def number(**facts):
    return lambda manifest: manifest["data_schema"]["numbers"][0].update(facts)


def task(**facts):
    return lambda manifest: manifest["data_schema"]["tasks"][0].update(facts)


def raw(contents):
    return lambda values: contents


NESTED = raw(b"[" * 200_000 + b"]" * 200_000)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("manifest.json", raw(b"\xff\xfe"), "manifest.json: not valid JSON"),
        (
            "manifest.json",
            raw(b'{"version": ' + b"1" * 5000 + b"}"),
            "manifest.json: not valid JSON",
        ),
        ("manifest.json", NESTED, "manifest.json: not valid JSON"),
        (
            "manifest.json",
            at("files", value={}),
            "files: expected 'README.md' among them, found none",
        ),
        (
            "manifest.json",
            at("data_schema", "tasks", value=[]),
            "data_schema: expected 1 to 256 tasks, found 0",
        ),
        (
            "manifest.json",
            field(cardinality=10**12),
            "data_schema: expected fewer than 2.31 rows.*found 1000000000",
        ),
        ("manifest.json", field(slots=10**9), "data_schema: .*at most 2.16 slots.*, 1000000"),
        (
            "manifest.json",
            number(counts=[1]),
            "encoder.json: expected the inputs of manifest.json, found others",
        ),
        (
            "manifest.json",
            task(parent="nothing"),
            "expected the parent of 'click' to be a task, found 'nothing'",
        ),
        (
            "manifest.json",
            task(name="score"),
            "expected predictions of different names, .* found 'score' twice",
        ),
        (
            "manifest.json",
            at("members", value=[[10**9]]),
            "members: expected 1 or 2 states of each network",
        ),
        (
            "manifest.json",
            at("parts", 0, "config", "tower.layers", value="65536-65536-65536"),
            "expected weights as the",
        ),
        (
            "manifest.json",
            at("parts", 0, "config", "tower.layers", value="-".join("1" * 9999)),
            "at most 64 items",
        ),
        (
            "manifest.json",
            at("parts", 0, "config", "sharing.mmoe.experts", value=10**9),
            "sharing.mmoe.experts",
        ),
        (
            "manifest.json",
            at("parts", 0, "config", "sharing.kind", value="nothing"),
            "unknown sharing kind 'nothing'",
        ),
        ("encoder.json", raw(b"[]"), "encoder.json"),
        (
            "encoder.json",
            at("fields", 0, "source", "derive", value="eval"),
            "unknown derivation 'eval'",
        ),
        ("encoder.json", at("dense", 0, "mean", value=float("nan")), "mean: .*finite"),
        ("calibration.json", raw(b"[]"), "calibration.json: expected an object, found list"),
        ("calibration.json", at("clik", value={"kind": "none"}), "unknown prediction 'clik'"),
        (
            "manifest.json",
            at("score", "rates", value={"click": -1.0}),
            "score.rates.click: .*greater than 0, found -1",
        ),
    ],
)
def test_parts_that_are_none_are_refused(package, tmp_path, name, change, sentence):
    copy = tampered(package.folder, tmp_path / "copy", name, change)

    def used():
        changed = Package.open(copy)
        _ = changed.encoder, changed.calibrations
        changed.scorer()

    with pytest.raises(UserError, match=sentence):
        used()


def test_other_files_in_its_folder_are_refused(package, tmp_path):
    copy = tampered(package.folder, tmp_path / "copy", "card.json", lambda values: values)
    Package.open(copy)
    (copy / "more.txt").write_text("")
    with pytest.raises(
        UserError,
        match=r"expected the files of its manifest.json alone, found 'more.txt' beside them",
    ):
        Package.open(copy)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"]["more.txt"] = {"sha256": "", "size": 0}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    sign(copy)
    with pytest.raises(UserError, match=r"files: expected README.md, .* at most, found 'more.txt'"):
        Package.open(copy)


def edited(change):
    def write(path):
        weights = load_file(path)
        change(weights)
        save_file(weights, path)

    return write


AS_MADE = "expected weights as the configuration makes them"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda path: path.write_bytes(pickle.dumps([1, 2])),
            "expected weights in a safetensors file",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-99]),
            "expected weights in a safetensors file",
        ),
        (edited(lambda weights: weights.popitem()), AS_MADE),
        (edited(lambda weights: weights.update(more=torch.zeros(2))), AS_MADE),
        (edited(lambda weights: weights.update({next(iter(weights)): torch.zeros(1)})), AS_MADE),
        (
            edited(
                lambda weights: weights.update(
                    {key: weight.double() for key, weight in weights.items()}
                )
            ),
            AS_MADE,
        ),
    ],
)
def test_weights_that_are_none_are_refused(package, tmp_path, change, sentence):
    copy = tampered(package.folder, tmp_path / "copy", "card.json", lambda values: values)
    change(copy / "model.safetensors")
    sign(copy)
    with pytest.raises(UserError, match=sentence):
        Package.open(copy).scorer()


class Wide(torch.nn.Module):
    """One value that is too large."""

    def forward(self, ids, dense):
        return ids, dense.unsqueeze(2).expand(-1, -1, 10**9) + dense.unsqueeze(2)


class Several(torch.nn.Module):
    """Values that are too large together."""

    def forward(self, ids, dense):
        layers = [dense.unsqueeze(2).expand(-1, -1, 20_000) * (factor + 2) for factor in range(4)]
        return ids, torch.stack([layer.sum(2) for layer in layers])


class Products(torch.nn.Module):
    """Products of all rows with all, which need little memory."""

    def forward(self, ids, dense):
        product = dense @ dense.t()
        for _ in range(9):
            product = product @ product
        return ids, product


def bounded(model):
    with torch.device("meta"):
        bounds.check_bounds(
            model, torch.zeros(bounds.ROWS, 2, dtype=torch.int32), torch.zeros(bounds.ROWS, 2)
        )


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (
            Wide(),
            r"expected at most 2,147,483,648 bytes for 4,096 rows, found 32,768,000,000,000 at 'add'",
        ),
        (
            Several(),
            r"expected at most 2,147,483,648 bytes for 4,096 rows, found 2,621,440,000 at 'mul'",
        ),
        (
            Products(),
            r"expected work of at most [\d,]+ additions for 4,096 rows, found more at 'mm'",
        ),
    ],
)
def test_a_model_is_bounded_as_a_whole(model, sentence):
    with pytest.raises(UserError, match=sentence):
        bounded(model)
