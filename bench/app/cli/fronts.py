"""Prints a result on a terminal: the verdict, the served front or that of heads, and the pick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.app.cli.output import CommandOutput, print_table, say
from bench.core.rows import CONFIRM, NAMES, REPLICATED, SEARCH, TEST
from bench.core.system.home import resolve_home

if TYPE_CHECKING:
    from bench.app.runs.result import DatasetResult
    from bench.core.formula import FormulaLanguage
    from bench.deciding.decision import Decision
    from bench.ledger.served.served import Served


SHOWN = 5
"""Serving points that a terminal shows at first; `SPREAD` of the whole front in full."""
SPREAD = 10
MOST_MODELS = 8
"""Models that a terminal shows at most; the page has all."""
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
    if len(rows) > MOST_MODELS:
        say(f"{len(rows) - MOST_MODELS:,} other models gain less; the page has all")
    if decision.formula:
        say(f"{score_of(verdict.kind)} = {decision.formula}", whole=True)


def show_expression(decision: Decision, language: FormulaLanguage) -> None:
    """The score to rank by in SQL or Python."""
    expression = decision.expression(language)
    say(
        f"{language}: {expression or 'the answer is a score of the log, which has no formula'}",
        whole=True,
    )


def show_front(result: DatasetResult, heads: bool = False, full: bool = False) -> None:
    """The verdict, then the front that is served; that of heads where there is no other, or on
    request.
    """
    show_verdict(result.decision)
    say(*(result.decision.verdict.notes if full else ()), result.incomplete)
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
    from bench.app.runs.run_page import run_argument

    say(result.current)
    print_served(
        result.decision,
        f"served front on {result.run.key}: weights chosen on {NAMES[CONFIRM]}, outcomes",
        full,
    )
    name = run_argument(result.run.run)
    if not full:
        say(
            (
                f"more: seesaw frontier {name} --full; the front of heads: seesaw frontier {name} "
                "--heads"
            ),
            whole=True,
        )
        return
    volume, on = served.hypervolume, int(served.front.sum())
    sure = f"{volume.value:.4f} ({volume.low:.4f} to {volume.high:.4f})"
    say(
        *result.decision.readings,
        f"{on} serving points are on the front; hypervolume over a random order {sure}",
    )
    say(f"the front of heads: seesaw frontier {name} --heads", whole=True)


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
    rows = _spread_rows(served) if full else _best_rows(decision, served)
    against = "current" if served.today else "reference"
    rows[served.current] = against
    if decision.advised is not None and decision.advised != served.current:
        rows = {decision.advised: "answer"} | {
            row: note for row, note in rows.items() if row != decision.advised
        }
    columns = {
        "point": [named(points.iloc[row], titles) for row in rows],
        "score": [points["kind"][row] for row in rows],
        "weights": [in_words(points["weights"][row]) for row in rows],
        "": list(rows.values()),
    }
    for name in served.names:
        columns[f"{name}, % of {against}"] = [
            str(served.gains(row)[name]).replace("%", "", 1) for row in rows
        ]
    headers = [name for name in columns if full or name != "score"]
    cells = list(zip(*(columns[name] for name in headers), strict=True))
    print_table(headers, cells, f"{title} {MEASURED}")


def _best_rows(decision: Decision, served: Served) -> dict[int, str]:
    """Points of the front that come first by what the policy maximises, with a word on each."""
    values = served.at(TEST)
    utility = decision.serving.aims[0].score(values, values[served.current])
    order = [row for row in np.argsort(-utility, kind="stable").tolist() if served.front[row]]
    others = [row for row in order if row not in (decision.advised, served.current)]
    return dict.fromkeys(others[: SHOWN - 2], "front")


def _spread_rows(served: Served) -> dict[int, str]:
    """Some of the front evenly, and of each way of sharing and each baseline the point that changes
    least where it loses least, with a word on each."""
    from bench.ledger.served.front import spread

    table, changes = served.table, served.at(CONFIRM, "gain")
    front = np.flatnonzero(served.front)
    unit = np.ptp(changes[front], axis=0)
    evenly = front[spread(changes[front] / np.where(unit > 0, unit, 1.0), SPREAD)].tolist()
    notes = dict.fromkeys(evenly, "front")
    for role, by, note in (
        ("baseline", "point", "baseline"),
        ("trial", "architecture", "best of its kind"),
    ):
        for name, rows in table[table["role"] == role].groupby(by, sort=False).groups.items():
            if note == "baseline" or not any(table[by][row] == name for row in notes):
                best = int(
                    rows[int(np.nan_to_num(changes[rows], nan=-np.inf).min(axis=1).argmax())]
                )
                notes.setdefault(best, note)
    return dict(sorted(notes.items(), key=lambda noted: float(np.nan_to_num(changes[noted[0], 0]))))


def _show_heads(result: DatasetResult) -> None:
    """The front of heads as a table, and below it what may belong to it as well."""
    from bench.ledger.within import area_table

    frontier, table, rows = (
        result.decision.frontier,
        result.decision.frontier.table,
        result.decision.frontier.plausible,
    )
    at = dict(zip(frontier.keys, frontier.estimates.T, strict=True))
    measured = {
        each.key(split): tuple(
            frontier.at(split, part)[:, column] for part in ("value", "low", "high")
        )
        for split in (CONFIRM, TEST)
        for column, each in enumerate(frontier.measures)
    }
    at = at | {key: own for key, (own, _, _) in measured.items() if key.startswith(f"{TEST}/")}
    length = ["samples"] if "samples" in table else []
    facts = table.to_dict("records")
    lines = [
        [
            facts[row]["name"],
            *(facts[row][key] for key in length),
            facts[row]["architecture"],
            facts[row]["balancing"],
        ]
        + [column[row] for column in at.values()]
        + [facts[row]["p_nondominated"], "yes" if facts[row]["on_front"] else "perhaps"]
        for row in rows
    ]
    headers = ["point", *length, "architecture", "balancing", *at, "P(non-dominated)", "on front"]
    print_table(headers, lines, f"front of heads on {result.run.key}, by {NAMES[frontier.split]}")
    volume = frontier.volume
    sure = f" (90% interval {volume.low:.6f} to {volume.high:.6f})" if volume else ""
    say(f"hypervolume {frontier.hypervolume:.6f}{sure}, {_basis(result)}")
    if frontier.answer:
        say(f"gradient methods against static weights: {frontier.answer.sentence}")
    if any(np.isfinite(low).any() for _, low, _ in measured.values()):
        lines = [
            [facts[row]["point"], *(facts[row][key] for key in length)]
            + [_ends(low[row], high[row]) for _, low, high in measured.values()]
            for row in rows
        ]
        print_table(
            ["point", *length, *measured],
            lines,
            f"90% intervals, of seeds and of the data's rows; {_ROWS}",
        )
    headers, texts = area_table(result.areas, table, str(result.run.card.group))
    print_table(headers, texts, f"areas under the curve on {NAMES[CONFIRM]}; a random order has .5")
    lines = [
        [each["name"], each["replicates"], each["p_nondominated"]]
        + [_with_ends(*(part[row] for part in parts)) for parts in measured.values()]
        for row, each in enumerate(facts)
        if each["role"] != "trial"
    ]
    headers = ["baseline", "replicates", "P(non-dominated)", *measured]
    print_table(headers, lines, f"baselines, trained with the same care; {_ROWS}")


def _with_ends(mean: float, low: float, high: float) -> str | None:
    ends = _ends(low, high)
    return None if mean != mean else f"{mean:.5g} ({ends})" if ends else f"{mean:.5g}"


def _ends(low: float, high: float) -> str | None:
    return None if low != low else f"{low:.5g} to {high:.5g}"


def _basis(result: DatasetResult) -> str:
    confirmed = [
        point
        for point in result.decision.frontier.points
        if point.role == "trial" and point.replicates
    ]
    if not confirmed:
        return (
            f"compared by the one run of each trial that the search saw, on {NAMES[SEARCH]}: "
            "not confirmed"
        )
    counts = {len(point.replicates) for point in confirmed}
    seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(*counts)
    what = "trials" if not any(point.rungs for point in confirmed) else "points"
    means = f"the mean of {seeds} fresh seeds for each of {len(confirmed)} confirmed {what}"
    return f"compared by {means}, on {NAMES[CONFIRM]}"


def show_pick(result: DatasetResult, full: bool = False) -> None:
    """The picked configuration; in full with its reason, what the guard excluded, and how the pick
    changes.
    """
    if result.decision.pick is None:
        say(f"no pick: {result.decision.no_pick}")
        return
    if not full:
        say(
            "" if result.decision.serving.served else result.decision.pick.short
        )  # the verdict names the pick, with its gains on test
        return
    say(result.decision.pick.reason)
    say(*(f"  not {removed.name}: {removed.reason}" for removed in result.decision.pick.removed))
    stability = result.decision.pick.stability
    if len(stability.points) > 1:
        headers = [
            "point",
            "architecture",
            "first by the rule in retrainings",
            "first over all weights",
        ]
        rows = [
            [each.name, each.architecture, each.by_rule, each.share] for each in stability.points
        ]
        print_table(
            headers, rows, f"how the pick changes, on {NAMES[result.decision.frontier.split]}"
        )


def experiment_front(experiment: str, tracking: str | None, home: Path | None) -> CommandOutput:
    """The merged front of an experiment's runs; see `bench.app.tracking.reading.frontier_of`."""
    from bench.app.tracking.reading import frontier_of
    from bench.core.errors import count
    from bench.core.system.credentials import home_address

    table = frontier_of(experiment, tracking or home_address(resolve_home(home)))
    volumes = [
        {"dataset": dataset, "fingerprint": fingerprint, "value": value}
        for (dataset, fingerprint), value in table.attrs["hypervolume"].items()
    ]
    points = [{k: v for k, v in row.items() if v == v} for row in table.to_dict("records")]
    yield {"points": points, "hypervolumes": volumes, "notes": table.attrs["notes"]}
    for of in volumes:
        front = table[
            (table["dataset"] == of["dataset"]) & (table["fingerprint"] == of["fingerprint"])
        ]
        metrics = [
            name
            for name in front.dropna(axis=1, how="all")
            if str(name).split("/")[0] in REPLICATED
        ]
        shown = [name for name in metrics if name.endswith(".mean")] or metrics
        columns = ["run", "trial", "architecture", *shown, "front.p_nondominated"]
        rows = front[columns].astype(object).where(front[columns].notna(), None).to_numpy().tolist()
        print_table(
            columns,
            rows,
            f"frontier on {of['dataset']}, points of {count(len(set(front['run'])), 'run')}",
        )
        say(f"hypervolume {of['value']:.6f}")
    say(*table.attrs["notes"])
