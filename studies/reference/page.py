"""The page of the reference: the answer, what it rests on, and every table, as Markdown and as one
HTML file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.app.reference.cells import Cell
from bench.app.reference.comparisons import Gain
from bench.app.reference.table import TABLE
from bench.app.report.comparison_page import critical_figure
from bench.app.report.markup import escaped, identifier, sentence, table
from bench.app.report.page import whole
from bench.app.report.text import dataset, label
from bench.core.errors import count
from bench.ledger.effect import LEVEL, Effect
from reference import brief
from reference.answers import Answers, turned
from reference.brief import Table
from reference.figures import figures, scale, signed
from reference.members import Data, Member
from reference.papers import GAINS

FEW = 10
"""Seeds that a paper might spend on each model."""
LEADERS = "Leaderboard: "
PLANNED = ("flights-2001", "flights-2013")
"""Data sets whose margins were set before any of their cells was trained."""
USUAL = 0.8
"""The chance to find a lead of two margins that margins aim at."""
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
        "A method's configuration is the one that validation found best. P is of the method's "
        "likeliest one."
    ),
)
"""How to read the page."""


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        text: sentences, with commands between backticks.
        notes: further sentences, of the HTML page alone.
        heads, rows: of its table; none where there are no rows.
        numbers: the column from which on cells are numbers.
        brief: heads and rows of the Markdown page's table; all rows where there are none. The HTML
            page has all.
        figure: SVG, of the HTML page alone.
        only: the one page that has it, `html` or `markdown`; both if empty.
    """

    title: str
    text: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    numbers: int = 1
    figure: str = ""
    brief: Table | None = None
    only: str = ""
    notes: tuple[str, ...] = ()


def markdown(answers: Answers, cells: Sequence[Cell], seeds: int, command: str) -> str:
    """The page as Markdown, without sections that are a figure alone.

    Args:
        cells: of the design, for what is left to do.
        seeds: fresh seeds that a configuration is to have.
    """
    shown_sections = [
        section
        for section in sections(answers, cells, seeds)
        if section.rows and section.only != "html"
    ]
    parts = [
        f"# The reference: methods by equal trials\n\n**{answers.sentence}**\n",
        *(f"* {line}" for line in READING),
        f"\n`{command}` makes this page from [`{TABLE}`](../../reports/reference/{TABLE}). "
        "`reference.html`, beside this page, has every row.\n",
    ]
    for section in shown_sections:
        parts.append(f"## {section.title}\n")
        parts += [f"{text}\n" for text in section.text]
        heads, rows = section.brief or (section.heads, section.rows)
        lines = [heads, ("---",) * len(heads), *rows]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(parts)


