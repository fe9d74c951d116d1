"""Sentences of a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.errors import listed
from bench.frontier.stability import ENOUGH
from bench.results.effect import LEVEL, MARGIN, Effect, percent
from bench.results.fusion import in_words
from bench.results.ledger import Ledger
from bench.results.served.served import Served

Changes = Mapping[str, Effect]
"""By outcome, as a fraction."""
SURE = f"Intervals are {LEVEL:.0%}, on test; those of the outcomes hold together."
BOTH_WAYS = (
    "As rows are few, the gain by the policy's rule is the mean of two tests: of test, and of confirmation rows at "
    "weights that the other rows chose."
)
UNTESTED = "After one training each, no intervals are known."


def named(facts: pd.Series[Any]) -> str:
    """A point of a table in words: `trial 7 (mmoe)`, `boosted trees`."""
    name = str(facts["name"])
    return name if facts["role"] != "trial" or facts["architecture"] == name else f"{name} ({facts['architecture']})"


def described(served: Served, row: int) -> str:
    """A serving point in words: `trial 7 (mmoe), power of click 0.8, like 0.2`."""
    of = served.table.iloc[row]
    return f"{named(of)}, {of['kind']} of {in_words(of['weights'])}" if of["weights"] else named(of)


def effects_of(changes: Changes) -> str:
    """Changes by outcome, with their intervals."""
    return ", ".join(f"{name} {each}" for name, each in changes.items())


def by_outcome(changes: Changes, who: str = "It") -> str:
    """What happens to each outcome: gains, costs, and what is open; `who` is what the sentence before is not about."""
    found: dict[str, list[str]] = {each: [] for each in ("gains", "costs", "shows no clear change in")}
    for name, each in changes.items():
        found["gains" if each.gained else "costs" if each.lost else "shows no clear change in"].append(f"{name} {each}")
    return f"{who} {listed([' '.join([verb, ', '.join(each)]) for verb, each in found.items() if each])}."


def model(what: str, both: Effect, alone: Effect | None) -> str:
    """To switch to another model, what that gains by the policy's rule, and what only the model has of it."""
    part = f", {alone} of it by the model alone" if alone is not None else ""
    return f"Switch to {what}: by the policy's rule it gains {both}{part}."


def weights(what: str, gain: Effect, against: str = "") -> str:
    """To keep the model and change the weights of its score; `against`: a score that may hold more than the model."""
    first = f"Rank by these weights in place of {against}" if against else "Keep your model and change its weights"
    return f"{first}: {what} gains {gain} by the policy's rule."


def added(most: Effect | None) -> str:
    """What the best other model would add to better weights, where that is not shown."""
    if most is None or most.gained:  # that is told first
        return ""
    if most.high <= MARGIN:
        return f"No other model adds more than {MARGIN:.1%}."
    return f"The best other model is at {most} on top, which this test cannot tell from nothing."


def keep(against: str, why: str) -> str:
    """To keep what there is."""
    return f"Keep {against}: {why}."


def nothing(most: Effect) -> str:
    """That no candidate gains what matters."""
    return f"nothing within its limits gains more than {_most(most)}% by the policy's rule"


def _most(most: Effect) -> str:
    return percent(max(most.high, 0.0))[1:]


def costs(what: str, both: Effect) -> str:
    """That the pick is behind."""
    return f"{what} loses by the policy's rule, {both}"


def unsure(what: str, both: Effect, least: float | None) -> str:
    """That nobody can tell, and what this test can show."""
    return f"Cannot tell whether to switch: {what} is at {both} by the policy's rule.{_shows(least)}"


def reference(served: Ledger) -> str:
    """The model that others are compared with where nobody said what is served."""
    if served.current is None or served.table["point"].iloc[served.current] == "single_task":
        return "single-task models"
    return str(served.table["name"].iloc[served.current])


def alone(what: str, reference: str, mean: Effect, worst: str, at: Effect, many: int) -> str:
    """That a model is ahead of the reference, whatever is served."""
    over = f" on average over {many} ways to weigh the outcomes, and {at} at the worst ({worst})" if many > 1 else ""
    return f"Use {what}: it is ahead of {reference} by {mean}{over}."


