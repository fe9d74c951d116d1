"""The page in a real browser: it fits, labels lie on no mark, and what is shown follows what is chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from opened import Opened

from bench.report.comparison import comparison_document
from bench.report.page import write_page
from bench.report.view import View
from bench.results.comparison.comparison import COLUMNS, TEST_HEADS, Comparison

pytestmark = pytest.mark.slow  # a browser takes seconds to start


OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
GROUND = "getComputedStyle(document.body).backgroundColor"
COVERED = """[...document.querySelectorAll('svg.figure')].flatMap(figure => {
    const boxes = what => [...figure.querySelectorAll(what)].map(each =>
        [each.textContent, each.getBoundingClientRect()]);
    const [labels, marks] = [boxes('.label, .lead .axis'), boxes('.mark > path')];
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2;
    return labels.flatMap(([text, a], i) => [...marks, ...labels.slice(i + 1)]
        .filter(([, b]) => meet(a, b)).map(([b]) => `${text} / ${b}`));
})"""
"""Labels, and names of places along the trade, that lie on a mark or on each other."""


CUT = """[...document.querySelectorAll('svg.figure text')].filter(each => {
    const [text, figure] = [each.getBoundingClientRect(), each.ownerSVGElement.getBoundingClientRect()];
    return text.left < figure.left - 1 || text.right > figure.right + 1 || text.top < figure.top - 1;
}).map(each => each.textContent)"""
"""Texts that reach out of their figure."""


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (820, 1000), (390, 844)])
def test_it_fits_and_labels_lie_on_no_mark(browser: Any, pages: Any, width: int, height: int) -> None:
    """In light and in dark, with 1 to 5 outcomes, and with a current point of each kind and none."""
    for name, (view, path) in pages.items():
        opened = Opened(browser, path, viewport={"width": width, "height": height}, color_scheme="light")
        page, texts = opened.page, view.verdict.sentence
        assert opened.text(".verdict span") == texts, name
        assert page.locator("svg.figure").first.bounding_box()["y"] < height - 200, name  # in the first screen
        told = page.locator(".verdict, .gains .command").all()
        assert len(told) == 1 + bool(view.formula), name
        assert all(each.bounding_box()["y"] + each.bounding_box()["height"] <= height for each in told), name
        figures, legend = page.locator("svg.figure").all(), page.locator(".legend").bounding_box()
        assert all(each.bounding_box()["y"] + each.bounding_box()["height"] <= legend["y"] for each in figures), name
        assert page.evaluate(CUT) == [], name
        two = len(view.fronts[0].measures) > 1 and view.served is not None
        assert page.locator(".lead svg.figure").count() == two, name
        for switch in ("", "whole front", "dark"):
            if switch == "dark":
                grounds = [page.evaluate(GROUND)]
                page.emulate_media(color_scheme="dark")
                assert page.evaluate(GROUND) not in grounds, name
            elif switch and page.locator(".bar button", has_text=switch).count():
                page.locator(".bar button", has_text=switch).click()
            assert page.evaluate(COVERED) == [], (name, switch)
        if view.decides and view.served is not None:
            before = opened.text(".result")
            field = page.locator('.matters input[type="range"]').first
            assert field.bounding_box()["height"] >= 24
            for step in ("0", "100"):  # one end or the other has another pick than the policy's
                field.fill(step)
            assert opened.text(".result") != before, name
            assert "Your settings differ" in opened.text(".whose")
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        page.wait_for_timeout(50)
        assert page.evaluate(OVERFLOW) <= 0, name
        assert opened.errors == [], name
        assert opened.requests == [path.as_uri()], name
        opened.context.close()


def test_nothing_of_a_comparison_is_clipped(browser: Any, tmp_path: Path) -> None:
    doubt = "luck in tuning is not ruled out (p = 0.29 before Holm)"
    test = dict.fromkeys(COLUMNS, 0.001234) | {"measure": "purchase.ctcvr.auc", "left": "single_task"}
    test |= {"right": "conflict_free = imtl_g", "unit": "hypervolume", "paired": "by 4 seeds", "verdict": doubt}
    group = Mock(dataset="shop", runs=("first",), reason="", unconfirmed=(), answer=Mock(sentence=doubt))
    group.comparison = Comparison(tests=(test,), members=3)
    page = browser.new_page()
    page.set_content(comparison_document(Mock(groups=[group], by="balancing", split="test", ranking=None, notes=[])))
    assert page.locator(".scroll td").count() == len(TEST_HEADS)
    for width in (1280, 820, 390):
        page.set_viewport_size({"width": width, "height": 800})
        widest = "Math.max(...[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth))"
        assert page.evaluate(widest) <= 0, width
    page.close()


def test_what_the_verdict_advises_is_on_the_shortlist(browser: Any, pages: Any, tmp_path: Path) -> None:
    """Where that is not the pick, as with other weights of today's model."""
    view, _ = pages["2"]
    found = {}
    for row in (view.pick.row, 7):
        path = write_page([replace(view, verdict=replace(view.verdict, row=row))], tmp_path / "page.html", "quick-7")
        opened = Opened(browser, path, viewport={"width": 1280, "height": 800})
        found[row] = opened.page.locator(".shortlist .tag.advised").count()
        assert opened.errors == []
    assert found == {view.pick.row: 0, 7: 1}


