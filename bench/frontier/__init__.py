"""The frontier and the pick, computed from finished trials. Plain values in, plain values out; no torch.

>>> from bench.frontier.choices import head_choices
>>> from bench.results.frontier import frontier
>>> from bench.frontier.pick import pick
>>> from bench.frontier.policy import Policy
>>> from bench.core.objectives import Objective
>>> from bench.core.records import TrialRecord
>>> objectives = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
>>> def trial(number, kind, click, like):
...     config = {"sharing.kind": kind}
...     return TrialRecord(number, "completed", {}, config, kind, {"valid/click.auc": click, "valid/like.auc": like})
>>> records = [trial(0, "single_task", 0.70, 0.80), trial(1, "mmoe", 0.72, 0.81), trial(2, "ple", 0.73, 0.79)]
>>> front = frontier(records, objectives)
>>> front.table.loc[front.table["on_front"], "trial"].tolist()
[1, 2]
>>> round(front.hypervolume, 4)
0.0711
>>> pick(head_choices(front, front.points), front.points, Policy()).trial
1
"""
