"""A draft as TOML that a person reads: every choice beside its reason."""

from __future__ import annotations

import json
import string
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from bench.data.inspection.draft import ColumnDraft, Draft
from bench.data.inspection.kinds import DESIGN
from bench.data.inspection.labels import Label
from bench.data.inspection.names import is_sampling_rate

WIDTH = 118
_BARE = frozenset(string.ascii_letters + string.digits + "_-")


def toml(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key(name)} = {toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return repr(value)


def key(name: str) -> str:
    """A key in TOML, quoted where it must be."""
    return name if name and set(name) <= _BARE else toml(name)


def comment(text: str, indent: str = "") -> Iterator[str]:
    """Comment lines; what cannot stand in a comment is escaped."""
    clean = "".join(letter if letter.isprintable() else toml(letter)[1:-1] for letter in text)
    return (f"# {line}" for line in textwrap.wrap(clean, WIDTH - 2, subsequent_indent=indent, break_on_hyphens=False))


def packed(names: Iterable[str]) -> Iterator[str]:
    """Items of an array of texts, as many on a line as fit."""
    line = " "
    for name in map(toml, names):
        if len(line) + len(name) + 2 > WIDTH and line.strip():
            yield line
            line = " "
        line += f" {name},"
    yield line


_SHOWN = 40


def card_text(draft: Draft) -> str:
    """The card."""
    parts = (
        _head(draft),
        _reader(draft),
        _files(draft),
        _split(draft),
        chain(_tasks(draft), _amounts(draft), _sampling(draft)),
        _encoding(draft),
        _history(draft),
        _inputs(draft),
    )
    return "\n".join("\n".join(part) + "\n" for part in parts)


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
    wish = draft.request.wish
    if wish.group is not None:
        yield ""
        yield from comment("Rows of one value are ranked against each other (GAUC).")
        yield f"group = {toml(wish.group)}"
    if wish.time is not None and (wish.chosen == "time" or "valid_from" in draft.split.table):
        yield f"time = {toml(wish.time)}"
    if design := [column.name for column in draft.of_role("left out") if column.reason == DESIGN]:
        yield ""
        yield from comment(
            "This seems to say how many rows a row stands for. Uncomment it to weigh losses and metrics."
        )
        yield f"# weight = {toml(design[0])}"
    if draft.proposals.scenario is not None:
        column, why = draft.proposals.scenario
        yield ""
        yield from comment(
            f"{toml(column)} seems to say where something was shown: {why}. Uncomment it to see metrics for each."
        )
        yield f"# scenario = {toml(column)}"
    if (score := draft.proposals.logged) is not None:
        yield ""
        yield from comment(
            f"If {toml(score)} is the score that ranked this log, uncomment this line, and delete that in [columns]. "
            f"Models can then be compared with it: `column = {toml(score)}` in the file of `--current`."
        )
        yield f"# logged = [{toml(score)}]"
    yield from _post_exposure(draft)


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
    if draft.repeated:
        yield from comment(
            f"{draft.repeated:,} of {draft.rows:,} rows equal an earlier one. If logged twice, uncomment this."
        )
        yield "# drop_duplicates = true"


def _files(draft: Draft) -> Iterator[str]:
    yield from comment(
        "Looked for beside this card; elsewhere, say --raw FOLDER. To pin what is in a file, add its sha256."
    )
    for name in draft.files:
        yield "[[files]]"
        yield f"name = {toml(name)}"


def _split(draft: Draft) -> Iterator[str]:
    split = draft.split
    yield from (line for sentence in split.why for line in comment(sentence))
    rows = sum(count for count, _ in split.counts.values()) + split.outside
    for name, (count, positives) in split.counts.items():
        of_tasks = "".join(f", {task} {number:,} ({number / count:.2%})" for task, number in positives.items())
        yield from comment(f"{name}: {count:,} rows, {count / rows:.1%}{of_tasks}")
    yield "[split]"
    yield from (f"{key(name)} = {toml(value)}" for name, value in split.table.items())


def _tasks(draft: Draft) -> Iterator[str]:
    lines: list[str] = []
    for label in draft.labels:
        lines += ["", *_task(label, draft)]
    return iter(lines[1:])


def _task(label: Label, draft: Draft) -> Iterator[str]:
    rate = draft.rates[label.name]
    yield from comment(
        f"{label.name}: {rate:.3%} positive" if label.binary else f"{label.name}: a number, {rate:.4g} on average"
    )
    yield from (line for note in label.notes for line in comment(f"{_upper(note)}."))
    yield "[[tasks]]"
    yield from (f"{key(name)} = {toml(value)}" for name, value in label.table.items())
    if (space := draft.proposals.spaces.get(label.name)) is not None:
        yield from comment(f"{_upper(space.why)}. Uncomment it so that no other row counts, whatever it holds.")
        yield f"# where = {toml(space.where)}"
    for amount in draft.proposals.amounts:
        if amount.task == label.name and amount.keys:
            yield from comment(f"{_upper('; '.join(amount.why))}. Uncomment what holds.")
            yield from (f"# {name} = {toml(value)}" for name, value in amount.keys.items())


def _amounts(draft: Draft) -> Iterator[str]:
    """Regressions to uncomment."""
    for amount in draft.proposals.amounts:
        if amount.column is not None:
            yield ""
            known = f"{toml(amount.column)} is a number that is known only afterwards and never negative"
            why = ". ".join(map(_upper, (known, *amount.why)))
            yield from comment(f"{why}. To predict it, uncomment this.")
            yield "# [[tasks]]"
            rule = {"name": amount.task, "column": amount.column, "kind": "regression"} | dict(amount.keys)
            yield from (f"# {name} = {toml(value)}" for name, value in rule.items())


def _sampling(draft: Draft) -> Iterator[str]:
    """What to uncomment where a column seems to say at which rate negatives were kept."""
    roots = [label.name for label in draft.labels if label.binary and "parent" not in label.table]
    for column in draft.columns:
        fits = is_sampling_rate(column.name) and all(_number(text) and 0 < float(text) <= 1 for text in column.examples)
        if fits and roots and column.role in ("input", "left out", "post-exposure"):
            out = " and take the column out of [columns]" if column.role == "input" else ""
            yield ""
            yield from comment(
                f"{toml(column.name)} seems to be the share of rows that was kept. If negatives of a label were "
                f"thinned out, uncomment this{out}: probabilities are then of all rows."
            )
            yield "# [sampling]"
            yield f"# task = {toml(roots[0])}"
            yield f"# rate = {toml(column.name)}"
            return


def _encoding(draft: Draft) -> Iterator[str]:
    ids = [column for column in draft.of_role("input") if column.rate is not None]
    yield "[encoding]"
    yield from comment("Rows of train that a category needs; rarer ones share one embedding.")
    yield "min_count = 2"
    if ids:
        yield from comment("Ids that are also described by each task's mean label among other train rows of the value:")
        for column in ids:
            assert column.rate is not None
            not_ = "" if column.rate.on else "not "
            yield from comment(f"{_shown_name(_name(column))}: {not_}taken, since {column.rate.why}.", "  ")
        if taken := [_name(column) for column in ids if column.rate is not None and column.rate.on]:
            yield f"target_rates = {toml(taken)}"


def _history(draft: Draft) -> Iterator[str]:
    """What to uncomment for inputs of earlier rows: requests must then bring them, so nobody gets them unasked."""
    wish, columns = draft.request.wish, {column.name: column for column in draft.columns}
    if wish.group is None or wish.time is None or not all(map(_number, columns[wish.time].examples)):
        return
    if columns[wish.group].role == "left out":  # nothing recurs later
        return
    rows = draft.rows / max(1, columns[wish.group].distinct)
    categories = [
        column
        for column in draft.of_role("input")
        if column.finding.option == {"kind": "categorical"} and column.name != wish.group
    ]
    categories.sort(key=lambda column: -column.distinct)
    same = [_name(column) for column in categories if column.distinct <= 100 * rows]
    yield from comment(
        f"A value of {toml(wish.group)} has {rows:.1f} of the rows inspected. What its earlier rows say often tells "
        "most: uncomment this for counts, rates and times since by action (docs/cards.md). Rows to be scored then "
        "bring them, or `seesaw history` does."
    )
    yield "# [history]"
    yield f"# time = {toml(wish.time)}"
    yield f"# actions = {toml([label.name for label in draft.labels if label.binary])}"
    yield f"# same = {toml(same[:2])}"


def _inputs(draft: Draft) -> Iterator[str]:
    yield "[columns]"
    for column in draft.of_role("input"):
        yield from comment(f"{_upper(_because(column))}. {_facts(column)}.", "  ")
        yield _assignment(column)
        if column.finding.codes is not None:
            yield f"{key(f'{_name(column)}_code')} = {toml(column.finding.codes)}"
    aside = [column for column in draft.columns if column.role in ("left out", "time", "split")]
    if aside:
        yield ""
        yield "# Not inputs:"
    for column in aside:
        yield from comment(f"{_shown_name(column.name)}: {column.reason}. {_facts(column)}.", "  ")
        for name, option in column.finding.offers.items():
            yield f"#   {key(name)} = {toml(option)}"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _because(column: ColumnDraft) -> str:
    return "; ".join((column.finding.why, *column.finding.notes))


def _name(column: ColumnDraft) -> str:
    return column.finding.name or column.name


def _assignment(column: ColumnDraft) -> str:
    option = column.finding.option
    assert option is not None
    return f"{key(_name(column))} = {toml(option['kind'] if len(option) == 1 else option)}"


def _facts(column: ColumnDraft) -> str:
    distinct = f"{column.distinct:,} distinct value{'' if column.distinct == 1 else 's'}"
    missing = f", {_share(column.missing_rate)} missing" if column.missing_rate > 0 else ""
    return f"{distinct}{missing}: {_listed(column.examples)}" if column.examples else f"{distinct}{missing}"


def _share(rate: float) -> str:
    return "less than 0.1%" if rate < 0.001 else f"{rate:.1%}"


def _listed(texts: Iterable[str]) -> str:
    shown = (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…" for text in texts)
    return ", ".join(toml(text) if set(text) & set(' ,.;"') and not _number(text) else text for text in shown)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown_name(name: str) -> str:
    return name or '"" (no name)'
