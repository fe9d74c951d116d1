"""What a plan says: its sentences and tables, and the page and the JSON to hand over."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.app.report.markup import sentence
from bench.app.report.page import table, whole
from bench.core.errors import count, listed
from bench.core.system.atomic import writable, write_text
from bench.deciding.decision import Decision
from bench.deciding.plan.online import plural
from bench.deciding.plan.plan import plan
from bench.ledger.effect import LEVEL, Effect
from bench.measure.resamples import LEAST_UNITS

PAGE, JSON = "plan.html", "plan.json"
CAVEATS = (
    "In the test users see other rows, in other places, than today's ranking showed.",
    "Users react to what is new for a while: compare the last week of the test with its first.",
    (
        "Where arms share stock, budgets or what models learn from, each arm changes the other, "
        "and the test is off."
    ),
)


def planned(decision: Decision, **asked: Any) -> dict[str, Any]:
    """A plan with its words: `sentence` is the answer, `notes` what it stands on. See
    `bench.deciding.plan.plan`.
    """
    document = plan(decision, **asked)
    first, *notes = sentences(document)
    return {"sentence": first, "notes": notes} | document


def about(units: float) -> str:
    """A count, rounded up to three digits."""
    most = 10 ** max(0, len(str(math.ceil(units))) - 3)
    return f"{math.ceil(units / most) * most:,}"


def per_cent(fraction: float) -> str:
    """A fraction in per cent with its sign, to three digits."""
    return "over +999%" if fraction >= 9.995 else f"{100 * fraction:+.3g}%"


def effect(of: Mapping[str, float | None]) -> str:
    """A change with its interval, where there is one."""
    return str(Effect(*(math.nan if end is None else end for end in of.values())))


def sentences(plan: Mapping[str, Any]) -> Iterator[str]:
    """The answer, what it stands on, and what nobody can know before the test."""
    units = plural(plan["unit"])
    traffic = plan["traffic"]
    size = plan["plan"]
    low = plan["pessimistic"]

    def takes(needed: float) -> str:
        days = 2 * needed / traffic if traffic else 0.0
        time = (
            f" for {count(math.ceil(days), 'day')} ({count(math.ceil(days / 7), 'whole week')})"
            if days
            else ""
        )
        return f"{about(needed)} {units} an arm{time if days < 730 else ' for over two years'}"

    usual = (
        "two weeks show" if traffic else f"{about(plan['smallest']['units'])} {units} an arm show"
    )
    least = f"{usual} a gain of {per_cent(plan['smallest']['gain'])}"
    if size:
        passed = [each["task"] for each in plan["guardrails"] if each["units"]]
        rails = f" and pass the guardrail of {listed(passed)}" if passed else ""
        yield f"Plan for {takes(size['units'])}, to show {per_cent(size['gain'])}{rails}; {least}."
        if passed:
            yield f"Without guardrails it takes {takes(plan['unguarded']['units'])}."
        gain = f"{effect(plan['expected'])} {plan['overall']}, at {LEVEL:.0%}"
        asked = plan["point"] is not None
        new_weights = plan["verdict"] == "weights" and not asked
        what = f"new weights of {plan['who']}" if new_weights else plan["who"]
        if asked:
            yield (
                f"What you asked to test, {what}, has this on test over {plan['against']}: "
                f"{gain}. {plan['shown']}"
            )
        else:
            yield (
                f"The verdict expects it of {what} over {plan['against']}: {gain}. {plan['shown']}"
            )
        if plan["unsure"] and plan["expected"]["high"] is not None and plan["expected"]["high"] < 0:
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
                f"{takes(low['units'])}."
            )
        elif plan["expected"]["low"] is not None:
            yield "At the low end there is no gain to plan for."
        offline = listed([*dict.fromkeys(plan["outcomes"])])
        yield (
            f"The plan assumes that the online metric changes by as many per cent as {offline} "
            "do offline."
        )
        yield (
            "That is so where users see just the rows that these count, and act on them as in "
            "the log."
        )
    elif plan["today"] and plan["point"] is not None:
        yield (
            f"There is nothing to test, as '{plan['point']}' at its best weights is what is "
            f"served; {least}."
        )
    elif plan["today"]:
        yield f"There is nothing to test, as the verdict is to keep what is served; {least}."
        yield f"To test another point all the same, add --point ID: {', '.join(plan['points'])}."
    else:
        yield f"Nobody said what is served, so no gain over it is known; {least}."
    yield f"The online metric is the {plan['metrics'][0]['title']}."
    yield f"A test has {plan['power']:.0%} power at a two-sided error of {plan['alpha']:.0%}."
    if size and len(size["looks"]) > 1:
        yield (
            f"It may end early at {len(size['looks'])} looks, for which it has "
            f"{size['more']:.1%} more {units}."
        )
    if not traffic:
        yield f"Say how many {units} enter the test, as in --traffic 200000/day, to see days."
    for task, margin, change, needed in (each.values() for each in plan["guardrails"]):
        rail = f"Guardrail: {task} may lose {100 * -margin:.3g}%"
        if needed is None:
            yield f"{rail}, but the verdict expects {per_cent(change)}: no test can pass."
        else:
            rail += (
                f". If it changes by {per_cent(change)}" if change else ". If it does not change"
            )
            yield (
                f"{rail}, {takes(needed)} show that it loses less; power and error are the same, "
                "one-sided."
            )
    if any(each["units"] for each in plan["guardrails"]):
        yield "Guardrails are judged at the test's end; one that ends early leaves them open."
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
    yield from CAVEATS


CELLS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "title": ("metric", lambda title: title.partition(",")[0]),
    "mean": ("mean", "{:.3g}".format),
    "spread": ("variance / mean²", "{:.3g}".format),
    "expected": ("expected", effect),
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


def tables(plan: Mapping[str, Any]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Headers and rows of metrics, looks and gains; without columns that would be empty."""
    by_title = {}
    looks = plan["plan"]["looks"] if plan["plan"] else []
    for title, own in {"metrics": plan["metrics"], "looks": looks, "gains": plan["gains"]}.items():
        names = [name for name in CELLS if any(each.get(name) is not None for each in own)]
        texts = [
            ["-" if each[name] is None else CELLS[name][1](each[name]) for name in names]
            for each in own
        ]
        by_title[title] = [CELLS[name][0] for name in names], texts
    return by_title


def write(plan: Mapping[str, Any], folder: Path) -> Path:
    """Writes page and JSON into a folder, which is made where it is absent; returns the page's
    path.
    """
    page = writable(folder) / PAGE
    notes = "".join(f"<li>{sentence(each)}</li>" for each in plan["notes"])
    parts = [
        f"<h3>{title.capitalize()}</h3>{table(*own, title, 1)}"
        for title, own in tables(plan).items()
        if own[1]
    ]
    first = (
        f'<p class="verdict model">{sentence(plan["sentence"])}</p><h3>Why</h3><ul '
        f'class="why">{notes}</ul>'
    )
    body = f'<section class="run">{first}{"".join(parts)}</section>'
    write_text(folder / JSON, json.dumps(plan, indent=2, allow_nan=False))
    write_text(page, whole(folder.name, "Plan of an A/B test", [body], figures=False))
    return page
