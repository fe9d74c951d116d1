"""Finds content: the one module that knows `datasets/`, `search_spaces/` and `reports/`.

A checkout reads them in place; an installed wheel carries them as `bench/_content/`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from bench.core.errors import UserError, check_known, shortened
from bench.core.plain import parse_toml

ContentKind = Literal["datasets", "search_spaces", "reports"]

_FILE = {
    "datasets": "{name}/card.toml",
    "search_spaces": "{name}.toml",
    "reports": "{name}/suite.toml",
}
_NOUN = {"datasets": "dataset", "search_spaces": "search space", "reports": "suite"}


def root(kind: ContentKind) -> Path:
    """Folder of one kind of content."""
    package = Path(__file__).parents[2]
    installed = package / "_content" / kind
    if installed.is_dir():
        return installed
    return package.parent / kind


def names(kind: ContentKind) -> list[str]:
    """Names of all content of one kind, sorted."""
    paths = root(kind).glob(_FILE[kind].format(name="*"))
    if kind == "search_spaces":
        return sorted(path.stem for path in paths)
    return sorted(path.parent.name for path in paths)


def is_path(name_or_path: str) -> bool:
    """Whether this is the path of a file or folder, not the name of content."""
    return name_or_path.endswith(".toml") or "/" in name_or_path


def lasting(kind: ContentKind, name_or_path: str) -> str:
    """Makes a path absolute, so that it means the same from every folder, and keeps a name; errors
    as of `find`.
    """
    if not is_path(name_or_path):
        return name_or_path
    return os.path.abspath(find(kind, name_or_path))


def find(kind: ContentKind, name_or_path: str) -> Path:
    """Returns the TOML file of a name or path; raises UserError for an unknown name or a missing
    file.
    """
    path = Path(name_or_path)
    if kind == "datasets" and path.suffix != ".toml" and os.path.isfile(path):
        raise UserError(
            f"{shortened(str(path))}: expected a card; `seesaw data card FILE --label COLUMN` "
            "writes one"
        )
    if is_path(name_or_path):
        if os.path.isdir(path):  # unlike Path.is_dir, False where the name is too long
            path = path / Path(_FILE[kind].format(name=".")).name
        if not os.path.isfile(path):
            raise UserError(f"{_NOUN[kind]} file not found: {shortened(str(path))}")
        return path
    check_known(_NOUN[kind], name_or_path, names(kind))
    return root(kind) / _FILE[kind].format(name=name_or_path)


def read_toml(path: Path) -> dict[str, Any]:
    """Parses a TOML file; raises UserError, with file and line, if it is missing, not UTF-8 or not
    TOML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"file not found: {shortened(str(path))}") from None
    except IsADirectoryError:
        raise UserError(f"expected a TOML file, found a folder: {path}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#04x} at offset "
            f"{error.start}"
        ) from None
    return parse_toml(text, str(path))
