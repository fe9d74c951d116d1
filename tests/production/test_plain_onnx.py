"""A model in ONNX that says more than exports of ours is refused before ONNX Runtime reads it."""

import subprocess
import sys

import numpy as np
import pytest

from bench.core.errors import UserError
from bench.production.engines import check_onnx

onnx = pytest.importorskip("onnx", reason="no onnx: the extra `serve`")
DATA = b"\0" * 64


def small():
    """conditional = joint = dense @ w, with w in a file beside it."""
    make, kind = onnx.helper, onnx.TensorProto
    weight = kind(name="w", data_type=kind.FLOAT, dims=[2, 2], data_location=kind.EXTERNAL)
    for key, value in {"location": "model.onnx.data", "offset": "0", "length": "16"}.items():
        weight.external_data.add(key=key, value=value)
    node = make.make_node
    nodes = [node("MatMul", ["dense", "w"], ["conditional"]), node("Identity", ["conditional"], ["joint"])]
    given = [make.make_tensor_value_info("dense", kind.FLOAT, ["batch", 2])]
    found = [make.make_tensor_value_info(name, kind.FLOAT, None) for name in ("conditional", "joint")]
    graph = make.make_graph(nodes, "small", given, found, [weight])
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 20)], ir_version=10)


def written(model, folder):
    (folder / "model.onnx.data").write_bytes(DATA)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def calls(operator, domain="", **attributes):
    def change(model):
        model.graph.node[1].CopyFrom(
            onnx.helper.make_node(operator, ["conditional"], ["joint"], domain=domain, **attributes)
        )

    return change


def outside(**facts):
    def change(model):
        (weight,) = model.graph.initializer
        for each in weight.external_data:
            each.value = facts.get(each.key, each.value)

    return change


def of_size(*sizes):
    return lambda model: model.graph.initializer[0].dims.__setitem__(slice(None), list(sizes))


def empty():
    return onnx.helper.make_graph([], "empty", [], [])


def hidden(model):
    """A tensor of another file among the attributes of a node."""
    tensor = onnx.TensorProto(data_type=1, dims=[4], data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    calls("Constant", value=tensor)(model)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (calls("Loop"), "expected an operator that our models use, found 'Loop'"),
        (calls("If"), "found 'If'"),
        (calls("Identity", domain="com.microsoft"), r"found those of \['com.microsoft'\]"),
        (calls("Identity", body=empty()), "expected numbers and texts for 'Identity', found a graph"),
        (hidden, "to lie within model.onnx.data with 16 bytes"),
        (outside(location="../../../etc/passwd"), "expected 'w' to lie within model.onnx.data with 16 bytes"),
        (outside(length="160"), "to lie within"),
        (outside(offset="60"), "to lie within"),
        (outside(offset="-1"), "to lie within"),
        (of_size(10**6, 10**6), "to lie within model.onnx.data with 4,000,000,000,000 bytes"),
        (of_size(-1, -16), "to have sizes from 0 on"),
        (lambda model: model.functions.add(name="f"), "found functions"),
        (lambda model: model.opset_import.add(domain="ai.evil", version=1), r"found those of \['ai.evil'\]"),
        (lambda model: model.graph.sparse_initializer.add(), "found functions, training or sparse tensors"),
        (lambda model: model.graph.initializer.add(name="x", data_type=1, dims=[10**9]), "to hold 4,000,000,000 bytes"),
        (lambda model: model.graph.initializer.add(name="x", data_type=99), "to be of numbers"),
    ],
)
def test_what_is_more_than_ours_is_refused(tmp_path, change, sentence):
    model = small()
    check_onnx(written(model, tmp_path))
    change(model)
    with pytest.raises(UserError, match=sentence):
        check_onnx(written(model, tmp_path))


def test_what_is_no_model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 99)
    with pytest.raises(UserError, match=r"model.onnx: expected a model in ONNX, found something else"):
        check_onnx(tmp_path / "model.onnx")


CODE = """
import sys
from pathlib import Path
import numpy as np
from types import SimpleNamespace
from bench.production import engines

engines.installed = lambda: 1 << 24
recipe = SimpleNamespace(schema=SimpleNamespace(tasks=(1, 2)), trees=[])
run = engines.onnx(Path(sys.argv[1]), recipe, 1)
assert [each.shape for each in run(np.zeros((0, 1), np.int32), np.ones((0, 2), np.float32))] == [(0, 2)] * 2
try:
    run(np.zeros((4096, 1), np.int32), np.ones((4096, 2), np.float32))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow  # a process of its own: the bound holds for all of it
def test_allowed_operators_cannot_take_all_memory(tmp_path):
    """conditional = dense[:, :2], joint = the same; between them the product of all rows with all rows."""
    pytest.importorskip("onnxruntime", reason="no onnxruntime: the extra `serve`")
    model, make = small(), onnx.helper
    for name, shape in {"tall": [-1, 1], "wide": [1, -1]}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(shape), f"{name} shape"))
        model.graph.node.append(make.make_node("Reshape", ["dense", f"{name} shape"], [name]))
    model.graph.node.append(make.make_node("MatMul", ["tall", "wide"], ["square"]))
    model.graph.node.append(make.make_node("ReduceSum", ["square"], ["total"], keepdims=1))
    model.graph.node.append(make.make_node("Add", ["conditional", "total"], ["joined"]))
    joint = next(node for node in model.graph.node if list(node.output) == ["joint"])
    joint.input[0] = "joined"
    model.graph.node.append(joint)
    model.graph.node.remove(joint)
    written(model, tmp_path)
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "UserError" in done.stdout, done
    assert "expected a graph that can be run" in done.stdout
