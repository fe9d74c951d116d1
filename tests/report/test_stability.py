"""The section on how a pick changes."""

import re
from dataclasses import replace

import pytest

from bench.frontier.frontier import frontier
from bench.frontier.pick import pick
from bench.frontier.policy import Policy
from bench.report.stability import stability_section


def test_every_point_and_every_weight_is_there(view):
    html, found = stability_section(view), view.stability
    assert found.sure is not None
    assert html.count("<rect") == len(found.weights) == 21
    assert html.count("<tr>") == 1 + len(found.points)
    shares = [int(each) for each in re.findall(r'<td class="number">(\d+)%</td>', html)][::3]
    assert shares == [round(100 * each.share) for each in found.points]
    first = re.search(r"<title>0% on income.auc: trial (\d+), in \d+% of what replicates allow for</title>", html)
    last = found.weights.index((0.0, 1.0))
    assert first is not None
    assert int(first[1]) == found.points[found.winners[last]].trial


def test_without_replicates_nothing_is_said_of_seeds(make_view, make_records, make_objectives):
    html = stability_section(make_view(make_records(confirmed=0, failures=False), make_objectives()))
    assert "with other seeds" not in html
    assert "<rect" in html


def test_of_three_objectives_there_is_the_table_alone(make_view, make_records, make_objectives):
    records, objectives = make_records(objectives=3, confirmed=0, failures=False), make_objectives(3)
    anything = Policy.model_validate({"guard": {"max_loss_vs_single_task": float("inf")}})
    found = pick(frontier(records, objectives), records, objectives, anything)
    html = stability_section(make_view(records, objectives, pick=found))
    assert "<rect" not in html
    assert "<table>" in html


@pytest.mark.parametrize("stability", [None, "one point"])
def test_nothing_to_choose_from_is_no_section(view, stability):
    one = replace(view.stability, points=view.stability.points[:1]) if stability else None
    assert stability_section(replace(view, stability=one)) == ""
