"""What `precision` changes, and what it must not."""

import pytest
import torch
from model_toys import model_on
from sklearn.metrics import roc_auc_score

from bench.core.schema import Field, Schema, Task
from bench.models.config import EmbeddingConfig
from bench.models.sharing import SHARING

SCHEMA = Schema(tuple(Field(f"f{i}", 20) for i in range(6)), ("age",), (Task("a"), Task("b")), scenario="f0")


def model_of(kind, precision):
    options = {"layers": "24-16"} if "layers" in SHARING[kind].config.model_fields else {}
    return model_on(SCHEMA, EmbeddingConfig(dim=8), (16,), precision=precision, sharing=(kind, options))


def batch_of(size):
    """Labels that depend on the ids, through effects that no seed changes, and on chance."""
    codes = torch.stack([torch.randint(20, (size,)) for _ in SCHEMA.offsets], 1)
    effects = torch.randn(6, 20, 2, generator=torch.Generator().manual_seed(0))
    score = effects[torch.arange(6), codes].sum(1) * 0.7
    labels = (torch.rand(size, 2) < score.sigmoid()).float()
    return (codes + torch.tensor(SCHEMA.offsets)).int(), torch.randn(size, 1), labels


def test_embeddings_as_precise_as_the_products_change_nothing():
    model, (ids, dense, labels) = model_of("mmoe", "bf16"), batch_of(64)
    found = []
    for exact in (True, False):
        with torch.no_grad():
            e = model.embed(ids, exact)
        assert e.dtype == (torch.float32 if exact or model.pooling.pools else torch.bfloat16)
        logits = model.logits(e.requires_grad_(), ids, dense)
        wanted = [e, *model.dense_parameters()]
        gradients = torch.autograd.grad(model.losses(logits, labels).sum(), wanted)
        found.append([logits, *(gradient.float() for gradient in gradients)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shared_bottom", "mmoe", "ple"])
def test_auc_after_an_epoch_is_within_the_noise_of_seeds(kind):
    def auc(precision, seed):
        torch.manual_seed(seed)
        model = model_of(kind, precision)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
        for _ in range(80):
            ids, dense, labels = batch_of(128)
            optimizer.zero_grad()
            model.losses(model(ids, dense), labels).sum().backward()
            optimizer.step()
        torch.manual_seed(100)
        ids, dense, labels = batch_of(2000)
        logits = model(ids, dense).detach()
        return float(sum(roc_auc_score(labels[:, task], logits[:, task]) for task in range(2)) / 2)

    full, low = (torch.tensor([auc(precision, seed) for seed in range(2)]) for precision in ("fp32", "bf16"))
    assert full.min() > 0.7  # it learns
    spread = full.max() - full.min()
    assert (full.mean() - low.mean()).abs() <= max(spread, torch.tensor(0.005))
