"""A run's folder: `<home>/runs/<name>/` with `run.json`, a copy of the space, and a folder for each
data set.

A run holds all that it is read by: a copy of the space and of each card, and absolute paths. What
it says does not depend on the folder that it is asked from, nor on files that change later.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from bench.app.runs.current import (
    REGISTERED,
    CurrentPoint,
    check_confirms,
    lasting_current,
    read_current,
)
from bench.app.runs.request import Request
from bench.app.runs.suite import Suite, SuiteDataset
from bench.app.runs.suite_objectives import resolve_objectives
from bench.app.tracking.target_state import VIEW
from bench.core import plugins
from bench.core.errors import UserError, shortened, unknown
from bench.core.formats import FORMATS, RUN, checked_format
from bench.core.objectives import Objective
from bench.core.plain import read_json
from bench.core.registry import Config
from bench.core.schema import Task
from bench.core.system.atomic import write_text
from bench.core.system.content import read_toml
from bench.core.system.credentials import home_address, is_known, shown
from bench.core.system.home import resolve_home
from bench.core.system.home import shown as shown_folder
from bench.core.system.progress import Progress
from bench.core.validation import validate
from bench.data import Card, Store, parse_card, prepare
from bench.data.card_summary import shape_of
from bench.models.trainers.handing import OriginalTrainer
from bench.search.space import NONE, Fitted, Space, fitting, load_space, trainer_tree

MANIFEST = "run.json"
SPACE = "space.toml"
TRAINER_FILE = ".trainer.toml"
"""End of the copy of a trainer's file, after its name."""
PAGE = "report.html"
LIVE = "live.html"
"""The page of a run that goes on."""
MLFLOW = "mlflow.json"
"""By data set, ids of the experiment and of the run in the run's own MLflow store."""
CARD = "card.toml"
STORE = "store.json"
PICK = "picked.json"
"""The pick with its reasons, which `seesaw deploy` takes."""
CONFIG = "picked.toml"
"""The pick's configuration, for `seesaw train --config`."""
DAYS = "backtest.json"
EXPLAINED = "explained.json"
PACKAGE = "package"


def _plain(name: str) -> str:
    """Raises a ValueError where a name is not that of a folder in the run's own."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"expected the name of a folder in the run's, found '{shortened(name)}'")
    return name


class DatasetFolder(Config):
    """The folder of a data set's part of the run, and the origin of its card."""

    folder: Annotated[str, AfterValidator(_plain)]
    """In the run's. It holds a copy of the card's file."""
    variant: str
    """What follows the `@` in the data set's name: a variant, or parameters of a generator."""
    beside: str
    """The folder of the card's own file, in which its raw files may be."""


