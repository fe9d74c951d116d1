"""Boosted trees as plain arrays: they say what scikit-learn says, in every engine, and wrong ones
are refused.
"""

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from serving_toys import measured_package, package_of, sign, trees_of

from bench.core.errors import UserError
from bench.core.schema import Field
from bench.data.store import StoredSplit
from bench.models.trees import LARGEST, NO_CHOICE, TreeModel
from bench.serve.engines import open_engine, without_onnx
from bench.serve.package import Package
from bench.testing.training_checks import VALUES, MemoryStore

FIELDS = (Field("kind", 6), Field("tags", 6, slots=2), Field("item", 400))


def gaps(store):
    """Numbers with few values, a tenth of them missing in a way that tells, and a category that
    train does not have.
    """
    rng = np.random.default_rng(7)
    for name in ("train", "valid", "test", "confirm"):
        split = store.split(name)
        dense = np.round(split.dense * 4) / 4
        dense[
            (rng.random(dense.shape) < 0.1) | (split.labels[:, :1] * rng.random(dense.shape) > 0.8)
        ] = np.nan
        ids = split.ids.copy()
        ids[rng.random(len(ids)) < 0.2, 2] = 0  # one tag
        if name != "test":
            ids[:, 0] = np.where(
                ids[:, 0] == store.schema.offsets[0] + 5, store.schema.offsets[0], ids[:, 0]
            )
        store._splits[name] = StoredSplit(ids, dense, split.labels, split.group)
    return store


@pytest.fixture(scope="module")
def grown():
    store: Any = gaps(MemoryStore(3000, VALUES, fields=FIELDS))
    _, packed, models = trees_of(store, 40)
    model = TreeModel(store.schema, packed.sizes)
    model.load_state_dict(packed.state)
    return store, model, models


def test_missing_values_unseen_categories_and_values_on_a_threshold(grown):
    store, model, models = grown
    split = store.split("test")
    ids, dense = split.ids.copy(), split.dense.copy()
    thresholds = np.concatenate(
        [
            tree.nodes["num_threshold"]
            for grown_trees in models
            for (tree,) in grown_trees.model._predictors
        ]
    )
    on = (
        np.random.default_rng(0)
        .choice(thresholds[np.isfinite(thresholds)], dense.shape)
        .astype(np.float32)
    )
    dense[::3] = np.where(np.isnan(dense[::3]), np.nan, on[::3])
    dense[1::3] = np.nextafter(on[1::3], np.float32(9))
    expected = np.stack([grown_trees.predict(ids, dense) for grown_trees in models], axis=1)
    with torch.inference_mode():
        predictions = model(torch.from_numpy(ids), torch.from_numpy(dense))
    np.testing.assert_allclose(predictions.conditional.numpy(), expected, rtol=1e-6, atol=1e-6)
    joint = expected * np.stack([np.ones(len(ids)), expected[:, 0], np.ones(len(ids))], axis=1)
    np.testing.assert_allclose(predictions.joint.numpy(), joint, rtol=1e-6, atol=1e-6)
    nodes = np.concatenate(
        [tree.nodes for grown_trees in models for (tree,) in grown_trees.model._predictors]
    )
    inner = nodes[nodes["is_leaf"] == 0]
    assert inner["is_categorical"].any()
    assert len(set(inner["missing_go_to_left"])) == 2, "the data ask for missing values both ways"
    assert np.isin(split.ids[:, 0], store.schema.offsets[0] + 5).any()


@pytest.fixture(scope="module")
def blend(store, tmp_path_factory):
    """A package, and the joint predictions of test that a run keeps."""
    return measured_package(
        "blend", tmp_path_factory.mktemp("trees") / "package", store, onnx=not without_onnx()
    )


@pytest.fixture(scope="module")
def alone(store, tmp_path_factory):
    """Trees and nothing else: read in a moment."""
    return package_of("trees", tmp_path_factory.mktemp("alone") / "package", store)


