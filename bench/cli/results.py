"""`seesaw status`, `frontier`, `report` and `pick`: all rebuilt from the run's log."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from bench.cli.experiment import show_experiment
from bench.cli.options import Full, Home, Json
from bench.cli.output import TerminalProgress, print_json, print_table, quantity, say
from bench.errors import UserError
from bench.progress import duration
from bench.rows import CONFIRM, NAMES, SEARCH, TEST

if TYPE_CHECKING:
    from bench.frontier.served.served import Served
    from bench.run.folder import Run
    from bench.run.results import DatasetResult

SHOWN = 10
"""Serving points of the front that a terminal shows at most; the page has all."""
_ROWS = f"confirm/ is {NAMES[CONFIRM]}"
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")]


Watch = Annotated[bool, typer.Option("--watch", help="Show it anew as it changes, until no driver works on it.")]


def status(run_: RunName, watch: Watch = False, json: Json = False, home: Home = None) -> None:
    """Show what is running, done, and failed, and why."""
    from bench.cli.watch import watch as keep_watching
    from bench.run.status import status_of
    from bench.search.lock import is_held

    datasets = _open(run_, home)

    def look() -> dict[str, dict[str, Any]]:
        return {dataset: status_of(dataset_run) for dataset, dataset_run in datasets.items()}

    if watch and json:
        raise UserError("--watch: expected no --json beside it, which is one document")
    if watch:
        folder = next(iter(datasets.values())).run.folder
        keep_watching(look, _show_status, lambda: is_held(folder))
        say("no driver works on the run: it has ended, or was stopped and can be resumed")
        return
    found = look()
    if json:
        total = {key: sum(part[key] for part in found.values()) for key in _counts(found)}
        failures = [failure for part in found.values() for failure in part["failures"]]
        print_json(total | {"failures": failures, "datasets": found})
        return
    _show_status(found)
    show_tracking(next(iter(datasets.values())).run)


def show_tracking(run: Run) -> None:
    """How to see a run in MLflow."""
    look = f"{run.look_command}  then open  " if run.look_command else ""
    say(f"MLflow: {look}{run.look_link}", whole=True)


def _show_status(found: dict[str, dict[str, Any]]) -> None:
    counts = _counts(found)
    print_table(["data set", *counts], [[dataset, *(part[key] for key in counts)] for dataset, part in found.items()])
    failures = [
        [dataset, f["trial"], f["kind"], f["reason"]] for dataset, part in found.items() for f in part["failures"]
    ]
    if failures:
        print_table(["data set", "trial", "kind", "reason"], failures, "failed")
    for dataset, part in found.items():
        for branch, reason in part["left_out"].items():
            say(f"{dataset}: left out: {branch}: {reason}")
        if part["search"]:
            _show_search(dataset, part["search"])


def _counts(found: dict[str, dict[str, Any]]) -> list[str]:
    return [key for key in next(iter(found.values())) if key not in ("failures", "left_out", "search")]


def _show_search(dataset: str, search: dict[str, Any]) -> None:
    """How many trials of each kind of sharing have a result at each rung, and what was used of the budget."""
    rungs = [f"{rung['samples']:,} samples" for rung in search["rungs"]] or ["full length"]
    rows = [[kind, *reached] for kind, reached in search["kinds"].items()]
    print_table(["sharing", *rungs], rows, f"trials with a result on {dataset}")
    used = [f"hypervolume so far {search['hypervolume']:.6f}"]
    if search["samples"]["used"]:
        budget = search["samples"]["budget"]
        of = f" of {budget:,}" if budget else ""
        used.append(f"{search['samples']['used']:,}{of} training samples begun")
    if search["seconds"]["budget"]:
        limit = "" if search["ended"] else f", nothing is begun after {duration(search['seconds']['budget'])}"
        used.append(f"searched for {duration(search['seconds']['used'])}{limit}")
    if (kept := search["checkpoints"])["bytes"]:
        used.append(f"{quantity(kept['bytes'], 'B')} of checkpoints of {kept['trials']} trials")
    used.append(f"{search['share']:.0%} of the budget")
    if search["left"]:
        used.append(f"about {duration(search['left'])} left")
    say("; ".join(used))
    if search["ended"]:
        say(search["ended"])
    if search["begun"]:
        now = time.time()
        begun = [
            [job["trial"], job["sharing"], job["to"], duration(max(0.0, now - job["since"]))] for job in search["begun"]
        ]
        print_table(["trial", "sharing", "to samples", "begun before"], begun, "under way, or left so by a stop")
    if search["failures"]:
        say("failed: " + ", ".join(f"{count} {kind}" for kind, count in search["failures"].items()))


def frontier_command(
    run_: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run's name or path.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Instead: of all runs of an MLflow experiment, merged.")
    ] = None,
    tracking: Annotated[
        str | None, typer.Option(help="MLflow's address, with --experiment; else a file at home.")
    ] = None,
    heads: Annotated[bool, typer.Option("--heads", help="Show the front of heads, task against task.")] = False,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Show whether to switch and the front that is served; with --heads that of heads; or of an MLflow experiment."""
    from bench.errors import UserError
    from bench.run.results import result_of

    if (run_ is None) == (experiment is None):
        raise UserError("expected a RUN or --experiment NAME, found " + ("neither" if run_ is None else "both"))
    if experiment is not None:
        show_experiment(experiment, tracking, json, home)
        return
    if tracking is not None or run_ is None:
        raise UserError("--tracking: expected --experiment NAME beside it; a run's front is read from its own storage")
    results = [result_of(dataset_run) for dataset_run in _open(run_, home).values()]
    if json:
        print_json(frontier_document(results))
        return
    for result in results:
        show_front(result, heads, full)
        if result.pick is None:
            show_pick(result, full)


