"""The page in a real browser: figures are drawn, nothing is asked of a network, nothing overflows."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.cli.options import assignments
from bench.frontier.frontier import frontier
from bench.records import Failure, TrialRecord
from bench.report import plots, text, theme
from bench.report.build import build_view
from bench.report.page import write_page
from bench.report.view import PageView

playwright = pytest.importorskip(
    "playwright.sync_api", exc_type=ImportError, reason="playwright is not installed, or not whole"
)
pytestmark = pytest.mark.slow  # a browser takes seconds to start
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
HIDING = (0, 1, 2, 3, 4, 5)
"""Figures that show sharing kinds."""
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
        own = ("blob:null/", "data:")  # what the page itself made, as on the way to a PNG
        self.page.on("request", lambda asked: asked.url.startswith(own) or self.requests.append(asked.url))
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


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_it_draws_all_figures_asks_for_nothing_and_fits(browser: Any, path: Path, width: int, scheme: str) -> None:
    opened = Opened(browser, path, viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 600)
    page = opened.page
    figures = page.locator(".plot").count()
    assert figures == 10 + 14 + 7
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
    assert near < desk.marks(0) == len(placed) + 2  # the ring, and the composite of single-task models
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
        assert (text.scalar(value)) in shown
    page.keyboard.press("Escape")
    assert page.locator("#card").is_hidden()


def test_a_kind_can_be_hidden_in_all_figures_by_keyboard(desk: Opened) -> None:
    before = [desk.marks(i) for i in HIDING]
    desk.page.locator('.legend button[data-kind="mmoe"]').first.focus()
    desk.page.keyboard.press("Enter")
    after = [desk.marks(i) for i in HIDING]
    assert all(now < then for now, then in zip(after, before, strict=True))
    assert desk.page.locator('.legend button[data-kind="mmoe"][aria-pressed="false"]').count() == 2
    desk.page.keyboard.press("Enter")
    assert [desk.marks(i) for i in HIDING] == before


def test_the_table_sorts_both_ways(desk: Opened, view: PageView) -> None:
    page = desk.page
    head = page.locator("th button", has_text="trial").first

    def order() -> list[int]:
        head.click()
        cells = page.locator("table.trials tbody tr td:nth-child(2)").all_inner_texts()
        return [int(cell) for cell in cells]

    rows = [trial.number for trial in view.trials if trial.on_front or trial.confirmed]
    assert order() == sorted(rows, reverse=True)
    assert page.locator("th[aria-sort='descending']").count() == 1
    assert order() == sorted(rows)


SELECTED = """figure => {
    const trace = document.querySelectorAll('.plot')[figure].data.filter(each => each.name === 'selected');
    return trace.flatMap(each => each.x.map((x, i) => [x, each.y[i]]));
}"""
"""Where marks of selected trials are."""


def rows_selected(page: Any) -> list[str]:
    return list(page.locator("tr[aria-selected=true]").evaluate_all("rows => rows.map(row => row.dataset.id)"))


def test_a_point_selects_its_row_its_line_and_all_that_is_known_of_it(desk: Opened, view: PageView) -> None:
    page = desk.page
    assert view.picked is not None
    trial = view.trial(view.picked.id)
    page.locator(".plot").first.scroll_into_view_if_needed()
    ring = page.locator(".plot").first.locator(".scatterlayer .points path").last.bounding_box()
    page.mouse.click(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    page.wait_for_selector("#dock:not([hidden])")
    assert rows_selected(page) == [str(trial.id)]
    page.wait_for_function("document.querySelectorAll('.plot')[1].data.some(trace => trace.name === 'selected')")
    assert page.evaluate(SELECTED, 0) == [[pytest.approx(value, rel=1e-6) for value in trial.values]]
    lines = plots.parallel_figure(view).layout.meta["lines"]
    assert [y for _, y in page.evaluate(SELECTED, 1)][:-1] == lines[trial.id]
    shown = page.locator("#shown").inner_text()
    for sentence in trial.diagnosis:
        assert sentence in shown
    for run in trial.detail.replicates:
        assert str(run.seed) in shown
    for angle in trial.detail.angles:
        assert angle.block in page.locator("#shown").text_content()
    assert page.locator("#shown svg").count() > 0
    words = shlex.split(page.locator("#shown pre code").first.text_content())
    assert words[:3] == ["seesaw", "train", "census-income"]
    assert assignments(words[4::2]) == dict(trial.params)
    page.keyboard.press("Escape")  # folds the dock
    assert not page.locator("#shown").is_visible()
    page.locator("[data-action=clear]").click()
    assert rows_selected(page) == []
    page.wait_for_function("!document.querySelectorAll('.plot')[1].data.some(trace => trace.name === 'selected')")


def test_rows_and_boxes_select_points_and_each_other(desk: Opened, view: PageView) -> None:
    page = desk.page
    first, second = (page.locator(f"tr[data-id='{id}'] input") for id in view.front[:2])
    first.check()
    second.check()
    assert page.locator("#chosen button").count() == 2
    page.wait_for_function("document.querySelector('.plot').data.filter(each => each.name === 'selected').length === 2")
    want = [[pytest.approx(value, rel=1e-6) for value in view.trial(id).values] for id in view.front[:2]]
    assert sorted(page.evaluate(SELECTED, 0)) == sorted(want, key=lambda pair: pair[0].expected)
    first.focus()
    page.keyboard.press("Space")
    assert rows_selected(page) == [str(view.front[1])]
    page.locator("[data-action=clear]").click()
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    box = plot.locator(".nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    page.wait_for_selector("#dock:not([hidden])")
    near = [axis.near for axis in view.axes]
    inside = [
        trial.id
        for trial in view.trials
        if all(v is not None and e is not None and e[0] <= v <= e[1] for v, e in zip(trial.values, near, strict=True))
    ]
    assert f"{len(inside)} selected" in page.locator("#chosen").inner_text()
    assert set(map(str, inside)) == set(rows_selected(page))
    page.locator("[data-action=clear]").click()


def test_trials_are_walked_and_selected_by_keyboard(desk: Opened, view: PageView) -> None:
    page = desk.page
    page.locator(".plot").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert f"Trial {view.order[1]}:" in page.locator("#card").inner_text()
    page.keyboard.press("Enter")
    assert rows_selected(page) == [str(view.order[1])]
    assert f"Trial {view.order[1]}:" in page.locator("#said").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert rows_selected(page) == []
    assert page.locator("#dock").is_hidden()


def test_figures_and_data_are_saved_without_a_network(desk: Opened, view: PageView) -> None:
    page = desk.page

    def saved(selector: str) -> bytes:
        with page.expect_download() as waiting:
            page.locator(selector).first.click()
        return Path(waiting.value.path()).read_bytes()

    assert saved("[data-as=svg]").startswith(b"<svg")
    assert saved("[data-as=png]").startswith(b"\x89PNG")
    points = pd.read_csv(BytesIO(saved("[data-as=csv]")))
    table = pd.read_csv(BytesIO(saved("[data-action=export]")))
    assert list(table["trial"]) == list(view.order)
    for row in table.to_dict("records"):
        trial = view.trial(row["trial"])
        spread = trial.confirm[0]
        assert row["on_front"] == trial.on_front
        assert row["confirm/income.auc.mean"] == (
            pytest.approx(spread.mean) if spread else pytest.approx(math.nan, nan_ok=True)
        )
        assert row["optim.lr"] == dict(trial.params)["optim.lr"]
    drawn = points.dropna(subset="trial").set_index("trial")
    assert {int(id) for id in drawn.index} == {trial.number for trial in view.trials if None not in trial.values}
    for id in view.front:
        assert tuple(drawn.loc[id, ["x", "y"]]) == pytest.approx(view.trial(id).values, rel=1e-6)


def test_text_is_no_formula_for_a_spreadsheet(desk: Opened) -> None:
    """The function is the page's own, which lives in no scope that a test reaches: it is read from its file."""
    source = files("bench.report").joinpath("assets", "save.js").read_text(encoding="utf-8")
    cell = source[source.index("const csvCell") : source.index("const csv =")]
    run = f"values => {{ {cell} return values.map(csvCell); }}"
    given = ["=1+1", "@x", "-0.5", -0.5, 'a "b", c', None, "plain"]
    assert desk.page.evaluate(run, given) == ["'=1+1", "'@x", "-0.5", "-0.5", '"a ""b"", c"', "", "plain"]


