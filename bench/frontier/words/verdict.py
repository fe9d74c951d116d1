"""Sentences about switching to a pick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import listed
from bench.frontier.changes import Changes, doubtful
from bench.frontier.stability import ENOUGH
from bench.results.effect import LEVEL, MARGIN, Effect
from bench.results.fusion import in_words
from bench.results.served.served import Served
from bench.rows import CONFIRM, SHORT
from bench.schema import SCENARIO

SURE = f"Intervals are {LEVEL:.0%}, on test."
ONLY_WEIGHTS = "Change only the weights of the score"
NAMED = 4
"""The most scenarios that a sentence names; more are counted."""


def named(facts: pd.Series[Any]) -> str:
    """A point of a table in words: `trial 7 (mmoe)`, `boosted trees`."""
    name = str(facts["name"])
    return name if facts["role"] != "trial" else f"{name} ({facts['architecture']})"


def described(served: Served, row: int) -> str:
    """A serving point in words: `trial 7 (mmoe), power of click 0.8, like 0.2`."""
    of = served.table.iloc[row]
    return f"{named(of)}, {of['kind']} of {in_words(of['weights'])}" if of["weights"] else named(of)


def effects_of(changes: Changes) -> str:
    """Changes by outcome, with their intervals."""
    return ", ".join(f"{name} {each}" for name, each in changes.items())


def kept(against: str, *why: str) -> tuple[str, ...]:
    """To keep the current point, and why."""
    return f"Keep {against}.", *why


def nothing_gains(best: Effect) -> tuple[str, ...]:
    """Why no other point gains, by the gain in every outcome of the one that has most."""
    if best.high >= -MARGIN:
        return (f"No point gains more than {MARGIN:.1%} in every outcome.",)
    return f"Every other point loses in some outcome, the one nearest on {SHORT[CONFIRM]} {best}.", SURE


def limited(served: Served, against: str, unlimited: int, changes: Changes) -> tuple[str, ...]:
    """To keep the current point, as the policy's limits forbid what it would pick without them."""
    would = f"Without its limits it would pick {described(served, unlimited)}: {effects_of(changes)}."
    sure = SURE if served.known else "After one training each, no intervals are known."
    return f"Keep {against}: no point that the policy allows is better.", would, sure


def same(served: Served, row: int) -> str:
    """That the pick is another point, and no change."""
    return f"The pick, {described(served, row)}, ranks exactly alike."


def untested(what: str, against: str, changes: Changes) -> tuple[str, ...]:
    """That nobody can tell, as nothing is known of seeds."""
    has = f"Against {against} it has {effects_of(changes)}, after one training each: no intervals are known."
    return f"Cannot tell whether to switch to {what}.", has


def unsure(what: str, against: str, changes: Changes) -> tuple[str, ...]:
    """That nobody can tell."""
    return f"Cannot tell whether to switch to {what}.", f"Against {against} it has {effects_of(changes)}.", SURE


def unchanged(what: str, against: str, changes: Changes) -> tuple[str, ...]:
    """That switching changes too little to matter."""
    has = f"Against {against} it has {effects_of(changes)}."
    return kept(against, f"No outcome changes by more than {MARGIN:.1%} with {what}.", has, SURE)


def costs(what: str, against: str, changes: Changes) -> tuple[str, ...]:
    """That switching costs, and shows no gain."""
    lost, rest = (effects_of({name: each for name, each in changes.items() if each.lost == is_lost})
                  for is_lost in (True, False))  # fmt: skip
    rest = f": {rest}" if rest else ""
    return kept(against, f"Switching to {what} costs {lost}, and no gain is shown{rest}.", SURE)


def enough(replicates: int | None, rows: int | None) -> str:
    """A way to show the largest gain that is seen, or nothing."""
    if replicates:
        return f"About {replicates} replicates of each point would show such a gain."
    more = f"About {rows} times as many rows of test would show such a gain; more replicates would not."
    return more if rows else ""


def not_worth(what: str, worth: Effect) -> str:
    """That the policy's rule is against switching."""
    return f"By the policy's rule {what} is not worth its cost: all in all {worth}."


def by_rule(worth: Effect, gained: bool) -> str:
    """What the policy's rule says of a trade; nothing where its gain is told already, as no outcome has one."""
    if not worth.gained:
        return f"By the policy's rule this cannot be told: all in all {worth}."
    return f"By the policy's rule the gain is worth its cost: all in all {worth}." if gained else ""


