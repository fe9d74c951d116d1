"""Sliders in a real browser: the live pick is that of its definition, and the command and the policy say it."""

import base64
import tomllib

import numpy as np
import pytest
from opened import Opened

from bench.report.embed import section_data

pytestmark = pytest.mark.slow  # a browser takes seconds to start


def twin(view, value, loss, limit):
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

    def judged(world, slack):
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
def test_the_live_pick_is_that_of_its_definition(browser, pages, name):
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


def test_worths_are_a_command(browser, pages):
    opened = Opened(browser, pages["2"][1], viewport={"width": 1280, "height": 800})
    opened.fill(worth_0=1, worth_1=40, loss_0=2, loss_1=31)
    command = opened.page.locator("code.line").text_content()
    wanted = "--value click=1 --value like=40 --at-least 'click.recall@10%=98% of current' --at-least like.recall@10%=0"
    assert command == f"seesaw pick quick-7 {wanted} --save"
    opened.fill(value_1=0)
    assert opened.page.locator('[name="worth-1"]').input_value() == "0"
    assert "--value like" not in opened.page.locator("code.line").text_content()
