from __future__ import annotations

import pytest

from bench.core.errors import UserError
from bench.core.objectives import parse
from bench.data import Store
from bench.models.assembly import MultiTaskModel
from bench.production.latency import latencies
from bench.production.package import Package
from bench.training.config import TrialConfig
from bench.training.evaluation import costs


@pytest.mark.slow
def test_each_engine_on_each_batch(package: Package) -> None:
    found = latencies(package, (), (1,), (1, 7), 0.001)
    assert [(each.engine, each.batch) for each in found] == [("eager", 1), ("eager", 7)]
    for each in found:
        assert 0 < each.p50_ms <= each.p99_ms
        assert each.request_ms > 0
        assert each.calls >= 20
        assert each.rows_per_s > 0
    with pytest.raises(UserError, match="unknown engine 'fast'"):
        latencies(package, ["fast"], (1,), (1,), 0.001)


def test_p99_is_a_cost_that_can_be_an_objective(store: Store) -> None:
    assert parse("cost/latency_p99_ms", store.schema.tasks, "here").direction == "minimize"
    config = TrialConfig.parse({"embedding.dim": 4, "tower.layers": "8"})
    model = MultiTaskModel(store.schema, config.sharing, config.funnel, config.embedding, config.tower)
    found = costs(model, store.schema)
    assert 0 < found["cost/latency_ms"] <= found["cost/latency_p99_ms"]