def test_the_command_decides_for_what_is_shown(browser: Any, pages: Any, tmp_path: Path) -> None:
    view, _ = pages["2"]
    for asked, more in ((False, ""), (True, " --policy policy.toml")):
        opened = Opened(browser, write_page([replace(view, asked=asked)], tmp_path / "page.html", "quick-7"))
        assert opened.page.locator("code.line").text_content() == f"seesaw pick quick-7{more} --save"


def test_what_is_chosen_is_in_the_address(browser: Any, pages: Any) -> None:
    opened = Opened(browser, pages["3"][1], viewport={"width": 1280, "height": 800})
    opened.fill(value_1=80, loss_2=31)
    opened.page.locator('.chip[data-kind="ple"]').click()
    opened.page.locator(".plot .mark").last.click()
    opened.page.locator('select[data-name="pair"]').select_option("2")
    opened.page.wait_for_timeout(200)
    address = opened.page.evaluate("location.hash")
    again = Opened(browser, pages["3"][1], address, viewport={"width": 1280, "height": 800})
    for selector in (".plots", ".legend", ".result", ".shortlist", ".segments", ".bar"):
        assert again.page.locator(selector).inner_html() == opened.page.locator(selector).inner_html()
    assert again.page.locator(".tag.selected").count() == 1
    again.page.keyboard.press("Escape")
    assert again.page.locator(".tag.selected").count() == 0
    assert opened.errors == again.errors == []


def test_a_scenario_shows_its_own_rows_and_a_rare_one_cannot_be_told(browser: Any, pages: Any) -> None:
    opened = Opened(browser, pages["2"][1], viewport={"width": 1280, "height": 800})
    before = opened.page.locator(".plot").inner_html()
    opened.page.locator('select[data-name="split"]').select_option("test, scenario=home")
    opened.page.wait_for_timeout(200)
    assert opened.page.locator(".plot").inner_html() != before
    assert opened.page.locator(".mark").count() > 0
    assert "cannot tell" in (opened.page.locator(".segments").text_content() or "")
    assert opened.errors == []


def test_an_address_that_makes_no_sense_does_no_harm(browser: Any, pages: Any) -> None:
    odd = "#0.value=a,b&0.loss=-5&0.limit=x:1,cost/parameters:b&0.plane=none&0.pair=99&0.sel=none&0.split=q&9.abs=1"
    opened = Opened(browser, pages["3"][1], odd, viewport={"width": 1280, "height": 800})
    assert "NaN" not in opened.text(".matters")
    assert "Holds in" in opened.text(".result")
    assert opened.page.locator(".mark").count() > 0
    assert opened.errors == []


def test_a_chip_hides_marks_and_rows(browser: Any, pages: Any) -> None:
    opened = Opened(browser, pages["search"][1], viewport={"width": 1280, "height": 800})
    page = opened.page
    page.locator('details[data-part="points"] > summary').click()
    page.locator(".trials tbody tr").first.wait_for()  # it is filled when the browser says that it is open
    marks, rows = page.locator(".mark").count(), page.locator(".trials tbody tr").count()
    page.locator('.chip[data-kind="shared_bottom"]').focus()
    page.keyboard.press("Enter")
    assert page.locator(".mark").count() < marks
    assert page.locator(".trials tbody tr", has_text="Shared-bottom").count() == 0
    assert page.evaluate("document.activeElement.dataset.kind") == "shared_bottom"
    page.keyboard.press("Enter")
    assert (page.locator(".mark").count(), page.locator(".trials tbody tr").count()) == (marks, rows)
    page.locator(".trials tbody input").first.check()
    assert page.locator(".shortlist .tag.selected").count() == 1
    page.locator("svg.figure").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#card").is_visible()
    assert opened.errors == []


