"""Runs over one to five objectives, costs among them, from the suite to the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.core.objectives import key_on

NAMES = ("click.auc", "buy.ctcvr.auc", "cost/parameters", "click.logloss", "cost/latency_ms")


def objectives(shop, names: tuple[str, ...], more: str = "") -> None:
    shop.edit(shop.suite, 'objectives = ["click.auc", "buy.ctcvr.auc"]', f"objectives = {json.dumps(names)}\n{more}")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_run_over_so_many_objectives_ends_with_a_page(seesaw, shop, tmp_path: Path, count: int) -> None:
    worst = (0.0, 0.0, 1e5, 9.0, 1e5)  # of each, so that every trial counts
    reference = ", ".join(f'"{name}" = {value}' for name, value in list(zip(NAMES, worst, strict=True))[:count])
    objectives(shop, NAMES[:count], f"reference = {{ {reference} }}")
    shop.edit(shop.suite, "[confirm]", "[policy.guard]\nmax_loss_vs_current = inf\n[confirm]")
    shop.edit(shop.suite, "replicates = 2", "replicates = 1")
    said = seesaw("run", shop.suite, "--raw", shop.raw, "--name", "a", "--executor", "inline", "--trials", 4, "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    keys = [key_on(name, "confirm") for name in NAMES[:count]]
    assert set(keys) <= set(document["points"][0]["metrics"])
    assert document["hypervolume"]["value"] > 0
    assert "hypervolume of the front of heads" in (tmp_path / "home/runs/a/report.html").read_text()
    if count > 1:  # nobody on the front is beaten in all of them
        signs = [-1 if "cost" in key or "logloss" in key else 1 for key in keys]
        values = [
            [s * point["metrics"][key] for s, key in zip(signs, keys, strict=True)] for point in document["points"]
        ]
        assert not any(a != b and all(x >= y for x, y in zip(a, b, strict=True)) for a in values for b in values)
