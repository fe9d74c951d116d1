"""The label columns that the user names, as the tasks of a card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.checks import ZERO_ONE
from bench.data.inspection.column import Counted
from bench.data.tasks import check_parents
from bench.data.values import canonical
from bench.errors import UserError, unknown

_YES = ("1", "true", "yes", "y", "t", "positive", "pos")
_NO = ("0", "false", "no", "n", "f", "negative", "neg", "-1")


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Label:
    """One task, and notes on what to look at."""

    name: str
    columns: tuple[str, ...]
    """Raw columns; the label is their product where there are several."""
    binary: bool = True
    positive: tuple[str, ...] = ()
    """Values that mean 1, where 0/1 does not say it."""
    negative: tuple[str, ...] = ()
    """Values that mean 0; empty for all others."""
    parent: str | None = None
    notes: tuple[str, ...] = ()

    def values(self, columns: Mapping[str, Counted]) -> NDArray[np.float64]:
        """(N,), NaN where unobserved."""
        product = np.ones(columns[self.columns[0]].rows)
        for column in map(columns.__getitem__, self.columns):
            meaning = [
                float(text in self.positive) if self.positive else ZERO_ONE[text.lower()]
                for text in (column.texts() if self.binary else [])
            ]
            product = product * (np.array([*meaning, np.nan])[column.codes] if self.binary else column.of_rows)
        return product

    @property
    def table(self) -> dict[str, Any]:
        """For the card."""
        rule: dict[str, Any] = {"name": self.name}
        rule |= {"column": self.columns[0]} if len(self.columns) == 1 else {"columns": list(self.columns)}
        if not self.binary:
            rule["kind"] = "regression"
        rule |= {key: list(values) for key in ("positive", "negative") if (values := getattr(self, key))}
        return rule | ({"parent": self.parent} if self.parent else {})


def label_columns(given: Sequence[str], known: Sequence[str]) -> dict[str, str | None]:
    """Reads `COLUMN` and `COLUMN=VALUE`: column -> value that means 1, or None.

    Raises:
        UserError: none is given, one is given twice, or no column has the name.
    """
    if not given:
        raise UserError("expected at least one --label COLUMN, found none")
    found: dict[str, str | None] = {}
    for text in given:
        name, equals, value = (text, "", "") if text in known else text.partition("=")
        if name not in known:
            raise UserError(f"--label: {unknown('column', name, known)}")
        if name in found:
            raise UserError(f"--label: '{name}' is given twice")
        found[name] = value if equals else None
    return found


def parents_of(given: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Reads `CHILD=PARENT`, both label columns: child -> parent.

    Raises:
        UserError: no `=`, a name that is no label, two parents of one child, a cycle.
    """
    found: dict[str, str] = {}
    for text in given:
        child, equals, parent = (part.strip() for part in text.partition("="))
        if not equals:
            raise UserError(f"--parent: expected CHILD=PARENT as in buy=click, found '{text}'")
        for name in (child, parent):
            if name not in labels:
                raise UserError(f"--parent: {unknown('label', name, labels)}")
        if child in found:
            raise UserError(f"--parent: '{child}' has two parents, '{found[child]}' and '{parent}'")
        found[child] = parent
    try:
        check_parents(found)
    except ValueError as error:
        raise UserError(f"--parent: {error}") from None
    return found


def find_labels(
    given: Mapping[str, str | None], parents: Mapping[str, str], columns: Mapping[str, Counted]
) -> tuple[Label, ...]:
    """The tasks, in the order given; parents' exceptions are mended where 0/1 labels allow it.

    Raises:
        UserError: a label of one class, of texts that are neither yes nor no, a funnel with nothing to learn.
    """
    names = task_names(tuple(given))
    labels = {column: _label(names[column], columns[column], value) for column, value in given.items()}

    def depth(name: str) -> int:
        return 1 + depth(parents[name]) if name in parents else 0

    for child in sorted((name for name in labels if name in parents), key=depth):  # parents first
        labels[child] = _child(labels[child], labels[parents[child]], columns)
    return tuple(labels[column] for column in given)


