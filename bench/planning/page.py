"""What a plan says: its sentences and tables, and the page and the document to hand over."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core.errors import listed
from bench.core.plain import jsonable
from bench.measure.resamples import ENOUGH
from bench.planning.looks import ALPHA, POWER
from bench.planning.online import plural
from bench.planning.plan import Plan
from bench.report.markup import sentence
from bench.report.page import table, whole
from bench.report.text import count
from bench.results.effect import LEVEL, Effect
from bench.system.atomic import writable, write_text

PAGE, JSON = "plan.html", "plan.json"
GAINS = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)
LONG = 730
"""Days from which on nobody needs their number."""
CAVEATS = (
    "In the test users see other rows, in other places, than today's ranking showed.",
    "Users react to what is new for a while: compare the last week of the test with its first.",
    "Where arms share stock, budgets or what models learn from, each arm changes the other, and the test is off.",
)


def about(units: float) -> str:
    """A count, rounded up to three digits."""
    most = 10 ** max(0, len(str(math.ceil(units))) - 3)
    return f"{math.ceil(units / most) * most:,}"


def per_cent(fraction: float) -> str:
    """A fraction in per cent with its sign, to three digits."""
    return "over +999%" if fraction >= 9.995 else f"{100 * fraction:+.3g}%"


def sentences(plan: Plan) -> Iterator[str]:
    """The answer, what it stands on, and what nobody can know before the test."""
    units, serving, verdict, gain = plural(plan.unit), plan.decision.serving, plan.decision.verdict, plan.gain

    def takes(needed: float) -> str:
        days = 2 * needed / plan.traffic if plan.traffic else 0.0
        time = f" for {count(math.ceil(days), 'day')} ({count(math.ceil(days / 7), 'whole week')})" if days else ""
        return f"{about(needed)} {units} an arm{time if days < LONG else ' for over two years'}"

    usual = "two weeks show" if plan.traffic else f"{about(plan.usual[0])} {units} an arm show"
    shows = f"{usual} a gain of {per_cent(plan.usual[1])}"
    if gain is not None and plan.planned is not None:
        passed = [each.task for each in plan.guardrails if each.units]
        rails = f" and pass the guardrail of {listed(passed)}" if passed else ""
        yield f"Plan for {takes(plan.size(plan.planned).units)}, to show {per_cent(plan.planned)}{rails}; {shows}."
        if passed:
            yield f"Without guardrails it takes {takes(replace(plan, guardrails=()).size(plan.planned).units)}."
        by = f"by the policy's rule, with a {LEVEL:.0%} interval"
        yield f"The verdict expects it of {verdict.who} over {serving.against}: {gain} {by}. {serving.shown}"
        if verdict.kind == "unknown":
            yield f"The log cannot tell whether that is a gain; the test can, from {per_cent(plan.planned)} on."
        if gain.low > 0:
            yield f"If only the low end is true, {per_cent(gain.low)}, it takes {takes(plan.size(gain.low).units)}."
        elif math.isfinite(gain.low):
            yield "At the low end there is no gain, and nothing to plan for."
        outcomes = listed([*dict.fromkeys(serving.served.names if serving.served else ())])
        yield f"The plan assumes that the online metric changes by as many per cent as {outcomes} do offline."
        yield "That is so where users see just the rows that these count, and act on them as in the log."
    elif serving.served is not None and serving.served.today:
        yield f"There is nothing to test, as the verdict is to keep what is served; {shows}."
    else:
        yield f"Nobody said what is served, so no gain over it is known; {shows}."
    yield f"The online metric is the {plan.metrics[0].title}."
    yield f"A test has {POWER:.0%} power at a two-sided error of {ALPHA:.0%}."
    if plan.planned is not None and len((size := plan.size(plan.planned)).looks) > 1:
        yield f"It may end early at {len(size.looks)} looks, for which it has {size.inflation - 1:.1%} more {units}."
    if plan.traffic is None:
        yield f"Say how many {units} enter the test, as in --traffic 200000/day, to see days."
    for task, margin, expected, needed in plan.guardrails:
        rail = f"Guardrail: {task} may change by {per_cent(margin)}"
        if needed is None:
            yield f"{rail}, but the verdict expects {per_cent(expected)}: no test can pass."
        else:
            change = f"it changes by {per_cent(expected)}" if expected else "it does not change"
            power = f"{POWER:.0%} power at a one-sided error of {ALPHA:.0%}"
            yield f"{rail}; if {change}, {takes(needed)} show that, with {power}."
    if plan.guardrails:
        yield "Guardrails are judged at the test's end; one that ends early leaves them open."
    yield f"Metrics are of {plan.units:,} {units} of test, {plan.rows.kept:,} rows; a longer test has more of each."
    for metric in plan.metrics:
        if metric.happened < ENOUGH:
            yield f"Only {metric.happened} {units} have {metric.title}: with fewer than {ENOUGH}, sizes are guesses."
    if plan.rows.weights is not None:
        yield f"Rows have weights: {units} without a kept row are missing, so variances may be too small."
    yield from CAVEATS


def document(plan: Plan) -> dict[str, Any]:
    """A plan as plain JSON values; units are of an arm."""
    (answer, *notes), (units, least), gain = sentences(plan), plan.usual, plan.gain
    changes = {"": gain} | dict(plan.changes)
    expected = {task: each.to_json() for task, each in changes.items() if each and math.isfinite(each.value)}
    found = {
        "sentence": answer, "notes": notes, "verdict": plan.decision.verdict.kind, "unit": plan.unit,
        "traffic": plan.traffic, "alpha": ALPHA, "power": POWER, "smallest": {"units": units, "gain": least},
        "metrics": [
            vars(each) | {"expected": expected.get(each.task), "shown": each.shown(units)} for each in plan.metrics
        ],
        "guardrails": [each._asdict() for each in plan.guardrails],
        "plan": plan.planned and plan.size(plan.planned).to_json(),
        "pessimistic": plan.size(gain.low).to_json() if gain and gain.low > 0 else None,
        "gains": [replace(plan, guardrails=()).size(each).to_json() for each in GAINS],
    }  # fmt: skip
    return dict(jsonable(found))


CELLS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "title": ("metric", lambda title: title.partition(",")[0]),
    "mean": ("mean", "{:.3g}".format),
    "spread": ("variance / mean²", "{:.3g}".format),
    "expected": ("expected", lambda of: str(Effect(*(math.nan if end is None else end for end in of.values())))),
    "shown": ("least that is shown", per_cent),
    "gain": ("gain", per_cent),
    "week": ("after week", str),
    "units": ("units an arm", about),
    "days": ("days", about),
    "weeks": ("whole weeks", about),
    "bound": ("ends beyond z", "{:.2f}".format),
    "p": ("two-sided p", "{:.2g}".format),
    "ended": ("has ended by then", "{:.0%}".format),
}
"""By name in the document a column's header, and how a value is written."""


