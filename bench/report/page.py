"""The document: one HTML file that holds everything it shows and asks nothing of any network.

A content security policy forbids all requests and every script but the page's own, so that even markup that slipped
through could do nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from bench import __version__
from bench.atomic import write_text
from bench.report import theme
from bench.report.markup import embedded, escaped, joined
from bench.report.sections import section, section_id
from bench.report.view import View

SCRIPTS = ("base", "plot", "decide", "explore", "start")


def write_page(views: View | Sequence[View], path: Path, title: str = "") -> Path:
    """Writes the page of a run, whole or not at all.

    Args:
        views: a section for each dataset.
        title: of the page, usually the run's name; the first dataset's title where there is none.
    """
    views = [views] if isinstance(views, View) else list(views)
    write_text(path, document(views, title or (views[0].title if views else "Run")))
    return path


def document(views: Sequence[View], title: str) -> str:
    """The page as text; the same views give the same bytes."""
    names = ", ".join(view.title for view in views)
    return whole(
        title,
        "Should I switch?" if any(view.decision for view in views) else "Trade-off frontier",
        [section(view, place) for place, view in enumerate(views)],
        below=(f"<p>{escaped(names)}</p>" if len(views) > 1 else "") + _navigation(views),
    )


def whole(title: str, kind: str, body: Sequence[str], *, below: str = "", figures: bool = True) -> str:
    """Any page of ours around its body, which is markup; all that it needs is in it.

    Args:
        title: as it is.
        kind: of page, in a few words above the title.
        below: markup under the title.
        figures: whether there are any. Without them the page has no script at all, and none may run.
    """
    script = _script() if figures else ""
    noscript = '<noscript><p class="note">Figures and tables need JavaScript; sentences are complete.</p></noscript>'
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
            f'<footer class="wide">Seesaw {escaped(__version__)}. This file is complete: it loads nothing.</footer>',
            *(_scripts(script) if figures else ()),
            "</body>",
            "</html>",
            "",
        ]
    )


def _scripts(script: str) -> tuple[str, ...]:
    return (
        '<div id="card" hidden></div><p id="said" class="unseen" role="status"></p>',
        embedded("light", {role: both[0] for role, both in theme.COLOURS.items()} | {"font": theme.FONT}),
        f"<script>{script}</script>",
    )


def _navigation(views: Sequence[View]) -> str:
    if len(views) < 2:
        return ""
    links = "".join(
        f'<li><a href="#{section_id(view, place)}">{escaped(view.title)}</a></li>' for place, view in enumerate(views)
    )
    return f'<nav aria-label="Datasets"><ul>{links}</ul></nav>'


def _colours() -> str:
    """The palette as CSS variables."""
    bright, dark = (
        "".join(f"--{role}:{both[i]};" for role, both in theme.COLOURS.items()) + ("" if i else f"--font:{theme.FONT};")
        for i in (0, 1)
    )
    return f":root{{{bright}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def _policy(script: str) -> str:
    """No requests at all; scripts by hash."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"script-src 'sha256-{digest}'; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )


def _script() -> str:
    """The page's scripts as one, in a scope of its own."""
    parts = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _asset(name: str) -> str:
    return files("bench.report").joinpath("assets", name).read_text(encoding="utf-8")
