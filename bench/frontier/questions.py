"""Questions to a served front beside the verdict's. A new one is a function, and a line in `QUESTIONS`."""

from __future__ import annotations

from collections.abc import Callable

from bench.frontier.words import verdict as words
from bench.results.served.exchange import exchange
from bench.results.served.served import Served


def prices(served: Served, row: int) -> list[str]:
    """What one per cent of the first outcome buys of each other one, at the pick."""
    paid, *others = served.names
    found = {each: exchange(served, row, paid, each) for each in others}
    return [words.price(paid, name, each) for name, each in found.items() if each is not None and each.value > 0]


QUESTIONS: dict[str, Callable[[Served, int], list[str]]] = {"prices": prices}
"""A front and the row of its pick -> sentences, which the page, the terminal and JSON have in this order."""


def readings(served: Served, row: int) -> list[str]:
    """All that a front says beside the verdict."""
    return [sentence for question in QUESTIONS.values() for sentence in question(served, row)]
