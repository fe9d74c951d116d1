"""Whole models against DeepCTR-Torch, and AITM against torch-rechub, with their weights copied into
ours.

Both are installed for tests alone; without them these tests are skipped.
"""

import pytest
import torch
from model_toys import model_on, package
from torch import nn

from bench.core.schema import Field, Schema, Task
from bench.models.model_options import EmbeddingConfig
from bench.models.sharing.cgc import CGC

SIZES, DIM, DENSE, BATCH = (11, 7, 5), 4, 2, 33
EXPERT, TOWER = (32, 16), (12,)
TASKS = (Task("ctr"), Task("cvr", parent="ctr"))


def our_model(sharing, options, dense, funnel="independent"):
    fields = tuple(Field(f"c{i}", size) for i, size in enumerate(SIZES))
    schema = Schema(fields, tuple(f"d{i}" for i in range(dense)), TASKS)
    return model_on(
        schema, EmbeddingConfig(dim=DIM), TOWER, sharing=(sharing, options), funnel=funnel
    )


def randomise(module):
    """Larger weights than the libraries start from, so that outputs differ between samples."""
    for parameter in module.parameters():
        nn.init.normal_(
            parameter, std=1.5 / parameter.shape[1] ** 0.5 if parameter.dim() > 1 else 0.3
        )


@torch.no_grad()
def copy_linears(mlp, theirs):
    """The linear maps of each of their experts, in order -> the slices of our stack."""
    for expert, module in enumerate(theirs):
        linears = [m for m in module.modules() if isinstance(m, nn.Linear)]
        assert len(linears) == len(mlp.layers)
        for layer, linear in zip(mlp.layers, linears, strict=True):
            layer.weight[expert] = linear.weight
            layer.bias[expert] = linear.bias


@torch.no_grad()
def copy_gates(gates, theirs):
    for number, module in enumerate(theirs):
        (linear,) = (m for m in module.modules() if isinstance(m, nn.Linear))
        if linear.bias is not None:
            linear.bias.zero_()  # the papers' gates, and ours, have none
        gates.linear.weight[number] = linear.weight


@torch.no_grad()
def copy_table(model, tables):
    for offset, table in zip(model.schema.offsets, tables, strict=True):
        model.embedding.weight[offset : offset + len(table)] = table


def levels_of(kind, levels):
    return {} if kind == "cgc" else {"levels": levels}


def levels_in(model):
    return [model.sharing.level] if isinstance(model.sharing, CGC) else list(model.sharing.levels)


def inputs(model):
    """Ids numbered within each field, as they want them; over all fields, as we do; dense
    columns.
    """
    local = torch.stack([torch.randint(0, size, (BATCH,)) for size in SIZES], 1)
    return (
        local,
        local + torch.tensor(model.schema.offsets),
        torch.randn(BATCH, len(model.schema.dense)),
    )


def deepctr(name, **options):
    columns = package("deepctr_torch.inputs")
    features = [
        columns.SparseFeat(f"c{i}", size, embedding_dim=DIM) for i, size in enumerate(SIZES)
    ]
    features += [columns.DenseFeat(f"d{i}", 1) for i in range(DENSE)]
    model = getattr(package("deepctr_torch.models"), name)(
        features, tower_dnn_hidden_units=TOWER, **options
    )
    randomise(model)
    return model.eval()


@torch.no_grad()
def deepctr_equal(ours, theirs, towers, ends, joint=False):
    """Once the rest of the weights is copied."""
    copy_table(ours, [theirs.embedding_dict[f"c{i}"].weight for i in range(len(SIZES))])
    copy_linears(ours.towers.hidden, towers)
    for task, end in enumerate(ends):
        ours.towers.output.weight[task] = end.weight
        bias = theirs.out[task].bias if hasattr(theirs.out, "__getitem__") else theirs.out.bias
        ours.towers.output.bias[task] = bias
    local, ids, dense = inputs(ours)
    expected = theirs(torch.cat([local.float(), dense], 1))
    predicted = ours.probabilities(ours(ids, dense))
    assert expected.std(0).min() > 0.01
    torch.testing.assert_close(
        predicted.joint if joint else predicted.conditional, expected, rtol=0, atol=1e-5
    )


def test_shared_bottom_equals_deepctr():
    theirs = deepctr("SharedBottom", bottom_dnn_hidden_units=EXPERT)
    ours = our_model("shared_bottom", {"layers": EXPERT}, DENSE)
    copy_linears(ours.sharing.bottom, [theirs.bottom_dnn])
    deepctr_equal(ours, theirs, theirs.tower_dnn, theirs.tower_dnn_final_layer)


