"""The document: one HTML file with a section for each data set, which asks nothing of any network.

A content security policy forbids all requests and every script but the page's own, so that even
markup that slipped through could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench import __version__
from bench.app.report import explained, text
from bench.app.report.embed import section_data
from bench.app.report.markup import (
    COLOURS,
    FONT,
    embedded,
    escaped,
    fold,
    identifier,
    items,
    joined,
    packed,
    pairs,
    sentence,
    table,
)
from bench.app.report.picture import PLOTS, picture_of_days
from bench.app.report.section import PageSection, failures
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
"""The same where the request does not name what is served."""
MOST_MODELS = 6
"""Models in the table of the first screen; the rest follow on demand."""
FAILURE_HEADS = ("kind", "reason", "trials", "runs")
SCRIPTS = ("base", "plot", "lead", "decide", "explore", "start")


def section_markup(section: PageSection, place: int) -> str:
    """The section; `place` makes its ids its own among the sections of a page."""
    id = section_id(section, place)
    parts = [
        f'<section class="run" id="{id}" aria-labelledby="{id}-title" data-place="{place}">',
        f'<header class="top"><h2 id="{id}-title">{escaped(section.title)}</h2>',
        f"<p>{escaped(section.about)}</p></header>",
        _verdict(section),
        _gains(section),
        *_first_screen(section),
        _note(section.incomplete),
        _no_pick(section),
        section_of_days(section.days),
        _explained(section.explained),
        '<h3>Shortlist</h3><div class="shortlist"></div><div class="segments"></div>'
        '<div class="compared"></div>',
        _commands(section),
        *_reasons(section),
        _fit_of_predictions(section),
        _search(section),
        packed(f"{id}-data", section_data(section)),
        "</section>",
    ]
    return joined(parts)


def section_id(section: PageSection, place: int) -> str:
    """Where links to the section lead."""
    return f"{identifier(section.dataset)}-{place}"


def _verdict(section: PageSection) -> str:
    verdict = section.decision.verdict
    labels = KINDS if section.today else KINDS | UNNAMED
    label = labels[verdict.kind]
    if verdict.ahead:
        label += ", but others are ahead"
    whose = " <small class=whose></small>" if section.decides else ""
    return (
        f'<p class="verdict {verdict.kind}"><strong>{label}</strong> '
        f"<span>{sentence(verdict.sentence)}</span>{whose}</p>"
    )


def _gains(section: PageSection) -> str:
    decision, verdict = section.decision, section.decision.verdict
    gains = score = ""
    if verdict.table[1]:
        gains = table(*verdict.table, "Gains on test", 1, caption=EXPECTED)
    if decision.formula:
        score = command(f"{score_of(verdict.kind)} =", decision.formula)
    content = gains + models_table(section) + score
    return f'<div class="gains">{content}</div>' if content else ""


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
    rest = table(headers, rows[MOST_MODELS:], "Other models", 1, refused[MOST_MODELS:])
    return first + fold(count(len(rows) - MOST_MODELS, "other model"), rest)


def _first_screen(section: PageSection) -> list[str]:
    """Plots and sliders, and how sure the verdict is."""
    drawn = [plot(section) for name, plot in PLOTS.items() if name != "inputs"]
    plots = "".join(dict.fromkeys(drawn))  # the front of heads may be the only one
    alone = matters = sure = ""
    if section.decides:
        matters = '<form class="matters" aria-label="What matters to you" hidden></form>'
    else:
        alone = " alone"
    notes = _sentences(section.decision.verdict.notes)
    if notes:
        sure = (
            '<details class="fold rest"><summary>How sure this is</summary>'
            f"<ul>{items(notes)}</ul></details>"
        )
    return [
        f'<div class="first{alone}">',
        sure,
        '<div class="stage">',
        '<div class="bar" hidden></div><div class="plots">'
        f'<div class="plot"><noscript>{plots}</noscript></div>'
        '<div class="lead" hidden></div></div><div class="legend"></div>',
        f'<p class="note">{escaped(section.current)}</p>' if section.current else "",
        "</div>",
        matters,
        "</div>",
    ]


def _sentences(texts: Sequence[str]) -> list[str]:
    sentences = []
    for paragraph in texts:
        sentences += text.sentences(paragraph)
    return sentences


def _note(words: str) -> str:
    return f'<p class="note">{sentence(words)}</p>' if words else ""


def _no_pick(section: PageSection) -> str:
    reason = section.decision.no_pick
    return f'<p class="note"><strong>No pick.</strong> {sentence(reason)}</p>' if reason else ""


def section_of_days(document: Mapping[str, Any]) -> str:
    """The section of a back-test, see `bench.serve.backtest.daily_gains`; empty without one."""
    if not document or not document["sentences"]:
        return ""
    unit = document["unit"]
    title = "Day by day" if unit == "day" else f"By {escaped(unit)}"
    markup = f"<h3>{title}</h3>"
    for point, sentences in document["sentences"].items():
        markup += f'<ul class="why">{items(sentences)}</ul>{picture_of_days(document, point)}'
    return markup


def _explained(facts: explained.Explanation) -> str:
    if not facts:
        return ""
    inputs, heads = _owed(facts, "inputs"), _owed(facts, "heads")
    meaning = f'<p class="note below">{escaped(explained.meaning(facts))}</p>'
    parts = [
        f"<h3>What the order owes to inputs and heads</h3><p>{sentence(facts['sentence'])}</p>",
        explained.chart(facts) + heads + meaning,
        fold("All inputs", inputs),
    ]
    return joined(parts)


def _owed(facts: explained.Explanation, part: str) -> str:
    return table(*explained.table(facts, part), f"What the order owes to {part}", 1)


def _commands(section: PageSection) -> str:
    content = "".join(command(name, text) for name, text in section.commands.items() if text)
    policy = section.decision.policy.toml.strip()
    if policy:
        content += (
            "<details><summary>The run's policy</summary>"
            f"<pre tabindex='0'><code>{escaped(policy)}</code></pre></details>"
        )
    return f'<div class="commands">{content}</div>' if content else ""


def command(name: str, text: str) -> str:
    """What is copied, with a button for it."""
    return (
        f'<div class="command"><span>{escaped(name)}</span>'
        f'<pre tabindex="0"><code>{escaped(text)}</code></pre>'
        '<button type="button" data-action="copy">Copy</button></div>'
    )


def _reasons(section: PageSection) -> list[str]:
    title = "<h3>Why</h3>" if section.why or section.decides else ""
    return [title, f'<ul class="why">{items(_sentences(section.why))}</ul>']


def _fit_of_predictions(section: PageSection) -> str:
    if not section.predictions[1]:
        return ""
    return fold("How predictions fit what happened", table(*section.predictions, "Predictions", 3))


def _search(section: PageSection) -> str:
    if not section.records:
        return ""
    heads = section.decision.frontier
    points = count(int((heads.table["role"] == "trial").sum()), "point")
    areas = provenance = ""
    if section.areas[1]:
        areas = fold(
            "Areas under the curve: over all rows, and within groups",
            f'<p class="note">On {NAMES[CONFIRM]}, with 90% intervals. A random order has .5.</p>'
            + table(*section.areas, "Areas under the curve", 1),
        )
    if section.provenance:
        facts = pairs(section.provenance.items(), "made")
        provenance = fold("How it was made", facts)
    parts = [
        f"<h3>The search</h3><p class='note'>{points}; hypervolume of the front of heads "
        f"{text.number(heads.hypervolume)}.</p>",
        fold("All points of the search", '<div class="points"></div>', "points"),
        areas,
        fold(
            "How it went: hypervolume, and which settings mattered",
            f'<p class="note">On {NAMES[SEARCH]}.</p><div class="course"></div>',
            "course",
        ),
        _failures(section),
        provenance,
    ]
    return joined(parts)


def _failures(section: PageSection) -> str:
    failed = failures(section.records)
    if not failed:
        return ""
    rows = []
    for (kind, reason), trials in failed:
        rows.append([kind, reason, text.listed(sorted(set(trials))), f"{len(trials)}"])
    runs = sum(len(trials) for _, trials in failed)
    return fold(
        f"Failures: {count(runs, 'run')}", table(FAILURE_HEADS, rows, "Failures by reason", 3)
    )


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
    kind = "Trade-off frontier"
    if any(section.decides and section.today for section in sections):
        kind = "Should I switch?"
    below = _navigation(sections) if len(sections) > 1 else ""
    if live:
        below += f'<p class="live">{sentence(live)}</p>'
    body = [section_markup(section, place) for place, section in enumerate(sections)]
    return whole(title, kind, body, below=below, again=again)


def _navigation(sections: Sequence[PageSection]) -> str:
    names = escaped(", ".join(section.title for section in sections))
    links = ""
    for place, section in enumerate(sections):
        id = section_id(section, place)
        links += f'<li><a href="#{id}">{escaped(section.title)}</a></li>'
    return f'<p>{names}</p><nav aria-label="Datasets"><ul>{links}</ul></nav>'


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
    script = _script() if figures else ""
    parts = [
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
        NOSCRIPT if figures else "",
        *body,
        "</main>",
        f'<footer class="wide">Seesaw {escaped(__version__)}. '
        "This file is complete: it loads nothing.</footer>",
        *(_for_scripts(script) if figures else ()),
        "</body>",
        "</html>",
        "",
    ]
    return joined(parts)


NOSCRIPT = (
    '<noscript><p class="note">Figures and tables need JavaScript; sentences are complete.</p>'
    "</noscript>"
)


def _script() -> str:
    """All scripts as one, in a scope of its own."""
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _for_scripts(script: str) -> list[str]:
    light = {role: colour for role, (colour, _) in COLOURS.items()}
    return [
        '<div id="card" hidden></div><p id="said" class="unseen" role="status"></p>',
        embedded("light", light | {"font": FONT}),
        f"<script>{script}</script>",
    ]


def _colours() -> str:
    bright = "".join(f"--{role}:{light};" for role, (light, _) in COLOURS.items())
    dark = "".join(f"--{role}:{dark};" for role, (_, dark) in COLOURS.items())
    return (
        f":root{{{bright}--font:{FONT};}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"script-src 'sha256-{digest}'; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return files("bench.app.report").joinpath("assets", name).read_text(encoding="utf-8")