def tables(document: Mapping[str, Any]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Headers and rows of metrics, looks and gains; without columns that would be empty."""
    found = {}
    looks = document["plan"]["looks"] if document["plan"] else []
    for title, own in {"metrics": document["metrics"], "looks": looks, "gains": document["gains"]}.items():
        names = [name for name in CELLS if any(each.get(name) is not None for each in own)]
        texts = [["-" if each[name] is None else CELLS[name][1](each[name]) for name in names] for each in own]
        found[title] = [CELLS[name][0] for name in names], texts
    return found


def write(plan: Plan, folder: Path) -> Path:
    """Writes the document and the page into a folder, which is made where it is absent; returns the page's path."""
    told, page = document(plan), writable(folder) / PAGE
    notes = "".join(f"<li>{sentence(each)}</li>" for each in told["notes"])
    parts = [f"<h3>{title.capitalize()}</h3>{table(*own, title, 1)}" for title, own in tables(told).items() if own[1]]
    first = f'<p class="verdict model">{sentence(told["sentence"])}</p><h3>Why</h3><ul class="why">{notes}</ul>'
    body = f'<section class="run">{first}{"".join(parts)}</section>'
    write_text(folder / JSON, json.dumps(told, indent=2, allow_nan=False))
    write_text(page, whole(folder.name, "Plan of an A/B test", [body], figures=False))
    return page
