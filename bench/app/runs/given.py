"""Models from elsewhere: predictions that the log has, as candidates beside the points of a run.

`--model mine=q_click,q_buy` names for each task a column that the card keeps under `logged`, which
no model reads. A task is predicted on all rows, that is together with its parent; a product says so
where the log has the prediction given the parent: `mine=q_click,q_click q_buy`. Several trainings
of one model are `mine#0=..` and `mine#1=..`.

Such a model is compared and picked like any other. It has no configuration, so nothing can be
trained of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError, listed
from bench.core.formula import Column, Product, quoted, read
from bench.core.records import NAMES as POINTS
from bench.core.rows import NAMES
from bench.core.schema import Task
from bench.core.system.progress import Progress
from bench.data import Store
from bench.data.card import Card
from bench.ledger.served.measuring import Candidate
from bench.measure.predictions import KEPT, KeptRows
from bench.measure.spaces import joint_labels

OPTION = "--model"
SEED = "#"
"""Between a model's name and one of its trainings, as `seesaw decide` has it."""
FILES = (".csv", ".parquet", ".pq", ".tsv")
CLEAR = 1.5
"""By which factor the product with a parent's prediction has to fit better before somebody is
told.
"""
Columns = Mapping[str, Sequence[str]]
"""By model, and by training where it has several, for each task a column or a product of columns:
`q_click q_buy`.
"""


def checked_columns(
    models: Columns, card: Card, tasks: Sequence[Task]
) -> dict[str, tuple[str, ...]]:
    """The models as a run keeps them; raises a UserError for names, or for columns that the card
    does not keep.
    """
    checked: dict[str, tuple[str, ...]] = {}
    for name, terms in models.items():
        where = f"{OPTION} {name}"
        _check_name(name, models)
        if len(terms) == 1 and terms[0].endswith(FILES):
            raise UserError(
                f"{where}: expected columns of the log, found the file '{terms[0]}': name it in "
                "the card under [[reader.joins]] with its key, and its columns under `logged`; "
                "docs/cards.md shows how"
            )
        if len(terms) != len(tasks):
            called = listed([task.name for task in tasks])
            raise UserError(
                f"{where}: expected {len(tasks)} columns, one for each of {called}, found "
                f"{len(terms)}"
            )
        for term in terms:
            for column in columns_of(term, where):
                _check_logged(column, card, where)
        checked[name] = tuple(terms)
    return checked


def _check_logged(column: str, card: Card, where: str) -> None:
    if column in card.logged:
        return
    columns = f"logged are {listed(card.logged)}" if card.logged else "the card names none"
    raise UserError(
        f"{where}: expected a column that the card of {card.key} names under `logged`, found "
        f"'{column}'; {columns}"
    )


def _check_name(name: str, models: Columns) -> None:
    plain, mark, seed = name.partition(SEED)
    if not plain or (mark and not seed.isdecimal()) or any(letter in plain for letter in " @,:"):
        raise UserError(f"{OPTION}: expected a name such as mine or mine#1, found '{name}'")
    if plain.isdecimal() or plain in {*POINTS, "pick"}:
        raise UserError(f"{OPTION}: expected a name that no point of a run has, found '{plain}'")
    if mark and plain in models:
        raise UserError(
            f"{OPTION}: expected '{plain}' with a number each time, or once without, found both"
        )


def columns_of(term: str, where: str = OPTION) -> list[str]:
    """The columns whose product predicts a task; raises a UserError for another formula."""
    expression = read(term, where)
    factors = expression.factors if isinstance(expression, Product) else (expression,)
    columns = [factor.name for factor in factors if isinstance(factor, Column)]
    if len(columns) < len(factors):
        raise UserError(
            f"{where}: expected a column, or a product of columns such as 'q_click q_buy', found "
            f"'{term}'"
        )
    return columns


def terms_of(models: Columns) -> dict[str, list[str]]:
    """By model its predictions in a formula; of several trainings those of the first."""
    formulas = {}
    for name, trainings in _by_name(models).items():
        _, terms = trainings[0]
        formulas[name] = [" ".join(map(quoted, columns_of(term))) for term in terms]
    return formulas


def predicted(terms: Sequence[str], logged: Callable[[str], NDArray[Any]]) -> NDArray[np.float32]:
    """(N, T) joint predictions by what each task's is made of.

    Args:
        logged: gives a column (N,).
    """
    tasks = []
    for term in terms:
        factors = [np.asarray(logged(column)) for column in columns_of(term)]
        tasks.append(np.prod(factors, axis=0))
    return np.stack(tasks, axis=1).astype(np.float32)


def given_candidates(models: Columns, rows: Mapping[str, KeptRows]) -> list[Candidate]:
    """The models as candidates, those of several trainings as one."""
    candidates = []
    for name, trainings in _by_name(models).items():
        seeds = tuple(seed for seed, _ in trainings) if len(trainings) > 1 else ()
        terms = [terms_of_seed for _, terms_of_seed in trainings]
        read, digest = _reader(terms, rows), _digest(terms)
        candidates.append(Candidate(name, name, name, "trial", seeds, read, digest))
    return candidates


