"""Sentences of a verdict."""

from __future__ import annotations

import math
import re
from collections import Counter
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
SMALL = 0.02
"""A gain that a ranking team would want to find."""
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
NO_OTHER_PICK = "the policy picks no other point"
NOTHING_ALLOWED = "no point that the policy allows is better"
"""Why to keep what there is: see also `nothing` and `costs`."""
UNTRAINED = (
    "Cannot tell whether to switch to {what}: after one training each, no intervals are known."
)
UNDECIDED = "Cannot tell whether any model is ahead of {reference}: {what} is at {mean} {overall}."
SINGLE = (
    "Nothing is compared: there is one model, and nobody said how it ranks today. By the "
    "policy it is {what}."
)
ONLY_ONE_KEEPS_LIMITS = (
    "Nothing is compared: only {what} keeps the limits, and every other model breaks one at all of "
    "its weights."
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
    if aim.best:
        return f"in {aim.best}"
    if aim.rule not in OVERALL:
        return f"by the rule '{aim.rule}'"
    at_end, _ = OVERALL[aim.rule]
    return at_end


def overall_row(aim: PolicyAim) -> str:
    """The same as the first row of a table."""
    if aim.best:
        return f"{aim.best}, the aim"
    if aim.rule not in OVERALL:
        return f"by the rule '{aim.rule}'"
    _, row = OVERALL[aim.rule]
    return row


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
    trials = [point for point in points if point.role == "trial" and point.number is not None]
    short = {trial.name: _title(trial) for trial in trials}
    long = {trial.name: f"{short[trial.name]}, {trial.balancing}" for trial in trials}
    count_of_short, count_of_long = Counter(short.values()), Counter(long.values())
    titles = {}
    for trial in trials:
        if count_of_long[long[trial.name]] > 1:
            title = long[trial.name]
            namesakes = [namesake for namesake in trials if long[namesake.name] == title]
            titles[trial.name] = short[trial.name] + _difference(trial, namesakes)
        elif count_of_short[short[trial.name]] > 1:
            titles[trial.name] = long[trial.name]
        else:
            titles[trial.name] = short[trial.name]
    architecture_of = {trial.id: _title(trial).partition(",")[0] for trial in trials}
    for point in points:
        network = architecture_of.get(str(point.config.get(NETWORK)))
        if point.kind == "blend" and network is not None:
            titles[point.name] = f"a blend of {network} and boosted trees"
    return titles


def _difference(point: Point, namesakes: Sequence[Point]) -> str:
    """The setting that tells a point from others that are called the same, else its name."""
    for key, value in point.config.items():
        values = {namesake.config.get(key) for namesake in namesakes}
        if len(values) == len(namesakes):
            setting = SETTINGS.get(key, " ".join(key.split(".")[-2:]))
            if point.trainer:
                setting = key.removeprefix(f"trainer.{point.trainer}.")
            value_in_words = str(value)
            if isinstance(value, float):
                value_in_words = f"{value:.3g}"
            return f", {setting} {value_in_words}".replace("_", " ")
    return f" ({point.name})"


def _title(point: Point) -> str:
    sharing, _, funnel = point.architecture.partition("+")
    title = ACRONYMS.get(sharing, sharing.replace("_", "-").capitalize())
    if point.trainer:
        title = point.trainer
    if funnel:
        title += f" with {funnel}"
    options = f"sharing.{point.config.get('sharing.kind', sharing)}"
    experts = point.config.get(f"{options}.experts")
    shared_experts = point.config.get(f"{options}.shared_experts")
    own_experts = point.config.get(f"{options}.own_experts")
    if own_experts is not None:
        title += f", {shared_experts} shared and {own_experts} own experts"
    elif experts == 1:
        title += ", 1 expert"
    elif experts is not None:
        title += f", {experts} experts"
    if point.until:
        title += f", stopped after {point.until:,} samples"
    return title


def named(facts: pd.Series[Any], titles: Mapping[str, str] | None = None) -> str:
    """A point of a table in words: by its title, else `trial 7 (mmoe)`, `boosted trees`."""
    name = str(facts["name"])
    if titles and name in titles:
        return titles[name]
    if facts["role"] != "trial" or facts["architecture"] == name:
        return name
    return f"{name} ({facts['architecture']})"


def beginning(name: str) -> str:
    """A model's name at the beginning of a sentence: our own words with a capital, a user's name as
    it is.
    """
    ours = name in (SINGLE_TASK, *NAMES.values()) or name.startswith("a blend of ")
    if not ours:
        return name
    return name[0].upper() + name[1:]


def several(name: str) -> bool:
    """Whether a model's name is a plural: `boosted trees` and `static weights 4:1`, not `MMoE, 4
    experts`.
    """
    noun = re.split(", | of ", name)[0]
    return re.search(r"s( [\d:.]+)?$", noun) is not None


def _are(name: str) -> str:
    return "are" if several(name) else "is"


def as_mean(row: str, weightings: int, both_ways: bool) -> str:
    """The name of a gain that is a mean: over several ways to weigh the outcomes, or of two tests,
    see `BOTH_WAYS`.
    """
    if weightings > 1:
        row += f" over {weightings} weightings"
    if both_ways:
        row += " (mean of two tests)"
    return row


def model(who: str, gain: Effect, overall: str) -> str:
    """To switch to another model, and what that gains."""
    gains = "they gain" if several(who) else "it gains"
    return f"Switch to {who}: {gains} {gain} {overall}."


def weights(gain: Effect, overall: str, against: str = "") -> str:
    """To keep the model and change the weights of its score; `against`: a score that may hold more
    than the model.
    """
    if against:
        return f"Rank by the score below in place of {against}: it gains {gain} {overall}."
    return f"Keep your model and change its weights: they gain {gain} {overall}."


def added(best: Effect | None) -> str:
    """What the best other model would add to better weights, where that is not shown."""
    if best is None or best.gained:  # what is gained stands in the answer
        return ""
    if best.high <= MARGIN:
        return f"No other model adds more than {MARGIN:.1%}."
    return f"The best other model is at {best} on top, which this test cannot tell from nothing."


def nothing(best: Effect, overall: str, limited: bool) -> str:
    """That no candidate gains what matters; `limited`: whether limits are in force."""
    nothing = "nothing within the limits" if limited else "nothing"
    return f"{nothing} gains more than {_at_most(best)}% {overall}"


def _at_most(best: Effect) -> str:
    return percent(max(best.high, 0.0))[1:]


def costs(who: str, gain: Effect, overall: str) -> str:
    """That the pick is behind."""
    verb = "lose" if several(who) else "loses"
    return f"{who} {verb}: {gain} {overall}"


def unsure(who: str, gain: Effect, overall: str) -> str:
    """That nobody can tell."""
    return f"Cannot tell whether to switch: {who} {_are(who)} at {gain} {overall}."


SINGLE_TASK = "single-task models"


def reference(served: Ledger) -> str:
    """The model that others are compared with where nobody said what is served."""
    if served.current is None or served.table["point"].iloc[served.current] == "single_task":
        return SINGLE_TASK
    return str(served.table["name"].iloc[served.current])


def alone(who: str, reference: str, mean: Effect, overall: str) -> str:
    """That a model is ahead of the reference, whatever is served."""
    they_are = "they are" if several(who) else "it is"
    return f"Use {who}: {they_are} ahead of {reference} by {mean} {overall}."


TREES_ALONE = (
    "Boosted trees are another kind of model, one for each task: no part of this is sharing."
)


def another_trainer(name: str) -> str:
    """That a model is not one of the package's, so that its gain is of more than sharing."""
    return (
        f"{name} is trained elsewhere: how much of this is sharing, and how much another model, "
        "was not measured."
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


def part_of_trees(network: Effect | None, trees: Effect | None, name: str = "the network") -> str:
    """That a part of a blend is boosted trees, and what its parts gain alone, where they are
    compared.

    Args:
        name: of the part that is no trees.
    """
    first = "A part of this is boosted trees, another kind of model"
    if network is None or trees is None:
        return f"{first}."
    return f"{first}: {name} alone is at {network}, the trees alone at {trees}."


def part_unknown(gain: str, settings: Sequence[str]) -> str:
    """That nobody measured the part of a gain that other settings make; `gain` is its name."""
    return f"A part of {gain} may be {listed(list(settings))}, not sharing: that was not measured."


def part_of_settings(gain: str, settings: Sequence[str], share: float, sharing: Effect) -> str:
    """The part of a gain over single-task models that other settings make, and what sharing adds to
    it.

    Args:
        gain: its name: `it`.
        settings: in which these differ, too.
        share: theirs of the gain.
        sharing: the gain over single-task models with the same settings.
    """
    part = f"{share:.0%}"
    if round(share, 2) <= 0:
        part = "No part"
    if share >= 1:
        part = "All"
    return f"{part} of {gain} is {listed(list(settings))}; sharing adds {sharing}."


def tuned(lengths: float, twins: int, kind: str, most_lengths: float) -> str:
    """How much single-task models were tuned, in full lengths of training, beside the way of
    sharing with most.

    Args:
        twins: how many of their settings are of the best models that share.
        kind: that way of sharing, and `most` its full lengths.
    """
    sharing = ACRONYMS.get(kind, kind.replace("_", "-"))
    return (
        f"Single-task models were tuned by {lengths:.1f} full lengths of training, {twins} of them "
        f"with settings of the best models that share; {sharing}, the way of sharing with most, by "
        f"{most_lengths:.1f}."
    )


def averaged(weightings: int) -> str:
    """The number of weightings behind an average gain."""
    if weightings <= 1:
        return ""
    return f"The average is over {weightings} ways to weigh the outcomes."


def level(reference: str, best: Effect) -> str:
    """That no model is ahead of the reference."""
    are, them = ("are", "them") if several(reference) else ("is", "it")
    return (
        f"{beginning(reference)} {are} as good: no other model is ahead of {them} by more than "
        f"{_at_most(best)}%."
    )


def shows(gain: float | None, found: float | None = None) -> str:
    """The gain that this test can show.

    Args:
        found: how often it would find a gain of `SMALL`; None where nobody need be told.
    """
    if gain is None:
        return ""
    shows = f"This test shows gains of {percent(gain)[1:]}% or more four times in five"
    if found is None:
        return f"{shows}."
    ratio = float(f"{(gain / SMALL) ** 2:.2g}")
    return (
        f"{shows}, and finds one of {SMALL:.0%} in {round(100 * found)} of 100 such tests (in 80 "
        f"with {ratio:,g} times the rows)."
    )


def lasts(shown: Effect, lasting: Effect) -> str:
    """What is expected to last of a gain, where that is another number."""
    if abs(shown.value - lasting.value) < MARGIN:
        return ""
    return (
        f"Expect {lasting} of it to last: where a test is short of rows, gains that it shows are "
        "too large."
    )


def too_small(gain: Effect, least: float) -> str:
    """That better weights of today's model surely gain, and too little to change them."""
    return f"other weights gain {gain}, which need not be the {least:.1%} that the policy asks for"


def start(weights: Mapping[str, float], counts_alike: bool) -> str:
    """That nobody said what is served, and what the weights are.

    Args:
        counts_alike: whether the policy counts 1% of each outcome alike.
    """
    sentence = (
        "Nobody said what is served today, so this compares models alone, each at its best weights."
    )
    if weights and counts_alike:
        sentence += (
            f" The weights, {in_words(weights)}, are a start: 1% of each outcome counts alike."
        )
    return sentence


NOT_SHOWN = "too few rows show that nothing is lost"
CHOSE_ANOTHER = "the rows that chose put {what} first"
"""Why what is ahead is not advised: see also `refused`."""
BY_HEADS = "in every head"
MOST_RIVALS = 3
"""That are named."""


def ahead(rivals: Mapping[str, tuple[str, str]], advised: str) -> str:
    """That something that is not advised does better, by how much, and why it is not advised.

    Args:
        rivals: by name by how much it is ahead (`by +2.8%`, `in every head`), and the reason, empty
            for none.
        advised: what it is ahead of.
    """
    if len(rivals) == 1:
        [(name, (lead, reason))] = rivals.items()
        but = ""
        if reason:
            but = f", but {reason}"
        return f"{beginning(name)} {_are(name)} ahead of {advised} {lead}{but}."
    leads = [f"{name} {lead}" for name, (lead, _) in rivals.items()]
    reasons = [reason for _, reason in rivals.values()]
    return f"Ahead of {advised} are {_first_few(leads)}{_shared_reason(reasons)}."


def _shared_reason(reasons: Sequence[str]) -> str:
    """Why none of several rivals is advised: what all of them have in common."""
    if not any(reasons):
        return ""
    if len(set(reasons)) == 1:
        return f", but {reasons[0]}"
    return ", but a limit, too few rows or the rows that chose speak against them"


def _first_few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    few = list(names[:MOST_RIVALS])
    if len(names) > MOST_RIVALS:
        few.append(f"{len(names) - MOST_RIVALS} more")
    return listed(few)


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
    if not limits:
        why = ", as your values say what a loss costs" if values else ""
        return f"No limit is in force{why}."
    names_by_bound: dict[str, list[str]] = {}
    for limit in limits:
        name, _, bound = limit.partition(" ")
        names_by_bound.setdefault(bound, []).append(name)
    grouped = [f"{listed(names)} {bound}" for bound, names in names_by_bound.items()]
    return f"Limits in force: {'; '.join(grouped)}."


def as_logged(changes: Changes) -> str:
    """The changes without the weights of an exposure."""
    by_outcome = [f"{change} of {name}" for name, change in changes.items()]
    return f"If all rows counted alike: {', '.join(by_outcome)}."


def left_out(names: Sequence[str]) -> str:
    """That the policy's rule weighs more than outcomes."""
    if not names:
        return ""
    return f"The policy's rule also weighs {listed(list(names))}, which these gains leave out."


def guarded(models: Sequence[str]) -> str:
    """That too few rows keep models from being shown to lose nothing."""
    verb = "looks" if len(models) == 1 else "look"
    return (
        f"{_first_few(models)} {verb} better and within the limits, but too few rows show that "
        "nothing is lost."
    )


def holding(holds: float, rivals: Sequence[str]) -> str:
    """How often a pick holds, and what comes first in the other retrainings."""
    if holds >= SELDOM:
        return f"The pick holds in {holds:.0%} of retrainings."
    instead = ""
    if rivals:
        verb = "comes" if len(rivals) == 1 else "come"
        instead = f"; {listed(list(rivals))} {verb} first in the others"
    return f"Retraining may change the pick: it holds in {holds:.0%} of retrainings{instead}."


def last_by_area(models: int) -> str:
    """That a pick predicts worse than all others over all rows, which a loss that ranks first
    places may do.
    """
    if not models:
        return ""
    return (
        f"By the area under the curve over all rows it is the last of {models} models in every "
        "task."
    )


def of_items(name: str, value: float, gain: Effect, today: str) -> str:
    """What is shown in the first places, against today's: `distinct author in the first 5: 84.2%,
    98.5% of today's`.
    """
    column, _, metric = name.partition(".")
    outcome = ranked(metric)
    assert outcome is not None
    title = LISTS[outcome.measure].title.format(column=column, limit=outcome.limit)
    places = f"{outcome.cut:g}"
    if outcome.percent:
        places += "%"
    sentence = f"{title} in the first {places}: {value:.1%} of the rows"
    if not math.isfinite(gain.value):
        return f"{sentence}."
    interval = ""
    if math.isfinite(gain.low):
        interval = f" ({1 + gain.low:.1%} to {1 + gain.high:.1%})"
    return f"{sentence}, {1 + gain.value:.1%} of {today}{interval}."
