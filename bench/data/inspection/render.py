"""A draft as TOML that a person reads: every choice beside its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from bench.data.inspection.draft import Draft
from bench.data.inspection.labels import Label
from bench.data.inspection.names import is_number
from bench.data.inspection.proposals import upper
from bench.data.inspection.roles import ColumnDraft
from bench.data.inspection.toml import comment, key, packed, toml

_SHOWN = 40


def card_text(draft: Draft) -> str:
    """The card."""
    given = {f"tasks.{name}" for name in draft.labels}
    new = [proposal.at for proposal in draft.proposals if proposal.at.startswith("tasks.") and proposal.at not in given]
    sampling = _proposed(draft, "sampling", "[sampling]", gap=True)
    parts = (
        _head(draft),
        _reader(draft),
        _files(draft),
        _split(draft),
        chain(_tasks(draft), *(_proposed(draft, at, "[[tasks]]", gap=True) for at in new), sampling),
        _encoding(draft),
        _proposed(draft, "history", "[history]"),
        _inputs(draft),
    )
    return "\n".join("".join(f"{line}\n" for line in part) for part in map(list, parts) if part)


def _proposed(draft: Draft, at: str, header: str = "", gap: bool = False) -> Iterator[str]:
    """What may hold at a place, as comments: each under its reason and, where it is a table of its own, its header."""
    for proposal in draft.proposals:
        if proposal.at == at:
            yield from [""] * gap
            yield from comment(proposal.why)
            yield from [f"# {header}"] * bool(header)
            yield from (f"# {key(name)} = {toml(value)}" for name, value in proposal.keys.items())


def _head(draft: Draft) -> Iterator[str]:
    which = "all there are" if draft.complete else "the head of each file; others may differ"
    yield from comment(f"Written by `seesaw card` from what the files hold: {draft.rows:,} rows inspected, {which}.")
    yield from comment(
        "It is a proposal: read it, above all post_exposure and [columns], and change what you know better."
    )
    yield f"id = {toml(draft.id)}"
    yield f"title = {toml(draft.request.title or draft.id)}"
    yield 'licence = "not stated"'
    yield 'citation = "none"'
    yield 'homepage = "none"'
    if draft.request.folder != ".":
        yield f"folder = {toml(draft.request.folder)}"
    wish = draft.request.wish
    if wish.group is not None:
        yield ""
        yield from comment("Rows of one value are ranked against each other (GAUC).")
        yield f"group = {toml(wish.group)}"
    if wish.time is not None and (wish.chosen == "time" or "valid_from" in draft.split.table):
        yield f"time = {toml(wish.time)}"
    yield from _logged(draft)
    yield from _proposed(draft, "", gap=True)
    yield from _post_exposure(draft)


def _logged(draft: Draft) -> Iterator[str]:
    if not (logged := draft.of_role("logged")):
        return
    yield ""
    for column in logged:
        how = "If it is not, take it from here and put the line under this one into [columns]."
        yield from comment(f"{column.name}: {column.reason}; {_facts(column)}. {how}")
        yield from [f"# {_assignment(column)}"] * (column.finding.option is not None)
    yield from comment("Models can be compared with it: `column = ..` in the file of `--current`.")
    yield f"logged = {toml([column.name for column in logged])}"


def _post_exposure(draft: Draft) -> Iterator[str]:
    suspects = draft.of_role("post-exposure")
    yield ""
    if not suspects:
        yield from comment(
            "Columns that are known only after the impression. None was found by name or by what it tells."
        )
        yield "post_exposure = []"
        return
    yield from comment(
        "Columns that seem to be known only after the impression; never inputs. If you know that one is known before, "
        "take it from here and put the line under it into [columns]."
    )
    yield "post_exposure = ["
    for column in suspects:
        yield f"  {toml(column.name)},"
        yield from (f"  {line}" for line in comment(f"{column.reason}; {_facts(column)}", "  "))
        if column.finding.option is not None:
            yield f"  # {_assignment(column)}"
    yield "]"


def _reader(draft: Draft) -> Iterator[str]:
    yield "[reader]"
    yield f"kind = {toml(draft.layout.kind)}"
    if draft.layout.kind == "csv" and draft.layout.separator != ",":
        yield f"separator = {toml(draft.layout.separator)}"
    if draft.layout.named:
        yield from ("columns = [", *packed(draft.layout.columns), "]")
    if draft.markers.sure:
        yield from comment("Texts that mean missing, in every column.")
        yield f"missing = {toml(list(draft.markers.sure))}"
    for marker, columns in draft.markers.doubtful.items():
        names = ", ".join(columns[:5]) + (" and others" if len(columns) > 5 else "")
        if marker in draft.markers.sure:
            yield from comment(
                f"{toml(marker)} stands among numbers, where it can only mean missing, but also in {names}."
            )
        else:
            yield from comment(
                f"{toml(marker)} is taken for a value of {names}; if it means missing, add it to `missing`."
            )
    yield from _proposed(draft, "reader")


def _files(draft: Draft) -> Iterator[str]:
    yield from comment(
        "Looked for in `folder`, or beside this card; elsewhere, say --raw FOLDER. To pin what is in a file, add its "
        "sha256."
    )
    for name in draft.layout.files:
        yield "[[files]]"
        yield f"name = {toml(name)}"


def _split(draft: Draft) -> Iterator[str]:
    split = draft.split
    yield from (line for sentence in split.why for line in comment(sentence))
    rows = sum(count for count, _ in split.counts.values()) + split.outside
    for name, (count, sums) in split.counts.items():
        of_tasks = "".join(
            f", {task} {number:,.0f}{'' if known == count else f' of {known:,} labels'} ({number / known:.2%})"
            if draft.labels[task].binary
            else f", {task} {_mean(number / known)} on average"
            for task, (number, known) in sums.items()
        )
        yield from comment(f"{name}: {count:,} rows, {count / rows:.1%}{of_tasks}")
    yield "[split]"
    yield from (f"{key(name)} = {toml(value)}" for name, value in split.table.items())


def _tasks(draft: Draft) -> Iterator[str]:
    lines: list[str] = []
    for name, label in draft.labels.items():
        lines += ["", *_task(name, label, draft)]
    return iter(lines[1:])


def _task(name: str, label: Label, draft: Draft) -> Iterator[str]:
    yield from comment(
        f"{name}: {label.mean:.3%} positive" if label.binary else f"{name}: a number, {_mean(label.mean)} on average"
    )
    yield from (line for note in label.notes for line in comment(f"{upper(note)}."))
    yield "[[tasks]]"
    yield from (f"{key(name)} = {toml(value)}" for name, value in label.table.items())
    yield from _proposed(draft, f"tasks.{name}")


def _mean(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _encoding(draft: Draft) -> Iterator[str]:
    ids = [(column.input, column.rate) for column in draft.of_role("input") if column.rate is not None]
    yield "[encoding]"
    yield from comment("Rows of train that a category needs; rarer ones share one embedding.")
    yield "min_count = 2"
    if ids:
        yield from comment("Ids that are also described by each task's mean label among other train rows of the value:")
        for name, rate in ids:
            yield from comment(f"{_shown_name(name)}: {'' if rate.on else 'not '}taken, since {rate.why}.", "  ")
        if taken := [name for name, rate in ids if rate.on]:
            yield f"target_rates = {toml(taken)}"


def _inputs(draft: Draft) -> Iterator[str]:
    yield "[columns]"
    for column in draft.of_role("input"):
        yield from comment(f"{upper(_because(column))}. {_facts(column)}.", "  ")
        yield _assignment(column)
        if column.finding.codes is not None:
            yield f"{key(f'{column.input}_code')} = {toml(column.finding.codes)}"
    aside = [column for column in draft.columns if column.role in ("left out", "time", "split")]
    if aside:
        yield ""
        yield "# Not inputs:"
    for column in aside:
        yield from comment(f"{_shown_name(column.name)}: {column.reason}. {_facts(column)}.", "  ")
        for name, option in column.finding.offers.items():
            yield f"#   {key(name)} = {toml(option)}"


def _because(column: ColumnDraft) -> str:
    return "; ".join(filter(None, (column.finding.why, *column.finding.notes, column.reason)))


def _assignment(column: ColumnDraft) -> str:
    option = column.finding.option
    assert option is not None
    return f"{key(column.input)} = {toml(option['kind'] if len(option) == 1 else option)}"


def _facts(column: ColumnDraft) -> str:
    distinct = f"{column.distinct:,} distinct value{'' if column.distinct == 1 else 's'}"
    share = "less than 0.1%" if column.missing_rate < 0.001 else f"{column.missing_rate:.1%}"
    missing = f", {share} missing" if column.missing_rate > 0 else ""
    return f"{distinct}{missing}: {_listed(column.examples)}" if column.examples else f"{distinct}{missing}"


def _listed(texts: Iterable[str]) -> str:
    shown = (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…" for text in texts)
    return ", ".join(toml(text) if set(text) & set(' ,.;"') and not is_number(text) else text for text in shown)


def _shown_name(name: str) -> str:
    return name or '"" (no name)'
