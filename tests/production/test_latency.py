from __future__ import annotations

from bench.core.objectives import parse
from bench.data import Store
from bench.models.assembly import MultiTaskModel
from bench.training.config import TrialConfig
from bench.training.evaluation import costs


def test_p99_is_a_cost_that_can_be_an_objective(store: Store) -> None:
    assert parse("cost/latency_p99_ms", store.schema.tasks, "here").direction == "minimize"
    config = TrialConfig.parse({"embedding.dim": 4, "tower.layers": "8"})
    model = MultiTaskModel(store.schema, config.sharing, config.funnel, config.embedding, config.tower)
    found = costs(model, store.schema)
    assert 0 < found["cost/latency_ms"] <= found["cost/latency_p99_ms"]
