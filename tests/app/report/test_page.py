"""The document: one file, safe, the same for the same section; and what it shows, as tables."""

import base64
import gzip
import json
import re
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from made_up import objectives_of, records_of, section_of, with_decision

from bench.app.report.comparison_page import comparison_document, critical_figure
from bench.app.report.embed import MOST_DRAWN, MOST_DRAWS, plain, section_data
from bench.app.report.explained import chart, sentence
from bench.app.report.markup import COLOURS, KINDS, looks_of
from bench.app.report.page import document
from bench.app.report.picture import picture, standalone
from bench.app.report.section import scenario_fronts, splits_of, spread_of
from bench.deciding.policy import Policy
from bench.deciding.verdict import Verdict
from bench.ledger.comparison.beyond import Answer
from bench.ledger.comparison.comparison import Compared, Comparison, Group
from bench.ledger.comparison.significance import MeanRanks

EVIL = "<img src=x onerror=alert(1)>"


def test_it_asks_for_nothing_and_runs_its_own_script_alone(section):
    page = document([section], "quick-7")
    assert page == document([section], "quick-7")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert len(page) < 400_000


def explanation(name, value=0.3, low=0.2, high=0.4):
    """What an order owes to an input and a head, all called so."""
    owed = {
        "name": name,
        "of": [name],
        "measures": {name: {"value": value, "low": low, "high": high}},
    }
    head = {"name": name, "measures": {"share": {"value": 1.0, "low": 1.0, "high": 1.0}}}
    about = {"sentence": name, "rows": 9, "units": 9, "shuffles": 3, "by_group": True}
    return about | {"inputs": [owed], "heads": [head]}


def test_an_explanation_says_what_is_beyond_chance():
    says = {
        (0.3, 0.2, 0.4): "loses 30% (20 to 40)",
        (-0.056, -0.08, -0.0312): "gains 5.6% (3.1 to 8.0)",
        (0.3, -0.2, 0.4): "No input",
        (None, None, None): "No input",
    }
    for owed, words in says.items():
        result = explanation("age", *owed)
        assert words in sentence(result)
        assert bool(chart(result)) == (owed[0] is not None)
    widths = [
        float(width)
        for width in re.findall(r'width="([\d.]+)%"', chart(explanation("age", -0.1, -0.2, 0.2)))
    ]
    assert widths == [pytest.approx(68 / 4)]  # of the room from -20% to 20%


def test_nothing_of_data_is_markup(section):
    names = ("title", "dataset", "about", "run", "current", "incomplete")
    lists = {
        "remarks": (EVIL,),
        "commands": {EVIL: EVIL},
        "provenance": {EVIL: EVIL},
        "explained": explanation(EVIL),
    }
    odd = replace(section, **dict.fromkeys(names, EVIL), **lists)
    policy = SimpleNamespace(toml=EVIL, values={}, guard=Policy().guard)
    odd = with_decision(odd, policy=policy, no_pick=EVIL, verdict=Verdict("model", (EVIL,)))
    page = document([odd, odd], EVIL)
    assert EVIL not in page
    assert "&lt;img" in page


def test_a_page_of_a_run_that_goes_on_says_how_far_it_is_and_loads_itself_again(section):
    page = document([section], "quick-7", f"about 2 min left {EVIL}", again=5)
    assert '<meta name="again" content="5">' in page
    assert "about 2 min left &lt;img" in page
    assert 'name="again" content' not in document([section], "quick-7")
    assert "Nothing yet." in document([], "quick-7", "Nothing yet.")  # nothing has a result


def test_words_are_there_without_scripts(section):
    page = document([section], "quick-7")
    assert "<p>census-income, 99,762 rows of test, suite quick</p></header>" in page
    for today in (True, False):
        served = replace(section.decision.serving.served, today=today)
        changed = with_decision(section, verdict=Verdict("keep", ("As it is.",)), served=served)
        assert ("Should I switch?" in document([changed], "quick-7")) == today
    assert "<code>seesaw confirm quick-7 --static 7</code>" in page
    packed = re.findall(r'data-packed id="[^"]*">([^<]*)<', page)
    (data,) = [json.loads(gzip.decompress(base64.b64decode(block))) for block in packed]
    assert data["run"] == "quick-7"


def test_pictures_stand_alone(section):
    heads, served = section.decision.frontier, section.decision.serving.served
    cells = {key: np.where(np.arange(7) < 3, cell, np.nan) for key, cell in heads.cells.items()}
    values = replace(heads, cells=cells)  # no gains: drawn as they are
    costly = tuple(replace(measure, direction="minimize") for measure in values.measures)
    for front, signs in (
        (heads, 1),
        (served, 1),
        (values, 1),
        (replace(values, measures=costly), -1),
    ):
        svg = standalone(picture(section, front)).svg
        marks = re.findall(r'translate\(([\d.]+) ([\d.]+)\)[^/]*opacity="1"', svg)
        split = splits_of(front)[0]
        drawn = np.flatnonzero(front.front & np.isfinite(front.at(split)[:, :2]).all(axis=1))
        assert len(marks) == len(drawn) > 2
        for coordinates, places in zip(
            front.at(split)[drawn].T, np.array(marks, float).T * [[1], [-1]], strict=False
        ):
            order = np.argsort(
                signs * coordinates
            )  # what is better lies further to the right, and higher
            assert (np.diff(places[order]) >= 0).all()
        assert svg.count("<path") > 5
        assert "var(" not in svg
        assert "xmlns" in svg
    assert "<polyline" in picture(section)
    assert "<polyline" not in picture(section_of(records_of(objectives=3), objectives_of(3)))
    assert picture(section_of(records_of(objectives=1), objectives_of(1))) == ""


