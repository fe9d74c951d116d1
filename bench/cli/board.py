"""`seesaw board`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Home, Json
from bench.cli.output import print_json, say


def board(
    out: Annotated[Path | None, typer.Option(help="Folder for the pages; default: `board` at home.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve them on 127.0.0.1 until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --serve; 0 takes any free one.")] = 8265,
    json: Json = False,
    home: Home = None,
) -> None:
    """Show all runs of this home on one page, newest first, their fronts side by side."""
    from bench.cli.serving import PageServer
    from bench.home import resolve_home
    from bench.run.board import write_board

    at = resolve_home(home)
    folder = (out or at / "board").expanduser().resolve()
    index, runs = write_board(at, folder)
    found = {"page": str(index), "runs": [{"name": run.name, "state": run.state, "note": run.note} for run in runs]}
    if not serve:
        print_json(found) if json else say(str(index), whole=True)
        return
    with PageServer(folder, port, lambda: write_board(at, folder)) as server:
        print_json(found | {"address": server.address}) if json else say(f"{server.address} until Ctrl-C")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
