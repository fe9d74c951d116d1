"""What a plan says: its sentences and tables, and the page and the JSON to hand over."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.app.report.markup import items, sentence, table
from bench.app.report.page import whole
from bench.core.errors import count, listed
from bench.core.system.atomic import writable, write_text
from bench.core.validation import validate
from bench.deciding.decision import Decision
from bench.deciding.plan.ab_test import plan
from bench.deciding.plan.online import plural
from bench.deciding.plan.plan_options import PlanOptions
from bench.ledger.effect import LEVEL, Effect
from bench.measure.resamples import LEAST_UNITS

PAGE, JSON = "plan.html", "plan.json"
CAVEATS = (
    "In the test users see other rows, in other places, than today's ranking showed.",
    "Users react to what is new for a while: compare the last week of the test with its first.",
    "Where arms share stock, budgets or what models learn from, each arm changes the other, and "
    "the test is off.",
)
Plan = Mapping[str, Any]
"""The document of `bench.deciding.plan.ab_test`."""


def planned(decision: Decision, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A plan with its words: `sentence` is the answer, `notes` what it stands on. Options are those
    of `bench.deciding.plan.plan_options.PlanOptions`.
    """
    document = plan(decision, validate(PlanOptions, asked or {}, ""))
    first, *notes = sentences(document)
    return {"sentence": first, "notes": notes} | document


def about(units: float) -> str:
    """A count, rounded up to three digits."""
    step = 10 ** max(0, len(str(math.ceil(units))) - 3)
    return f"{math.ceil(units / step) * step:,}"


def per_cent(fraction: float) -> str:
    """A fraction in per cent with its sign, to three digits."""
    return "over +999%" if fraction >= 9.995 else f"{100 * fraction:+.3g}%"


def sentences(plan: Plan) -> Iterator[str]:
    """The answer, what it stands on, and what nobody can know before the test."""
    if plan["plan"]:
        yield from _size(plan)
    else:
        yield from _nothing_to_test(plan)
    yield f"The online metric is the {plan['metrics'][0]['title']}."
    yield from _design(plan)
    yield from _guardrails(plan)
    yield from _data(plan)
    yield from CAVEATS


def _takes(plan: Plan, units: float) -> str:
    """`2,000 users an arm for 8 days (2 whole weeks)`."""
    traffic = plan["traffic"]
    days = 2 * units / traffic if traffic else 0.0
    time = ""
    if days >= 730:
        time = " for over two years"
    elif days:
        weeks = count(math.ceil(days / 7), "whole week")
        time = f" for {count(math.ceil(days), 'day')} ({weeks})"
    return f"{about(units)} {plural(plan['unit'])} an arm{time}"


def _smallest(plan: Plan) -> str:
    """The gain that a usual test shows."""
    test = "two weeks show"
    if not plan["traffic"]:
        test = f"{about(plan['smallest']['units'])} {plural(plan['unit'])} an arm show"
    return f"{test} a gain of {per_cent(plan['smallest']['gain'])}"


def _size(plan: Plan) -> Iterator[str]:
    size = plan["plan"]
    passed = [rail["task"] for rail in plan["guardrails"] if rail["units"]]
    rails = f" and pass the guardrail of {listed(passed)}" if passed else ""
    yield (
        f"Plan for {_takes(plan, size['units'])}, to show {per_cent(size['gain'])}{rails}; "
        f"{_smallest(plan)}."
    )
    if passed:
        yield f"Without guardrails it takes {_takes(plan, plan['unguarded']['units'])}."
    yield _expectation(plan)
    expected, low = plan["expected"], plan["pessimistic"]
    if plan["unsure"] and expected["high"] is not None and expected["high"] < 0:
        yield (
            "By the log that is a loss; the plan is for the least gain that matters, "
            f"{per_cent(size['gain'])}."
        )
    elif plan["unsure"]:
        yield (
            "The log cannot tell whether that is a gain; the test can, from "
            f"{per_cent(size['gain'])} on."
        )
    if low:
        yield (
            f"If only the low end is true, {per_cent(low['gain'])}, it takes "
            f"{_takes(plan, low['units'])}."
        )
    elif expected["low"] is not None:
        yield "At the low end there is no gain to plan for."
    offline = listed([*dict.fromkeys(plan["outcomes"])])
    yield (
        f"The plan assumes that the online metric changes by as many per cent as {offline} do "
        "offline."
    )
    yield (
        "That is so where users see just the rows that these count, and act on them as in the log."
    )


def _expectation(plan: Plan) -> str:
    gain = f"{Effect.from_json(plan['expected'])} {plan['overall']}, at {LEVEL:.0%}"
    if plan["point"] is not None:
        return (
            f"What you asked to test, {plan['who']}, has this on test over {plan['against']}: "
            f"{gain}. {plan['shown']}"
        )
    tested = plan["who"]
    if plan["verdict"] == "weights":
        tested = f"new weights of {tested}"
    return f"The verdict expects it of {tested} over {plan['against']}: {gain}. {plan['shown']}"


