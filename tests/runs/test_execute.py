"""What a run hands to the search, without training anything."""

from bench.runs.create import create
from bench.runs.execute import plan_of
from bench.runs.request import Request

SUITE = """
title = "All of it"
space = "quick"
[[datasets]]
id = "synthetic-funnel@rows=2000"
objectives = ["click.auc", "purchase.ctcvr.auc"]
reference = { "click.auc" = 0.4 }
[budget]
trials = 6
[search]
lowest = 0.25
tries = 1
share = 0.3
checkpoint_gb = 2.0
[set]
"optim.epochs" = 1
"""


def test_the_search_is_the_suites(tmp_path):
    (tmp_path / "suite.toml").write_text(SUITE)
    (part,) = create(tmp_path / "home", Request(suite=str(tmp_path / "suite.toml"), seed=5)).datasets.values()
    plan = plan_of(part, part.run.space, part.tasks, 1400, part.objectives)
    assert (plan.trials, plan.seed, plan.sampler, plan.tries, plan.share) == (6, 5, "gp", 1, 0.3)
    assert (plan.tasks, plan.checkpoint_bytes, plan.seconds) == (("click", "purchase"), 2e9, None)
    assert plan.reference == {"click.auc": 0.4}
    assert plan.ladder == (350, 1400)
