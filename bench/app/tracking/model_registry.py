"""MLflow's model registry: versions of a packaged model, and aliases.

`champion` serves, `previous` served before it, `challenger` awaits comparison with it.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.app.tracking.mlflow_store import MlflowStore, StoredRun, TrackingError
from bench.app.tracking.target_state import MetricValue
from bench.core.errors import UserError, check_known
from bench.core.system.atomic import Unwritable, remove_abandoned, rename, scratch_folder, writable
from bench.core.system.credentials import home_address, plain_address
from bench.core.system.lock import in_turn
from bench.serve.package import MANIFEST, Package
from bench.serve.scorer import example_rows

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
TASKS = "seesaw.tasks"
"""Tag of a version: the names of its tasks, separated by commas."""
DATASET = "seesaw.dataset"
"""Tag of a version: the data set's name, or the path of its card."""
MODEL = "model"  # folder among a run's artifacts
REQUIREMENTS = ("torch", "numpy", "pandas", "pyarrow", "numba", "pydantic", "mlflow")
ROOM = 2**16
"""Bytes: if copying fails, a disk with fewer free ones is taken for full."""
_URI = re.compile(r"(?:models:/)?(?P<name>[^@/:]+)(?:@(?P<alias>[\w-]+)|/(?P<version>\d+))?")