def test_two_of_three_objectives_are_chosen(
    browser: Any, make_view: Any, make_records: Any, make_objectives: Any, tmp_path: Path
) -> None:
    three = make_view(make_records(objectives=3), make_objectives(3))
    path = write_page(three, tmp_path / "report.html")
    opened = Opened(browser, path, viewport={"width": 1280, "height": 1000})
    page = opened.page
    figure = page.locator("figure", has=page.locator("select")).first
    titles = "plot => [plot.layout.xaxis.title.text, plot.layout.yaxis.title.text].map(text => text.split('  ')[0])"

    def shown() -> Any:
        return figure.locator(".plot").evaluate(titles)

    across, upwards = figure.locator("select").nth(0), figure.locator("select").nth(1)
    assert shown() == ["income AUC", "never_married AUC"]
    across.select_option("2")
    assert shown() == ["education AUC", "never_married AUC"]
    upwards.select_option("2")  # the same twice: they change places
    assert shown() == ["never_married AUC", "education AUC"]
    assert across.input_value() == "1"
    row = page.locator("table.trials tbody input").first
    row.check()
    matrix = "document.querySelectorAll('.plot')[1].data"
    page.wait_for_function(f"{matrix}.filter(trace => trace.name === 'selected').length === 3")
    assert opened.errors == []
    assert opened.requests == [path.as_uri()]


