"""MLflow's model registry: versions of a packaged model, and aliases.

`champion` serves, `previous` served before it, `challenger` awaits comparison with it.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.app.tracking.store import MlflowStore, StoredRun, TrackingError
from bench.app.tracking.values import MetricValue
from bench.core.errors import UserError, check_known, unknown
from bench.core.system.atomic import Unwritable, remove_abandoned, rename, scratch_folder, writable
from bench.core.system.credentials import home_address, plain_address
from bench.core.system.lock import in_turn
from bench.serve.package import MANIFEST, Package
from bench.serve.scorer import example_rows

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.models import ModelSignature

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
TASKS = "seesaw.tasks"
"""Tag of a version: the names of its tasks, separated by commas."""
DATASET = "seesaw.dataset"
"""Tag of a version: the data set's name, or the path of its card."""
MODEL = "model"  # folder among a run's artifacts
REQUIREMENTS = ("torch", "numpy", "pandas", "pyarrow", "numba", "pydantic", "mlflow")
ROOM = 2**16
"""Bytes: a disk with fewer that are free is taken for full, where copying has failed."""
_URI = re.compile(r"(?:models:/)?(?P<name>[^@/:]+)(?:@(?P<alias>[\w-]+)|/(?P<version>\d+))?")


@dataclass(frozen=True)
class Move:
    """A change of an alias; `before` and `after` are versions, `before` None for none."""

    alias: str
    before: str | None
    after: str

    def __str__(self) -> str:
        moved = (
            f"from version {self.before} to {self.after}"
            if self.before
            else f"to version {self.after}"
        )
        return f"{self.alias} moves {moved}"