def report(
    run_: RunName,
    out: Annotated[Path | None, typer.Option(help="File of the page; else report.html in the run's folder.")] = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Write one self-contained HTML page."""
    from bench.home import resolve_home
    from bench.run.folder import Run
    from bench.run.results import page_path, result_of, write_report

    run = Run.open(resolve_home(home), run_)
    page = page_path(run) if out is None else out.expanduser().resolve()
    write_report([result_of(dataset_run) for dataset_run in run.datasets.values()], page, run.name)
    print_json({"page": str(page)}) if json else say(str(page), whole=True)


def pick_command(
    run_: RunName,
    policy: Annotated[Path | None, typer.Option("--policy", help="TOML file; else the suite's policy.")] = None,
    maximize: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Take the choice with the most of it; replaces the rule.")
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=BOUND", help='A bound: "click.recall@10%=98% of current", or a number.'),
    ] = None,
    at_most: Annotated[
        list[str] | None, typer.Option(metavar="METRIC=BOUND", help="Likewise, from above: cost/latency_ms=5.")
    ] = None,
    full: Full = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Choose a configuration and the weights that fuse its tasks, by a written policy or by what you ask for."""
    from bench.frontier.policy import read_bound, read_policy
    from bench.run.results import pick_document, result_of, suite_policy, write_pick

    floors = dict(read_bound("--at-least", each) for each in at_least or ())
    ceilings = dict(read_bound("--at-most", each) for each in at_most or ())
    given = None if policy is None else read_policy(policy)
    asked = given is not None or maximize is not None or bool(floors or ceilings)
    results = []
    for dataset_run in _open(run_, home).values():
        followed = (given or suite_policy(dataset_run)).asked(maximize, floors, ceilings)
        followed.check(dataset_run.tasks)
        results.append(result_of(dataset_run, followed))
        if asked and results[-1].pick is None:
            raise UserError(results[-1].no_pick)
    for result in results:
        if os.access(result.run.folder, os.W_OK):
            write_pick(result)
        else:  # a run that may only be looked at
            TerminalProgress().note(f"{result.run.folder}: cannot be written: the pick is shown and not kept")
    if json:
        documents = [pick_document(result) for result in results]
        print_json(documents[0] if len(documents) == 1 else {"picks": documents})
        return
    for result in results:
        show_pick(result, full)


def frontier_document(results: Sequence[DatasetResult]) -> dict[str, Any]:
    """The documented shape for one data set; for several, one such document each under `datasets`."""
    from bench.frontier.served.store import to_json
    from bench.run.results import pick_document

    documents = {
        result.run.key: {"verdict": result.verdict.to_json()}
        | ({"served": to_json(result.serving.served) | {"readings": result.readings}} if result.serving.served else {})
        | result.frontier.to_json()
        | ({"cut_short": result.cut_short} if result.cut_short else {})
        | {"pick": pick_document(result)}
        for result in results
    }
    return next(iter(documents.values())) if len(documents) == 1 else {"datasets": documents}


def show_dataset(result: DatasetResult) -> None:
    """The verdict, the front and the pick, in full."""
    show_front(result, full=True)
    show_pick(result, full=True)


def show_front(result: DatasetResult, heads: bool = False, full: bool = False) -> None:
    """The verdict, then the front that is served; that of heads where there is no other, or on request."""
    say(result.verdict.sentence)
    if result.cut_short:
        say(result.cut_short)
    if result.serving.served is not None and not heads:
        _show_served(result, result.serving.served, full)
    else:
        _show_heads(result)


def _show_served(result: DatasetResult, served: Served, full: bool) -> None:
    """The served front as differences from the current point on test: some of the front, and of each way of sharing
    and each baseline its nearest point.

    Args:
        full: with the score's kind, P(non-dominated), and what the front says beside the verdict.
    """
    from bench.fusion import in_words
    from bench.run.current import current_of
    from bench.run.next_step import run_argument

    say(" ".join(filter(None, [current_of(result.run).sentence, result.serving.note, result.asked])))
    rows = [(served.table.iloc[at].to_dict(), note) for at, note in _shown(result, served).items()]
    columns = {
        "point": [row["name"] for row, _ in rows],
        "architecture": [row["architecture"] for row, _ in rows],
        "score": [row["kind"] for row, _ in rows],
        "weights": [in_words(row["weights"]) for row, _ in rows],
        "P(non-dominated)": [row["p_nondominated"] for row, _ in rows],
        "": [note for _, note in rows],
    }
    for each in served.outcomes:
        columns[f"{each.name}, % of current"] = [_gain(row, each.key(TEST)) for row, _ in rows]
    headers = [name for name in columns if full or name not in ("score", "P(non-dominated)")]
    cells = list(zip(*(columns[name] for name in headers), strict=True))
    title = f"served front on {result.run.key}: weights chosen on {NAMES[CONFIRM]}, outcomes of {NAMES[TEST]}"
    print_table(headers, cells, f"{title} (90% intervals)")
    name = run_argument(result.run.run)
    if not full:
        say(f"more: seesaw frontier {name} --full; the front of heads: seesaw frontier {name} --heads", whole=True)
        return
    volume, on = served.hypervolume, int(served.table["on_front"].sum())
    sure = f"{volume.value:.4f} ({volume.low:.4f} to {volume.high:.4f})"
    for sentence in result.readings:
        say(sentence)
    say(f"{on} serving points are on the front; hypervolume over a random order {sure}")
    say(f"the front of heads: seesaw frontier {name} --heads", whole=True)


def _shown(result: DatasetResult, served: Served) -> dict[int, str]:
    """Rows to show, with a word on each: some of the front evenly, the pick, current, and of each way of sharing and
    each baseline the point that changes least where it loses least.
    """
    from bench.frontier.served.front import gains
    from bench.frontier.served.keeping import spread

    table, changes = served.table, gains(served.means(CONFIRM), served.current)
    front = table.index[table["on_front"]].to_numpy()
    unit = np.ptp(changes[front], axis=0)
    found = dict.fromkeys(front[spread(changes[front] / np.where(unit > 0, unit, 1.0), SHOWN)].tolist(), "front")
    for role, by, note in (("baseline", "point", "baseline"), ("trial", "architecture", "best of its kind")):
        for name, own in table[table["role"] == role].groupby(by, sort=False).groups.items():
            if note == "baseline" or not any(table[by][row] == name for row in found):
                best = int(own[np.nan_to_num(changes[own], nan=-np.inf).min(axis=1).argmax()])
                found.setdefault(best, note)
    found[served.current] = "current"
    if result.pick is not None:
        found[result.pick.row] = "pick"
    return dict(sorted(found.items(), key=lambda each: float(np.nan_to_num(changes[each[0], 0]))))


def _gain(row: Mapping[Any, Any], key: str) -> str:
    value, low, high = (100 * row[f"{key}.gain{end}"] for end in ("", ".low", ".high"))
    return f"{value:+.1f}" if low != low else f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def _show_heads(result: DatasetResult) -> None:
    """The front of heads as a table, and below it what may belong to it as well."""
    from bench.frontier.table import replicate_keys

    frontier = result.frontier
    keys = list(dict.fromkeys([*frontier.keys, *(objective.key(TEST) for objective in frontier.objectives)]))
    length = ["samples"] if "samples" in frontier.table else []
    rows = [
        [row["name"], *(row[key] for key in length), row["architecture"], row["balancing"]]
        + [row[key] if key in frontier.keys else row[f"{key}.mean"] for key in keys]
        + [row["p_nondominated"], "yes" if row["on_front"] else "perhaps"]
        for row in frontier.plausible.to_dict("records")
    ]
    headers = ["point", *length, "architecture", "balancing", *keys, "P(non-dominated)", "on front"]
    print_table(headers, rows, f"front of heads on {result.run.key}, by {NAMES[frontier.split]}")
    volume = frontier.statistics.hypervolume
    sure = f" (90% interval {volume.low:.6f} to {volume.high:.6f})" if volume else ""
    say(f"hypervolume {frontier.hypervolume:.6f}{sure}, {_basis(result)}")
    if frontier.answer:
        say(f"gradient methods against static weights: {frontier.answer.sentence}")
    keys = replicate_keys(frontier.objectives)
    _show_intervals(result, keys)
    _show_baselines(result, keys)


def _show_intervals(result: DatasetResult, keys: Sequence[str]) -> None:
    """The 90% intervals of what may be on the front, seeds and data together."""
    frontier = result.frontier
    length = ["samples"] if "samples" in frontier.table else []
    rows = [
        [row["point"], *(row[key] for key in length), *(_ends(row, key) for key in keys)]
        for row in frontier.plausible.to_dict("records")
    ]
    if frontier.statistics.intervals:
        print_table(["point", *length, *keys], rows, f"90% intervals, of seeds and of the data's rows; {_ROWS}")


def _show_baselines(result: DatasetResult, keys: Sequence[str]) -> None:
    table = result.frontier.table
    rows = [
        [row["name"], row["replicates"], row["p_nondominated"], *(_with_ends(row, key) for key in keys)]
        for row in table[table["role"] != "trial"].to_dict("records")
    ]
    if rows:
        headers = ["baseline", "replicates", "P(non-dominated)", *keys]
        print_table(headers, rows, f"baselines, trained with the same care; {_ROWS}")


def _with_ends(row: Mapping[Any, Any], key: str) -> str | None:
    mean, ends = row[f"{key}.mean"], _ends(row, key)
    return None if mean != mean else f"{mean:.5g} ({ends})" if ends else f"{mean:.5g}"


def _ends(row: Mapping[Any, Any], key: str) -> str | None:
    low, high = row[f"{key}.low"], row[f"{key}.high"]
    return None if low != low else f"{low:.5g} to {high:.5g}"


def _basis(result: DatasetResult) -> str:
    confirmed = [point for point in result.frontier.points if point.role == "trial" and point.replicates]
    if not confirmed:
        return f"compared by the one run of each trial that the search saw, on {NAMES[SEARCH]}: not confirmed"
    counts = {len(point.replicates) for point in confirmed}
    seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(*counts)
    what = "trials" if not any(point.rungs for point in confirmed) else "points"
    means = f"the mean of {seeds} fresh seeds for each of {len(confirmed)} confirmed {what}"
    return f"compared by {means}, on {NAMES[CONFIRM]}"


def show_pick(result: DatasetResult, full: bool = False) -> None:
    """The picked configuration; in full with its reason, what the guard excluded, and how the pick changes."""
    if result.pick is None:
        say(f"no pick: {result.no_pick}")
        return
    say(result.pick.reason if full else result.pick.short)
    if result.asked:
        say(result.asked)
    if not full:
        return
    for removed in result.pick.removed:
        say(f"  not {removed.name}: {removed.reason}")
    stability = result.pick.stability
    if len(stability.points) > 1:
        headers = ["point", "architecture", "first by the rule in retrainings", "first over all weights"]
        rows = [[each.name, each.architecture, each.by_rule, each.share] for each in stability.points]
        print_table(headers, rows, f"how the pick changes, on {NAMES[result.frontier.split]}")


def _open(name: str, home: Path | None) -> dict[str, Any]:
    from bench.home import resolve_home
    from bench.run.folder import Run

    return Run.open(resolve_home(home), name).datasets