def test_colours_follow_the_system(desk: Opened) -> None:
    page = desk.page
    line = "document.querySelector('.plot').data.find(trace => trace.name === 'front').line.color"
    light, dark = theme.COLOURS["front"]
    assert page.evaluate(line) == light
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"{line} === '{dark}'")
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"{line} === '{light}'")


def test_no_button_offers_to_upload_a_figure(desk: Opened) -> None:
    page = desk.page
    titles = page.evaluate("[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)")
    assert {title.split(" (")[0] for title in titles} == {"Zoom", "Pan", "Box Select", "Reset axes"}
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
    ticks = opened.page.locator(".plot").nth(2).locator(".ytick text").all_text_contents()
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
    assert page.locator("tbody tr[data-id]:not(.behind)").count() == len(view.front)
    assert page.locator("table.trials input:visible, .save button:visible").count() == 0


def test_thousands_of_trials_are_drawn(
    browser: Any, make_view: Callable[..., PageView], make_records: Any, make_objectives: Any, tmp_path: Path
) -> None:
    view = make_view(make_records(1350, confirmed=6), make_objectives())
    opened = Opened(browser, write_page(view, tmp_path / "report.html"))
    assert opened.errors == []
    drawn = "document.querySelector('.plot').data.reduce((sum, trace) => sum + (trace.customdata?.length ?? 0), 0)"
    assert 600 < opened.page.evaluate(drawn) < 1300
    rows = opened.page.locator("table.trials tbody tr")
    before = rows.count()
    opened.page.locator("button.more").click()
    assert rows.count() == before + 50
    hidden = str(view.order[-1])  # neither in the table nor in the figure
    opened.page.evaluate(f"document.querySelector('table.trials tbody tr').dataset.id = '{hidden}'")
    opened.page.locator("table.trials tbody input").first.check()
    selected = "document.querySelector('.plot').data.filter(trace => trace.name === 'selected').length"
    opened.page.wait_for_function(f"{selected} === 1")
