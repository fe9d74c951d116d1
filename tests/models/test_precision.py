"""What `precision` changes, and what it must not."""

from __future__ import annotations

import pytest
import torch
from model_toys import model_on
from sklearn.metrics import roc_auc_score
from torch import Tensor

from bench.core.schema import Field, Schema, Task
from bench.models import precision as module
from bench.models.assembly import MultiTaskModel
from bench.models.config import EmbeddingConfig, Precision
from bench.models.precision import WORTH_IT, has_bf16_units, is_bf16
from bench.models.sharing import SHARING

CPU = torch.device("cpu")
SCHEMA = Schema(tuple(Field(f"f{i}", 20) for i in range(6)), ("age",), (Task("a"), Task("b")), scenario="f0")


def model_of(kind: str, precision: Precision) -> MultiTaskModel:
    options = {"layers": "24-16"} if "layers" in SHARING[kind].config.model_fields else {}
    return model_on(SCHEMA, EmbeddingConfig(dim=8), (16,), precision=precision, sharing=(kind, options))


def batch_of(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Labels that depend on the ids, through effects that no seed changes, and on chance."""
    codes = torch.stack([torch.randint(20, (size,)) for _ in SCHEMA.offsets], 1)
    effects = torch.randn(6, 20, 2, generator=torch.Generator().manual_seed(0))
    score = effects[torch.arange(6), codes].sum(1) * 0.7
    labels = (torch.rand(size, 2) < score.sigmoid()).float()
    return (codes + torch.tensor(SCHEMA.offsets)).int(), torch.randn(size, 1), labels


@pytest.mark.parametrize("units", [True, False])
def test_auto_asks_for_units_and_for_a_model_that_gains(units, monkeypatch):
    monkeypatch.setattr(module, "has_bf16_units", lambda device: units)
    assert is_bf16("auto", CPU, WORTH_IT) is units
    assert not is_bf16("auto", CPU, WORTH_IT - 1)
    assert is_bf16("bf16", CPU, 1)
    assert not is_bf16("fp32", CPU, 10**9)


@pytest.mark.parametrize(
    ("amx", "avx", "vendor"),
    [
        (True, False, "GenuineIntel"),
        (True, None, ""),
        (False, True, "AuthenticAMD"),
        (None, True, "GenuineIntel"),
        (False, False, "AuthenticAMD"),
        (None, None, ""),
    ],
)
def test_a_cpu_has_units_where_torch_says_so(amx, avx, vendor, monkeypatch):
    has_bf16_units.cache_clear()
    monkeypatch.setattr(module, "processor_vendor", lambda: vendor)
    for name, answer in (("_is_amx_tile_supported", amx), ("_is_avx512_bf16_supported", avx)):
        if answer is None:  # a version of torch without the question
            monkeypatch.delattr(torch.cpu, name, raising=False)
        else:
            monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
    assert has_bf16_units(CPU) is (bool(amx) or (bool(avx) and vendor == "AuthenticAMD"))
    has_bf16_units.cache_clear()


@pytest.mark.parametrize(("capability", "units"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_has_units_from_ampere_on(capability, units, monkeypatch):
    has_bf16_units.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_bf16_units(torch.device("cuda")) is units
    has_bf16_units.cache_clear()


@pytest.mark.parametrize("kind", SHARING)
def test_bf16_is_used_where_asked_for_and_repeats_bit_for_bit(kind):
    ids, dense, labels = batch_of(64)

    def trained(precision: Precision) -> list[Tensor]:
        torch.manual_seed(1)
        model = model_of(kind, precision)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            model.losses(model(ids, dense), labels).sum().backward()
            optimizer.step()
        assert all(tensor.dtype == torch.float32 for tensor in model.state_dict().values())
        return [model(ids, dense).detach(), *model.state_dict().values()]

    low = trained("bf16")
    assert all(torch.equal(a, b) for a, b in zip(low, trained("bf16"), strict=True))
    assert low[0].dtype == torch.float32
    assert not torch.equal(low[0], trained("fp32")[0])


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
    def auc(precision: Precision, seed: int) -> float:
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


def test_a_model_is_measured_and_exported_in_float32():
    ids, dense, _ = batch_of(8)
    torch.manual_seed(0)
    low = model_of("mmoe", "bf16").eval()
    full = model_of("mmoe", "fp32").eval()
    full.load_state_dict(low.state_dict())
    exported = torch.export.export(low, (ids, dense)).module()
    torch.testing.assert_close(exported(ids, dense), full(ids, dense), rtol=1e-5, atol=1e-6)
    assert torch.equal(low(ids, dense), full(ids, dense))
    assert not torch.equal(low.train()(ids, dense), full(ids, dense))
