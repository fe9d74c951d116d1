"""What Python and notebooks call: `run`, `decide` and `load_run`, and the `Result` that all three
give.

>>> result = bench.run(frame, labels=["click", "buy"], time="ts", budget="10m")  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import pandas as pd

from bench.app.runs.own_trainer import Trainer as Trainer  # public
from bench.core.errors import UserError, check_known
from bench.core.formula_languages import language_of
from bench.core.plain import names
from bench.core.plugins import PluginFile, add
from bench.core.system.interrupts import interrupted_once
from bench.core.system.progress import Progress
from bench.ledger.ledger import read_cells as read_cells  # public

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.app.report.picture import Picture
    from bench.app.report.section import PageSection
    from bench.app.runs.backtest import BacktestAnswer
    from bench.app.runs.folder import DatasetRun, Run
    from bench.app.runs.result import DatasetResult
    from bench.deciding.decision import Decision
    from bench.deciding.logged.log_decision import LogResult
    from bench.deciding.pick import Pick
    from bench.serve.package import Package


PathOrPaths = str | Path | Sequence[str | Path]


def run(
    data: Any,
    *,
    labels: str | Sequence[str] = (),
    parents: Mapping[str, str] | None = None,
    time: str | None = None,
    group: str | None = None,
    units: str | None = None,
    logged: str | Sequence[str] = (),
    current: str | None = None,
    budget: str | float | None = None,
    suite: str | Path = "quick",
    home: str | Path | None = None,
    plugins: PathOrPaths = (),
    trainer: Any = None,
    space: Any = None,
    **asked: Any,
) -> Result:
    """Searches for the models that share best, confirms them, and picks one, as `seesaw data card`
    and `seesaw run` do.

    Without a card one is drafted into the home's folder `cards`, once: there it may be changed.
    `labels`, `parents`, `time`, `group`, `units` and `logged` are for that, as options of `seesaw
    data card`; all others are of `seesaw run`. Under the `name` of a run that is there, it goes on.

    Args:
        data: a pandas or Arrow table; CSV or parquet files, folders or patterns; the path of a
            card; or the name of a data set.
        current: what is served today, as `--current` takes it; `column:NAME` is a score of the log.
        budget: the time limit of the search, as in "10m".
        home: the folder of all files; else `$SEESAW_HOME`, else `./.seesaw`.
        plugins: Python files with entries of your own, beside `$SEESAW_PLUGIN`.
        trainer: a function, a `Trainer`, the path of a `trainer.toml`, or several of these: models
            of your own, see docs/own-model.md.
        space: of a function its settings that are searched, by name; models of the package are left
            out then. Else as `--space`: a search space, or `none` for trainers alone.

    Raises:
        UserError: an option is unknown or does not fit the rest; no run is made then.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> log = pd.DataFrame({"item": rng.integers(0, 9, 3000), "price": rng.random(3000)})
        >>> log["click"] = rng.random(3000) < 0.1 + 0.05 * log["item"]
        >>> log["buy"] = log["click"] & (rng.random(3000) < 1 - log["price"])
        >>> result = run(log, labels=["click", "buy"], trials=2, home=home)
        >>> len(result.trials())
        2
    """
    from bench.app.runs.execute import execute
    from bench.app.runs.extend import create_or_open
    from bench.app.runs.request import Request
    from bench.core.system.home import writable_home
    from bench.core.system.machine import set_waiting

    set_waiting()
    _add(plugins)
    if "dataset" in asked:
        raise UserError("dataset: expected the data as the first argument, found them as an option")
    if current is not None:
        asked["current"] = current
    if budget is not None:
        asked["time"] = budget
    folder = writable_home(_folder(home))
    if trainer is not None:
        asked |= _with_trainers(trainer, space, asked, folder)
    elif space is not None:
        asked["space"] = str(space)
    request = Request.of({"suite": str(suite), **asked})
    columns = {
        "time": time,
        "group": group,
        "units": units,
        "logged": names(logged),
        "labels": names(labels),
        "parents": tuple(f"{child}={parent}" for child, parent in (parents or {}).items()),
    }
    described = {key: value for key, value in columns.items() if value}
    progress = _progress()
    card = _card(data, described, folder, progress)
    begun = create_or_open(folder, request.model_copy(update={"dataset": (card,)}), progress)
    with interrupted_once():
        execute(begun, progress)
    return load_run(begun.folder)


def load_run(
    run: str | Path,
    home: str | Path | None = None,
    dataset: str | None = None,
    plugins: PathOrPaths = (),
) -> Result:
    """The result of a run, by its folder's path or by its name at `home`; of one that goes on as
    far as it has come.

    Args:
        dataset: which one, where the run has several.
        plugins: the Python files that it was made with, beside `$SEESAW_PLUGIN`.

    Raises:
        UserError: there is no such run, or it used a plug-in that is named nowhere.

    Example:
        >>> result = load_run("two", home)
        >>> result.verdict()
        'Cannot tell whether to switch: boosted trees are at +13.3% (-4.6 to +77.7) on average ...'
    """
    from bench.app.runs.folder import Run
    from bench.app.runs.result import result_of
    from bench.core.system.home import resolve_home

    _add(plugins)
    parts = Run.open(resolve_home(_folder(home)), str(run)).datasets
    if dataset is None and len(parts) > 1:
        raise UserError(
            f"dataset: expected one of the run's data sets, {', '.join(parts)}; found none"
        )
    key = dataset or next(iter(parts))
    check_known("data set", key, parts)
    return Result(lambda: result_of(parts[key]), parts[key])


def decide(log: Any, *, plugins: PathOrPaths = (), **asked: Any) -> Result:
    """Decides from a log's predictions which model and weights to serve; nothing is trained, and
    torch is not needed.

    Args:
        log: a pandas or Arrow table; or the path of a CSV or parquet file, of a folder of them or
            a pattern, or several paths.
        plugins: Python files with pick rules of your own, beside `$SEESAW_PLUGIN`.
        asked: as in a file `decide.toml`, see `bench.deciding.logged.asked.Asked`.

    Raises:
        UserError: nothing can be decided by these rows, labels or predictions; or an unknown
            option.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> rng = np.random.default_rng(0)
        >>> chances = rng.uniform(0.05, 0.5, (4000, 2))
        >>> noisy = chances * rng.uniform(0.2, 1, (4000, 2))
        >>> labels = (rng.random((4000, 2)) < chances).astype(int)
        >>> log = pd.DataFrame(labels, columns=["click", "buy"])
        >>> log[["q_click", "q_buy"]] = noisy
        >>> log[["p_click", "p_buy"]] = chances
        >>> models = {"today": ["q_click", "q_buy"], "new": ["p_click", "p_buy"]}
        >>> result = decide(log, labels=["click", "buy"], models=models, unseen=True)
        >>> result.pick().name
        'new'
    """
    from bench.app.runs.log import decide_on
    from bench.core.system.home import resolve_home
    from bench.core.validation import validate
    from bench.deciding.logged.asked import Asked

    _add(plugins)
    table = log
    if isinstance(log, str | Path | list | tuple):
        asked["log"] = [*map(str, _listed(log))]
        table = None
    result = decide_on(validate(Asked, asked, ""), _progress(), resolve_home(None), table)
    return Result(lambda: result)


class Result:
    """The result of a run on one data set, or of a decision on a log. Asking for what it lacks is a
    `UserError`.

    Example:
        >>> result = load_run("two", home)
        >>> result.formula()
        '1 p_click + 1.88 p_like'
        >>> result.pick().name
        'boosted trees'
        >>> result.front()[["name", "test/click.recall@10%"]].shape
        (16, 2)
    """

    def __init__(
        self, found: Callable[[], DatasetResult | LogResult], part: DatasetRun | None = None
    ) -> None:
        self._read, self._part = found, part

    @cached_property
    def found(self) -> DatasetResult | LogResult:
        """All of it, as far as it has come when it is first asked for."""
        return self._read()

    @property
    def decision(self) -> Decision:
        """What is decided, and by what."""
        return self.found.decision

    @property
    def run(self) -> Run:
        """The run's folder, request and suite."""
        return self._trained.run.run

    def verdict(self) -> str:
        """Whether to switch, what that gains and loses, and how sure it is: the sentence of
        terminal and page.
        """
        return self.decision.verdict.sentence

    def formula(self, language: str | None = None) -> str:
        """What the answer says to rank by, in a model's predictions; of a log in its own columns.

        Args:
            language: `sql` or `python` to compute it there; else as people write it.
        """
        if language is None:
            return self.decision.formula
        return self.decision.expression(language_of(language, "language"))

    def pick(self) -> Pick:
        """The picked model and weights, with the reason; a `UserError` that says why where nothing
        was picked.
        """
        if self.decision.pick is None:
            raise UserError(self.decision.no_pick or "nothing was picked")
        return self.decision.pick

    def front(self, heads: bool = False) -> pd.DataFrame:
        """The points on the served front; of `heads` on theirs, best in the first objective first.
        As `points`.
        """
        served, frontier = self.decision.serving.served, self.decision.frontier
        if heads or served is None:
            return frontier.wide.iloc[frontier.best].reset_index(drop=True)
        return served.wide.loc[served.front].reset_index(drop=True)

    def points(self, heads: bool = False) -> pd.DataFrame:
        """A row for each point, on the served front or not; see `bench.ledger.ledger.Ledger.wide`.
        Or of `heads`.
        """
        served = self.decision.serving.served
        if heads or served is None:
            return self.decision.frontier.wide
        return served.wide

    def cells(self) -> pd.DataFrame:
        """All that was measured, one long table: a row for each point, split, slice of its rows,
        and measure.
        """
        return self.decision.cells

    def plan(self, **asked: Any) -> dict[str, Any]:
        """The plan of its A/B test, as plain values; `asked` are options of
        `bench.deciding.plan.plan_options.PlanOptions`.
        """
        from bench.app.report.plan_page import planned

        return planned(self.decision, asked)

    @overload
    def figure(self, name: str = "front", backend: Literal["svg"] = "svg") -> Picture: ...

    @overload
    def figure(self, name: str = "front", *, backend: Literal["matplotlib"]) -> Figure: ...

    def figure(self, name: str = "front", backend: str = "svg") -> Picture | Figure:
        """A plot of `bench.app.report.picture.PLOTS`, which a notebook shows: `front`, `heads`,
        `inputs`.

        Args:
            backend: `svg` gives a picture whose text is `svg`; `matplotlib` a `Figure` to edit and
                to save.

        Raises:
            UserError: another name or backend; matplotlib is not installed, or has nothing to draw.
        """
        from bench.app.report.picture import PLOTS, standalone

        check_known("figure", name, PLOTS)
        check_known("backend", backend, ("svg", "matplotlib"))
        if backend == "svg":
            return standalone(PLOTS[name](self._section()))
        figure = _figures()[name](self._section())
        if figure is None:
            raise UserError(
                f"figure '{name}': expected something to draw, found nothing; {_NEEDS[name]}"
            )
        return figure

    def _section(self) -> PageSection:
        """What a page shows of it."""
        if self._part is None:
            from bench.app.report.log_page import section_of as section_of_log

            return section_of_log(cast("LogResult", self.found))
        from bench.app.runs.run_page import section_of

        return section_of(self._trained)

    def write(self, folder: str | Path) -> Path:
        """Writes a decision's page, cells and JSON into a folder, and returns the page's path; a
        run has its own.
        """
        from bench.app.report.log_page import write

        if self._part is not None:
            raise UserError(
                f"expected a decision on a log, found the run {self.run.name}, whose page is its "
                "own"
            )
        return write(cast("LogResult", self.found), Path(folder))

    def trials(self) -> pd.DataFrame:
        """A row for each trial: what it was, how it ended, metrics as the search saw them, what the
        search chose.
        """
        facts = ("state", "architecture", "sharing", "funnel", "balancing", "baseline", "seconds")
        rows = []
        for record in self._trained.records:
            row = {"trial": record.number} | {name: getattr(record, name) for name in facts}
            row["failure"] = record.failure and record.failure.reason
            rows.append(row | record.metrics | record.params)
        return pd.DataFrame(rows)

    def replicates(self) -> pd.DataFrame:
        """A row for each retraining: `trial, architecture, replicate, seed, until, failure`, then
        metrics.
        """
        rows = []
        for record in self._trained.records:
            for replicate in record.replicates:
                row = {
                    "trial": record.number,
                    "architecture": record.architecture,
                    "replicate": replicate.replicate,
                    "seed": replicate.seed,
                    "until": replicate.until,
                    "failure": replicate.failure and replicate.failure.reason,
                }
                rows.append(row | replicate.metrics)
        if not rows:
            return pd.DataFrame(columns=["trial", "architecture", "replicate", "seed"])
        return pd.DataFrame(rows)

    def deploy(
        self,
        alias: str | None = None,
        name: str | None = None,
        force: bool = False,
        point: str | None = None,
    ) -> Package:
        """Trains the pick for good, packages it in the run's folder, and registers it in MLflow, as
        `seesaw deploy`.

        Args:
            alias: by default champion, of a `point` challenger.
            point: the id of a point of `points()`, which is deployed at its best weights in place
                of the pick.

        Raises a `UserError` where nothing was picked, or, without `force`, where it is below its
        prediction intervals.
        """
        from bench.app.runs.deploy import deploying, make_package, register
        from bench.app.runs.deployment import deployment_of
        from bench.app.runs.folder import PICK
        from bench.app.runs.later_options import DeployOptions
        from bench.core.system.machine import cores
        from bench.core.validation import validate
        from bench.serve.engines import without_onnx

        part = self._trained.run
        options = {"target": str(part.folder / PICK), "alias": alias, "name": name, "point": point}
        asked = validate(DeployOptions, options, "")
        deployment = deployment_of(part.run.home, asked)
        with deploying(deployment):
            package = make_package(
                deployment, None, force, cores(), _progress(), not without_onnx()
            )
            register(deployment, package, asked.registered_as)
        return package

    def export(self, to: str | Path, points: Sequence[str] = (), split: str | None = None) -> Path:
        """Writes predictions of points, by default all, as a log that `seesaw decide` reads;
        returns its options' file.

        Arguments are as options of `seesaw data export`.
        """
        from bench.app.runs.export import export

        return export(self._trained, Path(to), tuple(points), split).options

    def backtest(
        self, cuts: int | None = None, every: str | None = None, points: Sequence[str] = ("pick",)
    ) -> BacktestAnswer:
        """Trains the pick at several later times and judges it on what came next, as `seesaw
        backtest` does.

        Arguments are its options; `points` may name points of `points()`, at their best weights.
        The answer has `sentences` by point, and all of it as plain values in `document`.
        """
        from bench.app.runs.backtest import backtest
        from bench.app.runs.later_options import BacktestOptions
        from bench.core.validation import validate

        answer = backtest(
            self._trained,
            validate(BacktestOptions, {"cuts": cuts, "every": every, "points": points}, ""),
            _progress(),
        )
        self.__dict__.pop("found", None)  # the verdict counts these days
        return answer

    @property
    def _trained(self) -> DatasetResult:
        if self._part is None:
            raise UserError("expected a run, found a decision on a log, which has no trainings")
        return cast("DatasetResult", self.found)

    def __repr__(self) -> str:
        """The verdict, the score to rank by, and what is missing; where there is no result yet, the
        reason.
        """
        try:
            lines = [self.verdict(), self._score, self._incomplete]
        except UserError as reason:
            return str(reason)
        return "\n".join(filter(None, lines))

    def _repr_html_(self) -> str:
        """The same, and the front."""
        from bench.app.report.markup import escaped

        try:
            parts = [f"<p>{escaped(self.verdict())}</p>"]
        except UserError as reason:
            return f"<p>{escaped(str(reason))}</p>"
        if self._score:
            parts.append(f"<p><code>{escaped(self._score)}</code></p>")
        if self._incomplete:
            parts.append(f"<p>{escaped(self._incomplete)}</p>")
        if self.decision.serving.served:
            parts.append(self.figure().svg)
        return "".join(parts)

    @property
    def _score(self) -> str:
        return f"score = {self.formula()}" if self.formula() else ""

    @property
    def _incomplete(self) -> str:
        return "" if self._part is None else self._trained.incomplete


