"""Gathers what the documents' site is made of: `python docs/site.py`, then `mkdocs build --strict`.

The documents link to each other and to files of the checkout by relative paths. All of them are
copied to `build/site-source` under their own paths, so that the same links hold there. Pages of the
reference are made from docstrings by mkdocstrings.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "build" / "site-source"
PAGES = (
    "*.md",
    "docs/*.md",
    "docs/studies/*.md",
    "docs/decisions/*.md",
    "reports/*/*.md",
    "datasets/*/*.md",
    "examples/*/*.md",
)
REFERENCE = {
    "notebooks": ("bench.api",),
    "plugins": ("bench.core.registry", "bench.core.plugins", "bench.testing"),
    "models": ("bench.models.contracts", "bench.models.losses.base"),
    "balancing": ("bench.models.balancing.base",),
    "data": ("bench.core.schema", "bench.data.store", "bench.data.card", "bench.data.sources"),
    "records": ("bench.core.records", "bench.app.runs.suite"),
    "serving": ("bench.serve.package", "bench.serve.scorer"),
}
"""Page of the reference -> modules."""


def gather(target: Path = SOURCE) -> None:
    """Makes the folder anew."""
    shutil.rmtree(target, ignore_errors=True)
    for page in sorted(each for pattern in PAGES for each in ROOT.glob(pattern)):
        _copy(page, target)
        text = page.read_text(encoding="utf-8")
        titled = re.sub(
            r"^```(\w+) (\S+)$", r'```\1 title="\2"', text, flags=re.M
        )  # a block with the name of a file
        (target / page.relative_to(ROOT)).write_text(titled, encoding="utf-8")
        for link in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", text):
            linked = (page.parent / link).resolve()
            if linked.is_file() and linked.is_relative_to(ROOT):
                _copy(linked, target)
    for file in ("iframe-worker.js", "site.css"):
        _copy(ROOT / "docs" / file, target)
    for name, modules in REFERENCE.items():
        text = "\n\n".join((f"# Code: {name}", *(f"## {each}\n\n::: {each}" for each in modules)))
        page = target / "docs" / "reference" / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text + "\n", encoding="utf-8")


def _copy(file: Path, target: Path) -> None:
    copy = target / file.relative_to(ROOT)
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)


if __name__ == "__main__":
    gather()
