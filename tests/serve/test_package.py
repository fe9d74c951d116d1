"""A package holds plain data alone, is what was trained, and is refused once a byte of it
changed.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from data_toys import card_of
from serving_toys import parts_of, trained

from bench.core.errors import UserError
from bench.data import prepare
from bench.serve.package import Package, latencies, write_package


@pytest.fixture
def copy(package, tmp_path):
    return Path(shutil.copytree(package.folder, tmp_path / "copy"))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "encoder.json", "calibration.json", "policy.json", "README.md"]
)
def test_a_changed_byte_is_refused(copy, name):
    contents = bytearray((copy / name).read_bytes() or b" ")
    contents[len(contents) // 2] ^= 1
    (copy / name).write_bytes(contents)
    with pytest.raises(
        UserError,
        match=rf"{name}: expected sha256 .* as packaged, found .*: it was changed or damaged",
    ):
        Package.open(copy)


def test_a_package_without_onnx(package):
    pytest.importorskip("onnxruntime", reason="no onnxruntime: the extra `serve`")
    for opened in (package.engine, package.scorer):
        with pytest.raises(UserError, match=r"expected a model.onnx in .*, found none"):
            opened("onnx")


@pytest.mark.slow
def test_separate_models_and_averages_are_packaged_whole(store, tmp_path):
    """Tasks at their own best states, and two seeds: what is packaged is what a plain average
    says.
    """
    trainers = [trained(store, seed, **{"sharing.kind": "single_task"}) for seed in (0, 1)]
    package = write_package(parts_of(store, *trainers), tmp_path / "average", onnx=False)
    assert package.manifest.members == ((2,), (2,))
    assert package.manifest.agreement["eager"] <= 1e-5
    valid = store.split("valid")
    expected = []
    for trainer in trainers:
        best = [None if selector.current else selector.snapshot for selector in trainer.selectors]
        logits = [
            torch.cat(list(trainer.evaluation.logits("valid", state)))[:, task]
            for task, state in enumerate(best)
        ]
        expected.append(torch.stack(logits, 1).sigmoid().numpy())
    conditional, _ = package.engine()(np.array(valid.ids), np.array(valid.dense))
    np.testing.assert_allclose(conditional, np.mean(expected, axis=0), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["single_task", "mmoe"])
def test_a_skewed_regression_is_served_in_its_own_unit_by_every_engine(sharing, tmp_path):
    rng = np.random.default_rng(1)
    user, age = rng.integers(0, 50, 4000), rng.normal(size=4000)
    visit = rng.random(4000) < 0.4
    spend = np.where(
        visit, np.exp(3 + 0.5 * age + 0.5 * np.sin(user) + rng.normal(0, 0.5, 4000)), 0.0
    )
    lines = [f"{u},{a},{int(v)},{s}" for u, a, v, s in zip(user, age, visit, spend, strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["user,age,visit,spend", *lines]))
    tasks = [
        {"name": "visit", "column": "visit"},
        {"name": "spend", "column": "spend", "kind": "regression"},
    ]
    columns = {"user": "categorical", "age": "numeric"}
    card = card_of(
        reader={"kind": "csv"}, files=[{"name": "log.csv"}], tasks=tasks, columns=columns
    )
    store = prepare(card, tmp_path / "home", tmp_path)
    trainer = trained(
        store,
        **{
            "sharing.kind": sharing,
            "optim.epochs": 5.0,
            "optim.batch_size": 128,
            "optim.precision": "fp32",
        },
    )
    measured = trainer.metrics("test")
    package = write_package(parts_of(store, trainer), tmp_path / "package")
    split = store.split("test")
    labels = split.labels[:, 1]
    for engine in ("eager", "onnx"):
        predicted = package.scorer(engine).predict_encoded(
            np.array(split.ids), np.array(split.dense)
        )["spend"]
        assert np.sqrt(np.mean((predicted - labels) ** 2)) == pytest.approx(
            measured["test/spend.rmse"], rel=1e-4
        )
        assert predicted.min() >= 0
        # a median of log(1 + y) would be far below
        assert predicted.mean() == pytest.approx(labels.mean(), rel=0.5)


@pytest.mark.slow
def test_each_engine_on_each_batch(package):
    timings = latencies(package, (), (1,), (1, 7), 0.001)
    assert [(timing.engine, timing.batch) for timing in timings] == [("eager", 1), ("eager", 7)]
    for timing in timings:
        assert 0 < timing.p50_ms <= timing.p99_ms
        assert timing.request_ms > 0
        assert timing.calls >= 20
        assert timing.rows_per_s > 0
    with pytest.raises(UserError, match="unknown engine 'fast'"):
        latencies(package, ["fast"], (1,), (1,), 0.001)
