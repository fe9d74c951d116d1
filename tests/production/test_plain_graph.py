"""Every model that can be packaged has a graph within the list of ONNX operators, and the list holds nothing else."""

from typing import Any, Literal, get_args, get_origin

import pytest
import torch

from bench.core.registry import Entry
from bench.core.schema import Cap, DenseVector, Field, Number, Scale, Schema, Task
from bench.models.config import HiddenConfig
from bench.models.funnels import FUNNELS
from bench.models.interactions import INTERACTIONS
from bench.models.losses import REGRESSION_LOSSES
from bench.models.numeric import NUMERIC
from bench.models.sequence import SEQUENCE
from bench.models.sharing import SHARING
from bench.models.trees import NO_CHOICE, TreeModel, TreeSizes
from bench.production import bounds
from bench.production.engines import OPERATORS, write_onnx
from bench.production.served_model import ModelPart, Network, ServedModel
from bench.training.config import TrialConfig
from bench.training.step import build_model

FIELDS = (Field("user", 40), Field("tags", 12, slots=3), Field("item", 25), Field("hour", 24))
SCALE = Scale(True, 3.0, 2.0, 0.0, 9.0, 40.0)
SCHEMA = Schema(
    (*FIELDS, Field("past_item", 25, slots=3, of="item"), Field("age_bucket", 6)),
    ("rate", "age", "age_missing", "text_0", "text_1"),
    (
        Task("click"),
        Task("buy", parent="click"),
        Task("watch", "regression", "click", SCALE, duration="age", censored=True, cap=Cap(1, 2, True, 3.0, 1.0)),
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
    """Each option of a configuration with a value that may take another way through the model's code."""
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
    return ServedModel([[Network(models)] for models in networks], [ModelPart.whole({}, schema)], schema)


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
                if not (shared and (option, value) in seen):  # how layers are computed is the same everywhere
                    yield {f"{axis}.kind": kind, f"{axis}.{kind}.{option}": value}
                if shared:
                    seen.add((option, value))


def build(schema, dotted):
    base = {"sharing.kind": "shared_bottom", "embedding.dim": 4, "tower.layers": "8", "optim.precision": "fp32"}
    return build_model(schema, TrialConfig.parse(base | dotted))


def sizes_of(schema):
    """Of a tree for each task, which asks for a number and a category."""
    many = len(schema.tasks)
    return TreeSizes(trees=(1,) * many, nodes=5 * many, choices=2 * NO_CHOICE, walking=(many, many))


OF_PLUGINS = {"Gemm", "Tanh"}
"""Of `nn.Linear`, which plug-ins use; our models do not."""


@pytest.mark.slow  # a minute in torch's exporter
def test_the_list_is_what_our_models_use(tmp_path):
    """All models in one export, saved as a package's is; with a schema of one field alone, every entry once."""
    onnx = pytest.importorskip("onnx", reason="no onnx: the extra `serve`")
    used = set()
    for schema in (SCHEMA, NARROW):
        alone = [
            build(schema, {"sharing.kind": "single_task"}) for _ in schema.tasks
        ]  # each task at its own best state
        chosen = [each for each in configs(schema) if schema is SCHEMA or len(each) == 1]
        served = averaged(schema, [alone, *([build(schema, each)] for each in chosen)])
        served.members.append(torch.nn.ModuleList([TreeModel(schema, sizes_of(schema))]))
        path = tmp_path / f"{len(schema.tasks)}.onnx"
        write_onnx(served, schema, path)
        used |= {node.op_type for node in onnx.load(path, load_external_data=False).graph.node}
        with torch.device("meta"):  # as an engine of modules is bounded
            ids, dense = torch.zeros(9, schema.slots, dtype=torch.int32), torch.zeros(9, len(schema.dense))
            bounds.check(averaged(schema, [[build(schema, each)] for each in chosen]), ids, dense)
    assert used | OF_PLUGINS == OPERATORS
