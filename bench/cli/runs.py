"""`seesaw compare`, `seesaw board` and `seesaw publish`: runs side by side, pages, a published table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import Home, Json
from bench.cli.output import Answer, print_json, print_table, say
from bench.errors import UserError
from bench.home import resolve_home, shown
from bench.rows import NAMES

if TYPE_CHECKING:
    from bench.results.comparison.comparison import Compared, Group


MOST_ROWS = 16


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN..", help="Names or paths of one or more runs.")],
    by: Annotated[
        str, typer.Option(help="Kind of family: sharing, balancing, architecture, run, sampler or dataset.")
    ] = "balancing",
    metric: Annotated[
        str | None, typer.Option(help="Metric to test, as in click.logloss; default: each objective.")
    ] = None,
    split: Annotated[str, typer.Option(help="test, or confirm: rows that the search did not see.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Also write FILE.html or FILE.csv.")] = None,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Compare families of points within or across runs: by how much, and how sure that is."""
    from bench.report.comparison import write_comparison
    from bench.run.comparing import compare_runs
    from bench.run.folder import Run

    if out is not None and out.suffix not in (".html", ".csv"):
        raise UserError(f"--out: expected a file named .html or .csv, found '{out.name}'")
    at = resolve_home(home)
    found = compare_runs([Run.open(at, run) for run in runs], by, metric, split)
    if out is not None:
        write_comparison(found, out)
    yield found.to_json() | ({"file": str(out)} if out else {})
    for group in found.groups:
        _show(group, found)
    if found.ranking is not None:
        rows = zip(found.ranking.names, found.ranking.ranks, strict=True)
        print_table([found.by, "mean rank"], rows, f"ranks by hypervolume over {found.ranking.datasets} data sets")
        say(found.ranking.sentence)
    say(*found.notes)
    if out is not None:
        say(f"written: {out}", whole=True)


def _show(group: Group, found: Compared) -> None:
    from bench.results.comparison.comparison import FAMILY_HEADS, TEST_HEADS, family_rows, texts_of
    from bench.results.effect import LEVEL

    compared, on = group.comparison, NAMES[found.split]
    say(f"{group.dataset}, {on}: does any gradient method lie beyond the front of static weights?")
    say(group.answer.sentence, group.reason)
    if not group.reason:
        print_table([found.by, *FAMILY_HEADS], family_rows(compared), f"families on {group.dataset}, {on}")
    title = f"tests on {on}, {LEVEL:.0%} intervals; in a metric each family stands for the average of its "
    tests = [texts_of(row) for row in compared.tests[:MOST_ROWS]]
    print_table(TEST_HEADS, tests, f"{title}{compared.members} best confirmed trials")
    if (more := len(compared.tests) - MOST_ROWS) > 0:
        say(f"and {more} more rows: --out FILE.html or FILE.csv has them")
    say(*compared.notes)
    if group.unconfirmed:
        say(f"without a confirmed point: {', '.join(group.unconfirmed)}")


def board(
    out: Annotated[Path | None, typer.Option(help="Folder for the pages; default: `board` at home.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve them on 127.0.0.1 until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --serve; 0 takes any free one.")] = 8265,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Show all runs of this home on one page, newest first, their fronts side by side."""
    from bench.run.board import write_board

    at = resolve_home(home)
    folder = (out or at / "board").expanduser().resolve()
    index, runs = write_board(at, folder)
    found = {"page": str(index), "runs": [{"name": run.name, "state": run.state, "note": run.note} for run in runs]}
    if not serve:
        yield found
        say(str(index), whole=True)
        return
    with PageServer(folder, port, lambda: write_board(at, folder)) as server:
        print_json(found | {"address": server.address}) if json else say(f"{server.address} until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


LOOPBACK = "127.0.0.1"


class PageServer(ThreadingHTTPServer):
    """Serves the HTML files of a folder on 127.0.0.1.

    Args:
        port: 0 takes any that is free.
        refresh: called before the first page is answered, each time.

    Raises:
        UserError: the port cannot be had.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int, refresh: Callable[[], object]) -> None:
        self.folder, self.refresh = folder, refresh
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UserError(f"--port: expected one that is free, found {port}: {error.strerror}") from None

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOOPBACK}:{self.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    server: PageServer

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, directory=str(arguments[2].folder))

    def do_GET(self) -> None:
        if self._refused():
            return
        if self.path == "/":
            self.server.refresh()
        super().do_GET()

    def do_HEAD(self) -> None:
        if not self._refused():
            super().do_HEAD()

    def _refused(self) -> bool:
        """Whether to refuse a request: another name for this address (a page elsewhere may make one), or not a page."""
        port = self.server.server_port
        if self.headers.get("Host") not in (f"{LOOPBACK}:{port}", f"localhost:{port}"):
            self.send_error(403)
        elif self.path != "/" and not self.path.endswith(".html"):
            self.send_error(404)
        else:
            return False
        return True

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing of each request."""


def publish(
    suite: Annotated[str, typer.Argument(help="A suite with a design, as in reference.")],
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN..]", help="Searches on its data to add.")] = None,
    table: Annotated[Path | None, typer.Option(help="Table instead of the one beside the suite.")] = None,
    page: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for the page, as Markdown and HTML.")] = None,
    json: Json = False,
    home: Home = None,
) -> Answer:
    """Add the trainings at home to a suite's published table, and answer its questions."""
    from bench.reference.publish import publish as add

    found = add(resolve_home(home), suite, runs or (), table, page)
    answers = {"sentence": found.answers.sentence, "fronts": [asdict(each) for each in found.answers.fronts]}
    yield {"table": str(found.table), "rows": found.rows, "new": found.new} | answers
    say(found.answers.sentence)
    say(f"table: {shown(found.table)}, {found.rows:,} rows, {found.new:,} of them new", whole=True)
    if page is not None:
        say(f"page: {shown(page.resolve() / 'reference.html')}", whole=True)
