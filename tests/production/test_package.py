"""A package holds plain data alone, is what was trained, and is refused once a byte of it changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from serving_toys import parts_of, trained

from bench.core.errors import UserError
from bench.data import Store, load_card, prepare
from bench.frontier.score import Score
from bench.production.package import Package, write_package


@pytest.fixture
def copy(package: Package, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package.folder, tmp_path / "copy"))


def test_every_file_is_plain_data(package: Package) -> None:
    names = {path.name for path in package.folder.iterdir()}
    assert names == {*package.manifest.files, "manifest.json"}
    for path in package.folder.iterdir():
        if path.suffix == ".safetensors":
            load_file(path)
        else:
            path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["model.safetensors", "encoder.json", "calibration.json", "policy.json", "README.md"])
def test_a_changed_byte_is_refused(copy: Path, name: str) -> None:
    contents = bytearray((copy / name).read_bytes() or b" ")
    contents[len(contents) // 2] ^= 1
    (copy / name).write_bytes(contents)
    with pytest.raises(
        UserError, match=rf"{name}: expected sha256 .* as packaged, found .*: it was changed or damaged"
    ):
        Package.open(copy)


def test_a_changed_manifest_is_refused(copy: Path) -> None:
    """Its score alone decides what comes first."""
    manifest = (copy / "manifest.json").read_text()
    assert '"kind": "power"' in manifest
    (copy / "manifest.json").write_text(manifest.replace('"kind": "power"', '"kind": "sum"'))
    with pytest.raises(UserError, match=r"manifest.json: expected values of the digest .*: it was changed or damaged"):
        Package.open(copy)


def test_what_is_no_package(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected a packaged model with a manifest.json, found none"):
        Package.open(tmp_path / "nothing")
    (copy / "encoder.json").unlink()
    with pytest.raises(UserError, match=r"expected the file 'encoder.json' of the package, found none"):
        Package.open(copy)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        Package.open(copy)


def test_a_package_without_onnx(package: Package) -> None:
    pytest.importorskip("onnxruntime", reason="no onnxruntime: the extra `serve`")
    with pytest.raises(UserError, match=r"expected a model.onnx in .*, found none"):
        package.engine("onnx")


@pytest.mark.slow
def test_separate_models_and_averages_are_packaged_whole(store: Store, tmp_path: Path) -> None:
    """Tasks at their own best states, and two seeds: what is packaged is what a plain average says."""
    trainers = [trained(store, seed, **{"sharing.kind": "single_task"}) for seed in (0, 1)]
    package = write_package(parts_of(store, *trainers), tmp_path / "average", onnx=False)
    assert package.manifest.members == ((2,), (2,))
    assert package.manifest.agreement["eager"] <= 1e-5
    valid = store.split("valid")
    expected = []
    for trainer in trainers:
        best = [None if selector.current else selector.snapshot for selector in trainer.selectors]
        logits = [torch.cat(list(trainer.evaluation.logits("valid", state)))[:, at] for at, state in enumerate(best)]
        expected.append(torch.stack(logits, 1).sigmoid().numpy())
    conditional, _ = package.engine()(np.array(valid.ids), np.array(valid.dense))
    np.testing.assert_allclose(conditional, np.mean(expected, axis=0), atol=1e-5)


def test_a_score_of_nothing_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    parts = parts_of(store, trained(store), score=Score(weights={"purchase": 1.0}))
    with pytest.raises(
        UserError, match=r"unknown prediction 'purchase' .*known are click, purchase.ctcvr, purchase.cvr"
    ):
        write_package(parts, tmp_path / "package", onnx=False)
    assert list(tmp_path.iterdir()) == []


def test_the_extra_is_named_where_it_is_absent(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.production.engines.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"expected onnxruntime to run .*; in the checkout, pip install '.\[serve\]'"):
        package.engine("onnx")


SPEND = """
id = "spend"
title = "Visits and what they bring"
licence = "MIT"
citation = "-"
homepage = "-"
reader = { kind = "csv" }
files = [{ name = "log.csv" }]
tasks = [{ name = "visit", column = "visit" }, { name = "spend", column = "spend", kind = "regression" }]
split = { kind = "random", valid = 0.2, test = 0.2 }
columns = { user = "categorical", age = { kind = "numeric" } }
"""


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["single_task", "mmoe"])
def test_a_skewed_regression_is_served_in_its_own_unit_by_every_engine(sharing: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    user, age = rng.integers(0, 50, 4000), rng.normal(size=4000)
    visit = rng.random(4000) < 0.4
    spend = np.where(visit, np.exp(3 + 0.5 * age + 0.5 * np.sin(user) + rng.normal(0, 0.5, 4000)), 0.0)
    lines = [f"{u},{a},{int(v)},{s}" for u, a, v, s in zip(user, age, visit, spend, strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["user,age,visit,spend", *lines]))
    (tmp_path / "card.toml").write_text(SPEND)
    store = prepare(load_card(str(tmp_path / "card.toml")), tmp_path / "home", tmp_path)
    trainer = trained(
        store, **{"sharing.kind": sharing, "optim.epochs": 5.0, "optim.batch_size": 128, "optim.precision": "fp32"}
    )
    measured = trainer.metrics("test")
    package = write_package(parts_of(store, trainer), tmp_path / "package")
    split = store.split("test")
    labels = split.labels[:, 1]
    for engine in ("eager", "onnx"):
        predicted = package.scorer(engine).predict_encoded(np.array(split.ids), np.array(split.dense))["spend"]
        assert np.sqrt(np.mean((predicted - labels) ** 2)) == pytest.approx(measured["test/spend.rmse"], rel=1e-4)
        assert predicted.min() >= 0
        assert predicted.mean() == pytest.approx(labels.mean(), rel=0.5)  # a median of log(1 + y) would be far below
