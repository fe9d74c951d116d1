"""Sentences of a verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.core.errors import listed
from bench.core.objectives import ranked
from bench.core.records import NETWORK, Point
from bench.frontier.stability import SELDOM
from bench.results.effect import LEVEL, MARGIN, Effect, percent
from bench.results.fusion import in_words
from bench.results.ledger import Ledger

Changes = Mapping[str, Effect]
"""By outcome, as a fraction."""
SURE = f"Intervals are {LEVEL:.0%}, on test; those of the outcomes hold together."
BOTH_WAYS = (
    "As rows are few, the gain by the policy's rule is the mean of two tests: of test, and of confirmation rows at "
    "weights that the other rows chose."
)
SURE_IN_SLICES = "Intervals of all segments of a kind hold together, too."
UNTESTED = "After one training each, no intervals are known."
KEEP = "Keep {against}: {why}."
UNTRAINED = "Cannot tell whether to switch to {what}: after one training each, no intervals are known."
UNDECIDED = "Cannot tell whether any model is ahead of {reference}: the best, {what}, is at {mean}."
SINGLE = "Nothing is compared: there is one model, and nobody said how it ranks today. By the policy it is {what}."
SAME = "The pick, {what}, ranks exactly alike."
LIMITED = "Without its limits the policy would pick {would}: {both} by its rule."
LOSES_MOST = "{who} most in {slice}: {outcome} {change}."
PRICE = "At the pick, giving up 1% of {paid} buys {each} of {bought}."
RULE, WEIGHTS, MODEL, BOTH, WORST = "by the policy's rule", "weights alone", "model alone", "both", "loses most in"
"""The first row, and the columns, of the table of gains."""


ACRONYMS = {"cgc": "CGC", "omoe": "OMoE", "mmoe": "MMoE", "ple": "PLE", "adatt": "AdaTT", "stem": "STEM",
            "pepnet": "PEPNet", "star": "STAR", "mlora": "MLoRA", "esmm": "ESMM"}  # fmt: skip


def titles_of(points: Sequence[Point]) -> dict[str, str]:
    """By name how a verdict calls each trial: `PLE, 3 shared and 2 own experts`. A blend is called by its network.

    Where others would be called the same, also by its balancer, then by the first setting in which all of them differ:
    `Single-task, optim lr 0.0031`; by its number only where there is none.
    """
    trials = [each for each in points if each.role == "trial" and each.number is not None]
    plain = {each.name: _title(each) for each in trials}
    with_balancing = {each.name: f"{plain[each.name]}, {each.balancing}" for each in trials}
    titles = {}
    for each in trials:
        title, both = plain[each.name], with_balancing[each.name]
        same = [other for other in trials if with_balancing[other.name] == both]
        if len(same) > 1:
            titles[each.name] = f"{title}{_apart(each, same)}"
        else:
            titles[each.name] = both if list(plain.values()).count(title) > 1 else title
    networks = {each.id: _title(each).partition(",")[0] for each in trials}
    mixed = [each for each in points if each.kind == "blend" and each.config.get(NETWORK) in networks]
    return titles | {each.name: f"a blend of {networks[str(each.config[NETWORK])]} and boosted trees" for each in mixed}


def _apart(point: Point, same: Sequence[Point]) -> str:
    """The setting that tells a point from others that are called the same, else its name."""
    for key, value in point.config.items():
        if len({other.config.get(key) for other in same}) == len(same):
            told = f"{value:.3g}" if isinstance(value, float) else value
            return f", {' '.join(key.split('.')[-2:]).replace('_', ' ')} {told}"
    return f" ({point.name})"


def _title(point: Point) -> str:
    sharing, _, funnel = point.architecture.partition("+")
    kind = str(point.config.get("sharing.kind", sharing))
    title = ACRONYMS.get(sharing, sharing.replace("_", "-").capitalize()) + (f" with {funnel}" if funnel else "")
    experts, shared, own = (point.config.get(f"sharing.{kind}.{each}experts") for each in ("", "shared_", "own_"))
    if experts is not None or own is not None:
        many = f"{experts} expert{'s' if experts != 1 else ''}"
        title += f", {many}" if own is None else f", {shared} shared and {own} own experts"
    return title + (f", stopped after {point.until:,} samples" if point.until else "")


def named(facts: pd.Series[Any], titles: Mapping[str, str] | None = None) -> str:
    """A point of a table in words: by its title, else `trial 7 (mmoe)`, `boosted trees`."""
    name = str(facts["name"])
    if titles and name in titles:
        return titles[name]
    return name if facts["role"] != "trial" or facts["architecture"] == name else f"{name} ({facts['architecture']})"


def several(name: str) -> bool:
    """Whether a model's name is a plural: `boosted trees` and `static weights 4:1`, not `MMoE, 4 experts`."""
    return re.search(r"s( [\d:.]+)?$", re.split(", | of ", name)[0]) is not None


def model(what: str, both: Effect) -> str:
    """To switch to another model, and what that gains by the policy's rule."""
    gains = "they gain" if several(what) else "it gains"
    return f"Switch to {what}: {gains} {both} by the policy's rule."


def weights(gain: Effect, against: str = "") -> str:
    """To keep the model and change the weights of its score; `against`: a score that may hold more than the model."""
    if against:
        return f"Rank by the score below in place of {against}: it gains {gain} by the policy's rule."
    return f"Keep your model and change its weights: they gain {gain} by the policy's rule."


