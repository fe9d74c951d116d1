"""The page of the reference: the answer, what it rests on, and every table, as Markdown and as one
HTML file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.app.reference.cells import Cell
from bench.app.reference.comparisons import Gain
from bench.app.reference.table import TABLE
from bench.app.report.comparison_page import critical_figure
from bench.app.report.markup import escaped, identifier, sentence, table
from bench.app.report.page import whole
from bench.app.report.text import dataset, label
from bench.core.errors import count
from bench.core.objectives import Objective
from bench.ledger.effect import LEVEL, Effect
from reference.answers import Answers, turned
from reference.figures import figures, scale, signed
from reference.members import Data, Member
from reference.papers import GAINS

FEW = 10
"""Seeds that a paper might spend on each model."""
LEADERS = "Leaderboard: "
TOP = 10
"""Rows of a leaderboard on the Markdown page."""
PLANNED = ("flights-2001", "flights-2013")
"""Data sets whose margins were set before any of their cells was trained."""
NEVER = 0.05
"""Methods whose probability to be on the front is lower on all data sets have no row."""
READING = (
    "Unit: a lead in AUC or Spearman correlation is in thousandths: +4.88 is .00488. A lead in "
    "what is served is in per cent of the best outcome.",
    "All is measured on test, as the mean over fresh seeds. Validation chose each configuration, "
    "by equal trials for all methods.",
    f"Intervals are {LEVEL:.0%}, paired by seed and row; the answer's bounds are 95%. `better` or "
    "`worse` behind an interval: 0 lies outside it. Without such a word the data cannot tell.",
    (
        "A leaderboard has each method's configuration that validation found best. P is of the "
        "method's likeliest one."
    ),
)
"""How to read the page."""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        text: sentences, with commands between backticks.
        heads, rows: of its table; none where there are no rows.
        numbers: the column from which on cells are numbers.
        most: rows on the Markdown page; 0 for all. The HTML page has all.
        figure: SVG, of the HTML page alone.
    """

    title: str
    text: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    numbers: int = 1
    figure: str = ""
    most: int = 0


def markdown(found: Answers, cells: Sequence[Cell], seeds: int, command: str) -> str:
    """The page as Markdown, without sections that are a figure alone.

    Args:
        cells: of the design, for what is left to do.
        seeds: fresh seeds that a configuration is to have.
    """
    every = [each for each in sections(found, cells, seeds) if each.rows]
    parts = [
        f"# The reference: methods by equal trials\n\n**{found.sentence}**\n",
        *(f"* {line}" for line in READING),
        f"\n`{command}` makes this page from [`{TABLE}`](../../reports/reference/{TABLE}).\n",
        *(f"* [{each.title}](#{_anchor(each.title)})" for each in every),
        "",
    ]
    for each in every:
        parts.append(f"## {each.title}\n")
        parts += [f"{text}\n" for text in each.text]
        shown = each.rows[: each.most or None]
        lines = [each.heads, ("---",) * len(each.heads), *shown]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
        if more := len(each.rows) - len(shown):
            parts.append(
                f"{count(more, 'more method')} are in `reference.html`, beside this page.\n"
            )
    return "\n".join(parts)


