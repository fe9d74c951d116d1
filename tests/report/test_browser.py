"""The page in a real browser: it fits, labels lie on no mark, and what is shown follows what is chosen."""

from dataclasses import replace

import pytest
from opened import Opened

from bench.report.page import write_page

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
def test_it_fits_and_labels_lie_on_no_mark(browser, pages, width, height):
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


def test_the_command_decides_for_what_is_shown(browser, pages, tmp_path):
    view, _ = pages["2"]
    for asked, more in ((False, ""), (True, " --policy policy.toml")):
        opened = Opened(browser, write_page([replace(view, asked=asked)], tmp_path / "page.html", "quick-7"))
        assert opened.page.locator("code.line").text_content() == f"seesaw pick quick-7{more} --save"


def test_what_is_chosen_is_in_the_address(browser, pages):
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


def test_a_scenario_shows_its_own_rows_and_a_rare_one_cannot_be_told(browser, pages):
    opened = Opened(browser, pages["2"][1], viewport={"width": 1280, "height": 800})
    before = opened.page.locator(".plot").inner_html()
    opened.page.locator('select[data-name="split"]').select_option("test, scenario=home")
    opened.page.wait_for_timeout(200)
    assert opened.page.locator(".plot").inner_html() != before
    assert opened.page.locator(".mark").count() > 0
    assert "cannot tell" in (opened.page.locator(".segments").text_content() or "")
    assert opened.errors == []


def test_a_chip_hides_marks_and_rows(browser, pages):
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


def test_a_live_page_loads_itself_again_and_keeps_the_sliders(browser, pages, tmp_path):
    view, path = pages["2"][0], tmp_path / "live.html"
    opened = Opened(browser, write_page([view], path, "quick-7", "2 min left.", again=1))
    opened.fill(worth_1=40)
    write_page([view], path, "quick-7", "1 min left.")
    opened.page.locator(".live", has_text="1 min left.").wait_for()
    opened.page.wait_for_selector("html[data-ready]", state="attached")
    assert opened.page.locator('[name="worth-1"]').input_value() == "40"
    assert "Your settings differ" in opened.text(".whose")


def test_evil_names_stay_words(browser, view, tmp_path):
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
