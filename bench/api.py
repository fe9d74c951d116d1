"""For notebooks: a run's results as DataFrames and figures, rebuilt from its log.

>>> import bench
>>> run = bench.load_run(".seesaw/runs/first")  # doctest: +SKIP
>>> run.frontier()  # doctest: +SKIP
>>> run.figure("front").show()  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench.core.errors import UserError, check_known

if TYPE_CHECKING:
    from bench.deciding.decision import LogDecision
    from bench.frontier.pick import Pick
    from bench.report.picture import Picture
    from bench.run.folder import Run
    from bench.run.result import DatasetResult


def load_run(run: str | Path, home: str | Path | None = None) -> LoadedRun:
    """A run by its folder's path, or by its name at home.

    Args:
        home: else `$SEESAW_HOME`, else `./.seesaw`; a run that is given by its path needs none.

    Raises:
        UserError: there is none.
    """
    from bench.run.folder import Run
    from bench.system.home import resolve_home

    return LoadedRun(Run.open(resolve_home(Path(home) if home else None), str(run)))


def run_suite(suite: str | Path, home: str | Path | None = None, **asked: Any) -> LoadedRun:
    """Searches a suite's trade-off frontier, confirms it, and picks a configuration, as `seesaw run` does.

    >>> import bench
    >>> bench.run_suite("quick", dataset="card.toml", trials=20).verdict()  # doctest: +SKIP

    Args:
        suite: a suite's name, or the path of a suite.toml or of a file with what is asked.
        home: as in `load_run`.
        asked: as the options of `seesaw run`, see `bench.run.request.Request`.

    Raises:
        UserError: an option is unknown or does not fit the rest; nothing is written then.
    """
    from bench.run.create import create
    from bench.run.execute import execute
    from bench.run.request import Request
    from bench.system.home import writable_home
    from bench.system.progress import Silent

    request = Request.of({"suite": str(suite), **asked})
    run = create(writable_home(Path(home) if home else None), request, Silent())
    execute(run, Silent())
    return LoadedRun(run)


def decide(log: Any, **asked: Any) -> LoadedDecision:
    """Decides from a log's predictions which model and weights to serve; nothing is trained, and torch is not needed.

    >>> import bench
    >>> bench.decide(frame, labels=["click", "buy"], models={"today": ["p_click", "p_buy"]},
    ...              weights="3 p_click + 40 p_buy", unseen=True).verdict()  # doctest: +SKIP

    Args:
        log: a pandas or Arrow table; or the path of a CSV or parquet file or of a folder of them, or several paths.
        asked: as in a file `decide.toml`, see `bench.deciding.asked.Asked`.

    Raises:
        UserError: nothing can be decided by these rows, labels or predictions; or an unknown option.
    """
    from bench.core.validation import validate
    from bench.deciding import log as logs
    from bench.deciding.asked import Asked
    from bench.deciding.decision import decide as decision_of
    from bench.system.progress import Silent

    paths = [log] if isinstance(log, str | Path) else log if isinstance(log, list | tuple) else None
    options = asked if paths is None else asked | {"log": [str(path) for path in paths]}
    given = validate(Asked, options, "")
    read = logs.of_frame(log, given) if paths is None else logs.read(given, Silent())
    return LoadedDecision(decision_of(given, read))


@dataclass(frozen=True)
class LoadedDecision:
    """A decision on a log; its methods are those of a `LoadedRun`."""

    decision: LogDecision

    def verdict(self) -> str:
        """Whether to switch, what that gains and loses, and how sure it is."""
        return self.decision.verdict.sentence

    def formula(self) -> str:
        """What the answer says to rank by, in the log's own columns."""
        return self.decision.formula

    def pick(self) -> Pick:
        """The picked model and weights, with the reason; raises a `UserError` where nothing was picked."""
        if self.decision.pick is None:
            raise UserError(self.decision.no_pick or "nothing was picked")
        return self.decision.pick

    def cells(self) -> pd.DataFrame:
        """All that was measured, one long table: a row for each point, split, slice of its rows, and measure."""
        return self.decision.cells

    def plan(self, **asked: Any) -> dict[str, Any]:
        """The plan of its A/B test, as plain values; see `bench.planning.plan.plan` for what may be asked."""
        from bench.planning.page import planned

        return planned(self.decision, **asked)

    def figure(self, name: str = "front") -> Picture:
        """A plot of `bench.report.picture.PLOTS`; a notebook shows it."""
        from bench.deciding.page import view_of
        from bench.report.picture import PLOTS, standalone

        check_known("figure", name, PLOTS)
        return standalone(PLOTS[name](view_of(self.decision)))

    def write(self, folder: str | Path) -> Path:
        """Writes page, cells and JSON into a folder, and returns the page's path."""
        from bench.deciding.page import write

        return write(self.decision, Path(folder))

    def _repr_html_(self) -> str:
        """The verdict and the served front."""
        from bench.report.markup import escaped

        drawn = self.figure().svg if self.decision.serving.served else ""
        return f"<p>{escaped(self.verdict())}</p><p><code>{escaped(self.formula())}</code></p>{drawn}"


