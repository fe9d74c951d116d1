"""A whole model, ESMM, against DeepCTR-Torch, with its weights copied into ours; ways of sharing: `test_twins.py`.

DeepCTR-Torch is installed for tests alone; without it this test is skipped.
"""

import importlib
import threading
from unittest import mock

import pytest
import torch
from model_toys import model_on
from torch import nn

from bench.core.schema import Field, Schema, Task
from bench.models.config import EmbeddingConfig

SIZES, DIM, BATCH, TOWER = (11, 7, 5), 4, 33, (12,)
FIELDS, DENSE = tuple(Field(f"c{i}", size) for i, size in enumerate(SIZES)), ("d0", "d1")
SCHEMA = Schema(FIELDS, DENSE, (Task("ctr"), Task("cvr", parent="ctr")))


def deepctr(name):
    """Imports it, or skips. It starts a thread on import that asks the network for news of itself."""
    with mock.patch.object(threading.Thread, "start"):
        pytest.importorskip("deepctr_torch", reason="deepctr_torch is not installed")
        return importlib.import_module(f"deepctr_torch.{name}")


@torch.no_grad()
def copied(theirs):
    """Our model with the weights of theirs."""
    ours = model_on(SCHEMA, EmbeddingConfig(dim=DIM), TOWER, sharing="shared_embeddings", funnel="entire_space")
    for offset, field in zip(SCHEMA.offsets, FIELDS, strict=True):
        table = theirs.embedding_dict[field.name].weight
        ours.embedding.weight[offset : offset + len(table)] = table
    (layer,), output = ours.towers.hidden.layers, ours.towers.output
    ends = [theirs.ctr_dnn_final_layer, theirs.cvr_dnn_final_layer]
    for task, (tower, end) in enumerate(zip([theirs.ctr_dnn, theirs.cvr_dnn], ends, strict=True)):
        (linear,) = (module for module in tower.modules() if isinstance(module, nn.Linear))
        layer.weight[task], layer.bias[task], output.weight[task] = linear.weight, linear.bias, end.weight
        output.bias[task] = theirs.out.bias
    return ours


def test_esmm_equals_deepctr():
    features = [deepctr("inputs").SparseFeat(field.name, field.cardinality, embedding_dim=DIM) for field in FIELDS]
    features += [deepctr("inputs").DenseFeat(name, 1) for name in DENSE]
    theirs = deepctr("models").ESMM(features, tower_dnn_hidden_units=TOWER)
    for parameter in theirs.parameters():  # larger than the library starts from, so that outputs differ by sample
        nn.init.normal_(parameter, std=1.5 / parameter.shape[1] ** 0.5 if parameter.dim() > 1 else 0.3)
    ours = copied(theirs.eval())
    local, dense = torch.stack([torch.randint(0, size, (BATCH,)) for size in SIZES], 1), torch.randn(BATCH, 2)
    logits, expected = ours(local + torch.tensor(SCHEMA.offsets), dense), theirs(torch.cat([local.float(), dense], 1))
    assert expected.std(0).min() > 0.01
    torch.testing.assert_close(ours.probabilities(logits).joint, expected, rtol=0, atol=1e-5)
    labels = (torch.rand(BATCH, 2) < 0.5).float()
    labels[:, 1] *= labels[:, 0]
    losses = nn.functional.binary_cross_entropy(expected, labels, reduction="none").mean(0)
    torch.testing.assert_close(ours.losses(logits, labels), losses, rtol=0, atol=1e-5)