@pytest.mark.slow
def test_every_engine_serves_the_blend_that_a_run_measures(blend, store):
    package, measured = blend
    split = store.split("test")
    for name in package.manifest.agreement:
        predictions = open_engine(name, package.folder, package.manifest.spec)(
            np.array(split.ids), np.array(split.dense)
        )
        np.testing.assert_allclose(predictions[1], measured, rtol=1e-5, atol=1e-7)


Wrong = Callable[[np.ndarray, np.random.Generator], None]


def put(value):
    def change(array, rng):
        array[rng.integers(len(array))] = value

    return change


def circle(array, rng):
    place = rng.choice(np.flatnonzero(array != np.arange(len(array))))
    array[place] = rng.integers(0, place) if place else 0
    array[place] -= array[place] == place


ARRAYS: dict[str, list[Wrong]] = {
    "left": [put(2**31 - 1), put(-1), circle, circle],
    "column": [put(-1), put(2**30)],
    "choice": [put(-1), put(2**31 - 1 - NO_CHOICE), put(7)],
    "roots": [put(-5), put(2**31 - 1)],
    "place": [put(-1), put(2**30)],
    "threshold": [put(np.nan), put(np.inf), put(LARGEST)],
    "value": [put(np.nan), put(np.inf)],
    "base": [put(np.nan)],
    "rates": [put(np.inf)],
}


def damaged(package, folder, seed):
    """A copy with one wrong number in one array of its trees, or with other sizes; what was
    changed.
    """
    rng = np.random.default_rng(seed)
    shutil.copytree(package.folder, folder)
    if seed % 5 == 4:
        values = json.loads((folder / "manifest.json").read_text())
        sizes = values["members"][0][0]
        name = str(rng.choice(["nodes", "choices", "trees", "walking"]))
        by = int(rng.choice([-1, 1, 2**20]))
        if isinstance(sizes[name], list):
            place = int(rng.integers(len(sizes[name])))
            sizes[name][place] = (
                sizes[name][place] + by if name == "trees" else 0 if place == 0 else 2**20
            )
        else:
            sizes[name] += by
        (folder / "manifest.json").write_text(json.dumps(values))
        sign(folder)
        return f"{name} {by}"
    name = str(rng.choice([*ARRAYS]))
    change = ARRAYS[name][rng.integers(len(ARRAYS[name]))]
    weights = load_file(folder / "model.safetensors")
    change(weights[f"members.0.0.{name}"].numpy(), rng)
    save_file(weights, folder / "model.safetensors")
    sign(folder)
    return name


@pytest.mark.slow
def test_wrong_trees_are_refused_in_a_sentence(alone, tmp_path):
    for seed in range(200):
        folder = tmp_path / str(seed)
        damage = damaged(alone, folder, seed)
        with pytest.raises(UserError, match="expected") as error:
            open_engine("eager", folder, Package.open(folder).manifest.spec)
        assert "\n" not in str(error.value), damage
        shutil.rmtree(folder)


@pytest.mark.slow
def test_trees_in_onnx_are_looked_at_too(blend, tmp_path):
    if without_onnx():
        pytest.skip(without_onnx())
    onnx: Any = pytest.importorskip("onnx")
    folder = tmp_path / "package"
    shutil.copytree(blend[0].folder, folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    (tensor,) = (entry for entry in model.graph.initializer if entry.name == "members.0.1.left")
    facts = {entry.key: entry.value for entry in tensor.external_data}
    offset, size = int(facts.get("offset", 0)), int(facts["length"])
    data = bytearray((folder / "model.onnx.data").read_bytes())
    data[offset : offset + size] = np.zeros(size // 4, np.int32).tobytes()
    (folder / "model.onnx.data").write_bytes(data)
    sign(folder)
    with pytest.raises(UserError, match="trees with children behind their parent"):
        open_engine("onnx", folder, Package.open(folder).manifest.spec)
