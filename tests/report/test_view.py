"""What a page shows, as tables, where the pages of stored runs (`tests/golden`) do not have it."""

import base64
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import objectives_of, records_of, view_of

from bench.report.embed import MOST_DRAWN, MOST_DRAWS, plain, section_data
from bench.report.view import scenario_fronts, splits_of, spread_of


def test_regions_are_of_paired_differences(view, rng):
    """What moves all rows alike moves no difference; the current row has none."""
    common = 1 + 0.1 * rng.normal(size=(400, 1, 1))
    own = 1 + 0.01 * rng.normal(size=(400, 3, 2))
    found = spread_of(replace(view.served, draws={"test": common * own}, current=1))["test"]
    assert splits_of(view.front) == ("test", "confirm", "valid")  # the one that is told first
    assert np.allclose(found[1], 0)
    assert found[0, 0, 0] == pytest.approx(100**2 * 2 * 0.01**2, rel=0.3)


def test_choices_are_thinned_to_what_may_matter():
    view = view_of(records_of(objectives=5), objectives_of(5), served=5)
    few, more = view.choices, {name: np.tile(getattr(view.choices, name), (4, 1, 1)) for name in ("draws", "retrained")}
    choices = replace(few, **more)
    pick = SimpleNamespace(row=3, point="3", stability=view.pick.stability, runners_up=[SimpleNamespace(row=5)])
    found = section_data(replace(view, choices=choices, pick=pick))["decision"]
    assert found["count"] == MOST_DRAWS < len(choices.draws)
    assert len(found["rows"]) < len(few)
    assert len(base64.b64decode(found["draws"])) == 4 * MOST_DRAWS * len(found["rows"]) * 5 <= 4 * MOST_DRAWN
    for place, row in ((found["pick"], 3), (found["runnersUp"][0], 5), (found["current"], choices.current)):
        assert found["row"][place] == row
        assert found["rows"][place]["weights"] == plain(choices.table.iloc[row]["weights"])
    assert {row["point"] for row in found["rows"]} == set(choices.table["point"])
    assert found["rates"] is None  # an ndcg among them does not add up
    current = choices.values(choices.objectives)[choices.current]
    assert found["values"][found["current"]] == pytest.approx(current.tolist(), rel=1e-5)


def test_a_scenario_has_a_front_of_its_own(view):
    """Chosen on confirmation rows and drawn on test; none where too few rows are positive."""
    served, fronts = view.served, scenario_fronts(view.served)
    assert set(fronts) == {"scenario=home", "scenario=search"}
    drawn = section_data(view)["planes"]["served"]["at"]["test, scenario=home"]
    test, gains = (served.at("test", part, "scenario=home")[:, 0] for part in ("value", "gain"))
    assert [row[0][0] for row in drawn] == pytest.approx(test.tolist(), rel=1e-5)
    assert [row[0][3] for row in drawn] == pytest.approx((100 * gains).tolist(), rel=1e-5)
    values = served.at("confirm", slice="scenario=home")
    beaten = [any((other >= own).all() and (other > own).any() for other in values) for own in values]
    assert (~fronts["scenario=home"]).tolist() == beaten