def effects(who: str, against: str, changes: Changes, worth: Effect | None) -> tuple[str, str]:
    """What is gained, by an outcome or by all of them together, what is lost, and what is open."""
    found: dict[str, list[str]] = {each: [] for each in ORDER}
    if not any(each.gained for each in changes.values()):
        found["gains"].append(f"all in all {worth} by the policy's rule")
    for name, each in changes.items():
        if each.gained or each.lost:
            effect = "gains" if each.gained else "costs"
        elif doubtful(each):
            effect = "may cost" if each.value < 0 else "does not rule out a loss in"
        else:
            effect = "shows no clear change in"
        found[effect].append(f"{name} {each}")
    told = listed([f"{effect} {', '.join(each)}" for effect, each in found.items() if each])
    return f"{who} {told}, against {against}.", SURE


ORDER = ("gains", "costs", "may cost", "does not rule out a loss in", "shows no clear change in")


def switch(
    served: Served, row: int, at: int, trade: bool, rival: tuple[int, Effect] | None, *effects: str
) -> tuple[str, ...]:
    """To switch, and what that does.

    Args:
        row: of the pick.
        at: the row to switch to: another one's where that is as good and simpler.
        trade: whether the gain has a cost that the policy's rule does not weigh.
        rival: of a simpler row that is as good, or may be so, with its gain over the pick.
        effects: sentences on the pick.
    """
    table = served.table
    own = table["point"][at] == table["point"][served.current]
    what = f"{described(served, at)}{' if the gain is worth its cost to you' if trade else ''}"
    beside = "" if rival is None else _in_every_outcome(rival[1])
    if own or table["role"][at] == "baseline":
        first = f"{ONLY_WEIGHTS if own else 'Switch to a baseline'}: {what}."
        if at == row:
            return first, *effects
        good = f"They do as well as the pick ({beside}), and no model has to be trained."
        return first, good if own else f"It is as good as the pick ({beside}).", *effects
    if rival is None:
        return f"Switch to {what}.", *effects
    more = f"Compared with the pick: {described(served, rival[0])}, {beside}."
    return f"Switch to {what}, or to {table['name'][rival[0]]}, which may be as good.", *effects, more


def _in_every_outcome(gain: Effect) -> str:
    return "equal in all outcomes" if str(gain) == "+0.0% (+0.0 to +0.0)" else f"at least {gain} in every outcome"


def trees(answer: str, ahead: Changes) -> tuple[str, str]:
    """The answer among networks where boosted trees are ahead of all of them, and how far these are."""
    far = f"Trees are ahead of the networks by {effects_of(ahead)}, each at equal other outcomes."
    return f"Boosted trees are ahead of every network; without them: {answer[0].lower()}{answer[1:]}", far


def holding(holds: float, others: Sequence[str]) -> str:
    """How often a pick holds, and what comes first in the other retrainings."""
    if holds >= ENOUGH:
        return f"The pick holds in {holds:.0%} of retrainings."
    verb = "comes" if len(others) == 1 else "come"
    instead = f"; {listed(list(others))} {verb} first in the others" if others else ""
    return f"Retraining may change the pick: it holds in {holds:.0%} of retrainings{instead}."


def by_scenario(slices: Mapping[str, Changes]) -> str:
    """In which scenarios something is gained or lost; empty without scenarios or intervals."""
    own = {name.partition("=")[2]: all_ for name, all_ in slices.items() if name.partition("=")[0] == SCENARIO}
    if not any(np.isfinite(each.low) for changes in own.values() for each in changes.values()):
        return ""
    gained = [name for name, changes in own.items() if any(each.gained for each in changes.values())]
    lost = {name: effects_of({of: each for of, each in changes.items() if each.lost}) for name, changes in own.items()}
    lost = {name: what for name, what in lost.items() if what}
    same = [name for name, all_ in own.items() if name not in gained and all(each.unchanged for each in all_.values())]
    rest = [name for name in own if name not in {*gained, *lost, *same}]
    few = sum(not any(np.isfinite(each.value) for each in own[name].values()) for name in rest)
    parts = [f"it gains in {_few(gained)}"] if gained else []
    if len(lost) > NAMED:
        parts.append(f"it costs in {_few(list(lost))}")
    else:
        parts += [f"it costs {what} in {name}" for name, what in lost.items()]
    parts += [f"nothing changes in {_few(same)}"] if same else []
    parts += [f"cannot tell in {_few(rest)}" + (f" ({few} with too few positives)" if few else "")] if rest else []
    sure = " These intervals hold in all scenarios together." if gained or lost else ""
    return f"By scenario: {'; '.join(parts)}.{sure}"


def _few(names: list[str]) -> str:
    return listed(names) if len(names) <= NAMED else f"{len(names)} scenarios"


def price(paid: str, bought: str, each: Effect) -> str:
    """What one per cent of an outcome buys of another."""
    return f"At the pick, giving up 1% of {paid} buys {each} of {bought}."


def models_alone(ahead: Changes) -> str:
    """How far the searched models are ahead of the current ones."""
    return (
        "Models alone: against the current point's own models under any weights, the searched models have, at equal "
        f"other outcomes, {effects_of(ahead)}."
    )