def added(most: Effect | None) -> str:
    """What the best other model would add to better weights, where that is not shown."""
    if most is None or most.gained:  # that is told first
        return ""
    if most.high <= MARGIN:
        return f"No other model adds more than {MARGIN:.1%}."
    return f"The best other model is at {most} on top, which this test cannot tell from nothing."


def nothing(most: Effect) -> str:
    """That no candidate gains what matters."""
    return f"nothing within its limits gains more than {_most(most)}% by the policy's rule"


def _most(most: Effect) -> str:
    return percent(max(most.high, 0.0))[1:]


def costs(what: str, both: Effect) -> str:
    """That the pick is behind."""
    return f"{what} {'lose' if several(what) else 'loses'} by the policy's rule, {both}"


def unsure(what: str, both: Effect) -> str:
    """That nobody can tell."""
    return f"Cannot tell whether to switch: {what} {'are' if several(what) else 'is'} at {both} by the policy's rule."


def reference(served: Ledger) -> str:
    """The model that others are compared with where nobody said what is served."""
    if served.current is None or served.table["point"].iloc[served.current] == "single_task":
        return "single-task models"
    return str(served.table["name"].iloc[served.current])


def alone(what: str, reference: str, mean: Effect) -> str:
    """That a model is ahead of the reference, whatever is served."""
    return f"Use {what}: {'they are' if several(what) else 'it is'} ahead of {reference} by {mean}."


def averaged(many: int) -> str:
    """The number of weightings behind an average gain."""
    return f"The average is over {many} ways to weigh the outcomes." if many > 1 else ""


def level(reference: str, most: Effect) -> str:
    """That no model is ahead of the reference."""
    are, them = ("are", "them") if several(reference) else ("is", "it")
    return (
        f"{reference[0].upper()}{reference[1:]} {are} as good: no other model is ahead of {them} by more than "
        f"{_most(most)}%."
    )


def shows(least: float | None) -> str:
    """The gain that this test can show."""
    return "" if least is None else f"This test shows gains of {percent(least)[1:]}% or more four times in five."


def start(weights: Mapping[str, float], alike: bool) -> str:
    """That nobody said what is served, and what the weights are.

    Args:
        alike: whether the policy counts 1% of each outcome alike.
    """
    of = (
        f" The weights, {in_words(weights)}, are a start: 1% of each outcome counts alike." if weights and alike else ""
    )
    return f"Nobody said what is served today, so this compares models alone, each at its best weights.{of}"


NOT_SHOWN = "too few rows show that nothing is lost"
"""Why what is ahead is not advised."""
MOST_RIVALS = 3
"""That are named."""


def ahead(rivals: Mapping[str, tuple[Effect | None, str]], of: str) -> str:
    """That something that is not advised does better: by the policy's rule, or in every head; and why it is not."""
    reasons = {but for _, but in rivals.values()}
    parts = [
        f"{'by ' + str(gain) if gain else 'in every head'}{f' ({but})' if but and len(reasons) > 1 else ''}"
        for gain, but in rivals.values()
    ]
    if len(rivals) == 1:
        (name,) = rivals
        first = f"{name} {'are' if several(name) else 'is'} ahead of {of} {parts[0]}"
    else:
        some = [" ".join(each) for each in zip(rivals, parts, strict=True)][:MOST_RIVALS]
        more = [f"{len(rivals) - len(some)} more"] if len(rivals) > len(some) else []
        first = f"ahead of {of} are {listed([*some, *more])}"
    why = f", but {min(reasons)}" if len(reasons) == 1 and min(reasons) else ""
    return f"{first[0].upper()}{first[1:]}{why}."


def left_out(names: Sequence[str]) -> str:
    """That the policy's rule weighs more than outcomes."""
    return f"The policy's rule also weighs {listed(list(names))}, which these gains leave out." if names else ""


def guarded(noise: int) -> str:
    """That too few rows keep choices from being shown to lose nothing."""
    many = f"{noise} choices look" if noise > 1 else "One choice looks"
    return f"{many} better and within the limits, but too few rows show that nothing is lost."


def holding(holds: float, others: Sequence[str]) -> str:
    """How often a pick holds, and what comes first in the other retrainings."""
    if holds >= SELDOM:
        return f"The pick holds in {holds:.0%} of retrainings."
    verb = "comes" if len(others) == 1 else "come"
    instead = f"; {listed(list(others))} {verb} first in the others" if others else ""
    return f"Retraining may change the pick: it holds in {holds:.0%} of retrainings{instead}."


def of_items(name: str, value: float, gain: Effect, today: str) -> str:
    """What is shown in the first places, against today's: `distinct author in the first 5: 84.2%, 98.5% of today's`."""
    column, _, metric = name.partition(".")
    of = ranked(metric)
    assert of is not None
    what = f"Rows with {column} below {of.limit:g}" if of.limit else f"Distinct {column}"
    first = f"{what} in the first {of.cut:g}"
    told = f"{first}{'%' if of.percent else ''}: {value:.1%} of the rows"
    if not math.isfinite(gain.value):
        return f"{told}."
    sure = f" ({1 + gain.low:.1%} to {1 + gain.high:.1%})" if math.isfinite(gain.low) else ""
    return f"{told}, {1 + gain.value:.1%} of {today}{sure}."