def _nothing_to_test(plan: Plan) -> Iterator[str]:
    smallest = _smallest(plan)
    if not plan["today"]:
        yield f"Nobody said what is served, so no gain over it is known; {smallest}."
    elif plan["point"] is not None:
        yield (
            f"There is nothing to test, as '{plan['point']}' at its best weights is what is "
            f"served; {smallest}."
        )
    else:
        yield f"There is nothing to test, as the verdict is to keep what is served; {smallest}."
        yield f"To test another point all the same, add --point ID: {', '.join(plan['points'])}."


def _design(plan: Plan) -> Iterator[str]:
    size, units = plan["plan"], plural(plan["unit"])
    yield f"A test has {plan['power']:.0%} power at a two-sided error of {plan['alpha']:.0%}."
    if size and len(size["looks"]) > 1:
        yield (
            f"It may end early at {len(size['looks'])} looks, for which it has "
            f"{size['more']:.1%} more {units}."
        )
    if not plan["traffic"]:
        yield f"Say how many {units} enter the test, as in --traffic 200000/day, to see days."


def _guardrails(plan: Plan) -> Iterator[str]:
    for guardrail in plan["guardrails"]:
        task, margin, change, needed = guardrail.values()
        rail = f"Guardrail: {task} may lose {100 * -margin:.3g}%"
        if needed is None:
            yield f"{rail}, but the verdict expects {per_cent(change)}: no test can pass."
            continue
        condition = f"If it changes by {per_cent(change)}" if change else "If it does not change"
        yield (
            f"{rail}. {condition}, {_takes(plan, needed)} show that it loses less; power and error "
            "are the same, one-sided."
        )
    if any(rail["units"] for rail in plan["guardrails"]):
        yield "Guardrails are judged at the test's end; one that ends early leaves them open."


def _data(plan: Plan) -> Iterator[str]:
    units = plural(plan["unit"])
    yield (
        f"Metrics are of {plan['units']:,} {units} in {plan['rows']:,} rows; a longer test has "
        "more of each."
    )
    for metric in plan["metrics"]:
        if metric["happened"] < LEAST_UNITS:
            few = f"Only {metric['happened']} {units} have {metric['title']}"
            yield f"{few}: with fewer than {LEAST_UNITS}, sizes are guesses."
    if plan["weighted"]:
        yield (
            f"Rows have weights: {units} without a kept row are missing, so variances may be too "
            "small."
        )


CELLS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "title": ("metric", lambda title: title.partition(",")[0]),
    "mean": ("mean", "{:.3g}".format),
    "spread": ("variance / mean²", "{:.3g}".format),
    "expected": ("expected", lambda change: str(Effect.from_json(change))),
    "least": ("least that is shown", per_cent),
    "gain": ("gain", per_cent),
    "week": ("after week", str),
    "units": ("units an arm", about),
    "days": ("days", about),
    "weeks": ("whole weeks", about),
    "bound": ("ends beyond z", "{:.2f}".format),
    "p": ("two-sided p", "{:.2g}".format),
    "ended": ("has ended by then", "{:.0%}".format),
}
"""By name in a plan a column's header, and how a value is written."""


def tables(plan: Plan) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Headers and rows of metrics, looks and gains; without columns that would be empty."""
    looks = plan["plan"]["looks"] if plan["plan"] else []
    return {
        "metrics": _table_of(plan["metrics"]),
        "looks": _table_of(looks),
        "gains": _table_of(plan["gains"]),
    }


def _table_of(lines: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    filled = set()
    for line in lines:
        filled |= {name for name, value in line.items() if value is not None}
    names = [name for name in CELLS if name in filled]
    rows = []
    for line in lines:
        rows.append([_cell(line[name], name) for name in names])
    return [CELLS[name][0] for name in names], rows


def _cell(value: Any, name: str) -> str:
    return "-" if value is None else CELLS[name][1](value)


def write(plan: Plan, folder: Path) -> Path:
    """Writes page and JSON into a folder, which is created if absent; returns the page's path."""
    page = writable(folder) / PAGE
    body = (
        f'<section class="run"><p class="verdict model">{sentence(plan["sentence"])}</p>'
        f'<h3>Why</h3><ul class="why">{items(plan["notes"])}</ul>'
    )
    for title, (heads, rows) in tables(plan).items():
        if rows:
            body += f"<h3>{title.capitalize()}</h3>{table(heads, rows, title, 1)}"
    write_text(folder / JSON, json.dumps(plan, indent=2, allow_nan=False))
    document = whole(folder.name, "Plan of an A/B test", [f"{body}</section>"], figures=False)
    write_text(page, document)
    return page
