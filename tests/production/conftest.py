from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serving_toys import funnel_package, funnel_store

from bench.data import Store
from bench.production.package import Package


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return funnel_store(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def package(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """An MMoE with a calibration and a score, in torch.export alone."""
    return funnel_package(tmp_path_factory.mktemp("packages") / "funnel", store)