def _by_name(models: Columns) -> dict[str, list[tuple[int, Sequence[str]]]]:
    by_name: dict[str, list[tuple[int, Sequence[str]]]] = {}
    for name, terms in models.items():
        plain, _, seed = name.partition(SEED)
        by_name.setdefault(plain, []).append((int(seed or 0), terms))
    return by_name


def _reader(
    trainings: Sequence[Sequence[str]], rows: Mapping[str, KeptRows]
) -> Callable[[str, int], NDArray[Any]]:
    return lambda split, place: predicted(
        trainings[place], lambda column: rows[split].logged[column]
    )


def _digest(trainings: Sequence[Sequence[str]]) -> Callable[[str, int], bytes]:
    """The names of the columns, which themselves are in the digest of the rows."""
    return lambda split, place: ",".join(trainings[place]).encode()


def sentence(models: Columns) -> str:
    """What these models are, and what nobody can know of them; empty without any."""
    if not models:
        return ""
    names, seeds = [], ""
    for name, trainings in _by_name(models).items():
        _, terms = trainings[0]
        names.append(f"'{name}' ({', '.join(terms)})")
        if len(trainings) == 1:
            seeds = " Intervals do not say what training it again would change."
    are = "is a model" if len(names) == 1 else "are models"
    return (
        f"{listed(names)} {are} from elsewhere, by columns of the log: if any of these rows "
        f"trained it, they flatter it.{seeds}"
    )


def check_predictions(models: Columns, store: Store, progress: Progress) -> None:
    """Checks all predictions on the rows that are kept, before anything is trained.

    Raises:
        UserError: a prediction is missing, is no probability of a binary task, is the same in all
            rows, or is the label itself.
    """
    tasks = store.schema.tasks
    for name, terms in models.items():
        for split in KEPT:
            data = store.split(split)
            logged = np.asarray(data.logged)
            columns = dict(zip(store.logged, logged.T, strict=True))
            for term in terms:
                _check_missing(f"{OPTION} {name}", term, columns, NAMES[split])
            values = predicted(terms, columns.__getitem__)
            labels = joint_labels(np.asarray(data.labels_of(slice(None))), store.schema)
            for term, of_task, label, task in zip(terms, values.T, labels.T, tasks, strict=True):
                _check_values(f"{OPTION} {name}", term, of_task, label, task, NAMES[split])
            if split == KEPT[0]:
                _note_parents(name, terms, values, labels, tasks, progress)


def _check_missing(where: str, term: str, columns: Mapping[str, NDArray[Any]], rows: str) -> None:
    for column in columns_of(term):
        missing = int((~np.isfinite(columns[column])).sum())
        if missing:
            raise UserError(
                f"{where}: expected a prediction in each row of {rows}, found {missing:,} of "
                f"{len(columns[column]):,} without '{column}'"
            )


def _check_values(
    where: str, term: str, values: NDArray[Any], labels: NDArray[Any], task: Task, rows: str
) -> None:
    highest, wanted = np.inf, "predictions of at least 0"
    if task.kind == "binary":
        highest, wanted = 1.0, "probabilities from 0 to 1"
    wrong = np.flatnonzero((values < 0) | (values > highest))
    if len(wrong):
        raise UserError(
            f"{where}: expected {wanted} of '{task.name}' in '{term}', found {values[wrong[0]]:g} "
            f"in row {wrong[0] + 1:,} of {rows}"
        )
    if len(values) and values.min() == values.max():
        raise UserError(
            f"{where}: expected predictions in '{term}' that differ, found {values[0]:g} in all of "
            f"{rows}"
        )
    observed = np.isfinite(labels)
    if observed.any() and np.array_equal(values[observed], labels[observed]):
        raise UserError(
            f"{where}: expected predictions in '{term}', found the label of '{task.name}' itself"
        )


def _note_parents(
    name: str,
    terms: Sequence[str],
    values: NDArray[Any],
    labels: NDArray[Any],
    tasks: Sequence[Task],
    progress: Progress,
) -> None:
    """Says where a prediction seems to be given the parent, and how to write that."""
    names = [task.name for task in tasks]
    for column, (task, term) in enumerate(zip(tasks, terms, strict=True)):
        if task.parent not in names or len(columns_of(term)) > 1:
            continue
        parent = names.index(str(task.parent))
        observed = np.isfinite(labels[:, column])
        predictions = values[observed, column]
        happened = float(labels[observed, column].mean())
        joint = float(predictions.mean())
        product = float((predictions * values[observed, parent]).mean())
        if not min(happened, joint, product) > 0:
            continue
        off_as_joint = abs(np.log(joint / happened))
        off_as_product = abs(np.log(product / happened))
        if off_as_product + np.log(CLEAR) < off_as_joint:
            progress.note(
                f"{OPTION} {name}: '{term}' is taken as {task.name} on all rows: it predicts "
                f"{joint:.2%}, where {happened:.2%} happen; times {terms[parent]} it predicts "
                f"{product:.2%}. If it is given {task.parent}, write '{terms[parent]} {term}'"
            )
