import json

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.core.schema import Task
from bench.data import Store, parse_card, prepare, prepared
from bench.data.store import _MANIFEST_KEYS, DamagedStore, remove_stores


@pytest.fixture
def store(shop, shop_raw, tmp_path):
    shop["tasks"].append(
        {"name": "heavy", "column": "weight", "kind": "regression", "optional": True}
    )
    return prepare(parse_card(shop, "here"), tmp_path / "home", shop_raw)


def test_arrays_are_mapped_read_only_and_typed(store):
    for name in ("train", "valid", "test"):
        split = store.split(name)
        n = store.manifest["splits"][name]["rows"]
        assert len(split) == n
        schema = store.schema
        for array, shape, dtype in (
            (split.stored_ids, (n, schema.slots), np.uint16),
            (split.dense, (n, len(schema.dense)), np.float32),
            (split.labels, (n, 3), np.float32),
            (split.group, (n,), np.int32),
        ):
            assert isinstance(array, np.memmap)
            assert (array.shape, array.dtype) == (shape, dtype)
            assert not array.flags.writeable


def test_a_view_has_the_tasks_in_the_order_asked(store):
    full = store.split("train").labels
    view = store.with_tasks(["heavy", "click"])
    heavy, click = view.schema.tasks
    assert (heavy.name, heavy.kind, click) == ("heavy", "regression", Task("click"))
    assert heavy.scale is not None
    np.testing.assert_array_equal(view.split("train").labels, full[:, [2, 0]])
    np.testing.assert_array_equal(view.with_tasks(["click"]).split("train").labels, full[:, [0]])
    assert store.default_tasks == view.default_tasks == ("click", "buy")
    assert view.schema.fields == store.schema.fields


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["click", "clik"], "unknown task 'clik' .did you mean 'click'"),
        (["buy"], "task 'buy' needs its parent 'click'"),
        ([], "expected at least one task of click, buy, heavy"),
    ],
)
def test_tasks_that_cannot_be_had(store, names, message):
    with pytest.raises(UserError, match=message):
        store.with_tasks(names)


def test_only_a_store_can_be_opened(tmp_path, store):
    again = Store.open(str(store.path))
    assert (again.key, again.fingerprint, again.schema) == (
        store.key,
        store.fingerprint,
        store.schema,
    )
    for path in (tmp_path, tmp_path / "nowhere", store.path / "manifest.json"):
        with pytest.raises(UserError, match="expected a prepared store"):
            Store.open(path)


def cut(name, size):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def manifest(text):
    return lambda folder: (folder / "manifest.json").write_bytes(text)


DAMAGES = {
    "train/ids.npy: No data left in file": cut("train/ids.npy", 0),
    "valid/labels.npy: ": cut("valid/labels.npy", 150),
    "confirm/group.npy: expected ": lambda folder: np.save(
        folder / "confirm/group.npy", np.zeros(3, np.int32)
    ),
    "manifest.json: not valid JSON: 'utf-8'": manifest(b"\xff" * 9),
    "manifest.json: schema: ": manifest(json.dumps({key: {} for key in _MANIFEST_KEYS}).encode()),
    "found none at": lambda folder: (folder / "manifest.json").unlink(),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_store_is_named_left_out_and_can_be_removed(
    store, shop, shop_raw, tmp_path, recorder, message
):
    home = tmp_path / "home"
    sound = prepare(parse_card(shop | {"id": "other"}, "here"), home, shop_raw)
    DAMAGES[message](store.path)
    if (store.path / "manifest.json").exists():
        card = parse_card(shop, "here")
        for again in (lambda: prepare(card, home, shop_raw), lambda: used(store.path)):
            with pytest.raises(DamagedStore) as caught:
                again()
            assert message in str(caught.value)
            assert "`seesaw datasets shop --remove --home " in str(caught.value)
    assert [entry["path"] for entry in prepared(home, recorder)] == [str(sound.path)]
    assert [note.startswith("left out: ") and message in note for note in recorder.notes] == [True]
    assert [entry["path"] for entry in remove_stores(home, "shop")] == [str(store.path)]
    assert prepared(home)[0]["path"] == str(sound.path)
    assert not store.path.exists()


def used(path):
    opened = Store.open(path)
    for name in ("train", "valid", "confirm", "test"):
        opened.split(name)
