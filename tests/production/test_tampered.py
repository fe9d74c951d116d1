"""A package changed on purpose, with digests to match, is refused with a sentence before anything of it runs."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tampered import GRAPH, Change, repack, sign, tampered

from bench.core.errors import UserError
from bench.production import archive, bounds
from bench.production.archive import check_graph
from bench.production.engines import open_engine
from bench.production.package import Package

MODEL = f"model.pt2/{GRAPH}"
WEIGHTS = "model.pt2/data/weights/model_weights_config.json"
CONSTANTS = "model.pt2/data/constants/model_constants_config.json"


@pytest.fixture(scope="module")
def graph(package: Package) -> str:
    with zipfile.ZipFile(package.folder / "model.pt2") as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith(GRAPH))).decode()


def calls(target: str, **arguments: Any) -> Change:
    """A node of the graph, in the place of its first sigmoid, that calls something else."""

    def change(document: Any) -> None:
        nodes = document["graph_module"]["graph"]["nodes"]
        node = next(node for node in nodes if "sigmoid" in node["target"])
        node["target"] = target
        node["inputs"] = [{"name": name, "arg": arg, "kind": 1} for name, arg in arguments.items()]

    return change


def at(*path: Any, value: Any) -> Change:
    """A value at a place of a document; in a list of any length 0 is the first."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


NODE = ("graph_module", "graph", "nodes", 0)
SYMBOL = ("graph_module", "graph", "sym_int_values")
PATH = {"filename": {"as_string": "/tmp/owned"}, "shared": {"as_bool": True}, "size": {"as_int": 8}}
IMPORTS = json.dumps(
    [1, {"type": "collections.defaultdict", "context": '{"default_factory_module": "os"}', "children_spec": []}]
)


def sized(text: str) -> Change:
    def change(document: Any) -> None:
        for value in document["graph_module"]["graph"]["sym_int_values"].values():
            value["as_expr"]["expr_str"] = text

    return change


def hinted(hint: Any) -> Change:
    def change(document: Any) -> None:
        for value in document["graph_module"]["graph"]["sym_int_values"].values():
            value["as_expr"]["hint"] = hint

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        *(
            (calls(target, **arguments), f"expected an operator that our models use, found '{target}")
            for target, arguments in {
                "torch.ops.aten.from_file.default": PATH,
                "torch.ops.inductor._reinterpret_tensor.default": {"self": {"as_tensor": {"name": "dense"}}},
                "torch.ops.load_library": {"path": {"as_string": "evil"}},
                "torch.load": {"f": {"as_string": "evil"}},
                "torch.ops.aten.set_.source_Storage": {},
                "torch.ops.prims.device_put.default": {},
                "torch.ops.aten.new_empty.default": {"self": {"as_tensor": {"name": "dense"}}},
                "torch.ops.higher_order.cond": {},
                "torch.hub.load": {},
                "torch.os.system": {"command": {"as_string": "id"}},
                "_operator.attrgetter": {"name": {"as_string": "__class__"}},
                "math.factorial": {"x": {"as_int": 10**9}},
                "#extension:op": {},
            }.items()
        ),
        (calls("torch.ops.aten.relu.default", self={"as_graph": {"name": "g", "graph": {}}}), "found 'as_graph'"),
        (calls("torch.ops.aten.relu.default", self={"as_operator": "torch.load"}), "found 'as_operator'"),
        (calls("torch.ops.aten.relu.default", self={"as_custom_obj": {}}), "found 'as_custom_obj'"),
        (calls("torch.ops.aten.einsum.default", equation={"as_string": "/etc/passwd"}), "expected a plain name"),
        (calls("torch.ops.aten.to.dtype", device={"as_device": {"type": "cuda"}}), "expected the device cpu"),
        (calls("torch.ops.aten.to.dtype", x={"as_int": 10**30}), "expected a whole number of 64 bits"),
        (sized("9**9**9**9"), r"expected a size as a product of numbers and symbols, found '9\*\*9"),
        (sized("__import__('os').system('id')"), "expected a size as a product"),
        (sized("Pow(Integer(9), Pow(Integer(9), Integer(99)))"), "expected a size as a product"),
        (sized("Symbol('s0').func"), "expected a size as a product"),
        (sized("Integer(" + "9" * 99 + ")"), "expected a size as a product"),
        (hinted({"as_float": 0.5}), "hint: expected a whole number"),
        (hinted({"as_int": "9**9**9"}), "expected a plain name"),
        (at("range_constraints", value={"s0**9": {"min_val": 0, "max_val": 9}}), "expected plain names"),
        (at("range_constraints", value={"s0": {"min_val": "f()", "max_val": 9}}), "expected a plain name"),
        (at("guards_code", value=["__import__('os').system('id')"]), "guards_code"),
        (at(*NODE, "name", value="x = __import__('os').system('id')#"), "name: expected a plain name"),
        (at(*NODE, "inputs", 0, "name", value="self=open('/tmp/owned', 'w'), x"), "name: expected a plain name"),
        (at(*NODE, "metadata", value={"source_fn_stack": "x,torch.load"}), "metadata"),
        (
            at("graph_module", "module_call_graph", 0, "signature", "in_spec", value=IMPORTS),
            "in_spec: expected tuples of tensors",
        ),
        (
            at("graph_module", "module_call_graph", 0, "signature", "forward_arg_names", value=["a=exit(), b"]),
            "forward_arg_names: expected a plain name",
        ),
        (
            at("graph_module", "signature", "input_specs", 0, "parameter", "parameter_name", value='a"+exit()+"'),
            "parameter_name: expected a plain name",
        ),
    ],
)
def test_a_graph_that_says_more_than_ours_is_refused(graph: str, change: Change, sentence: str) -> None:
    document = json.loads(graph)
    change(document)
    with pytest.raises(UserError, match=sentence):
        check_graph(document, "here")


