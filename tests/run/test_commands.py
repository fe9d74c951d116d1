"""What a page tells a user to type."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.run.page import mlflow_search


@pytest.mark.parametrize("pick", [None, SimpleNamespace(trial=None), SimpleNamespace(trial=7)])
def test_a_name_cannot_end_the_search_for_its_run(pick: SimpleNamespace | None) -> None:
    tags = {"seesaw.run": "o\\'hara", "seesaw.dataset": "shop"}
    if pick is not None and pick.trial is not None:
        tags["seesaw.trial"] = "7"
    result = SimpleNamespace(run=SimpleNamespace(run=SimpleNamespace(name="o'hara"), key="shop"), pick=pick)
    assert mlflow_search(result) == " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