def document(answers: Answers, cells: Sequence[Cell], seeds: int) -> str:
    """The page as HTML."""
    question = "Does any gradient method beat tuned static weights?"
    first = f"<h2>{question}</h2><p>{sentence(answers.sentence)}</p>"
    all_sections = [
        section for section in sections(answers, cells, seeds) if section.only != "markdown"
    ]
    links = "".join(
        f'<li><a href="#{identifier(section.title)}">{escaped(section.title)}</a></li>'
        for section in all_sections
    )
    body = [
        f'<article class="answer">{first}</article>',
        f"<ul>{''.join(f'<li>{sentence(line)}</li>' for line in READING)}</ul>",
        (
            '<details class="fold"><summary>Contents</summary><nav '
            f'aria-label="Contents"><ul>{links}</ul></nav></details>'
        ),
        _filter([dataset(data.name) for data in answers.data]),
    ]
    for section in all_sections:
        text = "".join(
            f'<p class="note">{sentence(part)}</p>' for part in section.text + section.notes
        )
        table_html = (
            table(
                section.heads, [list(row) for row in section.rows], section.title, section.numbers
            )
            if section.rows
            else ""
        )
        data_name, id = escaped(section.title.removeprefix(LEADERS)), identifier(section.title)
        data_attribute = f' data-of="{data_name}"' if section.title.startswith(LEADERS) else ""
        body.append(
            '<section class="run" '
            f'id="{id}"{data_attribute}><h2>{escaped(section.title)}</h2>{text}{section.figure}{table_html}'
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
    for number, name in enumerate(names):
        fields.append(
            f'<label><input type="radio" name="data" id="only-{number}"> {escaped(name)}</label>'
        )
        hidden_selectors = "".join(
            f', [data-of="{escaped(other_name)}"]' for other_name in names if other_name != name
        )
        rules.append(
            f"body:has(#only-{number}:checked) :is({hidden_selectors[2:]}) {{ display: none; }}"
        )
    return f"<style>{' '.join(rules)}</style><fieldset class='filter'>{' '.join(fields)}</fieldset>"


def sections(answers: Answers, cells: Sequence[Cell], seeds: int) -> Iterator[Section]:
    """All parts, those without a row left out."""
    all_sections = (
        _fronts(answers),
        Section("Fronts", (FIGURES,), figure=figures(answers.data)) if answers.data else None,
        _gains("Does sharing beat separate models?", (SHARING,), answers.sharing, *MODELS),
        _gains(
            "Does sharing beat separate models within groups?",
            _within(answers),
            answers.within_groups,
            *MODELS,
        ),
        _matrix(answers),
        Section(
            "The likeliest on each front", (LIKELIEST,), *brief.leaders(answers), only="markdown"
        ),
        *(_leaders(data, answers) for data in answers.data),
        replace(
            _gains("What tuning gains over defaults", (TUNING,), answers.tuning, "", _sharing),
            brief=brief.tuning(answers.tuning),
        ),
        replace(
            _gains("Methods that are the same", (SAME,), answers.same, "sharing", _pair),
            brief=brief.same(answers.same, _pair),
        ),
        _knobs(answers),
        _seeds(answers),
        _claims(answers),
        _left(answers, cells, seeds),
    )
    yield from (
        section
        for section in all_sections
        if section is not None and (section.rows or section.figure or section.text)
    )


LIKELIEST = "Leads are in thousandths, with half of their 90% intervals."
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


def _fronts(answers: Answers) -> Section:
    rows = []
    for front in answers.fronts:
        where = dataset(front.data), front.sharing, front.scope
        rows.append(
            (
                *where,
                front.margin_text,
                front.verdict,
                brief.said(front.lead),
                front.best,
                f"{front.chance:.0%}",
            )
        )
    before = sorted({dataset(front.data) for front in answers.fronts if front.data in PLANNED})
    when = (
        f"Those of {' and '.join(before)} were set before any training of the design on these "
        "data. Those of all other data sets were set after their results at 0.5 thousandths and "
        "1% were known."
    )
    chances = [front.chance for front in answers.fronts]
    found = sum(chance >= USUAL for chance in chances)
    text = (
        "How far the farthest gradient method lies beyond the front of tuned static weights of the "
        "same way of sharing, with bounds that hold at 95% each. The margin of what is served is "
        "a share of the largest outcome that static weights reach.",
        "Each data set has the smallest margin of a few with an expected 80% chance to find a "
        "lead of two margins, else the largest (`python studies/margins.py`). The last column has "
        f"the chance that it came to. {when if before else ''}",
        "`yes`: surely by more than the margin, and better than some static weights in every "
        "objective. The error rate is 5% over all rows together. `no`: surely not by more than "
        "the margin. The chance is that of `yes` if the gradient methods lay two margins beyond; "
        f"it is {USUAL:.0%} or more in {found} of {len(chances)} comparisons.",
        "A `yes` or a `no` about heads is not luck in tuning: it survives a permutation of all "
        "tries' labels. Tries do not measure what is served, so there it is about these "
        "configurations, not about methods.",
    )
    heads = ("data", "sharing", "of", "margin", "beyond it", "lead", "method", "chance of yes")
    return Section(
        "Gradient methods against tuned static weights",
        text,
        heads,
        tuple(rows),
        5,
        brief=brief.fronts(answers.fronts),
    )


def _within(answers: Answers) -> tuple[str, ...]:
    """The text of what changes where rows are ranked within groups; nothing where none are."""
    if not answers.within_groups:
        return ()
    changed = turned(answers.sharing, answers.within_groups)
    changes = Counter(tuple(gain.verdict != "cannot tell" for gain in pair) for pair in changed)
    return (
        WITHIN,
        f"Of {count(len(answers.within_groups), 'comparison')}, {len(changed)} have another answer than "
        f"over all rows: {changes[True, True]} turn around, {changes[True, False]} cannot be told any "
        f"more, {changes[False, True]} are told only within groups.",
    )


def _gains(
    title: str,
    text: tuple[str, ...],
    gains: Sequence[Gain],
    third_heading: str,
    column: Callable[[Gain], str],
) -> Section:
    """A row for each data set and objective, and a column for each value of `column`.

    Args:
        third_heading: the heading of a third column, which has the left side's way of sharing; none if
            empty.
    """
    columns = list(dict.fromkeys(map(column, gains)))
    cells_by_row: dict[tuple[str, ...], dict[str, str]] = {}
    for gain in gains:
        row = (
            dataset(gain.data),
            label(gain.objective),
            *([_sharing(gain)] if third_heading else []),
        )
        cells_by_row.setdefault(row, {})[column(gain)] = _said(gain)
    rows = tuple(
        (*row, *(cells.get(name, "") for name in columns)) for row, cells in cells_by_row.items()
    )
    return Section(
        title,
        text,
        ("data", "objective", *([third_heading] if third_heading else []), *columns),
        rows,
        2 + bool(third_heading),
    )


def _said(gain: Gain) -> str:
    """A lead with its interval, and which side is surely better."""
    lead = brief.said(gain.effect, scale(gain.objective))
    return lead if gain.verdict == "cannot tell" else f"{lead}, {gain.verdict}"


def _sharing(gain: Gain) -> str:
    return gain.left.partition(", ")[0]


def _pair(gain: Gain) -> str:
    return f"{gain.left.partition(', ')[2]} less {gain.right.partition(', ')[2]}"


MODELS: tuple[str, Callable[[Gain], str]] = ("model", lambda gain: f"less {gain.right}")


def _matrix(answers: Answers) -> Section:
    names = [data.name for data in answers.data]
    standing_of = {(standing.method, standing.data): standing for standing in answers.standings}
    methods = sorted({standing.method for standing in answers.standings})
    rows = []
    never = []
    for name in methods:
        chances = [standing_of[name, data].p_front for data in names if (name, data) in standing_of]
        if max(chances) < NEVER:
            never.append(name)
            continue
        cells = [
            f"{standing_of[name, data].p_front:.2f}" if (name, data) in standing_of else ""
            for data in names
        ]
        rows.append((name, *cells, f"{sum(p > 0.5 for p in chances)} of {len(chances)}"))
    rows.sort(key=lambda row: (-int(row[-1].split()[0]), row[0]))
    text = [
        "The probability that a method's best configuration, of all ways of sharing, is on the "
        "front of heads: that no other configuration dominates it."
    ]
    if never:
        text.append(f"Below {NEVER:g} on every data set: {', '.join(never)}.")
    figure = ""
    if answers.ranking is not None:
        text.append(f"By hypervolume: {answers.ranking.sentence}")
        figure = critical_figure(answers.ranking)
    heads = ("method", *map(dataset, names), "on the front")
    return Section(
        "Which method is on the front, and where",
        tuple(text),
        heads,
        tuple(rows),
        1,
        figure,
        brief.methods(answers.standings),
    )


def _leaders(data: Data, answers: Answers) -> Section:
    """Of each method the configuration that validation found best."""
    chance = {
        standing.method: standing.p_front
        for standing in answers.standings
        if standing.data == data.name
    }
    plain, ahead = data.leads or (None, {})
    rows = []
    for name, p in sorted(chance.items(), key=lambda pair: -pair[1]):
        top = data.best([member for member in data.members if member.balancing == name])
        if top is not None:
            values = [
                f"{mean:.4f}"
                + (
                    f" ({brief.lead(objective.name, lead)})"
                    if lead is not None and top != plain
                    else ""
                )
                for objective, mean, lead in zip(
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
    objectives = (label(objective.name) for objective in data.objectives)
    heads = ("configuration", *objectives, "P(on front)", "parameters", "ms a request")
    text = [f"In brackets the lead over {plain.name}, in thousandths."] if plain is not None else []
    return Section(
        f"{LEADERS}{dataset(data.name)}", tuple(text), heads, tuple(rows), 1, only="html"
    )


def _knobs(answers: Answers) -> Section:
    rows = tuple(
        (knob.name, f"{knob.share:.0%}", f"{knob.low:.0%} to {knob.high:.0%}", str(knob.datasets))
        for knob in answers.knobs
    )
    text = (
        (
            "The share of variance between tries that a parameter explains alone: mean and range "
            "over data sets."
        ),
    )
    return Section("Which knobs matter", text, ("parameter", "share", "range", "data sets"), rows)


def _seeds(answers: Answers) -> Section:
    rows = tuple(
        (
            dataset(noise.data),
            label(noise.objective),
            f"{1e3 * noise.seed:.2f}",
            f"{1e3 * noise.rows:.2f}",
            *(_needed(noise.needed_for(gain)) for gain in GAINS),
        )
        for noise in answers.seeds
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
    short = brief.seeds(answers.seeds, _needed)
    return Section("How many seeds a claim needs", text, heads, rows, 2, brief=short)


def _claims(answers: Answers) -> Section:
    names = {data.name for data in answers.data}
    shown_claims = [claim for claim in answers.claims if claim.source.data in names]
    sources = {claim.source.name: claim.source for claim in shown_claims}
    numbers = {name: number for number, name in enumerate(sources, 1)}
    models: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for claim in shown_claims:
        our_value = "–" if claim.our_value is None else _interval(claim.our_value)
        lead = "–" if claim.lead is None else signed(1e3 * claim.lead, 2)
        figures = (
            f"{claim.their_value:.4f}",
            our_value,
            lead,
            _needed(claim.needed) if claim.judged else "–",
        )
        models.setdefault((str(numbers[claim.source.name]), claim.model), []).append(
            (*figures, claim.over or "")
        )
    rows = []
    for model, texts in models.items():
        *figures, over = zip(*texts, strict=True)
        rows.append(
            (*model, *(", ".join(figure) for figure in figures), next(filter(None, over), ""))
        )
    text = [
        "Test AUC that others published, and how many seeds of each side would show a lead as "
        "large as theirs on our rows."
    ]
    needed = [claim.needed for claim in shown_claims if claim.judged]
    if needed:
        by_few_seeds, remaining = (
            sum(seeds is not None and (seeds <= FEW) == side for seeds in needed)
            for side in (True, False)
        )
        text.append(
            f"Of {count(len(needed), 'published difference')}, {by_few_seeds} would show with {FEW} seeds "
            f"or fewer, {remaining} only with more, and {needed.count(None)} with no number of seeds."
        )
    if waiting := sorted({claim.source.data for claim in answers.claims} - names):
        remaining = len(answers.claims) - len(shown_claims)
        text.append(
            f"{count(remaining, 'figure')} on other data ({', '.join(map(dataset, waiting))}) wait for "
            "our rows."
        )
    notes = []
    for name, source in sources.items():
        texts = ", ".join(
            dict.fromkeys(
                label(claim.objective) for claim in shown_claims if claim.source.name == name
            )
        )
        notes.append(
            f"{numbers[name]}: {name} ({source.url}), on {dataset(source.data)}, {texts}: "
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
    return Section(
        "Beside published figures",
        tuple(text),
        heads,
        tuple(rows),
        2,
        brief=brief.claims(shown_claims, FEW),
        notes=tuple(notes),
    )


def _needed(seeds: int | None) -> str:
    return "never" if seeds is None else str(seeds)


def _left(answers: Answers, cells: Sequence[Cell], seeds: int) -> Section:
    seen_once = {
        pair
        for pair, number in Counter((cell.data, cell.sharing) for cell in cells).items()
        if number == 1
    }
    others_title = f"{len({sharing for _, sharing in seen_once})} others"

    def finished_cell(cell: Cell) -> bool:
        return answers.cells.get((cell.data, cell.sharing, cell.balancing), 0) >= seeds

    columns: dict[str, dict[str, list[bool]]] = {}
    for cell in cells:
        column = others_title if (cell.data, cell.sharing) in seen_once else cell.sharing
        columns.setdefault(column, {}).setdefault(cell.data, []).append(finished_cell(cell))
    rows, empty = [], []
    for data in dict.fromkeys(cell.data for cell in cells):
        if not any(any(done_by_data.get(data, [])) for done_by_data in columns.values()):
            empty.append(dataset(data))
            continue
        finished = (
            f"{sum(done_by_data[data])} of {len(done_by_data[data])}"
            if data in done_by_data
            else ""
            for done_by_data in columns.values()
        )
        rows.append((dataset(data), *finished))
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
    return Section(
        "What is there, and what is left",
        text,
        ("data", *columns),
        tuple(rows),
        1,
        brief=brief.done(cells, finished_cell),
    )


def _interval(effect: Effect) -> str:
    return f"{effect.value:.4f} ± {(effect.high - effect.low) / 2:.4f}"


def _ms(member: Member) -> str:
    return (
        f"{member.latency_ms:.2f}" if math.isfinite(member.latency_ms) and member.latency_ms else ""
    )
