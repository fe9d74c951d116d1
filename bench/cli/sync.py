"""`seesaw sync`."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.options import Home, Json
from bench.cli.output import print_json, say


def sync(
    run_: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or path.")],
    tracking: Annotated[str | None, typer.Option(help="MLflow address, in place of the run's.")] = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Send the missing records of a run to MLflow."""
    from bench.home import resolve_home
    from bench.run.folder import Run
    from bench.run.reporting import sync as send
    from bench.tracking import plain_address

    run = Run.open(resolve_home(home), run_)
    uri = plain_address(tracking) if tracking else run.tracking_uri
    sent = send(run, tracking)
    if json:
        print_json({"run": run.name, "tracking": uri, "sent": sent})
        return
    said = [f"{count} {kind.removesuffix('s') if count == 1 else kind}" for kind, count in sent.items() if count]
    say(f"sent to {uri}: {', '.join(said)}" if said else f"nothing was missing at {uri}")