_NEEDS = {
    "front": "it takes two outcomes and points on the front",
    "heads": "it takes two objectives and points on the front",
    "inputs": "`seesaw explain` makes it, after `seesaw deploy`",
}
"""By figure what there must be."""


def _figures() -> dict[str, Callable[[PageSection], Figure | None]]:
    """The figures of matplotlib by name; raises UserError where it is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError(
            "backend: expected matplotlib to be installed, found none; pip install matplotlib"
        ) from None
    from bench.app.report.editable import FIGURES

    return FIGURES


def _with_trainers(
    trainer: Any, space: Any, asked: Mapping[str, Any], home: Path
) -> dict[str, Any]:
    """Options of a run that has trainers of the caller's own."""
    from bench.app.runs.own_trainer import trainers_of

    settings = space if isinstance(space, Mapping) else None
    files, here = trainers_of(trainer, settings, home)
    options: dict[str, Any] = {"trainer": files}
    if settings is not None:
        options["space"] = "none"
    elif space is not None:
        options["space"] = str(space)
    if here:
        if asked.get("executor", "inline") != "inline":
            raise UserError(
                "trainer: expected a function of a module, which other processes can import, "
                "beside this executor; found one of this process alone"
            )
        options["executor"] = "inline"
    return options


def _add(plugins: PathOrPaths) -> None:
    """Adds files of entries, and those that the environment names."""
    add(*(PluginFile.read(Path(path), "plugins") for path in _listed(plugins)))


