"""The page in a real browser: figures are drawn, nothing is asked of a network, nothing overflows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.frontier.frontier import frontier
from bench.records import Failure, TrialRecord
from bench.report.build import build_view
from bench.report.page import write_page
from bench.report.view import PageView

playwright = pytest.importorskip(
    "playwright.sync_api", exc_type=ImportError, reason="playwright is not installed, or not whole"
)
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}; the variable CHROMIUM names another place")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=options)
        yield opened
        opened.close()


INSIDE = """plot => {
    const frame = plot.querySelector('.nsewdrag').getBoundingClientRect();
    return [...plot.querySelectorAll('.scatterlayer .points path')].map(path => path.getBoundingClientRect())
        .map(box => [(box.left + box.right) / 2, (box.top + box.bottom) / 2])
        .filter(([x, y]) => frame.left <= x && x <= frame.right && frame.top <= y && y <= frame.bottom).length;
}"""


class Opened:
    """A page that has drawn its figures, with all that it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page = browser.new_context(**context).new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def marks(self, figure: int) -> int:
        """How many marks have their middle inside the axes of a figure."""
        return int(self.page.locator(".plot").nth(figure).evaluate(INSIDE))


@pytest.fixture(scope="module")
def path(view: PageView, make_view: Any, make_records: Any, make_objectives: Any, tmp_path_factory: Any) -> Path:
    """One page of three sections: two, three and one objective."""
    views = [view, *(make_view(make_records(objectives=n), make_objectives(n), dataset=f"of-{n}") for n in (3, 1))]
    return write_page(views, tmp_path_factory.mktemp("page") / "report.html", title="quick-7")


@pytest.fixture(scope="module")
def small(view: PageView, tmp_path_factory: Any) -> Path:
    return write_page(view, tmp_path_factory.mktemp("small") / "report.html", title="quick-7")


@pytest.fixture(scope="module")
def desk(browser: Any, small: Path) -> Iterator[Opened]:
    """Opened once: every test that presses something puts it back, and none may leave an error."""
    opened = Opened(
        browser, small, viewport={"width": 1280, "height": 1000}, color_scheme="light", reduced_motion="reduce"
    )
    yield opened
    assert opened.errors == []
    assert opened.requests == [small.as_uri()]


OUTSIDE = """[...document.querySelectorAll('.plot svg text')].filter(text => {
    const [box, plot] = [text.getBoundingClientRect(), text.closest('.plot').getBoundingClientRect()];
    return box.width && (box.left < plot.left - 1 || box.right > plot.right + 1 || box.bottom > plot.bottom + 1);
}).map(text => text.textContent)"""
"""Words of figures that stick out of them."""
OVERLAPS = """[...document.querySelectorAll('.plot')].flatMap(plot =>
    ['.xtick text', '.ytick text', 'text[class$=title]'].flatMap(words => {
        const boxes = [...plot.querySelectorAll(words)].map(text => [text.textContent, text.getBoundingClientRect()]);
        return boxes.flatMap(([a, x], i) => boxes.slice(i + 1)
            .filter(([, y]) => x.left < y.right && y.left < x.right && x.top < y.bottom && y.top < x.bottom)
            .map(([b]) => `${plot.dataset.figure}: ${a} / ${b}`));
    }))"""