@dataclass(frozen=True)
class Move:
    """A change of an alias; `before` and `after` are versions, `before` None for none."""

    alias: str
    before: str | None
    after: str

    def __str__(self) -> str:
        origin = f"from version {self.before} to " if self.before else "to version "
        return f"{self.alias} moves {origin}{self.after}"


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
        tags = {"seesaw.kind": "deployment", **tags}
        with StoredRun.open(self._store, experiment, run_name, tags) as node:
            with scratch_folder(package.folder) as folder:
                save_model(package, folder / MODEL)
                node.ask("store the model with", "log_artifacts", str(folder / MODEL), MODEL)
            node.send([MetricValue(name, value) for name, value in metrics.items()])
        return node.run_id

    def register(self, name: str, run_id: str, description: str, tags: Mapping[str, str]) -> str:
        """Registers a new version of a model, creating the model if necessary; returns its
        number.
        """
        run = self._store.ask("find the run", "get_run", run_id)
        source = f"{run.info.artifact_uri}/{MODEL}"
        if name not in self._models():
            to = f"register the model '{name}'"
            self._store.ask(to, "create_registered_model", name, tries=1)
        model_version = self._store.ask(
            f"register a version of '{name}'",
            "create_model_version",
            name,
            source,
            run_id,
            dict(tags),
            description=description,
            tries=1,
        )
        return str(model_version.version)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> version; empty if there is no such model."""
        return self._models().get(name, {})

    def check_version(self, name: str, tasks: Sequence[str], dataset: str | None) -> None:
        """Refuses a version of another model: two logs may have the same name.

        Raises UserError if the model's champion, else its challenger, shares no task, or has
        another data set than `dataset` (None accepts any).
        """
        aliases = self.aliases(name)
        number = aliases.get(CHAMPION) or aliases.get(CHALLENGER)
        if number is None:
            return
        tags = self._version(name, number).tags
        registered_tasks = tags.get(TASKS, "").split(",")
        if tags.get(TASKS) and not set(registered_tasks) & set(tasks):
            raise UserError(
                f"expected a new version of the registered model '{name}', which predicts "
                f"{', '.join(registered_tasks)}, found a pick that predicts {', '.join(tasks)}; "
                "register it under another name with --name"
            )
        registered_dataset = tags.get(DATASET, dataset)
        if dataset is not None and registered_dataset != dataset:
            raise UserError(
                f"expected a new version of the registered model '{name}', whose data are "
                f"{registered_dataset}, found a pick on {dataset}; register it under another name "
                f"with --name, or as a version of that model with --name {name}"
            )

    def moves(self, name: str, alias: str, number: str) -> list[Move]:
        """Moves that give an alias to a version: the old champion becomes `previous`.

        That comes first, so that repeating an interrupted change still ends right.
        """
        aliases = self.aliases(name)
        move = Move(alias, aliases.get(alias), number)
        if alias != CHAMPION or move.before is None:
            return [move]
        return [Move(PREVIOUS, aliases.get(PREVIOUS), move.before), move]

    def promote(self, name: str) -> list[Move]:
        """Moves that make the challenger the champion as well; raises UserError if there is none or
        it already is.
        """
        aliases = self._with_aliases(name, CHALLENGER)
        if aliases.get(CHAMPION) == aliases[CHALLENGER]:
            raise UserError(
                f"{name}: expected a challenger that is not the champion, found version "
                f"{aliases[CHAMPION]} as both"
            )
        return self.moves(name, CHAMPION, aliases[CHALLENGER])

    def rollback(self, name: str) -> list[Move]:
        """Moves that exchange champion and previous, as a second call undoes; raises UserError
        without a previous.
        """
        aliases = self._with_aliases(name, CHAMPION, PREVIOUS)
        champion, previous = aliases[CHAMPION], aliases[PREVIOUS]
        return [Move(CHAMPION, champion, previous), Move(PREVIOUS, previous, champion)]

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
        # The number is not unique: registries differ, and models may be recreated.
        target = into / str(self._version(name, number).run_id)
        if not (target / MANIFEST).is_file():
            writable(into)
            with in_turn(into / "fetch.lock"):
                remove_abandoned(into)
                if not (target / MANIFEST).is_file():
                    self._download(model, target)
        return Package.open(target)

    def _download(self, model: str, target: Path) -> None:
        run_id, files = target.name, f"{MODEL}/artifacts"
        with scratch_folder(target) as folder:
            try:
                to = f"fetch '{model}'"
                self._store.ask(to, "download_artifacts", run_id, files, str(folder))
            except TrackingError:
                # MLflow reports that a path is wrong.
                if shutil.disk_usage(folder).free < ROOM:
                    raise Unwritable(target, errno.ENOSPC) from None
                raise
            manifest = next(folder.glob(f"**/{MANIFEST}"), None)
            if manifest is None:
                raise UserError(
                    f"expected a packaged model behind '{model}', found no {MANIFEST} in its files"
                )
            rename(manifest.parent, target)

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
        name, alias, number = match.group("name", "alias", "version")
        aliases = self._with_aliases(name)
        if number is None:
            alias = alias or CHAMPION
            check_known(f"alias of the model '{name}'", alias, aliases)
            return name, aliases[alias]
        versions = self._store.search(
            f"list the versions of '{name}'", "search_model_versions", f"name = '{name}'"
        )
        numbers = [str(model_version.version) for model_version in versions]
        check_known(f"version of the model '{name}'", number, numbers)
        return name, number

    def _models(self) -> dict[str, dict[str, str]]:
        """The registered models: name -> alias -> version."""
        aliases = {}
        for model in self._store.search("list the models", "search_registered_models"):
            aliases[model.name] = {alias: str(number) for alias, number in model.aliases.items()}
        return aliases

    def _with_aliases(self, name: str, *wanted: str) -> dict[str, str]:
        """The aliases of a model; raises UserError if there is none, or it lacks one of the
        wanted.
        """
        models = self._models()
        check_known("model", name, models)
        aliases = models[name]
        if not set(wanted) <= set(aliases):
            pairs = ", ".join(f"{alias} {number}" for alias, number in aliases.items())
            raise UserError(
                f"expected a model '{name}' with the alias {' and '.join(wanted)}, found "
                f"{pairs or 'none'}"
            )
        return aliases


def registered(home: Path, model: str, tracking: str | None = None) -> Package:
    """Fetches `NAME`, `NAME@ALIAS` or `NAME/VERSION` from an address's registry, or the home's;
    errors of `fetch`.
    """
    if tracking is None and not (home / "mlflow.db").is_file():
        raise UserError(
            f"expected a package's folder, a run or a registered model, found no '{model}' (in "
            f"{home})"
        )
    address = plain_address(tracking) if tracking else home_address(home)
    return ModelRegistry(address).fetch(model, home / "models")


def save_model(package: Package, folder: Path) -> None:
    """Writes an MLflow model around a package."""
    import mlflow.pyfunc

    pinned = [f"{name}=={version(name)}" for name in REQUIREMENTS]
    mlflow.pyfunc.save_model(
        path=folder,
        python_model=str(Path(__file__).with_name("pyfunc.py")),
        artifacts={"package": str(package.folder)},
        signature=signature_of(package),
        input_example=example_rows(package.encoder),
        pip_requirements=[f"seesaw-bench=={__version__}", *pinned],
        metadata={"seesaw": {"digest": package.digest, "dataset": package.manifest.name}},
    )
    readme = (package.folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(readme, encoding="utf-8")


def signature_of(package: Package) -> ModelSignature:
    """Raw columns of any type: categories may be numbers or texts; the scorer checks them and names
    column and row.

    No column is required: a request without rows has none, and a kept history computes some.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema

    scorer = package.scorer()
    anything: Any = AnyType  # its constructor is untyped
    columns = dict.fromkeys(column.name for column in scorer.rows.columns)
    columns |= dict.fromkeys(package.needed_by_history)
    inputs: list[Any] = [ColSpec(anything(), column, required=False) for column in columns]
    outputs: list[Any] = [ColSpec("double", name) for name in scorer.names]
    return ModelSignature(Schema(inputs), Schema(outputs))
