"""A draft as TOML that a person reads: every choice beside its reason."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.core.plain import assigned_lines, parse_toml, toml, toml_key
from bench.core.system.atomic import write_text
from bench.data.inspection.draft import Draft
from bench.data.inspection.labels import Label
from bench.data.inspection.roles import ColumnDraft
from bench.data.loading import parse_card

WIDTH = 118


def write_card(draft: Draft, target: Path) -> None:
    """Writes a draft's card, which is read first: nothing is written that is none."""
    text = card_text(draft)
    parse_card(parse_toml(text, str(target)), str(target), "", target.parent)
    write_text(target, text)


def card_text(draft: Draft) -> str:
    """The card."""
    sections = [_head(draft), _rows(draft), _split(draft)]
    sections += [_task(name, label, draft) for name, label in draft.labels.items()]
    sections += [_encoding(draft), _columns(draft)]
    return "\n".join(_as_lines(section) for section in sections)


def _as_lines(section: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in section)


def _proposed(draft: Draft, table: str) -> Iterator[str]:
    """What may hold in a table, as comments, each under its reason."""
    for proposal in draft.proposals:
        if proposal.table != table:
            continue
        yield from comment(proposal.why)
        lines = assigned_lines(proposal.keys)
        yield from lines if proposal.live else [f"# {line}" for line in lines]


def _head(draft: Draft) -> Iterator[str]:
    request, sample = draft.request, draft.sample
    extent = "all there are" if sample.complete else "the head of each file; others may differ"
    yield from comment(
        f"Written by `seesaw data card` from what the files hold: {sample.table.num_rows:,} rows "
        f"inspected, {extent}. It is a proposal: read it, above all post_exposure and [columns], "
        "and change what you know better."
    )
    unstated = {"licence": "not stated", "citation": "none", "homepage": "none"}
    yield from assigned_lines({"id": draft.id, "title": draft.id} | unstated)
    if request.folder != ".":
        yield f"folder = {toml(request.folder)}"
    if request.group is not None:
        yield from comment("Rows of one value are ranked against each other (GAUC).")
        yield f"group = {toml(request.group)}"
    needs_time = request.chosen == "time" or "valid_from" in draft.split.table or draft.as_of
    if request.time is not None and needs_time:
        yield f"time = {toml(request.time)}"
    if draft.as_of is not None:
        yield from comment(
            "The log's latest time: labels known later do not count. Move it on with the log."
        )
        yield f"as_of = {toml(draft.as_of)}"
    if request.units is not None:
        yield from comment("Rows of one value are alike: intervals resample them together.")
        yield f"units = {toml(request.units)}"
    yield from _proposed(draft, "")
    logged = draft.of_role("logged")
    if logged:
        yield from comment(
            "Scores that ranked this log; never inputs. Models can be compared with one: `column "
            "= ..` in the file of `--current`. Take what is none from here, and put the line "
            "under it into [columns]."
        )
        yield from _aside("logged", logged)
    yield from comment(
        "Columns that seem to be known only after the impression; never inputs. If you know that "
        "one is known before, take it from here and put the line under it into [columns]."
    )
    yield from _aside("post_exposure", draft.of_role("post-exposure"))


def _aside(name: str, columns: Sequence[ColumnDraft]) -> Iterator[str]:
    """An array of columns, each with its reason and the line that would make it an input."""
    yield f"{name} = ["
    for column in columns:
        yield f"  {toml(column.name)},"
        for line in comment(f"{column.why}; {_facts(column)}", "  "):
            yield f"  {line}"
        if column.option is not None:
            yield f"  # {_assignment(column)}"
    yield "]"


