"""How an optional part of the package is added."""

from __future__ import annotations


def adding(extra: str) -> str:
    """The command that adds an extra, from a checkout: no package index has this package."""
    return f"in the checkout, pip install '.[{extra}]' adds it"
