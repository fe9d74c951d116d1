"""The example of a plug-in file: two rules for workers some of which lie, which do what every balancer must do."""

from pathlib import Path

import pytest
import torch
from torchjd import aggregation as theirs

from bench.core import plugins
from bench.core.plugins import PluginFile
from bench.testing import checks
from bench.testing.balancing import build, step

EXAMPLE = Path(__file__).parents[2] / "examples" / "robust" / "robust.py"


@pytest.fixture(autouse=True)
def plugin(monkeypatch):
    monkeypatch.setattr(plugins, "_FILES", {})
    plugins.add(PluginFile.read(EXAMPLE))


@pytest.mark.parametrize(("name", "reference"), [("krum", theirs.Krum(0)), ("trimmed_mean", theirs.TrimmedMean(1))])
def test_it_is_the_number_of_tasks_times_theirs(name, reference):
    for tasks in (3, 5):
        ours = build(name, tasks)
        for seed in range(5):
            rows = torch.randn(tasks, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
            torch.testing.assert_close(step(ours, rows), tasks * reference(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["krum", "trimmed_mean"])
def test_it_does_what_every_balancer_must_do(name):
    found = checks("balancing", name)
    assert len(found) > 10
    for check in found:
        check()