def _rows(draft: Draft) -> Iterator[str]:
    layout = draft.layout
    yield "[reader]"
    yield f"kind = {toml(layout.kind)}"
    if layout.kind == "csv" and layout.separator != ",":
        yield f"separator = {toml(layout.separator)}"
    if layout.names:
        yield "columns = ["
        for name in layout.names:
            yield f"  {toml(name)},"
        yield "]"
    if draft.sample.missing:
        yield from comment("Texts that mean missing, in every column.")
        yield f"missing = {toml([*draft.sample.missing])}"
    yield from _proposed(draft, "reader")
    yield ""
    yield from comment(
        "Looked for in `folder`, or beside this card; elsewhere, say --raw FOLDER. "
        "To pin what is in a file, add its sha256."
    )
    for name in layout.files:
        yield "[[files]]"
        yield f"name = {toml(name)}"


def _split(draft: Draft) -> Iterator[str]:
    split = draft.split
    for why in split.why:
        yield from comment(why)
    rows = sum(counts.rows for counts in split.counts.values()) + split.outside
    for name, counts in split.counts.items():
        description = f"{name}: {counts.rows:,} rows, {counts.rows / rows:.1%}"
        for task, facts in counts.facts().items():
            description += f", {task} {_label_facts(facts)}"
        yield from comment(description)
    yield "[split]"
    yield from assigned_lines(split.table)


def _label_facts(facts: Mapping[str, float | int]) -> str:
    if "rate" in facts:
        return f"{facts['positives']:,} ({facts['rate']:.2%})"
    return f"{_mean(facts['mean'])} on average"


def _mean(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _task(name: str, label: Label, draft: Draft) -> Iterator[str]:
    if label.binary:
        labels = f"{label.mean:.3%} positive"
    else:
        labels = f"a number, {_mean(label.mean)} on average"
    yield from comment(f"{name}: {labels}")
    for note in label.notes:
        yield from comment(_sentence(note))
    yield "[[tasks]]"
    yield from assigned_lines(label.table)
    yield from _proposed(draft, f"tasks.{name}")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _encoding(draft: Draft) -> Iterator[str]:
    yield "[encoding]"
    yield from comment("Rows of train that a category needs; rarer ones share one embedding.")
    yield "min_count = 2"
    rated = [column for column in draft.columns if column.rate is not None]
    if rated:
        yield from comment(
            "Ids that are also described by each task's mean label among other train rows of the "
            "value:"
        )
        for column in rated:
            yield from comment(f"{column.input}: {column.rate}.", "  ")
        yield f"target_rates = {toml([column.input for column in rated])}"


def _columns(draft: Draft) -> Iterator[str]:
    yield "[columns]"
    for column in draft.of_role("input"):
        yield from comment(f"{_sentence(column.why)} {_facts(column)}.", "  ")
        yield _assignment(column)
    aside = [column for column in draft.columns if column.role in ("left out", "time", "split")]
    if aside:
        yield ""
        yield "# Not inputs:"
    for column in aside:
        yield from comment(f"{column.name or '(no name)'}: {column.why}. {_facts(column)}.", "  ")
        if column.input != column.name:
            yield f"# {_assignment(column)}"


def _assignment(column: ColumnDraft) -> str:
    option = column.option or {}
    return f"{toml_key(column.input)} = {toml(option['kind'] if len(option) == 1 else option)}"


def _facts(column: ColumnDraft) -> str:
    facts = f"{column.distinct:,} distinct"
    if column.missing_rate > 0:
        facts += f", {column.missing_rate:.1%} missing"
    if column.examples:
        facts += f": {', '.join(map(_example, column.examples))}"
    return facts


def _example(text: str) -> str:
    if len(text) > 40:
        text = f"{text[:40]}…"
    return toml(text)


def comment(text: str, indent: str = "") -> list[str]:
    """Comment lines; what cannot stand in a comment is escaped."""
    escaped = "".join(letter if letter.isprintable() else toml(letter)[1:-1] for letter in text)
    lines = textwrap.wrap(escaped, WIDTH - 2, subsequent_indent=indent, break_on_hyphens=False)
    return [f"# {line}" for line in lines]
