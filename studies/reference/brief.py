"""Short tables of the reference: a row for each data set or method. The Markdown page has them in
place of all rows, which the HTML page has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from bench.app.reference.cells import Cell
from bench.app.reference.comparisons import Gain
from bench.app.report.text import dataset, label
from bench.ledger.effect import Effect
from reference.answers import Answers, Front, Standing
from reference.figures import scale, signed
from reference.members import Data
from reference.papers import GAINS, Claim, Seeds

Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""Heads and rows."""
Entry = TypeVar("Entry")
Key = TypeVar("Key")
LIKELY = 0.5
"""Methods of a larger probability are counted as on the front."""


def fronts(comparisons: Sequence[Front]) -> Table:
    """By data set and scope: verdicts over all ways of sharing, and the largest lead."""
    rows = []
    for (data, scope), found in _grouped(comparisons, lambda front: (front.data, front.scope)):
        words = [front.verdict for front in found]
        largest = max(found, key=lambda front: front.lead.value)
        chances = sorted(front.chance for front in found)
        rows.append(
            (
                dataset(data),
                scope,
                largest.margin_text,
                ", ".join(str(words.count(word)) for word in ("yes", "no", "cannot tell")),
                said(largest.lead),
                f"{largest.best}, {largest.sharing}",
                _range(f"{chance:.0%}" for chance in chances),
            )
        )
    heads = (
        "data",
        "of",
        "margin",
        "yes, no, cannot tell",
        "largest lead",
        "by",
        "chance of yes",
    )
    return heads, tuple(rows)


def methods(standings: Sequence[Standing]) -> Table:
    """Methods that are likely on a front, and on which."""
    rows = []
    for method, places in _grouped(standings, lambda standing: standing.method):
        likely = [place for place in places if place.p_front > LIKELY]
        where = ", ".join(f"{dataset(place.data)} {place.p_front:.2f}" for place in likely)
        rows.append((len(likely), (method, f"{len(likely)} of {len(places)}", where)))
    rows.sort(key=lambda row: (-row[0], row[1]))
    return ("method", "on the front", "where, and P"), tuple(row for number, row in rows if number)


def leaders(answers: Answers) -> Table:
    """By data set the likeliest configuration, and its lead over tuned equal weights."""
    rows = []
    for data in answers.data:
        chances = {
            standing.method: standing.p_front
            for standing in answers.standings
            if standing.data == data.name
        }
        method = max(chances, key=lambda name: chances[name])
        top = data.best([member for member in data.members if member.balancing == method])
        if top is not None:
            rows.append(
                (dataset(data.name), top.name, f"{chances[method]:.2f}", _leads(data, top.id))
            )
    heads = ("data", "configuration", "P(on front)", "lead over tuned equal weights")
    return heads, tuple(rows)


def _leads(data: Data, member: str) -> str:
    plain, ahead = data.leads or (None, {})
    if plain is None or member not in ahead:
        return ""
    return ", ".join(
        f"{label(objective.name)} {lead(objective.name, effect)}"
        for objective, effect in zip(data.objectives, ahead[member], strict=True)
    )


def tuning(gains: Sequence[Gain]) -> Table:
    """By data set the least and the largest gain over objectives and ways of sharing."""
    rows = []
    for data, found in _grouped(gains, lambda gain: gain.data):
        ordered = sorted(found, key=lambda gain: gain.effect.value * scale(gain.objective))
        better = sum(gain.verdict == "better" for gain in found)
        ends = (_named(gain) for gain in (ordered[0], ordered[-1]))
        rows.append((dataset(data), f"{better} of {len(found)}", *ends))
    return ("data", "surely better", "least", "largest"), tuple(rows)


def same(gains: Sequence[Gain], pair_of: Callable[[Gain], str]) -> Table:
    """By data set and pair of methods how often 0 lies outside the interval, and the largest
    difference.
    """
    rows = []
    for (data, pair), found in _grouped(gains, lambda gain: (gain.data, pair_of(gain))):
        outside = sum(gain.verdict != "cannot tell" for gain in found)
        largest = max(found, key=lambda gain: abs(gain.effect.value * scale(gain.objective)))
        rows.append((dataset(data), pair, f"{outside} of {len(found)}", _named(largest)))
    return ("data", "pair", "0 lies outside", "largest difference"), tuple(rows)


def seeds(noises: Sequence[Seeds], needed: Callable[[int | None], str]) -> Table:
    """By data set the range over objectives."""
    rows = []
    for data, found in _grouped(noises, lambda noise: noise.data):
        ranges = [
            _range(f"{1e3 * value:.2f}" for value in sorted(values))
            for values in ([noise.seed for noise in found], [noise.rows for noise in found])
        ]
        for gain in GAINS:
            numbers = [noise.needed_for(gain) for noise in found]
            numbers.sort(key=lambda number: float("inf") if number is None else number)
            ranges.append(_range(map(needed, numbers)))
        rows.append((dataset(data), *ranges))
    heads = (
        "data",
        "sd of a pair, thousandths",
        "error of test rows, thousandths",
        *(f"for {1e3 * gain:g}" for gain in GAINS),
    )
    return heads, tuple(rows)


def claims(shown: Sequence[Claim], few: int) -> Table:
    """By source how many published leads would show with few seeds, with more and with none."""
    rows = []
    for name, found in _grouped(shown, lambda claim: claim.source.name):
        judged = [claim for claim in found if claim.judged]
        leads = sorted(1e3 * claim.lead for claim in judged if claim.lead is not None)
        needed = [claim.needed for claim in judged]
        counts = (
            sum(number is not None and number <= few for number in needed),
            sum(number is not None and number > few for number in needed),
            needed.count(None),
        )
        leads_text = _range(signed(value, 2) for value in leads) if leads else "–"
        rows.append((name, leads_text, *map(str, counts)))
    heads = (
        "source",
        "leads, thousandths",
        f"show with {few} seeds or fewer",
        "with more",
        "with none",
    )
    return heads, tuple(rows)


def done(cells: Iterable[Cell], finished: Callable[[Cell], bool]) -> Table:
    """By data set how many cells have all seeds; data sets without any have no row."""
    rows = []
    for data, found in _grouped(list(cells), lambda cell: cell.data):
        number = sum(map(finished, found))
        if number:
            rows.append((dataset(data), f"{number} of {len(found)}"))
    return ("data", "cells with all seeds"), tuple(rows)


def said(effect: Effect, unit: float = 1) -> str:
    """A value and its interval."""
    ends = f"{signed(effect.low * unit, 2)} to {signed(effect.high * unit, 2)}"
    return f"{signed(effect.value * unit, 2)} ({ends})"


def lead(objective: str, effect: Effect) -> str:
    """A value and half of its interval, in the unit of the page."""
    unit = scale(objective)
    return f"{signed(effect.value * unit, 2)} ± {(effect.high - effect.low) / 2 * unit:.2f}"


def _named(gain: Gain) -> str:
    sharing = gain.left.partition(", ")[0]
    return f"{said(gain.effect, scale(gain.objective))}, {label(gain.objective)}, {sharing}"


def _range(texts: Iterable[str]) -> str:
    """The first and the last text, or the one that there is."""
    ends = list(texts)
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]} to {ends[-1]}"


def _grouped(
    entries: Sequence[Entry], key: Callable[[Entry], Key]
) -> list[tuple[Key, list[Entry]]]:
    """Entries by key, in the order of each key's first entry."""
    found: dict[Key, list[Entry]] = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return list(found.items())