def _listed(paths: PathOrPaths) -> Sequence[str | Path]:
    return [paths] if isinstance(paths, str | Path) else paths


def _folder(path: str | Path | None) -> Path | None:
    return Path(path) if path else None


def _progress() -> Progress:
    from bench.app.cli.output import NotebookProgress, TerminalProgress

    progress = TerminalProgress()
    return NotebookProgress() if progress.console.is_jupyter else progress


def _card(data: object, columns: dict[str, Any], home: Path, progress: Progress) -> str:
    """The name or path of the data's card, which is drafted where there is none.

    Args:
        columns: what the user says of the data.
    """
    from bench.core.system.data_files import files_at, folder_of_card, names_below, state_of
    from bench.core.system.home import shown
    from bench.core.validation import validate
    from bench.data.inspection.draft import CardRequest, draft_card
    from bench.data.inspection.render import write_card

    if isinstance(data, str | Path) and not _is_data(data):
        if columns:
            raise UserError(
                f"{next(iter(columns))}: expected none beside a card, which says it; found {data}"
            )
        return str(data)
    addresses = _files(data, home)
    facts = []
    for address in addresses:
        facts += [(str(file), *state_of(file)) for file in files_at(address)]
    digest = hashlib.blake2b(json.dumps([facts, columns]).encode(), digest_size=4).hexdigest()
    folder_of_files, names_of_files = names_below(addresses)
    name = re.sub(r"[*?\[\]/]+", "-", names_of_files[0].partition(".")[0])
    target = home / "cards" / f"{name}-{digest}.toml"
    if not target.is_file():
        folder = folder_of_card(folder_of_files, target)
        request = validate(CardRequest, {**columns, "files": addresses, "folder": folder}, "")
        write_card(draft_card(request, progress), target)
    progress.note(f"card: {shown(target)}; what it leaves out, and why, is for you to read")
    return str(target)