@dataclass(frozen=True)
class LoadedRun:
    """What came of a run, as far as it has come when it is first asked for.

    Every method takes the data set's name where the run has more than one, and raises a `UserError` without it, or
    where nothing was run yet.
    """

    run: Run
    _results: dict[str, DatasetResult] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.run.name

    @property
    def datasets(self) -> list[str]:
        """Names of its data sets."""
        return list(self.run.datasets)

    def frontier(self, dataset: str | None = None) -> pd.DataFrame:
        """The points on the front of heads, best in the first objective first, as `points` has them."""
        front = self._result(dataset).frontier
        return front.wide.iloc[front.best].reset_index(drop=True)

    def points(self, dataset: str | None = None) -> pd.DataFrame:
        """All points by trial, on the front of heads or not, with their numbers; see `bench.results.ledger.Ledger`."""
        return self._result(dataset).frontier.wide

    def cells(self, dataset: str | None = None) -> pd.DataFrame:
        """All that was measured, one long table: a row for each point, split, slice of its rows, and measure."""
        return self._result(dataset).cells

    def trials(self, dataset: str | None = None) -> pd.DataFrame:
        """A row for each trial: what it was, how it ended, metrics as the search saw them, what the search chose."""
        rows = [
            {
                "trial": record.number,
                "state": record.state,
                "architecture": record.architecture,
                "sharing": record.sharing,
                "funnel": record.funnel,
                "balancing": record.balancing,
                "baseline": record.baseline,
                "seconds": record.seconds,
                "failure": record.failure.reason if record.failure else None,
                **record.metrics,
                **record.params,
            }
            for record in self._result(dataset).records
        ]
        return pd.DataFrame(rows)

    def replicates(self, dataset: str | None = None) -> pd.DataFrame:
        """A row for each retraining: `trial, architecture, replicate, seed, until, failure`, then metrics."""
        rows = [
            {
                "trial": record.number,
                "architecture": record.architecture,
                "replicate": each.replicate,
                "seed": each.seed,
                "until": each.until,
                "failure": each.failure.reason if each.failure else None,
                **each.metrics,
            }
            for record in self._result(dataset).records
            for each in record.replicates
        ]
        return pd.DataFrame(rows, columns=None if rows else ["trial", "architecture", "replicate", "seed"])

    def figure(self, name: str = "front", dataset: str | None = None) -> Picture:
        """A plot of `bench.report.picture.PLOTS`: `front`, what is served where there is one; `heads`; or `inputs`.

        Returns:
            What a notebook shows; its `svg` is the text of a file.
        """
        from bench.report.picture import PLOTS, standalone
        from bench.run.page import view_of

        check_known("figure", name, PLOTS)
        return standalone(PLOTS[name](view_of(self._result(dataset))))

    def verdict(self, dataset: str | None = None) -> str:
        """Whether to switch, what that gains and loses, and how sure it is: the sentence of terminal and page."""
        return self._result(dataset).verdict.sentence

    def formula(self, dataset: str | None = None) -> str:
        """What the answer says to rank by, in a model's predictions."""
        return self._result(dataset).formula

    def pick(self, dataset: str | None = None) -> Pick:
        """The picked configuration, with its reason.

        Raises:
            UserError: nothing was picked; the text says why.
        """
        result = self._result(dataset)
        if result.pick is None:
            raise UserError(result.no_pick or "nothing was picked")
        return result.pick

    def plan(self, dataset: str | None = None, **asked: Any) -> dict[str, Any]:
        """The plan of its A/B test, as plain values; see `bench.planning.plan.plan` for what may be asked."""
        from bench.planning.page import planned

        return planned(self._result(dataset), **asked)

    def _result(self, dataset: str | None) -> DatasetResult:
        from bench.run.result import result_of

        parts = self.run.datasets
        if dataset is None and len(parts) > 1:
            raise UserError(f"expected one of the run's data sets, {', '.join(parts)}; found none")
        key = dataset or next(iter(parts))
        check_known("data set", key, parts)
        if key not in self._results:
            self._results[key] = result_of(parts[key])
        return self._results[key]
