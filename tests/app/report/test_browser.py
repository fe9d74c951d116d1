"""The page in a real browser: it fits, labels lie on no mark, and what is shown follows what is
chosen.
"""

import base64
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from made_up import with_decision

from bench.app.report.embed import section_data
from bench.app.report.page import write_page

pytestmark = pytest.mark.slow  # a browser takes seconds to start


class Opened:
    """A page that is drawn, with all that it asked for and complained of."""

    def __init__(self, browser, path, fragment="", **context):
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.context = browser.new_context(**context)
        self.context.set_default_timeout(5000)
        self.page = self.context.new_page()
        own_schemes = ("blob:null/", "data:")  # what the page itself made, as on the way to a PNG
        self.page.on(
            "request",
            lambda asked: self.requests.extend(
                [asked.url] * (not asked.url.startswith(own_schemes))
            ),
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(dialog.message))
        self.page.on(
            "console",
            lambda message: self.errors.extend([message.text] * (message.type == "error")),
        )
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def text(self, selector):
        return str(self.page.locator(selector).first.inner_text())

    def fill(self, **values):
        """Moves sliders, by name with _ for -."""
        for name, value in values.items():
            self.page.locator(f'[name="{name.replace("_", "-")}"]').first.fill(str(value))


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
    """In light and in dark, with 1 to 5 outcomes, and with a current point of each kind and
    none.
    """
    for name, (section, path) in pages.items():
        opened = Opened(
            browser, path, viewport={"width": width, "height": height}, color_scheme="light"
        )
        page, texts = opened.page, section.decision.verdict.sentence
        assert opened.text(".verdict span") == texts, name
        # in the first screen
        assert page.locator("svg.figure").first.bounding_box()["y"] < height - 200, name
        blocks = page.locator(".verdict, .gains .command").all()
        assert len(blocks) == 1 + bool(section.decision.formula), name
        assert all(
            block.bounding_box()["y"] + block.bounding_box()["height"] <= height for block in blocks
        ), name
        figures, legend = page.locator("svg.figure").all(), page.locator(".legend").bounding_box()
        assert all(
            figure.bounding_box()["y"] + figure.bounding_box()["height"] <= legend["y"]
            for figure in figures
        ), name
        assert page.evaluate(CUT) == [], name
        two = len(section.fronts[0].measures) > 1 and section.decision.serving.served is not None
        assert page.locator(".lead svg.figure").count() == two, name
        for switch in ("", "whole front", "dark"):
            if switch == "dark":
                grounds = [page.evaluate(GROUND)]
                page.emulate_media(color_scheme="dark")
                assert page.evaluate(GROUND) not in grounds, name
            elif switch and page.locator(".bar button", has_text=switch).count():
                page.locator(".bar button", has_text=switch).click()
            assert page.evaluate(COVERED) == [], (name, switch)
        if section.decides and section.decision.serving.served is not None:
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
    section, _ = pages["2"]
    for asked, option in ((False, ""), (True, " --policy policy.toml")):
        opened = Opened(
            browser, write_page([replace(section, asked=asked)], tmp_path / "page.html", "quick-7")
        )
        assert (
            opened.page.locator("code.line").text_content() == f"seesaw pick quick-7{option} --save"
        )


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
        assert (
            again.page.locator(selector).inner_html() == opened.page.locator(selector).inner_html()
        )
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
    page.locator(
        ".trials tbody tr"
    ).first.wait_for()  # it is filled when the browser says that it is open
    marks, rows = page.locator(".mark").count(), page.locator(".trials tbody tr").count()
    page.locator('.chip[data-kind="shared_bottom"]').focus()
    page.keyboard.press("Enter")
    assert page.locator(".mark").count() < marks
    assert page.locator(".trials tbody tr", has_text="Shared-bottom").count() == 0
    assert page.evaluate("document.activeElement.dataset.kind") == "shared_bottom"
    page.keyboard.press("Enter")
    assert (page.locator(".mark").count(), page.locator(".trials tbody tr").count()) == (
        marks,
        rows,
    )
    page.locator(".trials tbody input").first.check()
    assert page.locator(".shortlist .tag.selected").count() == 1
    page.locator("svg.figure").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#card").is_visible()
    assert opened.errors == []


def test_a_live_page_loads_itself_again_and_keeps_the_sliders(browser, pages, tmp_path):
    section, path = pages["2"][0], tmp_path / "live.html"
    opened = Opened(browser, write_page([section], path, "quick-7", "2 min left.", again=1))
    opened.fill(worth_1=40)
    write_page([section], path, "quick-7", "1 min left.")
    opened.page.locator(".live", has_text="1 min left.").wait_for()
    opened.page.wait_for_selector("html[data-ready]", state="attached")
    assert opened.page.locator('[name="worth-1"]').input_value() == "40"
    assert "Your settings differ" in opened.text(".whose")