def _is_data(address: str | Path) -> bool:
    """Whether it is no card, but a file, a folder or a pattern of files."""
    from bench.core.system import content
    from bench.core.system.data_files import is_pattern
    from bench.core.system.object_store import located

    path = located(address)
    is_card = path.suffix == ".toml" or (path / "card.toml").is_file()
    if is_card or str(address) in content.names("datasets"):
        return False
    return path.exists() or is_pattern(str(address))


def _files(data: object, home: Path) -> list[Path]:
    """The files of the data; a table of memory is written once, under its digest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bench.core.system.atomic import rename, room_for, scratch_folder, writable
    from bench.core.system.object_store import located

    if isinstance(data, str | Path | list | tuple):
        return [located(path).resolve() for path in _listed(data)]
    if not isinstance(data, pa.Table | pd.DataFrame):
        raise UserError(
            f"expected a table, files, a card or a data set's name, found {type(data).__name__}"
        )
    table: pa.Table = data
    if isinstance(data, pd.DataFrame):
        table = pa.Table.from_pandas(data, preserve_index=False)
    folder = writable(home / "frames")
    with room_for(folder), scratch_folder(folder / "frame") as scratch:
        pq.write_table(table.replace_schema_metadata(), scratch / "frame")
        with (scratch / "frame").open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=6)).hexdigest()
        file_of_table = folder / f"frame-{digest}.parquet"
        if not file_of_table.is_file():
            rename(scratch / "frame", file_of_table)
    return [file_of_table]
