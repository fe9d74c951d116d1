"""Checks the prose of documents and docstrings: words that have a plainer one, riddles, and long sentences.

python tests/prose.py    prints each place, and ends with 1 where there is one
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_WORDS = 35
"""Of a sentence."""
PLAINER = {
    r"but for": "except",
    r"the less the|the more the": "two sentences",
    r"no more than the": "at most the",
    r"anew": "again",
    r"whither|whence|thereof|therein|hereby|heretofore": "plain words",
    r"in so far as|insofar as|inasmuch as": "where",
    r"utili[sz]e[sd]?": "use",
    r"in order to": "to",
    r"due to the fact that": "because",
    r"at this point in time": "now",
    r"a (?:large )?number of": "many, or the number",
    r"should the|were the|had the": "if the",
    r"so many highest": "k highest",
    r"worlds": "posterior draws",
    r"by themselves alone": "alone",
}
"""Pattern -> what to write instead."""
_WORD = re.compile(r"\b(" + "|".join(PLAINER) + r")\b", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+")
_SKIPPED = re.compile(r"```.*?```|<!--.*?-->|^\s*\|.*?$|`[^`]*`|\[([^\]]*)\]\([^)]*\)|^#.*?$", re.DOTALL | re.MULTILINE)


def documents() -> Iterator[tuple[Path, int, str]]:
    """File, first line and text of every document and docstring."""
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        yield path, 1, _SKIPPED.sub(_blank, path.read_text(encoding="utf-8"))
    for path in (*(ROOT / "bench").rglob("*.py"), *(ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield path, node.lineno, _SKIPPED.sub(_blank, node.value.value)


def _blank(match: re.Match[str]) -> str:
    """What a skipped stretch leaves: a word for code within a sentence, its lines' ends for the rest."""
    text = match[0]
    return "x" if text.startswith(("`", "[")) and not text.startswith("```") else "\n\n" * text.count("\n")


def complaints() -> Iterator[str]:
    """A line for each place."""
    for path, first, text in documents():
        for match in _WORD.finditer(text):
            line = first + text.count("\n", 0, match.start())
            instead = next(to for pattern, to in PLAINER.items() if re.fullmatch(pattern, match[0], re.IGNORECASE))
            yield f"{path.relative_to(ROOT)}:{line}: '{match[0]}': write {instead}"
        at = 0
        for paragraph in re.split(r"\n\s*\n|\n\s*[-*] |\n\s*\w+: ", text):
            for sentence in _SENTENCE.split(paragraph):
                if (words := len(sentence.split())) > MOST_WORDS:
                    found = text.find(sentence[:40], at)
                    line = first + text.count("\n", 0, max(found, 0))
                    yield f"{path.relative_to(ROOT)}:{line}: a sentence of {words} words: expected at most {MOST_WORDS}"


if __name__ == "__main__":
    found = list(complaints())
    print("\n".join(found))
    sys.exit(bool(found))
