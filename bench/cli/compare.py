"""`seesaw compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import Home, Json
from bench.cli.output import print_json, print_table, say
from bench.rows import NAMES

if TYPE_CHECKING:
    from bench.frontier.comparison.compared import Compared, Group
    from bench.frontier.comparison.comparison import Comparison
    from bench.frontier.comparison.differences import Estimate

MOST_ROWS = 16


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN..", help="Names or paths of runs; one will do.")],
    by: Annotated[
        str, typer.Option(help="What makes a family: sharing, balancing, architecture, run, sampler or dataset.")
    ] = "balancing",
    metric: Annotated[
        str | None, typer.Option(help="A metric to test, as in click.logloss; else each objective.")
    ] = None,
    split: Annotated[str, typer.Option(help="test, or confirm: rows that the search did not see.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Also write FILE.html or FILE.csv.")] = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Compare families of points within or across runs: by how much, and how sure that is."""
    from bench.errors import UserError
    from bench.home import resolve_home
    from bench.run.comparing import compare_runs, write_comparison
    from bench.run.folder import Run

    if out is not None and out.suffix not in (".html", ".csv"):
        raise UserError(f"--out: expected a file named .html or .csv, found '{out.name}'")
    at = resolve_home(home)
    found = compare_runs([Run.open(at, run) for run in runs], by, metric, split)
    if out is not None:
        write_comparison(found, out)
    if json:
        print_json(found.to_json() | ({"file": str(out)} if out else {}))
        return
    for group in found.groups:
        _show(group, found)
    if found.ranking is not None:
        rows = zip(found.ranking.names, found.ranking.ranks, strict=True)
        print_table([found.by, "mean rank"], rows, f"ranks by hypervolume over {found.ranking.datasets} data sets")
        say(found.ranking.sentence)
    for note in found.notes:
        say(note)
    if out is not None:
        say(f"written: {out}", whole=True)


def _show(group: Group, found: Compared) -> None:
    say(f"{group.dataset}, {NAMES[found.split]}: does any gradient method leave the front of static weights?")
    say(group.answer.sentence)
    if group.comparison is None:
        say(group.reason)
    else:
        sizes = group.comparison.volumes.seen
        rows = [[name, len(members), sizes[name]] for name, members in group.comparison.families.items()]
        print_table(
            [found.by, "confirmed points", "hypervolume"], rows, f"families on {group.dataset}, {NAMES[found.split]}"
        )
        _show_tests(group.comparison, found.level, NAMES[found.split])
    if group.unconfirmed:
        say(f"without a confirmed point: {', '.join(group.unconfirmed)}")


def _show_tests(comparison: Comparison, level: float, rows: str) -> None:
    """What was tested, one row a pair, at most `MOST_ROWS` of each kind; a file has them all."""
    from bench.frontier.comparison.compared import metric_row

    heads = ["metric", "left", "right", "left minus right", "unit", "p (Holm)", "seeds", "verdict"]
    metrics = []
    for test in comparison.metrics[:MOST_ROWS]:
        row = metric_row(test)
        interval = None if row["low"] is None else (row["low"], row["high"])
        value = _bracketed(row["value"], interval, "+.2f")
        metrics.append([*(row[key] for key in ("measure", "left", "right")), value, row["unit"]])
        metrics[-1] += [row["p_holm"], row["seeds"], row["verdict"]]
    title = f"metric by metric on {rows}, {level:.0%} intervals; each family by the point that its search found best"
    print_table(heads, metrics, title)
    heads = ["left", "right", "hypervolume difference", "ratio", "left beyond right", "right beyond left"]
    fronts = [
        [test.left, test.right, _short(test.difference, "+.5f"), _short(test.ratio, ".3f")]
        + [_short(each.estimate, "+.2f") for each in (test.beyond, test.behind)]
        for test in comparison.fronts[:MOST_ROWS]
    ]
    title = f"fronts on {rows}; beyond: by how much the other would have to rise in every objective to cover it"
    print_table(heads, fronts, f"{title}, {comparison.unit}")
    if (more := max(len(comparison.metrics), len(comparison.fronts)) - MOST_ROWS) > 0:
        say(f"and {more} more rows: --out FILE.html or FILE.csv has them")


def _short(estimate: Estimate | None, form: str) -> str:
    return "-" if estimate is None else _bracketed(estimate.value, estimate.interval, form)


def _bracketed(value: float, interval: tuple[float, float] | None, form: str) -> str:
    return f"{value:{form}}" + ("" if interval is None else f" [{interval[0]:{form}}, {interval[1]:{form}}]")
