"""Sliders in a real browser: the live pick is that of its definition, and the command and the policy say it."""

from __future__ import annotations

import base64
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opened import Opened

from bench.report.embed import section_data
from bench.report.page import write_page
from bench.report.view import View

pytestmark = pytest.mark.slow  # a browser takes seconds to start


def twin(view: View, value: list[float], loss: list[float | None], limit: dict[str, float]) -> tuple[str, float]:
    """The pick's name and how often it holds, by the definition in `bench.frontier.stability`."""
    data = section_data(view)["decision"]
    names = [axis["name"] for axis in data["axes"]]
    values = np.array(data["values"])
    draws, retrained = (
        np.frombuffer(base64.b64decode(data[each]), "<f4").reshape(data["count"], *values.shape).astype(float)
        for each in ("draws", "retrained")
    )
    weights = np.array(value, dtype=float)
    if data["rates"]:  # each is what one event is worth
        weights *= np.array(data["rates"]) * values[data["current"]]
    weights /= weights.sum()
    cheap = np.ones(len(values), dtype=bool)
    for cost, most in limit.items():
        cheap &= np.array(data["costs"][cost]) <= most
    least = np.array([-np.inf if each is None else 1 - each for each in loss])
    may = cheap
    assert len(names) == len(least)

    def judged(world: Any, slack: float) -> tuple[Any, Any]:
        share = world / world[..., data["current"] : data["current"] + 1, :]
        return (share - 1) @ weights, (share >= least * (1 - slack)).all(axis=-1)

    able = may & (judged(draws, 1e-12)[1].mean(axis=0) >= data["confidence"])  # all limits in the same draws
    if not able.any():
        able = may & judged(values, 1e-12)[1]
    pick = int(np.argmax(np.where(able, judged(values, 0.0)[0], -np.inf)))
    scores, feasible = judged(retrained, 0.0)
    best = np.where(feasible & able, scores, -np.inf).max(axis=1)
    points = [row["point"] for row in data["rows"]]
    own = np.array([each == points[pick] for each in points]) & (able | (np.arange(len(points)) == pick))
    forgiven = judged(retrained, 0.005)[1] & own
    reached = np.where(forgiven, scores, -np.inf).max(axis=1)
    return data["rows"][pick]["title"], float((forgiven.any(axis=1) & (reached >= best - 0.005)).mean())


@pytest.mark.parametrize("name", ["2", "5"])
def test_the_live_pick_is_that_of_its_definition(browser: Any, pages: Any, name: str) -> None:
    view, path = pages[name]
    axes, rng = len(view.fronts[0].measures), np.random.default_rng(3)
    opened = Opened(browser, path, viewport={"width": 1280, "height": 800})
    sizes = sorted(set(view.choices.table["cost/parameters"]))
    for cheap in (False, True, False, True):
        value = rng.integers(1, 100, axes).tolist()
        loss = [None if each > 25 else each / 100 for each in rng.integers(3, 31, axes).tolist()]
        limit = {"cost/parameters": sizes[-3]} if cheap else {}
        for m in range(axes):
            each = loss[m]
            opened.fill(
                **{
                    f"{'value' if axes == 5 else 'worth'}_{m}": value[m],
                    f"loss_{m}": 31 if each is None else round(100 * each),
                }
            )
        opened.page.locator('[name="limit-cost/parameters"]').fill(str(len(sizes) - (3 if cheap else 1)))
        pick, holds = twin(view, value, loss, limit)
        said = opened.text(".result")
        assert f"Your pick: {pick}" in said
        assert f"Holds in {round(100 * holds + 1e-9)}%" in said
        policy = tomllib.loads(opened.page.locator("code.toml").text_content())
        assert list(policy["weights" if axes == 5 else "values"].values()) == value
        assert list(policy["guard"]["max_loss_vs_current"].values()) == [float("inf") if x is None else x for x in loss]
        assert policy["guard"].get("at_most", {}) == limit
    opened.page.locator("button", has_text="The run's own pick").click()
    assert "The run's pick" in opened.text(".result")
    assert opened.errors == []


def test_where_nothing_is_sure_means_decide(browser: Any, pages: Any, tmp_path: Path) -> None:
    view, _ = pages["2"]
    choices = view.choices
    noise = np.random.default_rng(0).normal(0, 0.3, choices.draws.shape).astype(choices.draws.dtype)
    noise[:, choices.current] = 0  # of every other choice some outcome is in doubt
    view = replace(view, choices=replace(choices, draws=choices.draws * (1 + noise)))
    opened = Opened(browser, write_page([view], tmp_path / "page.html", "quick-7"))
    opened.fill(worth_0=70, worth_1=50, loss_0=8)
    pick, holds = twin(view, [70, 50], [0.08, 0.05], {})
    assert f"Your pick: {pick}" in opened.text(".result")
    assert f"Holds in {round(100 * holds + 1e-9)}%" in opened.text(".result")


def test_worths_are_a_command(browser: Any, pages: Any) -> None:
    opened = Opened(browser, pages["2"][1], viewport={"width": 1280, "height": 800})
    opened.fill(worth_0=1, worth_1=40, loss_0=2, loss_1=31)
    command = opened.page.locator("code.line").text_content()
    wanted = "--value click=1 --value like=40 --at-least 'click.recall@10%=98% of current' --at-least like.recall@10%=0"
    assert command == f"seesaw pick quick-7 {wanted} --save"
    opened.fill(value_1=0)
    assert opened.page.locator('[name="worth-1"]').input_value() == "0"
    assert "--value like" not in opened.page.locator("code.line").text_content()


def test_where_nobody_said_what_is_served_nothing_is_current(browser: Any, pages: Any) -> None:
    """And nothing is lost of it: there are values alone to move, of choices above a random order."""
    opened = Opened(browser, pages["unnamed"][1], viewport={"width": 1280, "height": 800})
    assert opened.page.locator('[name^="worth-"]').count() == 3
    assert opened.page.locator('[name^="loss-"]').count() == 0
    pick, holds = twin(pages["unnamed"][0], [10, 80, 30], [None] * 3, {})
    opened.fill(worth_0=10, worth_1=80, worth_2=30)
    assert f"Your pick: {pick}" in opened.text(".result")
    assert f"Holds in {round(100 * holds + 1e-9)}%" in opened.text(".result")
    assert "guard" not in opened.page.locator("code.toml").text_content()
    opened.fill(worth_0=0, worth_1=80, worth_2=0)
    assert opened.page.locator("code.line").text_content() == "seesaw pick quick-7 --value like=80 --save"
    opened.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    opened.page.wait_for_timeout(50)
    shown = opened.page.evaluate("document.body.textContent.replace(/--current/g, '')")
    for script in opened.page.evaluate(
        "[...document.scripts, ...document.querySelectorAll('style')].map(e => e.textContent)"
    ):
        shown = shown.replace(script, "")
    assert not re.findall(r".{30}\bcurrent\b.{30}", shown)
    assert opened.errors == []
