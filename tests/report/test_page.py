"""The document: one file, safe, the same for the same view."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from bench.frontier.verdict import Verdict
from bench.report.comparison import critical_figure
from bench.report.page import document
from bench.report.picture import PLOTS, picture, standalone
from bench.results.comparison.significance import ranking

EVIL = "<img src=x onerror=alert(1)>"


def test_it_asks_for_nothing_and_runs_its_own_script_alone(view: Any) -> None:
    page = document([view], "quick-7")
    assert page == document([view], "quick-7")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert len(page) < 400_000


def test_nothing_of_data_is_markup(view: Any) -> None:
    odd = replace(
        view,
        title=EVIL,
        dataset=EVIL,
        about=EVIL,
        run=EVIL,
        verdict=Verdict("model", (EVIL,)),
        also=(EVIL,),
        commands={EVIL: EVIL},
        made={EVIL: EVIL},
        policy=EVIL,
        current=EVIL,
        incomplete=EVIL,
        no_pick=EVIL,
    )
    page = document([odd, odd], EVIL)
    assert EVIL not in page
    assert "&lt;img" in page


def test_a_page_of_a_run_that_goes_on_says_how_far_it_is_and_loads_itself_again(view: Any) -> None:
    page = document([view], "quick-7", f"about 2 min left {EVIL}", again=5)
    assert '<meta name="again" content="5">' in page
    assert "about 2 min left &lt;img" in page
    assert 'name="again" content' not in document([view], "quick-7")
    assert "Nothing yet." in document([], "quick-7", "Nothing yet.")  # nothing has a result


def test_words_are_there_without_scripts(view: Any) -> None:
    page = document([view], "quick-7")
    assert "<p>census-income, 99,762 rows of test, suite quick</p></header>" in page
    labels = {"model": "Switch the model", "weights": "Change only the weights", "keep": "Keep"}
    unnamed = {"model": "A model is ahead", "keep": "No gain to serve", "unknown": "Cannot tell"}
    for today, known in ((True, labels), (False, unnamed)):
        for kind, label in known.items():
            own = replace(view, verdict=Verdict(kind, ("As it is.",)), served=replace(view.served, today=today))
            told = document([own], "quick-7")
            assert f'<p class="verdict {kind}"><strong>{label}</strong>' in told
            assert ("Should I switch?" in told) == today
    ahead = Verdict("keep", ("Ahead of every network: boosted trees.",), ahead=("boosted trees",))
    assert "<strong>Keep, but others are ahead</strong>" in document([replace(view, verdict=ahead)], "quick-7")
    assert "<code>seesaw confirm quick-7 --static 7</code>" in page
    packed = re.findall(r'data-packed id="[^"]*">([^<]*)<', page)
    (data,) = [json.loads(gzip.decompress(base64.b64decode(each))) for each in packed]
    assert data["run"] == "quick-7"


def test_pictures_stand_alone(view: Any, make_records: Any, make_objectives: Any, make_view: Any) -> None:
    for front in view.fronts:
        svg = standalone(picture(view, front)).svg
        assert svg.count("<path") > 5
        assert "var(" not in svg
        assert "xmlns" in svg
    assert "<polyline" in picture(view)
    assert "<polyline" not in picture(make_view(make_records(objectives=3), make_objectives(3)))
    assert picture(make_view(make_records(objectives=1), make_objectives(1))) == ""


def test_a_plot_is_a_function_and_a_line(view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLOTS, "mark", lambda view: f'<svg ><path id="mark" d="M0 {len(view.front)}"/></svg>')
    page = document([view], "quick-7")
    assert re.search(r'<noscript>.*id="mark".*</noscript>', page)
    assert standalone(PLOTS["mark"](view)).svg.startswith("<svg xmlns")


def test_ranks_have_a_row_each_and_their_critical_difference() -> None:
    import numpy as np

    found = ranking(["a<b", "c"], np.array([[0.9, 0.8], [0.7, 0.6], [0.5, 0.1], [0.5, 0.2], [0.4, 0.1]]))
    svg = critical_figure(found)
    assert "a&lt;b 1.00" in svg
    assert f"critical difference {found.critical:.2f}" in svg
