"""Sentences of a verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.core.errors import listed
from bench.core.objectives import LISTS, ranked
from bench.core.records import NAMES, NETWORK, Point
from bench.deciding.aims import PolicyAim
from bench.deciding.stability import SELDOM
from bench.ledger.effect import LEVEL, MARGIN, Effect, percent
from bench.ledger.fusion import in_words
from bench.ledger.ledger import Ledger

Changes = Mapping[str, Effect]
"""By outcome, as a fraction."""
SURE = (
    f"Intervals are {LEVEL:.0%}, on test; those of the outcomes hold together. Expected gains are "
    "drawn back from measured ones, as the best of many looks too good."
)
EXPECTED = f"expected gains, from test ({LEVEL:.0%} intervals)"
MEASURED = f"as measured on test ({LEVEL:.0%} intervals)"
"""What a table of gains has: those of the verdict are drawn back, those of a front are not."""
BOTH_WAYS = (
    "As rows are few, the gain of all outcomes is the mean of two tests: of test, and of "
    "confirmation rows at weights that the other rows chose. Gains of single outcomes are of test "
    "alone."
)
SURE_IN_SLICES = "Intervals of all segments of a kind hold together, too."
UNTESTED = "After one training each, no intervals are known."
KEEP = "Keep {against}: {why}."
UNTRAINED = (
    "Cannot tell whether to switch to {what}: after one training each, no intervals are known."
)
UNDECIDED = "Cannot tell whether any model is ahead of {reference}: {what} is at {mean} {overall}."
SINGLE = (
    "Nothing is compared: there is one model, and nobody said how it ranks today. By the "
    "policy it is {what}."
)
SAME = "The pick, {what}, ranks exactly alike."
LIMITED = "Without its limits the policy would pick {would}: {both} {overall}."
LOSES_MOST = "{who} most in {slice}: {outcome} {change}."
COSTS_MOST = "{who} most in {outcome}: {change}."
CHOSEN_FIRST = "The rows that chose put {what} first; test does not show that it gains."
PRICE = "At the pick, giving up 1% of {paid} buys {each} of {bought}."
SCORES = {"keep": "today's score", "unknown": "its score, for a test"}
"""By kind of a verdict the name of its formula, where the answer is not to rank by it: see
`score_of`.
"""
WEIGHTS, MODEL, BOTH, WORST = "weights alone", "model alone", "both", "loses most in"
"""The columns of the table of gains."""
OVERALL = {
    "": ("at your values", "earned at your values"),
    "knee": ("on average over the outcomes", "all outcomes, on average"),
    "weights": ("in the policy's weighted sum", "the policy's weighted sum"),
    "utopia": ("in the policy's weighted sum", "the policy's weighted sum"),
}
"""By a policy's rule what its gain is of: at the end of a sentence, and as a row of a table."""


def score_of(kind: str) -> str:
    """The name of the formula that stands below a verdict."""
    return SCORES.get(kind, "score")


def overall(aim: PolicyAim) -> str:
    """The outcomes that a gain of U is of, at the end of a sentence."""
    return (
        f"in {aim.best}"
        if aim.best
        else OVERALL.get(aim.rule, (f"by the rule '{aim.rule}'", ""))[0]
    )


def overall_row(aim: PolicyAim) -> str:
    """The same as the first row of a table."""
    return (
        f"{aim.best}, the aim"
        if aim.best
        else OVERALL.get(aim.rule, ("", f"by the rule '{aim.rule}'"))[1]
    )


SETTINGS = {
    "numeric.kind": "numbers as",
    "sequence.kind": "lists as",
    "interaction.kind": "interaction",
    "loss.kind": "loss",
    "regression_loss.kind": "loss of values",
    "funnel.kind": "funnel",
    "optim.lr": "learning rate",
    "optim.epochs": "epochs",
}
"""How a title calls a setting that tells models apart; others by the end of their name: `tower
hidden`.
"""
ACRONYMS = {
    "cgc": "CGC",
    "omoe": "OMoE",
    "mmoe": "MMoE",
    "ple": "PLE",
    "adatt": "AdaTT",
    "stem": "STEM",
    "pepnet": "PEPNet",
    "star": "STAR",
    "mlora": "MLoRA",
    "esmm": "ESMM",
}