def test_from_file_in_a_whole_package_leaves_nothing(package: Package, tmp_path: Path) -> None:
    """As it was done: the answers held a system file's bytes, and a file was made."""
    made = tmp_path / "made"
    change = calls("torch.ops.aten.from_file.default", **PATH | {"filename": {"as_string": str(made)}})
    copy = tampered(package.folder, tmp_path / "copy", MODEL, change)
    for engine in ("exported", "eager"):
        with pytest.raises(UserError, match=r"model.pt2: models/model.json: expected an operator that our models use"):
            Package.open(copy).scorer(engine)
    assert not made.exists()


def first_tensor(**facts: Any) -> Change:
    def change(document: Any) -> None:
        next(iter(document["config"].values())).update(facts)

    return change


def first_meta(**facts: Any) -> Change:
    def change(document: Any) -> None:
        next(iter(document["config"].values()))["tensor_meta"].update(facts)

    return change


def field(**facts: Any) -> Change:
    return lambda manifest: manifest["data_schema"]["fields"][0].update(facts)


def number(**facts: Any) -> Change:
    return lambda manifest: manifest["data_schema"]["numbers"][0].update(facts)


def task(**facts: Any) -> Change:
    return lambda manifest: manifest["data_schema"]["tasks"][0].update(facts)


def raw(contents: bytes) -> Change:
    return lambda values: contents


