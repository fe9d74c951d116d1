"""Checks the prose of documents, docstrings, error messages and help texts: plain words, no
riddles, short sentences.

python tests/prose.py    prints each place, and ends with 1 if there is one
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTED = ("docs", "datasets", "examples", "reports", "search_spaces")
"""Folders whose documents are read; so are those of the project's first folder."""
MOST_WORDS = 30
"""Of a sentence."""
PLAINER = {
    # phrases that must be read twice
    r"but for": "except",
    r"all but": "except, or nearly",
    r"the less the|the more the": "two sentences",
    r"no more than the": "at most the",
    r"should the|were the|had the": "if the",
    r"who came|who come|who knows|who wants": "the noun: you, the trial, the driver",
    r"so many|so much of": "the number itself: k, n",
    r"(?:is|are|be) shown to": "a verb in the active voice",
    r"(?:is|are) to be \w+ed": "must be, or an active verb",
    r"by (?:itself|themselves) alone": "alone",
    # long words and old words
    r"(?<!--)anew": "again",
    r"whither|whence|thereof|therein|thereby|hereby|herein|hereof|heretofore": "plain words",
    r"hence|thus": "so",
    r"the latter|the former": "the noun again",
    r"upon": "on",
    r"whilst|amongst": "while, among",
    r"in so far as|insofar as|inasmuch as": "where",
    r"utili[sz]e[sd]?": "use",
    r"in order to": "to",
    r"due to the fact that": "because",
    r"prior to": "before",
    r"at this point in time": "now",
    r"a (?:large )?number of": "many, or the number",
    # words of our own where the field has one
    r"worlds": "posterior draws",
    r"promise[sd]?": "prediction interval, or guarantee",
    r"dealt": "assigned",
}
"""Pattern -> what to write instead."""
BY_FOLDER = {"bench/search": {r"(?:is|are|was|were|been) told": "recorded"}}
_ANY = re.compile(
    rf"\b(?:{'|'.join([*PLAINER, *(pattern for folder_rules in BY_FOLDER.values() for pattern in folder_rules)])})\b",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+")
_COUNTED = re.compile(r"(?<!\S)\S*[a-zA-Z]\S*")
_OPENING = re.compile(
    r"(?:^|(?<=[.!?] )|(?<=[.!?]\n)|(?<=\n\n))What (?:[\w']+ ){1,8}(?:is|are) (?!not known)"
)
_DOUBLED = re.compile(r"\b(?!that\b|had\b|x\b)([a-z]+)\s+\1\b")
_SKIPPED = re.compile(
    r"```.*?```|<!--.*?-->|^\s*\|.*?$|`[^`]*`|\[([^\]]*)\]\([^)]*\)|^#.*?$|^\s*(?:>>>|\.\.\.).*?$"
    r"|^\s*(?:OMP\S+ )?python \S+\.py.*?(?=\n\s*\n|\Z)|\*\*",
    re.DOTALL | re.MULTILINE,
)


def texts():
    """File, first line and text of every document, docstring, message of a UserError and help
    text.
    """
    for path in (
        *ROOT.glob("*.md"),
        *(path for room in DOCUMENTED for path in (ROOT / room).rglob("*.md")),
    ):
        yield str(path.relative_to(ROOT)), 1, _SKIPPED.sub(_blank, path.read_text(encoding="utf-8"))
    for path in (
        path for room in ("bench", "studies", "tests") for path in (ROOT / room).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for expression in _prose(node):
                yield (
                    str(path.relative_to(ROOT)),
                    expression.lineno,
                    _SKIPPED.sub(_blank, _text(expression)),
                )


def _prose(node):
    """The expressions of a node that hold prose: a docstring, a message, or a help text."""
    if isinstance(node, ast.Expr):
        return [node.value]
    if not isinstance(node, ast.Call):
        return []
    called = (
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    )
    messages = (
        node.args if called.endswith("Error") else node.args[3:4] if called == "Entry" else []
    )
    return [
        *messages,
        *(
            keyword.value
            for keyword in node.keywords
            if keyword.arg in ("help", "summary", "departs")
        ),
    ]


def _text(node):
    """The string of a literal, with x for each value that is formatted into it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text(part) if isinstance(part, ast.Constant) else "x" for part in node.values
        )
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _blank(match):
    """What a skipped stretch leaves: a word for code within a sentence, its lines' ends for the
    rest.
    """
    text = match[0]
    return "x" * (text[0] in "`[" and not text.startswith("```")) + "\n" * text.count("\n")


def complaints():
    """A line for each place."""
    for path, first, text in texts():
        rules = PLAINER | next(
            (folder_rules for folder, folder_rules in BY_FOLDER.items() if path.startswith(folder)),
            {},
        )
        for pattern, instead in rules.items() if _ANY.search(text) else ():
            for match in re.finditer(rf"\b(?:{pattern})\b", text, re.IGNORECASE):
                yield (
                    f"{path}:{first + text.count(chr(10), 0, match.start())}: '{match[0]}': "
                    f"write {instead}"
                )
        for match in _OPENING.finditer(text):
            yield (
                f"{path}:{first + text.count(chr(10), 0, match.start())}: '{match[0]}..': begin "
                "with a noun"
            )
        for match in _DOUBLED.finditer(text):
            yield f"{path}:{first + text.count(chr(10), 0, match.start())}: '{match[1]}' twice"
        position = 0
        for paragraph in re.split(r"\n\s*\n|\n\s*[-*] |\n\s*\w+: |\n(?=.*\S {2,}\S)", text):
            for sentence in _SENTENCE.split(paragraph):
                if (words := len(_COUNTED.findall(sentence))) > MOST_WORDS:
                    position = max(text.find(sentence, position), 0)
                    line = first + text.count("\n", 0, position)
                    yield (
                        f"{path}:{line}: a sentence of {words} words: expected at most {MOST_WORDS}"
                    )


if __name__ == "__main__":
    lines = list(complaints())
    print("\n".join(lines))
    sys.exit(bool(lines))
