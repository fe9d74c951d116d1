"""The tables of a section: the front, gains, failures."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report import text, theme
from bench.report.findings import Cell, Failed, GainTable, Id
from bench.report.markup import breakable, escaped, glyph, pairs, scrolling
from bench.report.view import PageView, Spread, Trial
from bench.rows import CONFIRM, SEARCH, SHORT, TEST


def front_table(view: PageView) -> str:
    """The trials of the front, and what else was confirmed; every column sorts. Scripts add the others."""
    trials = [view.trial(id) for id in listed(view)]
    splits = [*(split for split in (CONFIRM, TEST) if any(any(_values(trial, split)) for trial in trials)), SEARCH]
    sure = any(trial.p_nondominated is not None for trial in trials)
    names = [("trial", "number")]
    names += [("architecture", "architecture"), ("balancing", "balancing")]
    names += [(axis.label, f"{SHORT[split]}.{i}") for split in splits for i, axis in enumerate(view.axes)]
    names += [("P(non-dominated)", "sure")] if sure else []
    names += [("samples", "samples")] if view.by_rungs else []
    groups = '<td colspan="4"></td>' + "".join(
        f'<th class="group" scope="colgroup" colspan="{len(view.axes)}">{SHORT[split]}</th>' for split in splits
    )
    groups += f'<td colspan="{1 + sure + view.by_rungs}"></td>'
    heads = "".join(_head(name, column, field) for column, (name, field) in enumerate(names, 1))
    body = "".join(_row(view, trial, splits, sure) for trial in trials)
    select = '<td data-field="select"><span class="unseen">select</span></td>'
    head = f'<tr>{groups}</tr><tr>{select}{heads}<th scope="col" data-field="settings">settings</th></tr>'
    left = len(view.trials) - len(trials)
    more = (
        f'<button type="button" data-action="more" class="more">Show more of the other {left:,}</button>'
        if left
        else ""
    )
    table = f'<table class="trials"><thead>{head}</thead><tbody>{body}</tbody></table>'
    return f'<div class="listing">{scrolling(table, "Trials")}{more}</div>'


def listed(view: PageView) -> list[Id]:
    """The trials that the table has without scripts: the front, best in the first objective first; the confirmed."""
    return [*view.front, *(id for id in view.order if view.trial(id).confirmed and not view.trial(id).on_front)]


def _head(name: str, column: int, field: str) -> str:
    style = "" if field in ("architecture", "balancing") else ' class="number"'
    button = f'<button type="button" data-action="sort" data-column="{column}">{escaped(name)}</button>'
    return f'<th scope="col"{style} data-field="{field}">{button}</th>'


def _row(view: PageView, trial: Trial, splits: list[str], sure: bool) -> str:
    picked = view.picked is not None and view.picked.id == trial.id
    tag = '<span class="tag">picked</span>' if picked else ""
    look = theme.looks(view.sharing_kinds)[trial.sharing]
    box = f'<input type="checkbox" data-action="choose" aria-label="Select trial {trial.number}">'
    cells = [
        f"<td>{box}</td>",
        _cell(trial.number, str(trial.number), True),
        _cell(trial.architecture, glyph(look) + escaped(trial.architecture) + tag),
        _cell(trial.balancing, escaped(trial.balancing)),
    ]
    for split in splits:
        for i in range(len(view.axes)):
            found = _values(trial, split)[i]
            value = found.mean if isinstance(found, Spread) else found
            words = _spread(found) if isinstance(found, Spread) else text.number(found)
            cells.append(_cell("" if value is None else value, words, True))
    if sure:
        value = trial.p_nondominated
        cells.append(
            _cell("" if value is None else value, text.number(None) if value is None else f"{value:.2f}", True)
        )
    cells += [_length(view, trial)] if view.by_rungs else []
    style = "picked" if picked else "" if trial.on_front else "behind"
    cells.append(f"<td>{settings(trial, str(len(trial.params)))}</td>")
    return f'<tr class="{style}" data-id="{trial.id}">{"".join(cells)}</tr>'


def _values(trial: Trial, split: str) -> Sequence[float | Spread | None]:
    """What was measured on a split: by the search's own run on validation, else by replicates."""
    return {SEARCH: trial.seen, CONFIRM: trial.confirm, TEST: trial.test}[split]


def _length(view: PageView, trial: Trial) -> str:
    """Training samples; in full under the pointer."""
    if trial.samples is None:
        return _cell("", text.number(None), True)
    words = escaped(text.length(trial.samples, trial.until, view.full))
    return _cell(trial.samples, f'<span title="{words}">{trial.samples:,}</span>', True)