HUGE = [{"as_int": 10**6}] * 2
NESTED = raw(b"[" * 200_000 + b"]" * 200_000)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        (WEIGHTS, first_tensor(use_pickle=True), "expected plain tensors, found a pickled one"),
        (WEIGHTS, first_tensor(path_name="../../secret"), "expected a list of tensors with their files"),
        (WEIGHTS, first_meta(sizes=HUGE), r"expected '.*' to be within its [\d,]+ bytes"),
        (WEIGHTS, first_meta(sizes=HUGE, strides=[{"as_int": 0}] * 2), r"to be within its [\d,]+ bytes"),
        (WEIGHTS, first_meta(sizes=[{"as_int": -1}] * 2), "expected a list of tensors with their files"),
        (WEIGHTS, first_meta(sizes=[{"as_int": 1}] * 2), "expected weights as the configuration makes them"),
        (WEIGHTS, lambda values: values["config"].popitem() and None, "expected weights as the configuration makes"),
        (CONSTANTS, first_meta(sizes=HUGE, strides=[{"as_int": 1}] * 2), r"to be within its [\d,]+ bytes"),
        (CONSTANTS, first_tensor(path_name="custom_obj_0"), "expected a list of tensors with their files"),
        (CONSTANTS, raw(b"[]"), "expected a list of tensors with their files"),
        (MODEL, raw(b"[]"), "expected a graph, found none"),
        (MODEL, raw(b"{"), "expected a pt2 archive of torch.export"),
        (MODEL, raw(b'{"graph_module": {}}'), "expected a model that torch .* can read"),
        (MODEL, NESTED, "expected a pt2 archive of torch.export"),
        ("manifest.json", raw(b"\xff\xfe"), "manifest.json: not valid JSON"),
        (
            "manifest.json",
            raw(b'{"version": ' + b"1" * 5000 + b"}"),
            "expected integers of at most 64 bits",
        ),
        ("manifest.json", NESTED, "manifest.json: expected tables and arrays at most 32 deep"),
        ("manifest.json", raw(b"[]"), "manifest.json"),
        ("manifest.json", at("files", value={}), "files: expected 'README.md' among them, found none"),
        ("manifest.json", at("data_schema", "tasks", value=[]), "data_schema: expected 1 to 256 tasks, found 0"),
        ("manifest.json", field(cardinality=10**12), "data_schema: expected fewer than 2.31 rows.*found 1000000000"),
        ("manifest.json", field(cardinality=2**31 - 3), "expected fewer than .* rows"),
        ("manifest.json", field(slots=-1), "data_schema.fields.0.slots: .*found -1"),
        ("manifest.json", field(slots=10**9), "data_schema: .*at most 2.16 slots.*, 1000000"),
        ("manifest.json", number(column=99), "expected '.*' among . dense columns"),
        ("manifest.json", number(counts=[1]), "expected 2 edges of '.*', found"),
        ("manifest.json", number(edges=[1e30]), "edges of"),
        ("encoder.json", at("fields", -1, "counts", value=[1]), "counts of ranges, found 1"),
        ("encoder.json", at("fields", -1, "number", value="x"), "found none called 'x'"),
        ("manifest.json", field(slots=3), "encoder.json: expected the inputs of manifest.json, found others"),
        ("manifest.json", task(parent="nothing"), "expected the parent of 'click' to be a task, found 'nothing'"),
        ("manifest.json", task(parent="purchase"), "expected a task without a parent above 'click', found a circle"),
        ("manifest.json", task(name="score"), "expected predictions of different names, .* found 'score' twice"),
        ("manifest.json", task(name="purchase"), "expected each task once, found 'purchase' twice"),
        ("manifest.json", at("members", value=[[10**9]]), "members: expected 1 or 2 states of each network"),
        ("manifest.json", at("members", value=[[1]] * 10), "expected weights as the configuration makes them"),
        (
            "manifest.json",
            at("parts", 0, "config", "tower.layers", value="65536-65536-65536"),
            "expected weights as the conf",
        ),
        ("manifest.json", at("parts", 0, "config", "tower.layers", value="-".join("1" * 9999)), "at most 64 items"),
        ("manifest.json", at("parts", 0, "config", "sharing.mmoe.experts", value=10**9), "sharing.mmoe.experts"),
        ("manifest.json", at("parts", 0, "config", "sharing.kind", value="nothing"), "unknown sharing kind 'nothing'"),
        ("encoder.json", raw(b"\x80"), "encoder.json: not valid JSON"),
        ("encoder.json", raw(b"[]"), "encoder.json"),
        ("encoder.json", at("fields", value=[]), "encoder.json: expected the inputs of manifest.json, found others"),
        ("encoder.json", at("fields", 0, "source", "derive", value="eval"), "unknown derivation 'eval'"),
        ("encoder.json", at("dense", 0, "scale", value=0.0), "scale: .*greater than 0"),
        ("encoder.json", at("dense", 0, "mean", value=float("nan")), "mean: .*finite"),
        ("calibration.json", raw(b"{"), "calibration.json: not valid JSON"),
        ("calibration.json", raw(b"[]"), "calibration.json: expected an object, found list"),
        (
            "calibration.json",
            at("click", value=[1]),
            r"click: expected a table, found \[1\]",
        ),
        (
            "calibration.json",
            at("click", value={"kind": []}),
            "click: kind: expected 'platt' or 'isotonic'",
        ),
        ("calibration.json", at("clik", value={"kind": "none"}), "unknown prediction 'clik'"),
        ("manifest.json", at("score", "weights", value={"clik": 1.0}), "score.weights: unknown prediction 'clik'"),
        (
            "manifest.json",
            at("score", "rates", value={"click": -1.0}),
            "score.rates.click: .*greater than 0, found -1",
        ),
        ("manifest.json", at("score", value=[]), "manifest.json: score"),
    ],
)
def test_parts_that_are_none_are_refused(
    package: Package, tmp_path: Path, name: str, change: Change, sentence: str
) -> None:
    copy = tampered(package.folder, tmp_path / "copy", name, change)
    with pytest.raises(UserError, match=sentence):
        read_whole(copy, model_first=name.startswith("model.pt2"))


def read_whole(folder: Path, model_first: bool) -> None:
    """As a scorer does, the model last where it is whole: it takes a third of a second."""
    package = Package.open(folder)
    if not model_first:
        _ = package.encoder, package.calibrations
    package.scorer()