def test_a_saved_picture_stands_alone(browser: Any, pages: Any, tmp_path: Path) -> None:
    opened = Opened(browser, pages["2"][1], viewport={"width": 1280, "height": 800}, color_scheme="dark")
    for kind in ("svg", "csv"):
        with opened.page.expect_download() as saved:
            opened.page.locator(f'.plot .save button[data-as="{kind}"]').click()
        saved.value.save_as(tmp_path / f"a.{kind}")
    svg = (tmp_path / "a.svg").read_text()
    assert "var(" not in svg
    assert all(word in svg for word in ("Census-Income (KDD)", "census-income", "MMoE", "like recall@10%, change in %"))
    assert (tmp_path / "a.csv").read_text().startswith("point,name,architecture")
    assert opened.errors == []


def test_current_is_pointed_to_and_one_region_is_shown(browser: Any, pages: Any) -> None:
    for name, over in (
        ("2", "today's model at its best weights"),
        ("score", "today's score"),
        ("unnamed", "single-task"),
    ):
        assert f"Gain over {over}" in Opened(browser, pages[name][1]).text(".lead .save")
    opened = Opened(browser, pages["2"][1], viewport={"width": 1280, "height": 800})
    page, shown = opened.page, "[...document.querySelectorAll('.region')].filter(e => e.checkVisibility()).length"
    assert page.locator(".mark.away").count() == 1  # current lies far below the pick's part of the front
    assert page.locator(".plot .label", has_text="current").count() == 1
    assert page.evaluate(shown) == 1
    page.locator(".plot .mark").first.hover(force=True)
    assert page.evaluate(shown) == 2
    page.locator(".bar button", has_text="whole front").click()
    assert page.locator(".mark.away").count() == 0
    page.locator(".lead .mark").first.hover(force=True)
    assert "ahead by" in opened.text("#card")
    assert opened.errors == []


def test_points_that_are_one_stand_once_and_none_of_the_front_is_called_off_it(
    browser: Any, pages: Any, tmp_path: Path
) -> None:
    view, _ = pages["2"]
    trees, cells = (view.served.table["point"] == "trees").to_numpy(), {}
    for key, each in view.served.cells.items():
        cells[key] = each.copy()
        cells[key][trees] = each[view.pick.row]
    one = replace(view, served=replace(view.served, cells=cells))
    opened = Opened(browser, write_page([one], tmp_path / "a.html", "quick-7"))
    assert opened.page.locator(".legend li", has_text="= boosted trees").count() == 1
    assert opened.page.locator(".shortlist tr", has_text="boosted trees").count() == 1
    for row in opened.page.locator(".shortlist tr", has_text="not on the front").all():
        assert "pick" not in row.text_content()
    assert "trial" not in opened.text(".legend")
    assert opened.errors == []


def test_a_live_page_loads_itself_again_and_keeps_the_sliders(browser: Any, pages: Any, tmp_path: Path) -> None:
    view, path = pages["2"][0], tmp_path / "live.html"
    opened = Opened(browser, write_page([view], path, "quick-7", "2 min left.", again=1))
    opened.fill(worth_1=40)
    write_page([view], path, "quick-7", "1 min left.")
    opened.page.locator(".live", has_text="1 min left.").wait_for()
    opened.page.wait_for_selector("html[data-ready]", state="attached")
    assert opened.page.locator('[name="worth-1"]').input_value() == "40"
    assert "Your settings differ" in opened.text(".whose")


def test_evil_names_stay_words(browser: Any, view: View, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    front, served, choices = (
        replace(each, table=each.table.assign(name=evil, architecture=evil, point=evil))
        for each in (view.front, view.served, view.choices)
    )
    odd = replace(view, front=front, served=served, choices=choices, title=evil, run=evil)
    path = write_page([odd], tmp_path / "a.html", evil)
    opened = Opened(browser, path, viewport={"width": 1280, "height": 800})
    opened.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    opened.page.locator(".mark").last.hover(force=True)
    opened.page.wait_for_timeout(50)
    assert opened.page.locator("img").count() == 0
    assert opened.errors == []