def settings(trial: Trial, words: str) -> str:
    """What the search chose for a trial, folded up under these words."""
    if not trial.params:
        return ""
    shown = [(name, text.scalar(value)) for name, value in trial.params]
    return f"<details><summary>{words}</summary>{pairs(shown, 'settings')}</details>"


def _spread(spread: Spread) -> str:
    """Mean, and smaller its standard deviation."""
    mean, *sd = text.spread(spread).split(" ", 1)
    return mean + "".join(f" <small>{each}</small>" for each in sd)


def _cell(value: float | int | str, words: str, is_number: bool = False) -> str:
    """`words` is markup; `value` is what the column sorts by."""
    style = ' class="number"' if is_number else ""
    return f'<td{style} data-value="{escaped(str(value))}">{words}</td>'


def gain_table(table: GainTable) -> str:
    """A heat map: stronger colour is farther from the baseline, on one scale for the table."""
    most = max((abs(cell.gain) for row in table.cells for cell in row if cell), default=0.0) or 1.0
    heads = "".join(f'<th scope="col">{breakable(kind)}</th>' for kind in table.columns)
    body = "".join(
        f'<tr><th scope="row">{breakable(kind)}</th>{"".join(_gain(cell, most, table.scale) for cell in row)}</tr>'
        for kind, row in zip(table.rows, table.cells, strict=True)
    )
    markup = f'<table class="gains"><thead><tr><td></td>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return scrolling(markup, f"Gain in {table.label}")


def _gain(cell: Cell | None, most: float, scale: float) -> str:
    if cell is None:
        return '<td class="muted">\N{MIDDLE DOT}</td>'
    way = "up" if cell.gain > 0 else "down"
    words, width = text.signed(cell.gain, scale), cell.half_width
    interval = f"\N{PLUS-MINUS SIGN}{text.THIN}{text.signed(width, scale).lstrip('+')}" if width else ""
    title = f"trial {cell.trial}, best of {text.count(cell.trials, 'trial')}, "
    title += "mean over fresh seeds" if cell.confirmed else "seen once, by the search"
    names = [way, *([] if cell.confirmed else ["once"]), *(["sure"] if width and abs(cell.gain) > width else [])]
    style = f'class="{" ".join(names)}" style="--weight:{abs(cell.gain) / most:.2f}"'
    return f'<td {style} title="{title}">{words}<small>{interval}</small><small>{cell.trial}</small></td>'


def standard_table(view: PageView) -> str:
    """The baselines: each mean, and smaller its 90% interval."""
    splits = [SHORT[CONFIRM], *(["test"] if any(any(each.test) for each in view.standards) else [])]
    groups = '<td colspan="2"></td>' + "".join(
        f'<th class="group" scope="colgroup" colspan="{len(view.axes)}">{split}</th>' for split in splits
    )
    heads = '<th scope="col">baseline</th><th scope="col" class="number">replicates</th>'
    heads += "".join(f'<th scope="col" class="number">{escaped(axis.label)}</th>' for _ in splits for axis in view.axes)
    body = ""
    for each in view.standards:
        cells = [*zip(each.values, each.intervals, strict=True)]
        cells += zip(each.test, each.test_intervals, strict=True) if "test" in splits else ()
        body += f'<tr><th scope="row">{escaped(each.words)}</th><td class="number">{each.replicates}</td>'
        body += "".join(f'<td class="number">{text.number(value)}{_ends(ends)}</td>' for value, ends in cells) + "</tr>"
    return scrolling(
        f"<table><thead><tr>{groups}</tr><tr>{heads}</tr></thead><tbody>{body}</tbody></table>", "Baselines"
    )


def _ends(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f" <small>{text.number(ends[0])} to {text.number(ends[1])}</small>"


def failure_table(failures: tuple[Failed, ...]) -> str:
    """Failures by reason, most frequent first."""
    body = "".join(
        f'<tr><td class="number">{each.runs}</td><td>{escaped(each.kind)}</td>'
        f'<td class="long">{escaped(each.reason)}</td><td class="long">{text.listed(each.trials)}</td></tr>'
        for each in failures
    )
    heads = '<th scope="col" class="number">runs</th>' + "".join(
        f'<th scope="col">{n}</th>' for n in ("kind", "reason", "trials")
    )
    return scrolling(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>", "Failures by reason")
