"""Prints a result on a terminal: the verdict, the served front or that of heads, and the pick."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.app.cli.output import CommandOutput, print_table, say
from bench.core.rows import CONFIRM, NAMES, REPLICATED, SEARCH, TEST
from bench.core.system.home import resolve_home

if TYPE_CHECKING:
    import pandas as pd

    from bench.app.runs.result import DatasetResult
    from bench.core.arrays import Floats
    from bench.core.formula_languages import FormulaLanguage
    from bench.deciding.decision import Decision
    from bench.ledger.heads import Frontier
    from bench.ledger.served.served import Served


SHOWN = 5
"""Serving points that a terminal shows at first; in full `SPREAD` of the whole front."""
SPREAD = 10
MOST_MODELS = 8
"""Models that a terminal shows at most; the page has all."""
Measured = dict[str, "Floats"]
"""By measure and split (S, 3) of S points: the value, and the ends of its interval."""
_ROWS = f"confirm/ is {NAMES[CONFIRM]}"


def show_verdict(decision: Decision) -> None:
    """The answer, what it gains and costs, each model beside it, and the score to rank by."""
    from bench.deciding.words.verdict import EXPECTED, score_of

    verdict = decision.verdict
    say(verdict.sentence)
    headers, rows = verdict.table
    if rows:
        print_table(headers, rows, EXPECTED)
    headers, rows = verdict.by_model
    if rows:
        print_table(headers, rows[:MOST_MODELS], f"over {decision.against}: {EXPECTED}")
    not_shown = len(rows) - MOST_MODELS
    if not_shown > 0:
        say(f"{not_shown:,} other models gain less; the page has all")
    if decision.formula:
        say(f"{score_of(verdict.kind)} = {decision.formula}", whole=True)


def show_expression(decision: Decision, language: FormulaLanguage) -> None:
    """The score to rank by in SQL or Python."""
    expression = decision.expression(language)
    if not expression:
        expression = "the answer is a score of the log, which has no formula"
    say(f"{language}: {expression}", whole=True)


def show_front(result: DatasetResult, heads: bool = False, full: bool = False) -> None:
    """The verdict, then the front that is served; that of heads where there is no other, or on
    request.
    """
    show_verdict(result.decision)
    if full:
        say(*result.decision.verdict.notes)
    say(result.incomplete)
    served = result.decision.serving.served
    if served is not None and not heads:
        _show_served(result, served, full)
    else:
        say(result.asked)
        _show_heads(result)


def _show_served(result: DatasetResult, served: Served, full: bool) -> None:
    """The served front, and what it says beside the verdict.

    Args:
        full: with the score's kind, and what the front says beside the verdict.
    """
    say(result.current)
    title = f"served front on {result.run.key}: weights chosen on {NAMES[CONFIRM]}, outcomes"
    print_served(result.decision, title, full)
    command = f"seesaw show {result.run.run.argument}"
    if not full:
        say(f"more: {command} --full; the front of heads: {command} --heads", whole=True)
        return
    volume = served.hypervolume
    say(*result.decision.readings)
    say(
        f"{int(served.front.sum())} serving points are on the front; hypervolume over a random "
        f"order {volume.value:.4f} ({volume.low:.4f} to {volume.high:.4f})"
    )
    say(f"the front of heads: {command} --heads", whole=True)


def print_served(decision: Decision, title: str, full: bool = False) -> None:
    """The served front as differences from the current point, or what stands for it, on test.

    The answer comes first, then points of the front by what the policy maximises, the current point
    last: `SHOWN` in all. In full: some of the whole front, and of each way of sharing and each
    baseline its nearest point.

    Args:
        full: also with the score's kind.
    """
    from bench.deciding.words.verdict import MEASURED, named, titles_of
    from bench.ledger.fusion import in_words

    served = decision.serving.served
    assert served is not None
    points, titles = served.table, titles_of(decision.frontier.points)
    notes = _spread_rows(served) if full else _best_rows(decision, served)
    against = "current" if served.today else "reference"
    notes[served.current] = against
    if decision.advised is not None and decision.advised != served.current:
        notes.pop(decision.advised, None)
        notes = {decision.advised: "answer"} | notes

    headers = ["point", "score", "weights", ""]
    for outcome in served.names:
        headers.append(f"{outcome}, % of {against}")
    rows = []
    for row, note in notes.items():
        point = points.iloc[row]
        cells = [named(point, titles), point["kind"], in_words(point["weights"]), note]
        for gain in served.effects(row).values():
            cells.append(str(gain).replace("%", "", 1))
        rows.append(cells)
    if not full:
        for cells in (headers, *rows):
            del cells[1]
    print_table(headers, rows, f"{title} {MEASURED}")


def _best_rows(decision: Decision, served: Served) -> dict[int, str]:
    """Points of the front that come first by what the policy maximises, with a word on each."""
    values = served.at(TEST)
    utility = decision.serving.aims[0].score(values, values[served.current])
    best_first = np.argsort(-utility, kind="stable")
    best_first = best_first[served.front[best_first]].tolist()
    for row in (decision.advised, served.current):  # shown anyway
        if row in best_first:
            best_first.remove(row)
    return dict.fromkeys(best_first[: SHOWN - 2], "front")


def _spread_rows(served: Served) -> dict[int, str]:
    """Some of the front evenly, and of each way of sharing and each baseline the point that changes
    least where it loses least, with a word on each."""
    from bench.ledger.served.front import spread

    table, changes = served.table, served.at(CONFIRM, "gain")
    front = np.flatnonzero(served.front)
    ranges = np.ptp(changes[front], axis=0)
    scaled = changes[front] / np.where(ranges > 0, ranges, 1.0)
    notes = dict.fromkeys(front[spread(scaled, SPREAD)].tolist(), "front")
    baselines = table[table["role"] == "baseline"].groupby("point", sort=False).groups
    for rows in baselines.values():
        notes.setdefault(_least_losing(rows, changes), "baseline")
    kinds = table[table["role"] == "trial"].groupby("architecture", sort=False).groups
    for kind, rows in kinds.items():
        if kind not in table["architecture"][[*notes]].tolist():
            notes.setdefault(_least_losing(rows, changes), "best of its kind")
    by_first_outcome = sorted(notes, key=lambda row: float(np.nan_to_num(changes[row, 0])))
    return {row: notes[row] for row in by_first_outcome}


def _least_losing(rows: pd.Index[int], changes: Floats) -> int:
    """The row whose smallest change (S, M) is the largest."""
    worst = np.nan_to_num(changes[rows], nan=-np.inf).min(axis=1)
    return int(rows[int(worst.argmax())])


def _show_heads(result: DatasetResult) -> None:
    """The front of heads as a table, and below it what may belong to it as well."""
    from bench.ledger.within import area_table

    frontier = result.decision.frontier
    measured: Measured = {}
    for split in (CONFIRM, TEST):
        parts = [frontier.at(split, part) for part in ("value", "low", "high")]
        by_measure = np.stack(parts, axis=-1).swapaxes(0, 1)
        for objective, cells in zip(frontier.measures, by_measure, strict=True):
            measured[objective.key(split)] = cells
    _print_heads(result, measured)
    volume = frontier.volume
    hypervolume = f"hypervolume {frontier.hypervolume:.6f}"
    if volume:
        hypervolume += f" (90% interval {volume.low:.6f} to {volume.high:.6f})"
    say(f"{hypervolume}, {_basis(result)}")
    if frontier.answer:
        say(f"gradient methods against static weights: {frontier.answer.sentence}")
    if any(np.isfinite(measure[:, 1]).any() for measure in measured.values()):
        _print_intervals(frontier, measured)
    headers, texts = area_table(result.areas, frontier.table, str(result.run.card.group))
    print_table(headers, texts, f"areas under the curve on {NAMES[CONFIRM]}; a random order has .5")
    _print_baselines(frontier, measured)


def _print_heads(result: DatasetResult, measured: Measured) -> None:
    frontier = result.decision.frontier
    columns = dict(zip(frontier.keys, frontier.estimates.T, strict=True))
    for key, measure in measured.items():
        if key.startswith(f"{TEST}/"):
            columns[key] = measure[:, 0]
    settings = [*map(str, frontier.table.filter(["name", "samples", "architecture", "balancing"]))]
    points = frontier.table.to_dict("records")
    rows = []
    for row in frontier.plausible:
        point = points[row]
        values = [column[row] for column in columns.values()]
        on_front = "yes" if point["on_front"] else "perhaps"
        rows.append([*map(point.get, settings), *values, point["p_nondominated"], on_front])
    headers = ["point", *settings[1:], *columns, "P(non-dominated)", "on front"]
    print_table(headers, rows, f"front of heads on {result.run.key}, by {NAMES[frontier.split]}")


def _print_intervals(frontier: Frontier, measured: Measured) -> None:
    settings = [*map(str, frontier.table.filter(["point", "samples"]))]
    points = frontier.table.to_dict("records")
    rows = []
    for row in frontier.plausible:
        intervals = [_interval(measure[row]) for measure in measured.values()]
        rows.append([*map(points[row].get, settings), *intervals])
    title = f"90% intervals, of seeds and of the data's rows; {_ROWS}"
    print_table([*settings, *measured], rows, title)


def _print_baselines(frontier: Frontier, measured: Measured) -> None:
    rows = []
    for row, point in enumerate(frontier.table.to_dict("records")):
        if point["role"] != "trial":
            values = [_with_interval(measure[row]) for measure in measured.values()]
            rows.append([point["name"], point["replicates"], point["p_nondominated"], *values])
    headers = ["baseline", "replicates", "P(non-dominated)", *measured]
    print_table(headers, rows, f"baselines, trained with the same care; {_ROWS}")


def _with_interval(measure: Floats) -> str | None:
    value, interval = measure[0], _interval(measure)
    if np.isnan(value):
        return None
    return f"{value:.5g}" if interval is None else f"{value:.5g} ({interval})"


def _interval(measure: Floats) -> str | None:
    _, low, high = measure
    return None if np.isnan(low) else f"{low:.5g} to {high:.5g}"


def _basis(result: DatasetResult) -> str:
    points = result.decision.frontier.points
    confirmed = [point for point in points if point.role == "trial" and point.replicates]
    if not confirmed:
        return (
            f"compared by the one run of each trial that the search saw, on {NAMES[SEARCH]}: "
            "not confirmed"
        )
    counts = {len(point.replicates) for point in confirmed}
    seeds = f"{min(counts)} to {max(counts)}"
    if len(counts) == 1:
        seeds = str(*counts)
    noun = "points" if any(point.rungs for point in confirmed) else "trials"
    return (
        f"compared by the mean of {seeds} fresh seeds for each of {len(confirmed)} confirmed "
        f"{noun}, on {NAMES[CONFIRM]}"
    )


def show_pick(result: DatasetResult, full: bool = False) -> None:
    """The picked configuration; in full with its reason, what the guard excluded, and how the pick
    changes.
    """
    decision, pick = result.decision, result.decision.pick
    if pick is None:
        say(f"no pick: {decision.no_pick}")
        return
    if not full:
        if not decision.serving.served:  # else the verdict names the pick, with its gains on test
            say(pick.short)
        return
    say(pick.reason)
    for removed in pick.removed:
        say(f"  not {removed.name}: {removed.reason}")
    if len(pick.stability.points) > 1:
        headers = [
            "point",
            "architecture",
            "first by the rule in retrainings",
            "first over all weights",
        ]
        rows = []
        for point in pick.stability.points:
            rows.append([point.name, point.architecture, point.by_rule, point.share])
        print_table(headers, rows, f"how the pick changes, on {NAMES[decision.frontier.split]}")


def experiment_front(experiment: str, tracking: str | None, home: Path | None) -> CommandOutput:
    """The merged front of an experiment's runs; see `bench.app.tracking.reading.frontier_of`."""
    from bench.app.tracking.reading import frontier_of
    from bench.core.system.credentials import home_address

    table = frontier_of(experiment, tracking or home_address(resolve_home(home)))
    hypervolumes = table.attrs["hypervolume"]
    documents = []
    for (dataset, fingerprint), value in hypervolumes.items():
        documents.append({"dataset": dataset, "fingerprint": fingerprint, "value": value})
    yield {
        "points": list(map(_without_nan, table.to_dict("records"))),
        "hypervolumes": documents,
        "notes": table.attrs["notes"],
    }
    for (dataset, fingerprint), value in hypervolumes.items():
        same_data = (table["dataset"] == dataset) & (table["fingerprint"] == fingerprint)
        _print_experiment(dataset, table[same_data])
        say(f"hypervolume {value:.6f}")
    say(*table.attrs["notes"])


def _without_nan(row: Mapping[Hashable, object]) -> dict[Hashable, object]:
    return {name: value for name, value in row.items() if value == value}


def _print_experiment(dataset: str, front: pd.DataFrame) -> None:
    from bench.core.errors import count

    measured = map(str, front.dropna(axis=1, how="all"))
    metrics = [name for name in measured if name.split("/")[0] in REPLICATED]
    means = [name for name in metrics if name.endswith(".mean")]
    headers = ["run", "trial", "architecture", *(means or metrics), "front.p_nondominated"]
    cells = front[headers].astype(object)
    rows = cells.where(cells.notna(), None).to_numpy().tolist()
    runs = count(front["run"].nunique(), "run")
    print_table(headers, rows, f"frontier on {dataset}, points of {runs}")