def _anchor(title: str) -> str:
    """A heading's anchor, as GitHub and the documents' site make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def document(found: Answers, cells: Sequence[Cell], seeds: int) -> str:
    """The page as HTML."""
    question = "Does any gradient method beat tuned static weights?"
    first = f"<h2>{question}</h2><p>{sentence(found.sentence)}</p>"
    every = list(sections(found, cells, seeds))
    links = "".join(
        f'<li><a href="#{identifier(each.title)}">{escaped(each.title)}</a></li>' for each in every
    )
    body = [
        f'<article class="answer">{first}</article>',
        f"<ul>{''.join(f'<li>{sentence(line)}</li>' for line in READING)}</ul>",
        (
            '<details class="fold"><summary>Contents</summary><nav '
            f'aria-label="Contents"><ul>{links}</ul></nav></details>'
        ),
        _filter([dataset(data.name) for data in found.data]),
    ]
    for each in every:
        text = "".join(f'<p class="note">{sentence(part)}</p>' for part in each.text)
        shown = (
            table(each.heads, [list(row) for row in each.rows], each.title, each.numbers)
            if each.rows
            else ""
        )
        of, id = escaped(each.title.removeprefix(LEADERS)), identifier(each.title)
        own = f' data-of="{of}"' if each.title.startswith(LEADERS) else ""
        body.append(
            '<section class="run" '
            f'id="{id}"{own}><h2>{escaped(each.title)}</h2>{text}{each.figure}{shown}'
        )
        body.append("</section>")
    body.append(
        f'<p class="note">All rows: <a href="../../reports/reference/{TABLE}">{TABLE}</a>.</p>'
    )
    return whole("The reference", "Methods by equal trials", body, figures=False)


def _filter(names: Sequence[str]) -> str:
    """Buttons for all data sets or one of them, which work by style alone: the page has no
    script.
    """
    rules, fields = [], ['<label><input type="radio" name="data" checked> all data sets</label>']
    for at, name in enumerate(names):
        fields.append(
            f'<label><input type="radio" name="data" id="only-{at}"> {escaped(name)}</label>'
        )
        others = "".join(f', [data-of="{escaped(other)}"]' for other in names if other != name)
        rules.append(f"body:has(#only-{at}:checked) :is({others[2:]}) {{ display: none; }}")
    return f"<style>{' '.join(rules)}</style><fieldset class='filter'>{' '.join(fields)}</fieldset>"


def sections(found: Answers, cells: Sequence[Cell], seeds: int) -> Iterator[Section]:
    """All parts, those without a row left out."""
    made = (
        _fronts(found),
        Section("Fronts", (FIGURES,), figure=figures(found.data)) if found.data else None,
        _gains("Does sharing beat separate models?", (SHARING,), found.sharing, *MODELS),
        _gains(
            "Does sharing beat separate models within groups?",
            _within(found),
            found.within,
            *MODELS,
        ),
        _matrix(found),
        *(_leaders(data, found) for data in found.data),
        _gains("What tuning gains over defaults", (TUNING,), found.tuning, "", _sharing),
        _gains("Methods that are the same", (SAME,), found.same, "sharing", _pair),
        _knobs(found),
        _seeds(found),
        _claims(found),
        _left(found, cells, seeds),
    )
    yield from (
        each for each in made if each is not None and (each.rows or each.figure or each.text)
    )


FIGURES = (
    "How far each configuration is ahead of tuned equal weights in the first two objectives, on "
    "test, with paired 90% intervals; of AUC in thousandths. Better to the right and upwards. "
    "With two objectives a line joins the static weights of one way of sharing."
)
SHARING = (
    "The best model that shares, with equal weights, less models that share nothing. `composite` "
    "is the best single-task model of each task, `ensemble` two single-task models with the "
    "parameters of one."
)
WITHIN = (
    "The same models, chosen by AUC over all rows: what each head alone serves within groups, on "
    "test. Whether gradient methods beat static weights there is told above: what is served of "
    "these data is ranked within groups."
)
SAME = (
    "Balancers that take the same direction with this number of tasks: what is found between "
    "them is chance alone."
)
TUNING = "Equal weights, tuned by the draws of the design, less equal weights with our defaults."


def _fronts(found: Answers) -> Section:
    rows = []
    for each in found.fronts:
        lead = (
            f"{signed(each.lead.value, 2)} ({signed(each.lead.low, 2)} to "
            f"{signed(each.lead.high, 2)})"
        )
        where = dataset(each.data), each.sharing, each.what
        rows.append((*where, each.within, each.verdict, lead, each.best, f"{each.chance:.0%}"))
    before = sorted({dataset(each.data) for each in found.fronts if each.data in PLANNED})
    when = (
        f"Those of {' and '.join(before)} were set before any training of the design on these "
        "data. Those of all other data sets were set after their results at 0.5 thousandths and "
        "1% were known."
    )
    text = (
        "By data set and way of sharing: how far the farthest gradient method lies beyond the "
        "front of tuned static weights, with bounds that hold at 95% each. The margin of what is "
        "served is a share of the largest outcome that static weights reach.",
        "Each data set has the smallest margin of a few with an expected 80% chance to find a "
        "lead of two margins, else the largest (`python studies/margins.py`). The last column has "
        f"the chance that it came to. {when if before else ''}",
        "`yes`: surely by more than the margin, and better than some static weights in every "
        "objective. The error rate is 5% over all rows together. `no`: surely not by more than "
        "the margin. The chance is that of `yes` if the gradient methods lay two margins beyond.",
        "A `yes` or a `no` about heads is not luck in tuning: it survives a permutation of all "
        "tries' labels. Tries do not measure what is served, so there it is about these "
        "configurations, not about methods.",
    )
    heads = ("data", "sharing", "of", "margin", "beyond it", "lead", "method", "chance of yes")
    return Section("Gradient methods against tuned static weights", text, heads, tuple(rows), 5)


def _within(found: Answers) -> tuple[str, ...]:
    """The text of what changes where rows are ranked within groups; nothing where none are."""
    if not found.within:
        return ()
    changed = turned(found.sharing, found.within)
    told = Counter(tuple(each.verdict != "cannot tell" for each in pair) for pair in changed)
    return (
        WITHIN,
        f"Of {count(len(found.within), 'comparison')}, {len(changed)} have another answer than "
        f"over all rows: {told[True, True]} turn around, {told[True, False]} cannot be told any "
        f"more, {told[False, True]} are told only within groups.",
    )


def _gains(
    title: str,
    text: tuple[str, ...],
    gains: Sequence[Gain],
    beside: str,
    column: Callable[[Gain], str],
) -> Section:
    """A row for each data set and objective, and a column for each value of `column`.

    Args:
        beside: the heading of a third column, which has the left side's way of sharing; none if
            empty.
    """
    columns = list(dict.fromkeys(map(column, gains)))
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for each in gains:
        row = (dataset(each.data), label(each.objective), *([_sharing(each)] if beside else []))
        found.setdefault(row, {})[column(each)] = _said(each)
    rows = tuple((*row, *(cells.get(name, "") for name in columns)) for row, cells in found.items())
    return Section(
        title,
        text,
        ("data", "objective", *([beside] if beside else []), *columns),
        rows,
        2 + bool(beside),
    )


def _said(gain: Gain) -> str:
    """A lead with its interval, and which side is surely better."""
    unit, of = scale(gain.objective), gain.effect
    lead = (
        f"{signed(of.value * unit, 2)} ({signed(of.low * unit, 2)} to {signed(of.high * unit, 2)})"
    )
    return lead if gain.verdict == "cannot tell" else f"{lead}, {gain.verdict}"


def _sharing(gain: Gain) -> str:
    return gain.left.partition(", ")[0]


def _pair(gain: Gain) -> str:
    return f"{gain.left.partition(', ')[2]} less {gain.right.partition(', ')[2]}"


MODELS: tuple[str, Callable[[Gain], str]] = ("model", lambda gain: f"less {gain.right}")


def _matrix(found: Answers) -> Section:
    names = [data.name for data in found.data]
    of = {(each.method, each.data): each for each in found.standings}
    methods = sorted({each.method for each in found.standings})
    rows = []
    never = []
    for name in methods:
        known = [of[name, data].p_front for data in names if (name, data) in of]
        if max(known) < NEVER:
            never.append(name)
            continue
        cells = [f"{of[name, data].p_front:.2f}" if (name, data) in of else "" for data in names]
        rows.append((name, *cells, f"{sum(p > 0.5 for p in known)} of {len(known)}"))
    rows.sort(key=lambda row: (-int(row[-1].split()[0]), row[0]))
    text = [
        "The probability that a method's best configuration, of all ways of sharing, is on the "
        "front of heads: that no other configuration dominates it."
    ]
    if never:
        text.append(f"Below {NEVER:g} on every data set: {', '.join(never)}.")
    figure = ""
    if found.ranking is not None:
        text.append(f"By hypervolume: {found.ranking.sentence}")
        figure = critical_figure(found.ranking)
    heads = ("method", *map(dataset, names), "on the front")
    return Section(
        "Which method is on the front, and where", tuple(text), heads, tuple(rows), 1, figure
    )


def _leaders(data: Data, found: Answers) -> Section:
    """Of each method the configuration that validation found best."""
    chance = {each.method: each.p_front for each in found.standings if each.data == data.name}
    plain, ahead = data.leads or (None, {})
    rows = []
    for name, p in sorted(chance.items(), key=lambda pair: -pair[1]):
        top = data.best([each for each in data.members if each.balancing == name])
        if top is not None:
            values = [
                f"{mean:.4f}"
                + (f" ({_lead(objective, of)})" if of is not None and top != plain else "")
                for objective, mean, of in zip(
                    data.objectives,
                    top.heads.mean,
                    ahead.get(top.id, [None] * len(data.objectives)),
                    strict=True,
                )
            ]
            rows.append(
                (
                    top.name,
                    *values,
                    f"{p:.2f}",
                    f"{top.parameters:,}" if top.parameters else "",
                    _ms(top),
                )
            )
    objectives = (label(each.name) for each in data.objectives)
    heads = ("configuration", *objectives, "P(on front)", "parameters", "ms a request")
    text = [f"In brackets the lead over {plain.name}, in thousandths."] if plain is not None else []
    return Section(f"{LEADERS}{dataset(data.name)}", tuple(text), heads, tuple(rows), 1, most=TOP)


def _lead(objective: Objective, of: Effect) -> str:
    unit = scale(objective.name)
    return f"{signed(of.value * unit, 2)} ± {(of.high - of.low) / 2 * unit:.2f}"


def _knobs(found: Answers) -> Section:
    rows = tuple(
        (each.name, f"{each.share:.0%}", f"{each.low:.0%} to {each.high:.0%}", str(each.datasets))
        for each in found.knobs
    )
    text = (
        (
            "The share of variance between tries that a parameter explains alone: mean and range "
            "over data sets."
        ),
    )
    return Section("Which knobs matter", text, ("parameter", "share", "range", "data sets"), rows)


def _seeds(found: Answers) -> Section:
    rows = tuple(
        (
            dataset(each.data),
            label(each.objective),
            f"{1e3 * each.seed:.2f}",
            f"{1e3 * each.rows:.2f}",
            *(_needed(each.needed_for(gain)) for gain in GAINS),
        )
        for each in found.seeds
    )
    text = (
        "Seeds of each side that show a true difference, in thousandths, between two balancers "
        "with a chance of 80%, in one test at 5%. `never`: the rows of test alone leave more "
        "doubt than that.",
    )
    heads = (
        "data",
        "objective",
        "sd of a pair, thousandths",
        "error of test rows, thousandths",
        *(f"for {1e3 * gain:g}" for gain in GAINS),
    )
    return Section("How many seeds a claim needs", text, heads, rows, 2)


def _claims(found: Answers) -> Section:
    names = {data.name for data in found.data}
    shown = [each for each in found.claims if each.source.data in names]
    sources = {each.source.name: each.source for each in shown}
    numbers = {name: number for number, name in enumerate(sources, 1)}
    models: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for each in shown:
        ours = "–" if each.ours is None else _interval(each.ours)
        lead = "–" if each.lead is None else signed(1e3 * each.lead, 2)
        figures = (f"{each.theirs:.4f}", ours, lead, _needed(each.needed) if each.judged else "–")
        models.setdefault((str(numbers[each.source.name]), each.model), []).append(
            (*figures, each.over or "")
        )
    rows = []
    for model, of in models.items():
        *figures, over = zip(*of, strict=True)
        rows.append((*model, *(", ".join(each) for each in figures), next(filter(None, over), "")))
    text = [
        "Test AUC that others published, beside our models with equal weights; the source says of "
        "which objectives, in order. A column says how many seeds of each side would show a lead "
        "as large as theirs on our rows."
    ]
    needed = [each.needed for each in shown if each.judged]
    if needed:
        few, many = (
            sum(seeds is not None and (seeds <= FEW) == side for seeds in needed)
            for side in (True, False)
        )
        text.append(
            f"Of {count(len(needed), 'published difference')}, {few} would show with {FEW} seeds "
            f"or fewer, {many} only with more, and {needed.count(None)} with no number of seeds."
        )
    if waiting := sorted({each.source.data for each in found.claims} - names):
        many = len(found.claims) - len(shown)
        text.append(
            f"{count(many, 'figure')} on other data ({', '.join(map(dataset, waiting))}) wait for "
            "our rows."
        )
    for name, source in sources.items():
        of = ", ".join(
            dict.fromkeys(label(each.objective) for each in shown if each.source.name == name)
        )
        text.append(
            f"{numbers[name]}: {name} ({source.url}), on {dataset(source.data)}, {of}: "
            f"{source.why}."
        )
    heads = (
        "source",
        "model",
        "theirs",
        "ours",
        "their lead, thousandths",
        "seeds for it",
        "lead over",
    )
    return Section("Beside published figures", tuple(text), heads, tuple(rows), 2)


def _needed(seeds: int | None) -> str:
    return "never" if seeds is None else str(seeds)


def _left(found: Answers, cells: Sequence[Cell], seeds: int) -> Section:
    once = {
        each
        for each, number in Counter((cell.data, cell.sharing) for cell in cells).items()
        if number == 1
    }
    others = f"{len({sharing for _, sharing in once})} others"
    columns: dict[str, dict[str, list[bool]]] = {}
    for cell in cells:
        column = others if (cell.data, cell.sharing) in once else cell.sharing
        done = found.cells.get((cell.data, cell.sharing, cell.balancing), 0) >= seeds
        columns.setdefault(column, {}).setdefault(cell.data, []).append(done)
    rows, empty = [], []
    for data in dict.fromkeys(cell.data for cell in cells):
        if not any(any(own.get(data, [])) for own in columns.values()):
            empty.append(dataset(data))
            continue
        done = (
            f"{sum(own[data])} of {len(own[data])}" if data in own else ""
            for own in columns.values()
        )
        rows.append((dataset(data), *done))
    text = (
        *([f"Nothing of {', '.join(empty)} yet."] if empty else []),
        "Cells that have all seeds, by way of sharing. `seesaw run reference --part DATA/SHARING` "
        "trains what is left on any machine, and `python studies/publish.py reference` adds its "
        "rows.",
        "Trained once more, rows come near what is published: `python studies/repeated.py` found "
        "a root mean square difference of 0.48, 0.35 and 0.18 standard deviations of seeds on "
        "hotel-bookings, kuairand-pure@late-window and census-income. The first two were trained "
        "when numbers beyond the range of training rows were not yet limited to it: 14 and 54 "
        "numbers of validation and test rows differ, and none of training rows.",
    )
    return Section("What is there, and what is left", text, ("data", *columns), tuple(rows), 1)


def _interval(of: Effect) -> str:
    return f"{of.value:.4f} ± {(of.high - of.low) / 2:.4f}"


def _ms(member: Member) -> str:
    return (
        f"{member.latency_ms:.2f}" if math.isfinite(member.latency_ms) and member.latency_ms else ""
    )