def _label(name: str, column: Counted, positive: str | None) -> Label:
    where = f"--label: '{column.name}'"
    if not column.single:
        raise UserError(f"{where}: expected 0 and 1, two values or numbers, found a column of type {column.type}")
    texts = column.texts()
    if len(texts) < 2:
        found = f"only {texts[0]!r}" if texts else "no value"
        raise UserError(f"{where}: expected both classes, found {found} in the {column.rows:,} rows inspected")
    notes = (f"{column.missing_rate:.1%} of rows have no label",) if column.known < column.rows else ()
    label = Label(name, (column.name,), notes=notes)
    if positive is not None:
        value = canonical(positive)
        if value not in texts:
            raise UserError(f"{where}: {unknown('value', positive, texts[:50])}")
        return replace(label, positive=(value,))
    lower = {text.lower() for text in texts}
    if lower <= set(ZERO_ONE):
        return label
    if len(texts) == 2:
        yes = [text for text in texts if text.lower() in _YES]
        if len(yes) == 1 and lower - set(_YES) <= set(_NO):
            no = next(text for text in texts if text not in yes)
            return replace(label, positive=(yes[0],), negative=(no,))
        rare = int(np.argmin(column.counts))
        notes = (*notes, f"the rarer of two values is taken for 1; if it is not, say --label {column.name}=VALUE")
        return replace(label, positive=(texts[rare],), negative=(texts[1 - rare],), notes=notes)
    if column.numbers is None:
        odd = next((text for text in texts if not any(map(str.isdigit, text))), texts[0])  # not the 0 beside a "maybe"
        raise UserError(
            f"{where}: expected 0 and 1, two values or numbers, found {len(texts):,} texts such as {odd!r}; "
            f"say which means 1 with --label {column.name}=VALUE"
        )
    hint = f"a number is predicted; for a yes or no say --label {column.name}=VALUE"
    return replace(label, binary=False, notes=(*notes, hint))


def _child(label: Label, parent: Label, columns: Mapping[str, Counted]) -> Label:
    if not parent.binary:
        raise UserError(f"--parent: '{parent.columns[-1]}' holds numbers, and only a yes or no can happen first")
    of_child, of_parent = label.values(columns), parent.values(columns)
    if not label.binary:
        return _number_after(label, parent, of_child, of_parent)
    given = of_child[of_parent == 1]
    happened, not_happened = int((given == 1).sum()), int((given == 0).sum())
    if not happened or not not_happened:
        found = f"{happened:,} of {happened + not_happened:,} are"
        raise UserError(
            f"--parent: '{label.columns[-1]}' must be sometimes 1 and sometimes 0 where '{parent.columns[-1]}' is 1, "
            f"but {found}"
        )
    label = replace(label, parent=parent.name)
    stray = int(((of_child == 1) & (of_parent == 0)).sum())
    if not stray:
        return label
    note = f"{stray:,} rows have {label.name} = 1 though {parent.name} = 0"
    if label.positive or parent.positive:
        return replace(label, notes=(*label.notes, f"{note}; look at them"))
    product = f"{note}: the product of the labels counts them as 0"
    return replace(label, columns=(*parent.columns, *label.columns), notes=(*label.notes, product))


def _number_after(label: Label, parent: Label, of_child: Floats, of_parent: Floats) -> Label:
    given = of_child[(of_parent == 1) & ~np.isnan(of_child)]
    if len(np.unique(given)) < 2:
        raise UserError(
            f"--parent: '{label.columns[-1]}' must differ between rows where '{parent.columns[-1]}' is 1, but "
            f"{len(given):,} of them have a number, and all the same"
        )
    label = replace(label, parent=parent.name)
    if not (stray := int((np.nan_to_num(of_child)[of_parent == 0] != 0).sum())):
        return label
    note = f"{stray:,} rows have a number there though {parent.name} = 0: it does not count"
    return replace(label, notes=(*label.notes, note))


def task_names(columns: Sequence[str]) -> dict[str, str]:
    """Column -> the name of its task, no two of them the same."""
    names: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
        name = name if name and name[0].isalpha() else f"label_{name}".rstrip("_")
        same = sum(1 for other in names.values() if re.fullmatch(rf"{re.escape(name)}(_\d+)?", other))
        names[column] = f"{name}_{same + 1}" if same else name
    return names
