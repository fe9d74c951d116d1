"""Decides on a log, whose models may be packages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import UserError
from bench.core.system.progress import Progress
from bench.deciding.logged.asked import Asked
from bench.deciding.logged.log_decision import LogResult, decide
from bench.deciding.logged.logged_rows import of_frame, read

if TYPE_CHECKING:
    from bench.core.arrays import Singles


def decide_on(
    asked: Asked,
    progress: Progress,
    home: Path,
    table: object = None,
    tracking: str | None = None,
) -> LogResult:
    """The decision on a log.

    Args:
        home: of runs and of the registry, where packages are named by these.
        table: the log's rows; None reads its files.
        tracking: MLflow's address of the registry; None is the store at home.

    Raises:
        UserError: as `decide`; or a package that is not there, or does not fit the rows.
    """
    made = _made(asked, progress, home, table, tracking)
    if table is not None:
        return decide(asked, of_frame(table, asked, made))
    return decide(asked, read(asked, progress, made))


def _made(
    asked: Asked, progress: Progress, home: Path, table: object, tracking: str | None
) -> dict[str, Singles]:
    if not asked.packages:
        return {}
    from bench.app.runs.deploy import open_model
    from bench.serve.log_packages import made_columns

    packages = {}
    for name, place in asked.packages.items():
        packages[name] = open_model(home, place, tracking)
        if packages[name].needed_by_history:
            raise UserError(
                f"--model {name}: expected a package that rows alone are enough for, found one "
                "that needs each group's history; `seesaw score --history` predicts with it"
            )
    return made_columns(asked, packages, table, progress)
