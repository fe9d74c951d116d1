"""Products by oneDNN, whatever the processor, beside those of torch in double precision."""

from __future__ import annotations

import itertools

import pytest
import torch

from bench.models import products
from bench.models.products import WORTH_ONEDNN, by_onednn, product


@pytest.mark.parametrize("turned_x", [False, True])
@pytest.mark.parametrize("turned_y", [False, True])
def test_a_product_by_onednn_is_the_product(turned_x, turned_y):
    for groups, (rows, inner, columns) in itertools.product((1, 3), [(65, 33, 17), (17, 65, 33), (1, 5, 4), (6, 7, 1)]):
        x = torch.randn(groups, inner, rows).transpose(1, 2) if turned_x else torch.randn(groups, rows, inner)
        y = torch.randn(groups, columns, inner).transpose(1, 2) if turned_y else torch.randn(groups, inner, columns)
        reference = torch.bmm(x.double(), y.double())
        torch.testing.assert_close(by_onednn(x, y).double(), reference, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("wider", [False, True])
@pytest.mark.parametrize(
    ("dtype", "rows", "by_it"), [(torch.float32, 64, True), (torch.float32, 63, False), (torch.bfloat16, 64, False)]
)
def test_onednn_multiplies_large_float32_where_its_vectors_are_wider(dtype, rows, by_it, wider, monkeypatch):
    asked = []
    monkeypatch.setattr(products, "has_wider_vectors", lambda: wider)
    monkeypatch.setattr(products, "by_onednn", lambda x, y: asked.append(x) or torch.bmm(x, y))
    assert (
        product(torch.ones(2, rows, 128, dtype=dtype), torch.ones(2, 128, WORTH_ONEDNN // 8192, dtype=dtype))
        .eq(128)
        .all()
    )
    assert bool(asked) == (by_it and wider)


def test_a_processor_is_asked_for_its_vectors(monkeypatch):
    for vendor, capability, wider in (
        ("AuthenticAMD", "AVX512", True),
        ("AuthenticAMD", "AVX2", False),
        ("GenuineIntel", "AVX512", False),
        ("", "DEFAULT", False),
    ):
        products.has_wider_vectors.cache_clear()
        monkeypatch.setattr(products, "processor_vendor", lambda vendor=vendor: vendor)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        assert products.has_wider_vectors() == wider
    products.has_wider_vectors.cache_clear()