class Manifest(Config):
    """`run.json`: all decisions from the creation of the run."""

    format: int = FORMATS[RUN]
    """Of all files in the folder."""
    request: Request
    """With the number of workers and threads; paths in it are absolute. Going on may change it."""
    suite: Suite
    """As the request changed it; paths in it are absolute."""
    parts: dict[str, DatasetFolder]
    """By the data set's name in the suite."""
    current: dict[str, CurrentPoint] = Field(default_factory=dict)
    """The current production point, by the data set's name in the suite; none: see
    `bench.app.runs.current`.
    """
    trainers: dict[str, str] = Field(default_factory=dict)
    """Trainers from elsewhere, by name the folder that the file was in; the run has a copy."""
    given: dict[str, dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    """Models from elsewhere, by the data set's name in the suite: see `bench.app.runs.given`."""
    command: str
    created: str
    versions: dict[str, str]
    plugins: dict[str, str] = Field(default_factory=dict)
    """What the run uses of plug-ins, as `bench.core.plugins.needs` gives it."""

    @property
    def text(self) -> str:
        """As it is kept."""
        return json.dumps(self.model_dump(mode="json"), indent=2)


@dataclass(frozen=True)
class Run:
    """A run on disk."""

    home: Path
    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, home: Path, name_or_path: str) -> Run:
        """The run of that name, or at that path; raises UserError if it or a plug-in that it uses
        cannot be read.
        """
        folder = home / "runs" / name_or_path
        if not os.path.isfile(folder / MANIFEST):
            folder = Path(name_or_path).expanduser().resolve()
        if not os.path.isfile(folder / MANIFEST):
            names = names_of_runs(home)
            raise UserError(f"{unknown('run', name_or_path, names)} (in {home / 'runs'})")
        # a path leads to the home that it is in, wherever it is asked from
        if folder.parent.name == "runs":
            home = folder.parents[1]
        file = folder / MANIFEST
        values = checked_format(RUN, read_json(file), file)
        run = cls(home, folder, validate(Manifest, values, str(file)))
        plugins.check(run.manifest.plugins, run.name, same=False)
        return run

    def keep(self) -> None:
        """Writes what was decided into the folder, where that is not what is there."""
        text = self.manifest.text
        if (self.folder / MANIFEST).read_text(encoding="utf-8") != text:
            write_text(self.folder / MANIFEST, text)

    def with_current(self, source: str | None) -> Run:
        """The run with another current point for all its data sets, which `execute` keeps; itself
        where none is named.

        Raises:
            UserError: as `read_current`; or the run confirms nothing.
        """
        if source is None:
            return self
        check_confirms(self.suite.confirm.replicates)
        address = self.store_address if source.startswith(REGISTERED) else None
        lasting = lasting_current(source)
        current = {}
        for key, part in self.datasets.items():
            current[key] = read_current(lasting, part.card, part.task_names, self.home, address)
        request = self.request.model_copy(update={"current": lasting})
        return self.changed(current=current, request=request)

    def changed(self, **decided: Any) -> Run:
        """The run with other decisions, which `keep` writes."""
        return replace(self, manifest=self.manifest.model_copy(update=decided))

    @property
    def name(self) -> str:
        """The run's name."""
        return self.request.name or self.folder.name

    @property
    def argument(self) -> str:
        """How a command names it: by its name, or by its path where its home is not the usual
        one.
        """
        if self.home == resolve_home():
            return self.name
        return shlex.quote(shown_folder(self.folder))

    @property
    def go_on(self) -> str:
        """The command that goes on with it."""
        return f"seesaw run {self.argument}"

    @property
    def request(self) -> Request:
        """What the user asked."""
        return self.manifest.request

    @property
    def suite(self) -> Suite:
        """The suite as the request changed it."""
        return self.manifest.suite

    @property
    def experiment(self) -> str:
        """In MLflow: the suite, which is given by its name or by the path of its file."""
        path = Path(self.request.suite)
        name = path.stem if path.suffix == ".toml" else path.name
        if name == "suite":
            name = path.resolve().parent.name
        return f"seesaw/{name}"

    @property
    def trainers(self) -> dict[str, OriginalTrainer]:
        """Trainers from elsewhere, by name."""
        trainers = {}
        for name, beside in self.manifest.trainers.items():
            trainers[name] = OriginalTrainer(self.folder / f"{name}{TRAINER_FILE}", Path(beside))
        return trainers

    @cached_property
    def space(self) -> Space:
        """The run's own copy of its space, with what the suite holds fixed, and with trainers."""
        source = NONE if self.suite.space == NONE else str(self.folder / SPACE)
        trees = {name: trainer_tree(trainer.file) for name, trainer in self.trainers.items()}
        return replace(load_space(source).restricted(self.suite.set), trainers=trees)

    @property
    def datasets(self) -> dict[str, DatasetRun]:
        """Its part for each data set, by the name that the suite gives it."""
        return {dataset.id: DatasetRun(self, dataset) for dataset in self.suite.datasets}

    @property
    def tracking_uri(self) -> str:
        """Where MLflow's store is."""
        return self.request.tracking or home_address(self.home)

    @property
    def store_address(self) -> str:
        """`tracking_uri`, to connect to; credentials of the environment may go there.

        Raises:
            UserError: it is that of `run.json`, and the user never named it for this home: the run
                may be another's.
        """
        address = self.request.tracking
        if address is not None and not is_known(address, self.home):
            raise UserError(
                f"{self.name}: expected an MLflow address that you named for {self.home} before, "
                f"found {shown(address)} in the run's {MANIFEST}; if you trust it with your "
                "credentials, name it by --tracking with `seesaw status --sync` or `seesaw run`"
            )
        return self.tracking_uri

    @property
    def look_command(self) -> str:
        """What a user types before `look_link` answers; empty where MLflow runs as a server."""
        if self._is_server:
            return ""
        return f"mlflow ui --backend-store-uri {shlex.quote(self._shown_uri)}"

    @property
    def look_link(self) -> str:
        """The table of its runs in MLflow; the list of experiments where none was logged."""
        base = self._shown_uri.rstrip("/") if self._is_server else "http://127.0.0.1:5000"
        file = self.folder / MLFLOW
        if not file.is_file():
            return f"{base}/#/experiments"
        experiment, _ = next(iter(read_json(file).values()))
        # the table, not the traces; with few columns
        query = f"workflowType=machine_learning&viewStateShareKey={VIEW}"
        return f"{base}/#/experiments/{experiment}/runs?{query}"

    @property
    def _shown_uri(self) -> str:
        """`tracking_uri` without a password, which the `run.json` of somebody else may hold."""
        return shown(self.request.tracking) if self.request.tracking else self.tracking_uri

    @property
    def _is_server(self) -> bool:
        return self.tracking_uri.startswith(("http://", "https://"))