def level(reference: str, most: Effect) -> str:
    """That no model is ahead of the reference."""
    are, them = ("are", "them") if reference.endswith("s") else ("is", "it")
    return (
        f"{reference[0].upper()}{reference[1:]} {are} as good: no other model is ahead of {them} by more than "
        f"{_most(most)}%."
    )


def undecided(what: str, reference: str, mean: Effect, least: float | None) -> str:
    """That no model can be told from the reference."""
    told = f"the best, {what}, is at {mean}.{_shows(least)}"
    return f"Cannot tell whether any model is ahead of {reference}: {told}"


def single(what: str) -> str:
    """That there is one model, and nothing to compare it with."""
    return f"Nothing is compared: there is one model, and nobody said how it ranks today. By the policy it is {what}."


def _shows(least: float | None) -> str:
    return "" if least is None else f" This test shows gains of {percent(least)[1:]}% or more four times in five."


def start(weights: Mapping[str, float], alike: bool) -> str:
    """That nobody said what is served, and what the weights are.

    Args:
        alike: whether the policy counts 1% of each outcome alike.
    """
    of = (
        f" The weights, {in_words(weights)}, are a start: 1% of each outcome counts alike." if weights and alike else ""
    )
    return f"Nobody said what is served today, so this compares models alone, each at its best weights.{of}"


NOT_DEPLOYABLE, NOT_SHOWN = ", but cannot be deployed", ", but too few rows show that nothing is lost"
"""Why what is ahead is not advised."""


def ahead(names: Sequence[str], gains: Sequence[Effect | None], of: str, but: str, answer: str) -> str:
    """The answer where something that is not advised does better: in the policy's rule, or in every head."""
    parts = [f"by {gain}" if gain is not None else "in every head" for gain in gains]
    if len(names) == 1:
        first = f"{names[0]} {'are' if names[0].endswith('s') else 'is'} ahead of {of} {parts[0]}"
    else:
        first = f"ahead of {of} are {listed([' '.join(each) for each in zip(names, parts, strict=True)])}"
    rest = "Among the others" if but else "Else"
    if not but and not any(gains):  # it may be served, and was found to serve no better
        return f"{answer} {first[0].upper()}{first[1:]}."
    return f"{first[0].upper()}{first[1:]}{but}. {rest}: {answer[0].lower()}{answer[1:]}"


def left_out(names: Sequence[str]) -> str:
    """That the policy's rule weighs more than outcomes."""
    return f"The policy's rule also weighs {listed(list(names))}, which these gains leave out." if names else ""


def untested(what: str, against: str, changes: Changes) -> str:
    """That nobody can tell, as nothing is known of seeds."""
    return f"Cannot tell whether to switch to {what}: against {against} it has {effects_of(changes)}. {UNTESTED}"


def same(served: Served, row: int) -> str:
    """That the pick is another point, and no change."""
    return f"The pick, {described(served, row)}, ranks exactly alike."


def limited(would: str, both: Effect) -> str:
    """What the policy would pick without its limits."""
    return f"Without its limits the policy would pick {would}: {both} by its rule."


def guarded(noise: int) -> str:
    """That too few rows keep choices from being shown to lose nothing."""
    many = f"{noise} choices look" if noise > 1 else "One choice looks"
    return f"{many} better and within the limits, but too few rows show that nothing is lost."


def holding(holds: float, others: Sequence[str]) -> str:
    """How often a pick holds, and what comes first in the other retrainings."""
    if holds >= ENOUGH:
        return f"The pick holds in {holds:.0%} of retrainings."
    verb = "comes" if len(others) == 1 else "come"
    instead = f"; {listed(list(others))} {verb} first in the others" if others else ""
    return f"Retraining may change the pick: it holds in {holds:.0%} of retrainings{instead}."


def worst_slice(who: str, slice: str, outcome: str, change: Effect, more: int) -> str:
    """In which part of the rows something loses most."""
    others = f" {more} other {'losses are' if more > 1 else 'loss is'} sure, too." if more else ""
    return f"{who} loses most in {slice}: {outcome} {change}.{others} These intervals hold in all such parts together."


def price(paid: str, bought: str, each: Effect) -> str:
    """What one per cent of an outcome buys of another."""
    return f"At the pick, giving up 1% of {paid} buys {each} of {bought}."
