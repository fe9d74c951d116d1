"""Questions to a served front beside the verdict's. A new one is a function, and a line in `QUESTIONS`."""

from __future__ import annotations

from collections.abc import Callable

from bench.frontier.words import verdict as words
from bench.results.served.distance import ahead, exchange, rows_of
from bench.results.served.served import Served


def prices(served: Served, row: int) -> list[str]:
    """What one per cent of the first outcome buys of each other one, at the pick."""
    paid, *others = served.names
    found = {each: exchange(served, row, paid, each) for each in others}
    return [words.price(paid, name, each) for name, each in found.items() if each is not None and each.value > 0]


def models_alone(served: Served, row: int) -> list[str]:
    """How far the searched models' front is beyond the current point's own models under any weights."""
    own = rows_of(served, points=[str(served.table["point"][served.current])])
    trials = rows_of(served, roles=["trial"])
    found = ahead(served, trials, own) if own.sum() > 1 and trials.any() else {}
    return [words.models_alone(found)] if found else []


QUESTIONS: dict[str, Callable[[Served, int], list[str]]] = {"prices": prices, "models alone": models_alone}
"""A front and the row of its pick -> sentences, which the page, the terminal and JSON have in this order."""


def readings(served: Served, row: int) -> list[str]:
    """All that a front says beside the verdict."""
    return [sentence for question in QUESTIONS.values() for sentence in question(served, row)]