"""Tick labels of one direction, or titles of axes, that lie on each other."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_draws_all_figures_asks_for_nothing_and_fits(browser: Any, path: Path, width: int, scheme: str) -> None:
    opened = Opened(browser, path, viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 600)
    page = opened.page
    figures = page.locator(".plot").count()
    assert figures == 6 + 8 + 4
    assert page.locator(".js-plotly-plot").count() == figures
    assert page.evaluate("[...document.querySelectorAll('.plot')].every(p => p.querySelector('svg.main-svg'))")
    assert opened.errors == []
    assert opened.requests == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(OVERLAPS) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]


def test_the_plane_shows_all_trials_when_asked(desk: Opened, view: PageView) -> None:
    button = desk.page.locator(".zoom button").first
    placed = [trial for trial in view.trials if None not in trial.values]
    near = desk.marks(0)
    button.click()
    assert near < desk.marks(0) == len(placed) + 1  # and the ring
    assert button.inner_text() == "Back to the front"
    button.click()
    assert desk.marks(0) == near


def test_the_card_shows_the_configuration_under_the_pointer(desk: Opened, view: PageView) -> None:
    page = desk.page
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    ring = plot.locator(".scatterlayer .points path").last.bounding_box()
    page.wait_for_timeout(200)  # scrolling hides the card
    page.mouse.move(ring["x"] + ring["width"] / 2 - 3, ring["y"] + ring["height"] / 2)
    page.mouse.move(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    page.wait_for_selector("#card:not([hidden])")
    shown = page.locator("#card").inner_text()
    assert view.picked is not None
    assert f"Trial {view.picked.trial}: " in shown
    for name, value in view.trial(view.picked.trial).params:
        assert name in shown
        assert value in shown
    for sentence in view.trial(view.picked.trial).diagnosis:
        assert sentence in shown
    for cells in view.trial(view.picked.trial).angles:
        assert all(cell in shown for cell in cells)
    page.keyboard.press("Escape")
    assert page.locator("#card").is_hidden()


def test_a_kind_can_be_hidden_in_all_figures_by_keyboard(desk: Opened) -> None:
    before = [desk.marks(i) for i in range(6)]
    desk.page.locator('.legend button[data-kind="mmoe"]').first.focus()
    desk.page.keyboard.press("Enter")
    after = [desk.marks(i) for i in range(6)]
    assert all(now < then for now, then in zip(after[:5], before[:5], strict=True))
    assert desk.page.locator('.legend button[data-kind="mmoe"][aria-pressed="false"]').count() == 2
    desk.page.keyboard.press("Enter")
    assert [desk.marks(i) for i in range(6)] == before


def test_the_table_sorts_both_ways(desk: Opened, view: PageView) -> None:
    page = desk.page
    head = page.locator("th button", has_text="trial").first

    def order() -> list[int]:
        head.click()
        cells = page.locator("tbody").first.locator("tr td:first-child").all_inner_texts()
        return [int(cell) for cell in cells]

    assert order() == sorted(view.front, reverse=True)
    assert page.locator("th[aria-sort='descending']").count() == 1
    assert order() == sorted(view.front)


def test_colours_follow_the_system(desk: Opened) -> None:
    page = desk.page
    stroke = "getComputedStyle(document.querySelector('.plot .scatterlayer .js-line')).stroke"
    assert page.evaluate(stroke) == "rgb(57, 67, 78)"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{stroke} === 'rgb(197, 205, 214)'")
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{stroke} === 'rgb(57, 67, 78)'")


def test_no_button_offers_to_upload_a_figure(desk: Opened) -> None:
    page = desk.page
    titles = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)")
    assert {title.split(" (")[0] for title in titles} == {"Zoom", "Pan", "Reset axes", "Download plot as a PNG"}
    assert page.locator(".modebar a[href^=http]").count() == 0


def test_data_is_text_and_nothing_else(browser: Any, make_records: Any, make_objectives: Any, tmp_path: Path) -> None:
    def poisoned(record: TrialRecord) -> TrialRecord:
        config = record.config | {"sharing.kind": EVIL, "balancing.kind": f"</script>{EVIL}"}
        params = {EVIL: f"</script>{EVIL}", "nan": float("nan")}
        return replace(
            record,
            config=config,
            params=params,
            architecture=EVIL,
            failure=record.failure and Failure("bug", f"</script>{EVIL}"),
        )

    records = [poisoned(record) for record in make_records()]
    front = frontier(records, make_objectives())
    view = build_view(records, front, title=EVIL, dataset=EVIL, no_pick=EVIL, retrain=EVIL, made={EVIL: EVIL})
    opened = Opened(browser, write_page(view, tmp_path / "report.html", title=EVIL))
    assert opened.page.title() == f"{EVIL}: trade-off frontier"
    assert opened.page.locator("img").count() == 0
    ticks = opened.page.locator(".plot").nth(1).locator(".ytick text").all_text_contents()
    assert any("<img" in tick for tick in ticks)
    assert opened.errors == []
    assert len(opened.requests) == 1


def test_an_old_browser_says_so_and_keeps_its_tables(browser: Any, small: Path, view: PageView) -> None:
    context = browser.new_context()
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(small.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    assert "browser from 2023 or later" in page.locator(".plot").first.inner_text()
    assert page.locator("tbody").first.locator("tr").count() == len(view.front)


def test_thousands_of_trials_are_drawn(
    browser: Any, make_view: Callable[..., PageView], make_records: Any, make_objectives: Any, tmp_path: Path
) -> None:
    view = make_view(make_records(1600, confirmed=20), make_objectives())
    opened = Opened(browser, write_page(view, tmp_path / "report.html"))
    assert opened.page.locator(".js-plotly-plot").count() == 6
    assert opened.errors == []
    assert opened.page.evaluate(
        "document.querySelector('.plot').data.some(trace => /^scatter/.test(trace.type) && trace.x.length > 300)"
    )
