"""Every packaged model has a graph of the ONNX operators on a list, which holds nothing else;
others are refused.
"""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch

from bench.core.errors import UserError
from bench.core.registry import Entry
from bench.core.schema import Cap, DenseVector, Field, Number, Scale, Schema, Task
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.losses import REGRESSION_LOSSES
from bench.models.model_options import HiddenConfig
from bench.models.numeric import NUMERIC
from bench.models.sequence import SEQUENCE
from bench.models.sharing import SHARING
from bench.models.training.config import TrialConfig
from bench.models.training.step import build_model
from bench.models.trees import NO_CHOICE, TreeModel, TreeSizes
from bench.serve import bounds, engines
from bench.serve.engines import OPERATORS, check_onnx, write_onnx
from bench.serve.served_model import ModelPart, Network, ServedModel

FIELDS = (Field("user", 40), Field("tags", 12, slots=3), Field("item", 25), Field("hour", 24))
SCALE = Scale(True, 3.0, 2.0, 0.0, 9.0, 40.0)
SCHEMA = Schema(
    (*FIELDS, Field("past_item", 25, slots=3, of="item"), Field("age_bucket", 6)),
    ("rate", "age", "age_missing", "text_0", "text_1"),
    (
        Task("click"),
        Task("buy", parent="click"),
        Task(
            "watch",
            "regression",
            "click",
            SCALE,
            duration="age",
            censored=True,
            cap=Cap(1, 2, True, 3.0, 1.0),
        ),
        Task("like"),
    ),
    numbers=(Number("age", 1, 2, (-1.0, 0.0, 0.5, 1.0, 2.0), (9, 9, 9, 9)),),
    vectors=(DenseVector("text", 3, 2),),
    scenario="hour",
    position="hour",
)
NARROW = Schema((Field("user", 40),), (), (Task("click"), Task("buy", parent="click")))
AXES: dict[str, dict[str, Entry[Any]]] = {
    "sharing": SHARING,
    "funnel": FUNNELS,
    "sequence": SEQUENCE,
    "interaction": INTERACTIONS,
    "numeric": NUMERIC,
    "regression_loss": REGRESSION_LOSSES,
}


def others(config):
    """Each option of a configuration with a value that may take another way through the model's
    code.
    """
    for name, field in config.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if get_origin(field.annotation) is Literal:
            yield from ((name, value) for value in get_args(field.annotation) if value != default)
        elif isinstance(default, bool):
            yield name, not default
        elif type(default) is int and default == 0:
            yield name, 2
        elif default == () and name.endswith("layers"):
            yield name, "6"


def averaged(schema, networks):
    """The mean of several networks."""
    return ServedModel(
        [[Network(models)] for models in networks], [ModelPart.whole({}, schema)], schema
    )


def configs(schema):
    """Every entry of each axis with its defaults and with each other value of its options."""
    seen = set()
    yield {"embedding.project_vectors": True}
    yield {"numeric.kind": "bucket", "numeric.bucket.bins": 2}
    yield {"ensemble.members": 3}
    if schema.position:
        yield {"position.form": "product"}
    for axis, registry in AXES.items():
        for kind, entry in registry.items():
            if entry.unfit(schema):
                continue
            yield {f"{axis}.kind": kind}
            for option, value in others(entry.config):
                shared = option in HiddenConfig.model_fields
                if not (
                    shared and (option, value) in seen
                ):  # how layers are computed is the same everywhere
                    yield {f"{axis}.kind": kind, f"{axis}.{kind}.{option}": value}
                if shared:
                    seen.add((option, value))


def build(schema, dotted):
    base = {
        "sharing.kind": "shared_bottom",
        "embedding.dim": 4,
        "tower.layers": "8",
        "optim.precision": "fp32",
    }
    return build_model(schema, TrialConfig.parse(base | dotted))


def sizes_of(schema):
    """Of a tree for each task, which asks for a number and a category."""
    count = len(schema.tasks)
    return TreeSizes(
        trees=(1,) * count, nodes=5 * count, choices=2 * NO_CHOICE, walking=(count, count)
    )


OF_PLUGINS = {"Gemm", "Tanh"}
"""Of `nn.Linear`, which plug-ins use; our models do not."""