def titles_of(points: Sequence[Point]) -> dict[str, str]:
    """By name how a verdict calls each trial: `PLE, 3 shared and 2 own experts`. A blend is called
    by its network.

    Where others would be called the same, also by its balancer, then by the first setting in which
    all of them differ: `Single-task, optim lr 0.0031`; by its number only where there is none.
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
    mixed = [
        each for each in points if each.kind == "blend" and each.config.get(NETWORK) in networks
    ]
    return titles | {
        each.name: f"a blend of {networks[str(each.config[NETWORK])]} and boosted trees"
        for each in mixed
    }


def _apart(point: Point, same: Sequence[Point]) -> str:
    """The setting that tells a point from others that are called the same, else its name."""
    for key, value in point.config.items():
        if len({other.config.get(key) for other in same}) == len(same):
            setting = SETTINGS.get(key, " ".join(key.split(".")[-2:]))
            told = f"{value:.3g}" if isinstance(value, float) else value
            return f", {setting} {told}".replace("_", " ")
    return f" ({point.name})"


def _title(point: Point) -> str:
    sharing, _, funnel = point.architecture.partition("+")
    kind = str(point.config.get("sharing.kind", sharing))
    title = ACRONYMS.get(sharing, sharing.replace("_", "-").capitalize()) + (
        f" with {funnel}" if funnel else ""
    )
    experts, shared, own = (
        point.config.get(f"sharing.{kind}.{each}experts") for each in ("", "shared_", "own_")
    )
    if experts is not None or own is not None:
        many = f"{experts} expert{'s' if experts != 1 else ''}"
        title += f", {many}" if own is None else f", {shared} shared and {own} own experts"
    return title + (f", stopped after {point.until:,} samples" if point.until else "")


def named(facts: pd.Series[Any], titles: Mapping[str, str] | None = None) -> str:
    """A point of a table in words: by its title, else `trial 7 (mmoe)`, `boosted trees`."""
    name = str(facts["name"])
    if titles and name in titles:
        return titles[name]
    return (
        name
        if facts["role"] != "trial" or facts["architecture"] == name
        else f"{name} ({facts['architecture']})"
    )


def beginning(name: str) -> str:
    """A model's name at the beginning of a sentence: our own words with a capital, a user's name as
    it is.
    """
    ours = name in (SINGLE_TASK, *NAMES.values()) or name.startswith("a blend of ")
    return name[0].upper() + name[1:] if ours else name


def several(name: str) -> bool:
    """Whether a model's name is a plural: `boosted trees` and `static weights 4:1`, not `MMoE, 4
    experts`.
    """
    return re.search(r"s( [\d:.]+)?$", re.split(", | of ", name)[0]) is not None


def as_mean(row: str, weightings: int, both_ways: bool) -> str:
    """The name of a gain that is a mean: over several ways to weigh the outcomes, or of two tests,
    see `BOTH_WAYS`.
    """
    if weightings > 1:
        row += f" over {weightings} weightings"
    return f"{row} (mean of two tests)" if both_ways else row


def model(what: str, both: Effect, overall: str) -> str:
    """To switch to another model, and what that gains."""
    gains = "they gain" if several(what) else "it gains"
    return f"Switch to {what}: {gains} {both} {overall}."


def weights(gain: Effect, overall: str, against: str = "") -> str:
    """To keep the model and change the weights of its score; `against`: a score that may hold more
    than the model.
    """
    if against:
        return f"Rank by the score below in place of {against}: it gains {gain} {overall}."
    return f"Keep your model and change its weights: they gain {gain} {overall}."


def added(most: Effect | None) -> str:
    """What the best other model would add to better weights, where that is not shown."""
    if most is None or most.gained:  # that is told first
        return ""
    if most.high <= MARGIN:
        return f"No other model adds more than {MARGIN:.1%}."
    return f"The best other model is at {most} on top, which this test cannot tell from nothing."


def nothing(most: Effect, overall: str, limited: bool) -> str:
    """That no candidate gains what matters; `limited`: whether limits are in force."""
    return (
        f"nothing{' within the limits' if limited else ''} gains more than {_most(most)}% {overall}"
    )


def _most(most: Effect) -> str:
    return percent(max(most.high, 0.0))[1:]


def costs(what: str, both: Effect, overall: str) -> str:
    """That the pick is behind."""
    return f"{what} {'lose' if several(what) else 'loses'}: {both} {overall}"


def unsure(what: str, both: Effect, overall: str) -> str:
    """That nobody can tell."""
    return (
        f"Cannot tell whether to switch: {what} {'are' if several(what) else 'is'} at {both} "
        f"{overall}."
    )


SINGLE_TASK = "single-task models"


def reference(served: Ledger) -> str:
    """The model that others are compared with where nobody said what is served."""
    if served.current is None or served.table["point"].iloc[served.current] == "single_task":
        return SINGLE_TASK
    return str(served.table["name"].iloc[served.current])


def alone(what: str, reference: str, mean: Effect, overall: str) -> str:
    """That a model is ahead of the reference, whatever is served."""
    return (
        f"Use {what}: {'they are' if several(what) else 'it is'} ahead of {reference} by {mean} "
        f"{overall}."
    )


TREES_ALONE = (
    "Boosted trees are another kind of model, one for each task: no part of this is sharing."
)
KINDS_OF_SETTINGS = {
    "numeric.kind": "the way numbers enter",
    "sequence.kind": "the way lists of past values enter",
    "interaction.kind": "the interaction",
    "loss.kind": "the loss",
    "regression_loss.kind": "the loss of values",
    "funnel.kind": "the funnel",
}
"""By name in a configuration how people call a kind that single-task models have, too."""
SIZES, OTHERS = "sizes and training settings", "other settings"
"""All other settings: alone, and beside such kinds."""


def part_of_trees(network: Effect | None, trees: Effect | None) -> str:
    """That a part of a blend is boosted trees, and what its parts gain alone, where they are
    compared.
    """
    first = "A part of this is boosted trees, another kind of model"
    if network is None or trees is None:
        return f"{first}."
    return f"{first}: the network alone is at {network}, the trees alone at {trees}."


def part_unknown(what: str, settings: Sequence[str]) -> str:
    """That nobody measured the part of a gain that other settings make; `what` names the gain."""
    return f"A part of {what} may be {listed(list(settings))}, not sharing: that was not measured."


def part_of_settings(what: str, settings: Sequence[str], share: float, sharing: Effect) -> str:
    """The part of a gain over single-task models that other settings make, and what sharing adds to
    it.

    Args:
        what: the gain: `it`.
        settings: in which these differ, too.
        share: theirs of the gain.
        sharing: the gain over single-task models with the same settings.
    """
    part = f"{share:.0%}"
    if round(share, 2) <= 0:
        part = "No part"
    if share >= 1:
        part = "All"
    return f"{part} of {what} is {listed(list(settings))}; sharing adds {sharing}."


def tuned(alone: float, twins: int, kind: str, most: float) -> str:
    """How much single-task models were tuned, in full lengths of training, beside the way of
    sharing with most.

    Args:
        twins: how many of their settings are of the best models that share.
        kind: that way of sharing, and `most` its full lengths.
    """
    sharing = ACRONYMS.get(kind, kind.replace("_", "-"))
    return (
        f"Single-task models were tuned by {alone:.1f} full lengths of training, {twins} of them "
        f"with settings of the best models that share; {sharing}, the way of sharing with most, by "
        f"{most:.1f}."
    )


def averaged(many: int) -> str:
    """The number of weightings behind an average gain."""
    return f"The average is over {many} ways to weigh the outcomes." if many > 1 else ""


def level(reference: str, most: Effect) -> str:
    """That no model is ahead of the reference."""
    are, them = ("are", "them") if several(reference) else ("is", "it")
    return (
        f"{beginning(reference)} {are} as good: no other model is ahead of {them} by more than "
        f"{_most(most)}%."
    )


def shows(least: float | None) -> str:
    """The gain that this test can show."""
    return (
        ""
        if least is None
        else f"This test shows gains of {percent(least)[1:]}% or more four times in five."
    )


def start(weights: Mapping[str, float], alike: bool) -> str:
    """That nobody said what is served, and what the weights are.

    Args:
        alike: whether the policy counts 1% of each outcome alike.
    """
    of = (
        f" The weights, {in_words(weights)}, are a start: 1% of each outcome counts alike."
        if weights and alike
        else ""
    )
    return (
        "Nobody said what is served today, so this compares models alone, each at its best "
        f"weights.{of}"
    )


NOT_SHOWN = "too few rows show that nothing is lost"
CHOSE_ANOTHER = "the rows that chose put {what} first"
"""Why what is ahead is not advised: see also `refused`."""
BY_HEADS = "in every head"
MOST_RIVALS = 3
"""That are named."""


def ahead(rivals: Mapping[str, tuple[str, str]], of: str) -> str:
    """That something that is not advised does better, by how much, and why it is not advised.

    Args:
        rivals: by name by how much it is ahead (`by +2.8%`, `in every head`), and the reason, empty
            for none.
        of: what it is ahead of.
    """
    reasons = list(dict.fromkeys(reason for _, reason in rivals.values() if reason))
    if len(rivals) == 1:
        ((name, (lead, reason)),) = rivals.items()
        are, but = "are" if several(name) else "is", f", but {reason}" if reason else ""
        return f"{beginning(name)} {are} ahead of {of} {lead}{but}."
    named = [f"{name} {lead}" for name, (lead, _) in rivals.items()][:MOST_RIVALS]
    more = [f"{len(rivals) - len(named)} more"] if len(rivals) > len(named) else []
    why = ""
    if reasons:
        why = ", but a limit, too few rows or the rows that chose speak against them"
    if len(reasons) == 1 and all(reason for _, reason in rivals.values()):
        why = f", but {reasons[0]}"
    return f"Ahead of {of} are {listed([*named, *more])}{why}."


def refused(outcome: str, change: Effect, asked: str) -> str:
    """That a limit refuses what is ahead: what it changes, and what the policy asks for."""
    return f"changes {outcome} by {change}, beyond the limit ({asked})"


def allowed_by(name: str, settings: Sequence[str]) -> str:
    """The options, or lines of a policy file, that would admit a model."""
    return f"To allow {name}: {' '.join(settings)}"


def limits_in_force(limits: Sequence[str], values: bool) -> str:
    """The limits that the answer keeps; `values`: whether events have values, which say what a loss
    costs.
    """
    by_bound: dict[str, list[str]] = {}
    for limit in limits:
        name, _, bound = limit.partition(" ")
        by_bound.setdefault(bound, []).append(name)
    if limits:
        grouped = [f"{listed(names)} {bound}" for bound, names in by_bound.items()]
        return f"Limits in force: {'; '.join(grouped)}."
    return f"No limit is in force{', as your values say what a loss costs' if values else ''}."


def left_out(names: Sequence[str]) -> str:
    """That the policy's rule weighs more than outcomes."""
    return (
        f"The policy's rule also weighs {listed(list(names))}, which these gains leave out."
        if names
        else ""
    )


def guarded(models: Sequence[str]) -> str:
    """That too few rows keep models from being shown to lose nothing."""
    more = [f"{len(models) - MOST_RIVALS} more"] if len(models) > MOST_RIVALS else []
    verb = "looks" if len(models) == 1 else "look"
    named = listed([*models[:MOST_RIVALS], *more])
    return (
        f"{named} {verb} better and within the limits, but too few rows show that nothing is lost."
    )


def holding(holds: float, others: Sequence[str]) -> str:
    """How often a pick holds, and what comes first in the other retrainings."""
    if holds >= SELDOM:
        return f"The pick holds in {holds:.0%} of retrainings."
    verb = "comes" if len(others) == 1 else "come"
    instead = f"; {listed(list(others))} {verb} first in the others" if others else ""
    return f"Retraining may change the pick: it holds in {holds:.0%} of retrainings{instead}."


def last_by_area(many: int) -> str:
    """That a pick predicts worse than all others over all rows, which a loss that ranks first
    places may do.
    """
    return (
        f"By the area under the curve over all rows it is the last of {many} models in every task."
        if many
        else ""
    )


def of_items(name: str, value: float, gain: Effect, today: str) -> str:
    """What is shown in the first places, against today's: `distinct author in the first 5: 84.2%,
    98.5% of today's`.
    """
    column, _, metric = name.partition(".")
    of = ranked(metric)
    assert of is not None
    what = LISTS[of.measure].title.format(column=column, limit=of.limit)
    first = f"{what} in the first {of.cut:g}"
    told = f"{first}{'%' if of.percent else ''}: {value:.1%} of the rows"
    if not math.isfinite(gain.value):
        return f"{told}."
    sure = f" ({1 + gain.low:.1%} to {1 + gain.high:.1%})" if math.isfinite(gain.low) else ""
    return f"{told}, {1 + gain.value:.1%} of {today}{sure}."
