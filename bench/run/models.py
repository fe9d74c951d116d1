"""Finds a model by the user's name for it: a package's folder, a deployed run, or a name in the registry."""

from __future__ import annotations

from pathlib import Path

from bench.errors import UserError
from bench.production.package import MANIFEST, Package
from bench.run.folder import MANIFEST as RUN
from bench.run.folder import Run
from bench.tracking import plain_address
from bench.tracking.registry import Registry


def registry_uri(home: Path, tracking: str | None) -> str:
    """The MLflow store whose registry is meant: the one at home where none is named."""
    return plain_address(tracking) if tracking else f"sqlite:///{home / 'mlflow.db'}"


def open_model(home: Path, model: str, tracking: str | None = None) -> Package:
    """The package behind a folder, a run's name, or `NAME`, `NAME@ALIAS`, `NAME/VERSION` in the registry.

    Raises:
        UserError: there is none, or it was changed.
    """
    folder = Path(model).expanduser()
    if (folder / MANIFEST).is_file():
        return Package.open(folder)
    if (home / "runs" / model / RUN).is_file():
        made = [part.folder / "package" for part in Run.open(home, model).datasets.values()]
        found = [each for each in made if (each / MANIFEST).is_file()]
        if len(found) != 1:
            raise UserError(
                f"{model}: expected one packaged model, found {len(found)}; `seesaw deploy` makes one, and a folder "
                "says which"
            )
        return Package.open(found[0])
    uri = registry_uri(home, tracking)
    if tracking is None and not (home / "mlflow.db").is_file():
        raise UserError(f"expected a package's folder, a run or a registered model, found no '{model}' (in {home})")
    return Registry(uri).fetch(model, home / "models")