@pytest.mark.slow  # a minute in torch's exporter
def test_the_list_is_what_our_models_use(tmp_path):
    """All models in one export, saved as a package's is; with a schema of one field alone, every
    entry once.
    """
    operators = set()
    for schema in (SCHEMA, NARROW):
        # each task at its own best state
        alone = [build(schema, {"sharing.kind": "single_task"}) for _ in schema.tasks]
        chosen = [config for config in configs(schema) if schema is SCHEMA or len(config) == 1]
        served = averaged(schema, [alone, *([build(schema, config)] for config in chosen)])
        served.members.append(torch.nn.ModuleList([TreeModel(schema, sizes_of(schema))]))
        path = tmp_path / f"{len(schema.tasks)}.onnx"
        write_onnx(served, schema, path)
        operators |= {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
        with torch.device("meta"):  # as an engine of modules is bounded
            ids = torch.zeros(9, schema.slots, dtype=torch.int32)
            dense = torch.zeros(9, len(schema.dense))
            bounds.check_bounds(
                averaged(schema, [[build(schema, config)] for config in chosen]), ids, dense
            )
    assert operators | OF_PLUGINS == OPERATORS


onnx = pytest.importorskip("onnx", reason="no onnx: the extra `serve`")
DATA = b"\0" * 64


def small():
    """conditional = joint = dense @ w, with w in a file beside it."""
    make, kind = onnx.helper, onnx.TensorProto
    weight = kind(name="w", data_type=kind.FLOAT, dims=[2, 2], data_location=kind.EXTERNAL)
    for key, value in {"location": "model.onnx.data", "offset": "0", "length": "16"}.items():
        weight.external_data.add(key=key, value=value)
    node = make.make_node
    nodes = [
        node("MatMul", ["dense", "w"], ["conditional"]),
        node("Identity", ["conditional"], ["joint"]),
    ]
    inputs = [make.make_tensor_value_info("dense", kind.FLOAT, ["batch", 2])]
    outputs = [
        make.make_tensor_value_info(name, kind.FLOAT, None) for name in ("conditional", "joint")
    ]
    graph = make.make_graph(nodes, "small", inputs, outputs, [weight])
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
        for entry in weight.external_data:
            entry.value = facts.get(entry.key, entry.value)

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
        (
            calls("Identity", body=empty()),
            "expected numbers and texts for 'Identity', found a graph",
        ),
        (hidden, "to lie within model.onnx.data with 16 bytes"),
        (
            outside(location="../../../etc/passwd"),
            "expected 'w' to lie within model.onnx.data with 16 bytes",
        ),
        (outside(length="160"), "to lie within"),
        (outside(offset="60"), "to lie within"),
        (outside(offset="-1"), "to lie within"),
        (of_size(10**6, 10**6), "to lie within model.onnx.data with 4,000,000,000,000 bytes"),
        (of_size(-1, -16), "to have sizes from 0 on"),
        (lambda model: model.functions.add(name="f"), "found functions"),
        (
            lambda model: model.opset_import.add(domain="ai.evil", version=1),
            r"found those of \['ai.evil'\]",
        ),
        (
            lambda model: model.graph.sparse_initializer.add(),
            "found functions, training or sparse tensors",
        ),
        (
            lambda model: model.graph.initializer.add(name="x", data_type=1, dims=[10**9]),
            "to hold 4,000,000,000 bytes",
        ),
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
    with pytest.raises(
        UserError, match=r"model.onnx: expected a model in ONNX, found something else"
    ):
        check_onnx(tmp_path / "model.onnx")


def test_what_the_runtime_cannot_read_prints_nothing(tmp_path, capsys):
    """A name that is no UTF-8; standard output belongs to --json."""
    pytest.importorskip("onnxruntime", reason="no onnxruntime: the extra `serve`")
    path = written(small(), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"dense", b"d\xbdnse", 1))
    with pytest.raises(UserError, match="expected a model "):
        engines.onnx(tmp_path, SimpleNamespace(trees=[]), 1)
    assert capsys.readouterr() == ("", "")


CODE = """
import sys
from pathlib import Path
import numpy as np
from types import SimpleNamespace
from bench.serve import engines

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
    """conditional = dense[:, :2], joint = the same; between them the product of all rows with all
    rows.
    """
    pytest.importorskip("onnxruntime", reason="no onnxruntime: the extra `serve`")
    model, make = small(), onnx.helper
    for name, shape in {"tall": [-1, 1], "wide": [1, -1]}.items():
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(shape), f"{name} shape")
        )
        model.graph.node.append(make.make_node("Reshape", ["dense", f"{name} shape"], [name]))
    model.graph.node.append(make.make_node("MatMul", ["tall", "wide"], ["square"]))
    model.graph.node.append(make.make_node("ReduceSum", ["square"], ["total"], keepdims=1))
    model.graph.node.append(make.make_node("Add", ["conditional", "total"], ["joined"]))
    joint = next(node for node in model.graph.node if list(node.output) == ["joint"])
    joint.input[0] = "joined"
    model.graph.node.append(joint)
    model.graph.node.remove(joint)
    written(model, tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "UserError" in done.stdout, done
    assert "expected a graph that can be run" in done.stdout