def test_mmoe_equals_deepctr():
    theirs = deepctr(
        "MMOE", num_experts=3, expert_dnn_hidden_units=EXPERT, gate_dnn_hidden_units=()
    )
    ours = our_model("mmoe", {"experts": 3, "layers": EXPERT}, DENSE)
    copy_linears(ours.sharing.experts, theirs.expert_dnn)
    copy_gates(ours.sharing.gates, theirs.gate_dnn_final_layer)
    deepctr_equal(ours, theirs, theirs.tower_dnn, theirs.tower_dnn_final_layer)


@pytest.mark.parametrize(("kind", "levels"), [("cgc", 1), ("ple", 1), ("ple", 2), ("ple", 3)])
def test_cgc_and_ple_equal_deepctr(kind, levels):
    theirs = deepctr(
        "PLE",
        num_levels=levels,
        # its shared experts are made in the number of specific ones, so both must be equal
        shared_expert_num=2,
        specific_expert_num=2,
        expert_dnn_hidden_units=EXPERT,
        gate_dnn_hidden_units=(),
    )
    ours = our_model(
        kind,
        levels_of(kind, levels) | {"shared_experts": 2, "own_experts": 2, "layers": EXPERT},
        DENSE,
    )
    for number, level in enumerate(levels_in(ours)):
        copy_linears(
            level.own, [expert for task in theirs.specific_experts[number] for expert in task]
        )
        copy_linears(level.shared, theirs.shared_experts[number][0])
        copy_gates(level.gates, theirs.specific_gate_dnn_final_layer[number])
        if level.shared_gate is not None:
            copy_gates(level.shared_gate, [theirs.shared_gate_dnn_final_layer[number]])
    deepctr_equal(ours, theirs, theirs.tower_dnn, theirs.tower_dnn_final_layer)


def test_esmm_equals_deepctr():
    theirs = deepctr("ESMM")
    ours = our_model("shared_embeddings", {}, DENSE, "entire_space")
    ends = [theirs.ctr_dnn_final_layer, theirs.cvr_dnn_final_layer]
    # it returns (ctr, ctcvr)
    deepctr_equal(ours, theirs, [theirs.ctr_dnn, theirs.cvr_dnn], ends, joint=True)
    local, ids, dense = inputs(ours)
    labels = (torch.rand(BATCH, 2) < 0.5).float()
    labels[:, 1] *= labels[:, 0]
    expected = nn.functional.binary_cross_entropy(
        theirs(torch.cat([local.float(), dense], 1)), labels, reduction="none"
    )
    torch.testing.assert_close(
        ours.losses(ours(ids, dense), labels), expected.mean(0), rtol=0, atol=1e-5
    )


def test_aitm_equals_rechub():
    """Theirs: an MLP for each task, the transfer, and a linear output. Here the MLPs are hidden
    layers of towers.
    """
    of_rechub = package("torch_rechub.basic.features").SparseFeature
    features = [of_rechub(f"c{i}", vocab_size=size, embed_dim=DIM) for i, size in enumerate(SIZES)]
    theirs = package("torch_rechub.models.multi_task").AITM(
        features, 2, {"dims": list(TOWER)}, [{"dims": []}, {"dims": []}]
    )
    randomise(theirs)
    for module in theirs.modules():
        if isinstance(
            module, nn.BatchNorm1d
        ):  # the identity, once its statistics are fixed: ours has no such layer
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            module.eps = 0.0
    theirs.eval()
    ours = our_model("shared_embeddings", {}, 0, "aitm")
    copy_table(ours, [theirs.embedding.embed_dict[f"c{i}"].weight for i in range(len(SIZES))])
    copy_linears(ours.towers.hidden, theirs.bottoms)
    transfer = ours.towers.transfer.transfers[0]
    copy_linears(transfer.information, theirs.info_gates)
    with torch.no_grad():
        for name in ("query", "key", "value"):
            getattr(transfer, name).weight[0] = getattr(theirs.aits[0], f"{name[0]}_layer").weight
        for task, tower in enumerate(theirs.towers):
            ours.towers.output.weight[task] = tower.mlp[-1].weight
            ours.towers.output.bias[task] = tower.mlp[-1].bias
    local, ids, dense = inputs(ours)
    expected = theirs({f"c{i}": local[:, i] for i in range(len(SIZES))})
    assert expected.std(0).min() > 0.01
    torch.testing.assert_close(ours(ids, dense).sigmoid(), expected, rtol=0, atol=1e-5)