def test_evil_names_stay_words(browser, section, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    front, served, choices = (
        replace(ledger, table=ledger.table.assign(name=evil, architecture=evil, point=evil))
        for ledger in (
            section.decision.frontier,
            section.decision.serving.served,
            section.decision.choices,
        )
    )
    odd = with_decision(section, frontier=front, served=served, choices=choices)
    odd = replace(odd, title=evil, run=evil)
    path = write_page([odd], tmp_path / "a.html", evil)
    opened = Opened(browser, path, viewport={"width": 1280, "height": 800})
    opened.page.evaluate(
        "document.querySelectorAll('details').forEach(each => { each.open = true; })"
    )
    opened.page.locator(".mark").last.hover(force=True)
    opened.page.wait_for_timeout(50)
    assert opened.page.locator("img").count() == 0
    assert opened.errors == []


pytestmark = pytest.mark.slow  # a browser takes seconds to start


def twin(section, value, loss, limit):
    """The pick's name and how often it holds, by the definition in `bench.deciding.stability`."""
    data = section_data(section)["decision"]
    names = [axis["name"] for axis in data["axes"]]
    values = np.array(data["values"])
    draws, retrained = (
        np.frombuffer(base64.b64decode(data[key]), "<f4")
        .reshape(data["count"], *values.shape)
        .astype(float)
        for key in ("draws", "retrained")
    )
    weights = np.array(value, dtype=float)
    if data["rates"]:  # each is what one event is worth
        weights *= np.array(data["rates"]) * values[data["current"]]
    weights /= weights.sum()
    cheap = np.ones(len(values), dtype=bool)
    for cost, upper in limit.items():
        cheap &= np.array(data["costs"][cost]) <= upper
    floors = np.array([-np.inf if share is None else 1 - share for share in loss])
    may = cheap
    assert len(names) == len(floors)

    def judged(world, slack):
        share = world / world[..., data["current"] : data["current"] + 1, :]
        return (share - 1) @ weights, (share >= floors * (1 - slack)).all(axis=-1)

    # all limits in the same draws
    able = may & (judged(draws, 1e-12)[1].mean(axis=0) >= data["confidence"])
    if not able.any():
        able = may & judged(values, 1e-12)[1]
    pick = int(np.argmax(np.where(able, judged(values, 0.0)[0], -np.inf)))
    scores, feasible = judged(retrained, 0.0)
    best = np.where(feasible & able, scores, -np.inf).max(axis=1)
    points = [row["point"] for row in data["rows"]]
    own_rows = np.array([point == points[pick] for point in points]) & (
        able | (np.arange(len(points)) == pick)
    )
    forgiven = judged(retrained, 0.005)[1] & own_rows
    reached = np.where(forgiven, scores, -np.inf).max(axis=1)
    return data["rows"][pick]["title"], float(
        (forgiven.any(axis=1) & (reached >= best - 0.005)).mean()
    )


@pytest.mark.parametrize("name", ["2", "5"])
def test_the_live_pick_is_that_of_its_definition(browser, pages, name):
    section, path = pages[name]
    axes, rng = len(section.fronts[0].measures), np.random.default_rng(3)
    opened = Opened(browser, path, viewport={"width": 1280, "height": 800})
    sizes = sorted(set(section.decision.choices.table["cost/parameters"]))
    for cheap in (False, True, False, True):
        value = rng.integers(1, 100, axes).tolist()
        loss = [
            None if percent > 25 else percent / 100
            for percent in rng.integers(3, 31, axes).tolist()
        ]
        limit = {"cost/parameters": sizes[-3]} if cheap else {}
        for m in range(axes):
            allowed = loss[m]
            opened.fill(
                **{
                    f"{'value' if axes == 5 else 'worth'}_{m}": value[m],
                    f"loss_{m}": 31 if allowed is None else round(100 * allowed),
                }
            )
        opened.page.locator('[name="limit-cost/parameters"]').fill(
            str(len(sizes) - (3 if cheap else 1))
        )
        pick, holds = twin(section, value, loss, limit)
        text = opened.text(".result")
        assert f"Your pick: {pick}" in text
        assert f"Holds in {round(100 * holds + 1e-9)}%" in text
        policy = tomllib.loads(opened.page.locator("code.toml").text_content())
        assert list(policy["weights" if axes == 5 else "values"].values()) == value
        assert list(policy["guard"]["max_loss_vs_current"].values()) == [
            float("inf") if x is None else x for x in loss
        ]
        assert policy["guard"].get("at_most", {}) == limit
    opened.page.locator("button", has_text="Back to the answer").click()
    assert "The answer" in opened.text(".result")
    assert opened.errors == []


def test_worths_are_a_command(browser, pages):
    opened = Opened(browser, pages["2"][1], viewport={"width": 1280, "height": 800})
    opened.fill(worth_0=1, worth_1=40, loss_0=2, loss_1=31)
    command = opened.page.locator("code.line").text_content()
    wanted = (
        "--value click=1 --value like=40 --at-least 'click.recall@10%=98% of current' "
        "--at-least like.recall@10%=0"
    )
    assert command == f"seesaw pick quick-7 {wanted} --save"
    opened.fill(value_1=0)
    assert opened.page.locator('[name="worth-1"]').input_value() == "0"
    assert "--value like" not in opened.page.locator("code.line").text_content()