class ModelRegistry:
    """The registered models of an MLflow store; raises TrackingError if it cannot be reached."""

    def __init__(self, uri: str | None, home: Path | None = None) -> None:
        self._store = MlflowStore(uri, home)
        self._store.ask("list the models", "search_registered_models", max_results=1)

    def log(
        self,
        package: Package,
        experiment: str,
        run_name: str,
        tags: Mapping[str, str],
        metrics: Mapping[str, float],
    ) -> str:
        """Logs a package as an MLflow model in a new run, with signature, example and card; returns
        the run's id.
        """
        experiment_id = self._store.experiment(experiment, make=True)
        known = {"seesaw.kind": "deployment", **tags}
        node = StoredRun.create(self._store, experiment_id, run_name, known)
        try:
            with scratch_folder(package.folder) as folder:
                save_model(package, folder / MODEL)
                to = f"store the model with the run '{run_name}'"
                self._store.ask(to, "log_artifacts", node.run_id, str(folder / MODEL), MODEL)
            node.send([MetricValue(name, value) for name, value in metrics.items()])
        except BaseException as error:
            with suppress(TrackingError):  # the first error is reported
                node.set_status("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        node.set_status("FINISHED")
        return node.run_id

    def register(self, name: str, run_id: str, description: str, tags: Mapping[str, str]) -> str:
        """Registers a new version of a model, creating the model if necessary; returns its
        number.
        """
        run = self._store.ask("find the run", "get_run", run_id)
        source = f"{run.info.artifact_uri}/{MODEL}"
        if not self._named(name):
            self._store.ask(
                f"register the model '{name}'", "create_registered_model", name, tries=1
            )
        to, add = f"register a version of '{name}'", "create_model_version"
        made = self._store.ask(
            to, add, name, source, run_id, dict(tags), description=description, tries=1
        )
        return str(made.version)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> version; empty if there is no such model."""
        models = self._named(name)
        return {alias: str(number) for alias, number in models[0].aliases.items()} if models else {}

    def check_version(self, name: str, tasks: Sequence[str], dataset: str | None) -> None:
        """Refuses a version of another model: two logs may have the same name.

        Raises UserError if the model's champion, else its challenger, shares no task, or has
        another data set than `dataset` (None accepts any).
        """
        aliases = self.aliases(name)
        number = aliases.get(CHAMPION) or aliases.get(CHALLENGER)
        now: Mapping[str, str] = {} if number is None else self._version(name, number).tags
        known, other = now.get(TASKS, "").split(","), now.get(DATASET, dataset)
        if now.get(TASKS) and not set(known) & set(tasks):
            raise UserError(
                f"expected a new version of the registered model '{name}', which predicts "
                f"{', '.join(known)}, found a pick that predicts {', '.join(tasks)}; register it "
                "under another name with --name"
            )
        if dataset is not None and other != dataset:
            raise UserError(
                f"expected a new version of the registered model '{name}', whose data are {other}, "
                f"found a pick on {dataset}; register it under another name with --name, or as a "
                f"version of that model with --name {name}"
            )

    def moves(self, name: str, alias: str, number: str) -> list[Move]:
        """Moves that give an alias to a version: the old champion becomes `previous`.

        That comes first, so that repeating an interrupted change still ends right.
        """
        now = self.aliases(name)
        moves = [Move(alias, now.get(alias), number)]
        if alias == CHAMPION and (old := now.get(CHAMPION)) is not None:
            moves.insert(0, Move(PREVIOUS, now.get(PREVIOUS), old))
        return moves

    def promote(self, name: str) -> list[Move]:
        """Moves that make the challenger the champion as well; raises UserError if there is none or
        it already is.
        """
        now = self._holding(name, CHALLENGER)
        if now.get(CHAMPION) == now[CHALLENGER]:
            raise UserError(
                f"{name}: expected a challenger that is not the champion, found version "
                f"{now[CHAMPION]} as both"
            )
        return self.moves(name, CHAMPION, now[CHALLENGER])

    def rollback(self, name: str) -> list[Move]:
        """Moves that exchange champion and previous, as a second call undoes; raises UserError
        without a previous.
        """
        now = self._holding(name, CHAMPION, PREVIOUS)
        return [
            Move(CHAMPION, now[CHAMPION], now[PREVIOUS]),
            Move(PREVIOUS, now[PREVIOUS], now[CHAMPION]),
        ]

    def apply(self, name: str, moves: list[Move]) -> None:
        """Moves aliases."""
        for move in moves:
            to = f"move the alias '{move.alias}' of '{name}'"
            self._store.ask(to, "set_registered_model_alias", name, move.alias, move.after)

    def fetch(self, model: str, into: Path) -> Package:
        """Copies the package behind `NAME`, `NAME@ALIAS` or `NAME/VERSION` into a folder, once;
        NAME is its champion.

        Raises:
            UserError: no such model, alias or version, or the package was changed.
        """
        name, number = self.version_of(model)
        made = self._version(name, number)
        target = into / str(
            made.run_id
        )  # the number is not unique: registries differ, and models may be recreated
        if not (target / MANIFEST).is_file():
            writable(into)
            with in_turn(into / "fetch.lock"):
                remove_abandoned(into)
                if (target / MANIFEST).is_file():
                    return Package.open(target)
                with scratch_folder(target) as folder:
                    of = str(made.run_id), f"{MODEL}/artifacts", str(folder)
                    try:
                        self._store.ask(f"fetch '{model}'", "download_artifacts", *of)
                    except TrackingError:
                        if (
                            shutil.disk_usage(folder).free < ROOM
                        ):  # MLflow says that a path is wrong
                            raise Unwritable(target, errno.ENOSPC) from None
                        raise
                    if (manifest := next(folder.glob(f"**/{MANIFEST}"), None)) is None:
                        raise UserError(
                            f"expected a packaged model behind '{model}', found no {MANIFEST} in "
                            "its files"
                        )
                    rename(manifest.parent, target)
        return Package.open(target)

    def _version(self, name: str, number: str) -> ModelVersion:
        version: ModelVersion = self._store.ask(
            f"find version {number} of '{name}'", "get_model_version", name, number
        )
        return version

    def version_of(self, model: str) -> tuple[str, str]:
        """Parses a model's text into name and version; raises UserError if there is none."""
        match = _URI.fullmatch(model)
        if match is None:
            raise UserError(
                f"expected a model as NAME, NAME@ALIAS or NAME/VERSION, found '{model}'"
            )
        name, alias, number = match["name"], match["alias"], match["version"]
        self._check_known(name)
        if number is None:
            now = self.aliases(name)
            alias = alias or CHAMPION
            check_known(f"alias of the model '{name}'", alias, now)
            return name, now[alias]
        there = self._store.ask(
            f"list the versions of '{name}'", "search_model_versions", f"name = '{name}'"
        )
        if number not in (known := [str(each.version) for each in there]):
            raise unknown(f"version of the model '{name}'", number, known)
        return name, number

    def _named(self, name: str) -> Sequence[RegisteredModel]:
        models: Sequence[RegisteredModel] = self._store.ask(
            f"find the model '{name}'", "search_registered_models", f"name = '{name}'"
        )
        return models

    def _holding(self, name: str, *wanted: str) -> dict[str, str]:
        self._check_known(name)
        now = self.aliases(name)
        if not set(wanted) <= set(now):
            there = ", ".join(f"{alias} {number}" for alias, number in now.items()) or "none"
            raise UserError(
                f"expected a model '{name}' with the alias {' and '.join(wanted)}, found {there}"
            )
        return now

    def _check_known(self, name: str) -> None:
        known = [
            each.name for each in self._store.ask("list the models", "search_registered_models")
        ]
        check_known("model", name, known)


def registered(home: Path, model: str, tracking: str | None = None) -> Package:
    """Fetches `NAME`, `NAME@ALIAS` or `NAME/VERSION` from an address's registry, or the home's;
    errors of `fetch`.
    """
    if tracking is None and not (home / "mlflow.db").is_file():
        raise UserError(
            f"expected a package's folder, a run or a registered model, found no '{model}' (in "
            f"{home})"
        )
    return ModelRegistry(plain_address(tracking) if tracking else home_address(home)).fetch(
        model, home / "models"
    )


def save_model(package: Package, folder: Path) -> None:
    """Writes an MLflow model around a package."""
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(
        path=folder,
        python_model=str(Path(__file__).with_name("served.py")),
        artifacts={"package": str(package.folder)},
        signature=signature_of(package),
        input_example=example_rows(package.encoder),
        pip_requirements=[
            f"seesaw-bench=={__version__}",
            *(f"{name}=={version(name)}" for name in REQUIREMENTS),
        ],
        metadata={"seesaw": {"digest": package.digest, "dataset": package.manifest.name}},
    )
    (folder / "README.md").write_text(
        (package.folder / "README.md").read_text(encoding="utf-8"), encoding="utf-8"
    )


def signature_of(package: Package) -> ModelSignature:
    """Raw columns of any type: categories may be numbers or texts; the scorer checks them and names
    column and row.

    No column is required: a request without rows has none, and a kept history computes some.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    scorer = package.scorer()
    anything: Any = AnyType  # its constructor is untyped
    columns = dict.fromkeys(
        [*(column.name for column in scorer.rows.columns), *package.needed_by_history]
    )
    inputs: list[Any] = [ColSpec(anything(), column, required=False) for column in columns]
    outputs: list[Any] = [ColSpec("double", name) for name in scorer.names]
    return ModelSignature(Schema(inputs), Schema(outputs))
