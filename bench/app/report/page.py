"""The document: one HTML file with a section for each data set, which asks nothing of any network.

A content security policy forbids all requests and every script but the page's own, so that even
markup that slipped through could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from bench import __version__
from bench.app.report import explained, text
from bench.app.report.days import section_of_days
from bench.app.report.effort import failures
from bench.app.report.embed import section_data
from bench.app.report.markup import (
    COLOURS,
    FONT,
    embedded,
    escaped,
    identifier,
    joined,
    packed,
    pairs,
    sentence,
)
from bench.app.report.picture import PLOTS
from bench.app.report.section import PageSection
from bench.core.errors import count
from bench.core.rows import CONFIRM, NAMES, SEARCH
from bench.core.system.atomic import write_text
from bench.deciding.words.verdict import EXPECTED, score_of

KINDS = {
    "model": "Switch the model",
    "weights": "Change only the weights",
    "keep": "Keep",
    "unknown": "Cannot tell",
}
UNNAMED = {"model": "A model is ahead", "keep": "No gain to serve"}
"""The same where nobody said what is served."""


def section_markup(section: PageSection, place: int) -> str:
    """The section; `place` makes its ids its own among the sections of a page."""
    decision, verdict = section.decision, section.decision.verdict
    id = section_id(section, place)
    kind = verdict.kind
    label = (KINDS if section.today else KINDS | UNNAMED)[kind] + (
        ", but others are ahead" if verdict.ahead else ""
    )
    notes = [each for told in verdict.notes for each in text.sentences(told)]
    reasons = [each for told in section.why for each in text.sentences(told)]
    gains = table(*verdict.table, "Gains on test", 1, caption=EXPECTED) if verdict.table[1] else ""
    models = models_table(section)
    score = command(f"{score_of(kind)} =", decision.formula) if decision.formula else ""
    plots = "".join(
        dict.fromkeys(plot(section) for name, plot in PLOTS.items() if name != "inputs")
    )
    return joined(
        [
            f'<section class="run" id="{id}" aria-labelledby="{id}-title" data-place="{place}">',
            f'<header class="top"><h2 id="{id}-title">{escaped(section.title)}</h2>',
            f"<p>{escaped(section.about)}</p></header>",
            f'<p class="verdict {kind}"><strong>{label}</strong> '
            f"<span>{sentence(verdict.sentence)}</span>"
            f"{' <small class=whose></small>' if section.decides else ''}</p>",
            f'<div class="gains">{gains}{models}{score}</div>' if gains or models or score else "",
            f'<div class="first{"" if section.decides else " alone"}">',
            (
                '<details class="fold rest"><summary>How sure this '
                f"is</summary><ul>{_items(notes)}</ul></details>"
            )
            if notes
            else "",
            '<div class="stage">',
            '<div class="bar" hidden></div><div class="plots"><div '
            f'class="plot"><noscript>{plots}</noscript></div><div class="lead" '
            'hidden></div></div><div class="legend"></div>',
            f'<p class="note">{escaped(section.current)}</p>' if section.current else "",
            "</div>",
            '<form class="matters" aria-label="What matters to you" hidden></form>'
            if section.decides
            else "",
            "</div>",
            f'<p class="note">{sentence(section.incomplete)}</p>' if section.incomplete else "",
            f'<p class="note"><strong>No pick.</strong> {sentence(decision.no_pick)}</p>'
            if decision.no_pick
            else "",
            section_of_days(section.days) if section.days else "",
            _explained(section.explained) if section.explained else "",
            (
                '<h3>Shortlist</h3><div class="shortlist"></div><div class="segments"></div><div '
                'class="compared"></div>'
            ),
            _commands(section),
            "<h3>Why</h3>" if section.why or section.decides else "",
            f'<ul class="why">{_items(reasons)}</ul>',
            '<details class="fold"><summary>How predictions fit what happened</summary>'
            f"{table(*section.predictions, 'Predictions', 3)}</details>"
            if section.predictions[1]
            else "",
            _search(section),
            packed(f"{id}-data", section_data(section)),
            "</section>",
        ]
    )


MOST_MODELS = 6
"""Models in the table of the first screen; the others follow on demand."""


def models_table(section: PageSection) -> str:
    """What each model gains at its best weights; one that a limit refuses is struck through."""
    verdict = section.decision.verdict
    headers, rows = verdict.by_model
    if not rows:
        return ""
    refused = [bool(model.refused) for model in verdict.models]
    first = table(headers, rows[:MOST_MODELS], "Models", 1, refused, EXPECTED)
    if len(rows) <= MOST_MODELS:
        return first
    others = table(headers, rows[MOST_MODELS:], "Other models", 1, refused[MOST_MODELS:])
    summary = f"{count(len(rows) - MOST_MODELS, 'other model')}"
    return f'{first}<details class="fold"><summary>{summary}</summary>{others}</details>'


def _explained(facts: explained.Explanation) -> str:
    tables = [
        table(*explained.table(facts, of), f"What the order owes to {of}", 1)
        for of in ("inputs", "heads")
    ]
    return joined(
        [
            f"<h3>What the order owes to inputs and heads</h3><p>{sentence(facts['sentence'])}</p>",
            (
                f'{explained.chart(facts)}{tables[1]}<p class="note '
                f'below">{escaped(explained.meaning(facts))}</p>'
            ),
            f'<details class="fold"><summary>All inputs</summary>{tables[0]}</details>',
        ]
    )


def _items(sentences: Sequence[str]) -> str:
    return "".join(f"<li>{sentence(each)}</li>" for each in sentences)


def section_id(section: PageSection, place: int) -> str:
    """Where links to the section lead."""
    return f"{identifier(section.dataset)}-{place}"


def _commands(section: PageSection) -> str:
    rows = "".join(command(what, text) for what, text in section.commands.items() if text)
    policy = section.decision.policy.toml.strip()
    policy = f"<pre tabindex='0'><code>{escaped(policy)}</code></pre>" if policy else ""
    policy = f"<details><summary>The run's policy</summary>{policy}</details>" if policy else ""
    return f'<div class="commands">{rows}{policy}</div>' if rows or policy else ""


def command(what: str, text: str) -> str:
    """What is copied, with a button for it."""
    return (
        f'<div class="command"><span>{escaped(what)}</span><pre '
        f'tabindex="0"><code>{escaped(text)}</code></pre><button type="button" '
        'data-action="copy">Copy</button></div>'
    )


def _search(section: PageSection) -> str:
    if not section.records:
        return ""
    heads = section.decision.frontier
    failed, many = failures(section.records), int((heads.table["role"] == "trial").sum())
    reasons = [[*why, text.listed(sorted(set(trials))), f"{len(trials)}"] for why, trials in failed]
    failed_runs = sum(len(trials) for _, trials in failed)
    return joined(
        [
            f"<h3>The search</h3><p class='note'>{count(many, 'point')}; "
            f"hypervolume of the front of heads {text.number(heads.hypervolume)}.</p>",
            '<details class="fold" data-part="points"><summary>All points of the search</summary>'
            '<div class="points"></div></details>',
            '<details class="fold"><summary>Areas under the curve: over all rows, and within groups'
            "</summary>"
            f'<p class="note">On {NAMES[CONFIRM]}, with 90% intervals. A random order has .5.</p>'
            f"{table(*section.areas, 'Areas under the curve', 1)}</details>"
            if section.areas[1]
            else "",
            '<details class="fold" data-part="course"><summary>How it went: hypervolume, and '
            f'which settings mattered</summary><p class="note">On {NAMES[SEARCH]}.</p><div '
            'class="course"></div></details>',
            f'<details class="fold"><summary>Failures: {count(failed_runs, "run")}</summary>'
            f"{table(FAILURE_HEADS, reasons, 'Failures by reason', 3)}</details>"
            if failed
            else "",
            (
                '<details class="fold"><summary>How it was '
                f"made</summary>{pairs(section.made.items(), 'made')}</details>"
            )
            if section.made
            else "",
        ]
    )


def table(
    heads: Sequence[str],
    rows: list[list[str]],
    name: str,
    numbers: int,
    struck: Sequence[bool] = (),
    caption: str = "",
) -> str:
    """A table of texts; columns from `numbers` on are numbers. `struck`: rows whose name is struck
    through.
    """
    styles = ['class="number"' if column >= numbers else "" for column in range(len(heads))]
    head = "".join(
        f'<th scope="col" {style}>{escaped(each)}</th>'
        for each, style in zip(heads, styles, strict=True)
    )
    body = "".join(
        f'<tr data-of="{escaped(row[0])}"'
        f"{' class=struck' if place < len(struck) and struck[place] else ''}>"
        + "".join(
            (
                f'<td data-label="{escaped(name)}" '
                f"{style}>{escaped(cell).replace(' to ', '&nbsp;to&nbsp;')}</td>"
            )
            for name, cell, style in zip(heads, row, styles, strict=True)
        )
        for place, row in enumerate(rows)
    )
    above = f"<caption>{escaped(caption)}</caption>" if caption else ""
    whole = (
        f'<table class="texts">{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )
    # in a box of its own, so that the page itself never scrolls sideways
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(name)}">{whole}</div>'
    )


FAILURE_HEADS = ("kind", "reason", "trials", "runs")
SCRIPTS = ("base", "plot", "lead", "decide", "explore", "start")


def write_page(
    sections: Sequence[PageSection], path: Path, title: str, live: str = "", again: int = 0
) -> Path:
    """Writes the page of a run, whole or not at all; see `document`."""
    write_text(path, document(sections, title, live, again))
    return path


def document(sections: Sequence[PageSection], title: str, live: str = "", again: int = 0) -> str:
    """The page as text; the same sections give the same bytes.

    Args:
        live: how far a run is that has not ended.
        again: seconds after which the page loads itself again; 0 for never.
    """
    names = ", ".join(section.title for section in sections)
    return whole(
        title,
        "Should I switch?"
        if any(section.decides and section.today for section in sections)
        else "Trade-off frontier",
        [section_markup(section, place) for place, section in enumerate(sections)],
        below=(f"<p>{escaped(names)}</p>" if len(sections) > 1 else "")
        + _navigation(sections)
        + (f'<p class="live">{sentence(live)}</p>' if live else ""),
        again=again,
    )


def whole(
    title: str,
    kind: str,
    body: Sequence[str],
    *,
    below: str = "",
    figures: bool = True,
    again: int = 0,
) -> str:
    """Any page of ours around its body, which is markup; all that it needs is in it.

    Args:
        kind: of page, in a few words above the title.
        below: markup under the title.
        figures: whether there are any. Without them the page has no script at all, and none may
            run.
    """
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)  # as one, in a scope of its own
    script = f'"use strict";\n(() => {{\n{parts}}})();\n' if figures else ""
    noscript = (
        '<noscript><p class="note">Figures and tables need JavaScript; sentences are '
        "complete.</p></noscript>"
    )
    return joined(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f'<meta name="again" content="{again}">' if again else "",
            f"<title>{escaped(title)}: {escaped(kind.lower())}</title>",
            f"<style>\n{_colours()}{_asset('page.css')}</style>",
            "</head>",
            "<body>",
            f'<header class="wide"><p class="eyebrow">{escaped(kind)}</p><h1>{escaped(title)}</h1>',
            below,
            "</header>",
            '<main class="wide">',
            noscript if figures else "",
            *body,
            "</main>",
            f'<footer class="wide">Seesaw {escaped(__version__)}. '
            "This file is complete: it loads nothing.</footer>",
            '<div id="card" hidden></div><p id="said" class="unseen" role="status"></p>'
            if figures
            else "",
            embedded("light", {role: both[0] for role, both in COLOURS.items()} | {"font": FONT})
            if figures
            else "",
            f"<script>{script}</script>" if figures else "",
            "</body>",
            "</html>",
            "",
        ]
    )


def _navigation(sections: Sequence[PageSection]) -> str:
    if len(sections) < 2:
        return ""
    links = "".join(
        f'<li><a href="#{section_id(section, place)}">{escaped(section.title)}</a></li>'
        for place, section in enumerate(sections)
    )
    return f'<nav aria-label="Datasets"><ul>{links}</ul></nav>'


def _colours() -> str:
    bright, dark = (
        "".join(f"--{role}:{both[i]};" for role, both in COLOURS.items())
        + ("" if i else f"--font:{FONT};")
        for i in (0, 1)
    )
    return f":root{{{bright}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"script-src 'sha256-{digest}'; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data: blob:; base-uri "
        "'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return files("bench.app.report").joinpath("assets", name).read_text(encoding="utf-8")