def test_other_files_in_its_folder_are_refused(package: Package, tmp_path: Path) -> None:
    copy = tampered(package.folder, tmp_path / "copy", "card.json", lambda values: values)
    Package.open(copy)
    (copy / "more.txt").write_text("")
    with pytest.raises(UserError, match=r"expected the files of its manifest.json alone, found 'more.txt' beside them"):
        Package.open(copy)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"]["more.txt"] = {"sha256": "", "size": 0}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    sign(copy)
    with pytest.raises(UserError, match=r"files: expected README.md, .* at most, found 'more.txt'"):
        Package.open(copy)


def packed(path: Path) -> None:
    with zipfile.ZipFile(path) as given:
        contents = {entry: given.read(entry) for entry in given.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, each in contents.items():
            made.writestr(name, b"\0" * (1 << 24) if name.endswith("weight_0") else each)


def pickled(path: Path) -> None:
    buffer = io.BytesIO()
    torch.save((torch.zeros(2),), buffer)
    repack(path, lambda name, contents: buffer.getvalue() if name.endswith("sample_inputs/model.pt") else contents)


def with_a_pickle(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as made:
        made.writestr("model/data.pkl", pickle.dumps([1, 2]))


def twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as made:
        name = next(name for name in made.namelist() if name.endswith("weight_0"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr(name, made.read(name))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda path: path.write_bytes(pickle.dumps([1, 2])), "expected a pt2 archive"),
        (lambda path: path.write_bytes(path.read_bytes()[:-99]), "expected a pt2 archive"),
        (packed, "expected each file once and unpacked"),
        (twice, "expected each file once and unpacked"),
        (pickled, "expected plain weights and a graph, found '.*sample_inputs/model.pt'"),
        (with_a_pickle, "found 'model/data.pkl', which is neither"),
    ],
)
def test_an_archive_that_is_none_is_refused(
    package: Package, tmp_path: Path, change: Callable[[Path], object], sentence: str
) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes((package.folder / "model.pt2").read_bytes())
    change(path)
    with pytest.raises(UserError, match=sentence):
        archive.load(path)


class Wide(torch.nn.Module):
    """One value that is too large."""

    def forward(self, ids: Any, dense: Any) -> Any:
        return ids, dense.unsqueeze(2).expand(-1, -1, 10**9) + dense.unsqueeze(2)


class Several(torch.nn.Module):
    """Values that are too large together."""

    def forward(self, ids: Any, dense: Any) -> Any:
        found = [dense.unsqueeze(2).expand(-1, -1, 20_000) * (at + 2) for at in range(4)]
        return ids, torch.stack([each.sum(2) for each in found])


class Products(torch.nn.Module):
    """Products of all rows with all, which need little memory."""

    def forward(self, ids: Any, dense: Any) -> Any:
        found = dense @ dense.t()
        for _ in range(9):
            found = found @ found
        return ids, found


class Freed(torch.nn.Module):
    """As many large values, one after the other."""

    def forward(self, ids: Any, dense: Any) -> Any:
        for at in range(4):
            dense = dense + (dense.unsqueeze(2).expand(-1, -1, 20_000) * (at + 2)).sum(2)
        return ids, dense


def whole(model: torch.nn.Module, path: Path) -> Path:
    schema: Any = SimpleNamespace(slots=2, dense=("a", "b"))
    archive.save(archive.export(model, schema), path)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Wide(), r"expected at most 2,147,483,648 bytes for 4,096 rows, found 32,768,000,000,000 at 'add'"),
        (Several(), r"expected at most 2,147,483,648 bytes for 4,096 rows, found 2,621,440,000 at 'mul'"),
        (Products(), r"expected work of at most [\d,]+ additions for 4,096 rows, found more at 'mm'"),
    ],
)
def test_a_graph_of_allowed_operators_is_bounded_as_a_whole(
    model: torch.nn.Module, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        archive.load(whole(model, tmp_path / "model.pt2"))


def test_values_that_are_freed_do_not_add_up(tmp_path: Path) -> None:
    archive.load(whole(Freed(), tmp_path / "model.pt2"))


@pytest.mark.parametrize("bound", ["MAX_BYTES", "MAX_WORK"])
def test_the_modules_of_a_configuration_are_bounded_too(
    package: Package, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(archive, "load", lambda path, shapes: SimpleNamespace(state_dict={}))  # of another graph
    monkeypatch.setattr(bounds, bound, 1000)
    with pytest.raises(UserError, match=r"model.pt2: the model of its configuration: expected .*at most 1,000"):
        open_engine("eager", package.folder, package.manifest.spec)