@dataclass(frozen=True)
class DatasetRun:
    """One data set's part of a run."""

    run: Run
    dataset: SuiteDataset

    @property
    def key(self) -> str:
        """The data set's name, variant included."""
        return self.dataset.id

    @property
    def folder(self) -> Path:
        """Where its card, its log and its frontier are."""
        return self.run.folder / self.run.manifest.parts[self.key].folder

    @cached_property
    def card(self) -> Card:
        """The run's own copy of the card."""
        part = self.run.manifest.parts[self.key]
        file = self.folder / CARD
        return parse_card(read_toml(file), str(file), part.variant, Path(part.beside))

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that the run trains on the data set, in order."""
        return self.dataset.tasks_of(self.card.tasks, self.card.default_tasks)

    @property
    def task_names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(task.name for task in self.tasks)

    @property
    def fingerprint(self) -> str | None:
        """Of the prepared data with which the search began; None before that."""
        return self._prepared.get("fingerprint")

    @property
    def ranked(self) -> frozenset[str]:
        """Tasks that are ranked within groups; before the search began all or none, as the card has
        a group or not.
        """
        if "ranked" in self._prepared:
            return frozenset(self._prepared["ranked"].split())
        return frozenset(self.task_names if self.card.group else ())

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the search compares: the suite's, or by default one for each task.

        Raises:
            UserError: the suite asks for what the tasks do not have.
        """
        return resolve_objectives(self.dataset, self.tasks, self.ranked)

    @property
    def current(self) -> CurrentPoint:
        """The current production point."""
        return self.run.manifest.current.get(self.key) or CurrentPoint(
            weights=dict.fromkeys(self.task_names, 1.0)
        )

    @property
    def given(self) -> dict[str, tuple[str, ...]]:
        """Models from elsewhere by name, or by name and seed, `mine#1`: what a prediction of each
        task is made of.
        """
        return self.run.manifest.given.get(self.key, {})

    @property
    def given_names(self) -> set[str]:
        """Names of the models from elsewhere."""
        return {name.partition("#")[0] for name in self.given}

    @property
    def store(self) -> Store | None:
        """The prepared data with which the search began; None before that, and where they are
        gone.
        """
        with suppress(UserError, KeyError):
            return Store.open(self._prepared["path"]).with_tasks(self.task_names)
        return None

    @property
    def _prepared(self) -> dict[str, str]:
        """Path, fingerprint, key and `ranked` of those data; empty before the search began."""
        file = self.folder / STORE
        return dict(read_json(file)) if file.is_file() else {}

    def prepare(self, progress: Progress, raw: Path | None) -> Store:
        """The data with the tasks of the run, prepared where they are not.

        Raises:
            UserError: they cannot be had, or are other data than those with which the search began.
        """
        store = prepare(self.card, self.run.home, raw, progress)
        if self.fingerprint not in (None, store.fingerprint):
            raise UserError(
                f"{self.run.name}: expected the data of {self.key} with which the run began, "
                f"fingerprint {self.fingerprint}, found {store.fingerprint}: its raw files or this "
                "program's way to prepare them changed since; a new run takes them as they are now"
            )
        return store.with_tasks(self.task_names)

    def fitted(self, store: Store | None = None) -> Fitted:
        """The run's space without what does not fit the data, and why it does not; with the passes
        of full length.

        Args:
            store: the prepared data; by default those with which the search began. Where there are
                none, the card says what fits, and passes are the space's.
        """
        store = store or self.store
        if store is None:
            return fitting(self.run.space, shape_of(self.card, self.task_names))
        fitted = fitting(self.run.space, store.schema)
        passes = self.run.suite.passes(len(store.split("train")))
        return Fitted(fitted.space.restricted(passes), fitted.left_out)


def names_of_runs(home: Path) -> list[str]:
    """Names of all runs at a home."""
    return sorted(path.parent.name for path in home.glob(f"runs/*/{MANIFEST}"))


def slug(text: str) -> str:
    """A name that is safe as a folder's: letters, digits and `._@=-`."""
    return re.sub(r"[^A-Za-z0-9._@=-]+", "_", text).strip("._") or "data"