def test_the_page_has_the_answer_and_nothing_of_data_is_markup():
    answer = Answer(
        "cannot say",
        (
            "This run cannot say whether any is better: 1 static weight; `seesaw confirm <b>x "
            "--static 7` adds them."
        ),
    )
    group = Group(
        "<i>shop", ("f00d",), ("first",), answer, Comparison(), "nothing to compare", ("dwa",)
    )
    page = comparison_document(Compared("balancing", "test", (group,), None, ("a note",)))
    assert "<code>seesaw confirm &lt;b&gt;x --static 7</code> adds them." in page
    assert "&lt;i&gt;shop" in page
    assert "Without a confirmed point: dwa." in page
    assert "<h3>Tests</h3>" not in page


def luminance(colour):
    """Of WCAG 2."""
    parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [0, 1])
@pytest.mark.parametrize("role", ["text", "muted", "accent", "good", "loss"])
def test_words_can_be_read(role, dark):
    for ground in ("surface", "raised"):
        low, high = sorted(luminance(COLOURS[key][dark]) for key in (role, ground))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_kind_looks_alike_in_all_runs():
    """Those of a list have places of their own; others, such as plug-ins', have theirs by their
    names.
    """
    assert len(set(looks_of(KINDS).values())) == len(KINDS)
    assert looks_of(["mmoe", "mine"]).items() <= looks_of([*KINDS, "mine"]).items()
    assert len(set(looks_of(f"kind {i}" for i in range(35)).values())) == 35
    assert len(looks_of(f"kind {i}" for i in range(90))) == 90


def test_regions_are_of_paired_differences(section, rng):
    """What moves all rows alike moves no difference; the current row has none."""
    common = 1 + 0.1 * rng.normal(size=(400, 1, 1))
    own_draws = 1 + 0.01 * rng.normal(size=(400, 3, 2))
    spreads = spread_of(
        replace(section.decision.serving.served, draws={"test": common * own_draws}, current=1)
    )["test"]
    # the one that is told first
    assert splits_of(section.decision.frontier) == (
        "test",
        "confirm",
        "valid",
    )
    assert np.allclose(spreads[1], 0)
    assert spreads[0, 0, 0] == pytest.approx(100**2 * 2 * 0.01**2, rel=0.3)


def test_choices_are_thinned_to_what_may_matter():
    section = section_of(records_of(objectives=5), objectives_of(5), served=5)
    few, stability = section.decision.choices, section.decision.pick.stability
    draws = {name: np.tile(drawn, (4, 1, 1)) for name, drawn in few.draws.items()}
    choices = replace(few, draws=draws)
    pick = SimpleNamespace(
        row=3, point="3", stability=stability, runners_up=[SimpleNamespace(row=5)]
    )
    data = section_data(with_decision(section, choices=choices, pick=pick))["decision"]
    assert data["count"] == MOST_DRAWS < len(choices.drawn)
    assert len(data["rows"]) < len(few)
    assert (
        len(base64.b64decode(data["draws"]))
        == 4 * MOST_DRAWS * len(data["rows"]) * 5
        <= 4 * MOST_DRAWN
    )
    for place, row in (
        (data["pick"], 3),
        (data["runnersUp"][0], 5),
        (data["current"], choices.current),
    ):
        assert data["row"][place] == row
        assert data["rows"][place]["weights"] == plain(choices.table.iloc[row]["weights"])
    assert {row["point"] for row in data["rows"]} == set(choices.table["point"])
    assert data["rates"] is None  # an ndcg among them does not add up
    current = choices.values(choices.names)[choices.current]
    assert data["values"][data["current"]] == pytest.approx(current.tolist(), rel=1e-5)


def test_a_scenario_has_a_front_of_its_own(section):
    """Chosen on confirmation rows and drawn on test; none where too few rows are positive."""
    served = section.decision.serving.served
    fronts = scenario_fronts(section.decision.serving.served)
    assert set(fronts) == {"scenario=home", "scenario=search"}
    drawn = section_data(section)["planes"]["served"]["at"]["test, scenario=home"]
    test, gains = (served.at("test", part, "scenario=home")[:, 0] for part in ("value", "gain"))
    assert [row[0][0] for row in drawn] == pytest.approx(test.tolist(), rel=1e-5)
    assert [row[0][3] for row in drawn] == pytest.approx((100 * gains).tolist(), rel=1e-5)
    values = served.at("confirm", slice="scenario=home")
    beaten = [
        any((rival >= row).all() and (rival > row).any() for rival in values) for row in values
    ]
    assert (~fronts["scenario=home"]).tolist() == beaten


def test_in_the_picture_of_ranks_no_mark_covers_a_name():
    ranks = {"a": 1.2, "b": 1.9, "c": 2.9}
    ranking = MeanRanks(tuple(ranks), tuple(ranks.values()), 5, 0.01, 1.1, ((0, 1), (1, 2)))
    picture = ElementTree.fromstring(critical_figure(ranking))
    marks = [float(circle.get("cx")) for circle in picture.iter("circle")]
    bars = [float(path.get("d").split()[0][1:]) for path in picture.iter("path")][1:]
    names = {label.text: float(label.get("x")) for label in picture.iter("text")}
    for (name, rank), mark in zip(ranks.items(), marks, strict=True):
        assert mark < names[f"{name} {rank:.2f}"]
    assert marks == sorted(marks)
    for bar, worst in zip(
        bars, ("b 1.90", "c 2.90"), strict=True
    ):  # a bar stands beside the worst that it joins
        assert bar < names[worst]
