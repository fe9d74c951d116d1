"""Where runs are tracked, and which parent run is whose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.tracking.address import REMOTE, kind
from bench.tracking.node import Node
from bench.tracking.parent import Parent
from bench.tracking.store import Pulse, Store


def experiment_name(suite: str) -> str:
    """The experiment of a suite, given by its name or by the path of its file."""
    path = Path(suite)
    name = path.stem if path.suffix == ".toml" else path.name
    return f"seesaw/{path.resolve().parent.name if name == 'suite' else name}"


class Tracker:
    """A store of runs.

    Args:
        uri: an MLflow address, or None for a sqlite file at home.
        home: also where artifacts are kept, unless the address is a server, which keeps its own.

    Raises:
        TrackingError: the store cannot be reached.
    """

    def __init__(self, uri: str | None, home: Path, pulse: Pulse | None = None) -> None:
        home = home.resolve()
        if uri is None:
            home.mkdir(parents=True, exist_ok=True)
        self.uri = uri or f"sqlite:///{home / 'mlflow.db'}"
        self._artifacts = None if kind(self.uri) in REMOTE else (home / "mlartifacts").as_uri()
        self._store = Store.connect(self.uri, pulse)

    def open_parent(
        self,
        *,
        run: str,
        suite: str,
        dataset: str,
        space: str,
        fingerprint: str,
        seed: int,
        versions: Mapping[str, str],
        created: str = "",
        live: bool = True,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        source: str = "",
    ) -> Parent:
        """The parent run of one data set's part of a run: a new one, or the one that an earlier execution began.

        Args:
            fingerprint: of the encoded store.
            versions: by library; not part of what makes two runs the same.
            created: when the run was created. It tells a run from an earlier one of the same name whose folder is
                gone, and from others' on the same server.
            live: whether one that is there is marked as going on.
            params: what was asked for and stays; tags: what may change, such as a budget that is raised.
            source: where the data come from.
        """
        identity = {
            "seesaw.run": run,
            "seesaw.suite": suite,
            "seesaw.dataset": dataset,
            "seesaw.space": space,
            "seesaw.fingerprint": fingerprint,
            "seesaw.seed": str(seed),
            "seesaw.created": created,
        }
        known = {"seesaw.versions": ", ".join(f"{name} {version}" for name, version in versions.items())}
        known |= identity | dict(tags or {})
        experiment = self._store.make_experiment(experiment_name(suite), self._artifacts)
        begun = "tags.`seesaw.kind` = 'parent' and tags.`seesaw.run` = '{}'".format(run.replace("'", "\\'"))
        for node in reversed(Node.search(self._store, experiment, begun)):
            if identity.items() <= node.tags.items():  # the oldest, should a late answer have made two
                parent = Parent.resume(self._store, experiment, node, known, live)
                break
        else:
            parent = Parent.begin(self._store, experiment, f"{run} {dataset} {space}", known)
        asked = {"suite": suite, "dataset": dataset, "space": space, "seed": str(seed), "fingerprint": fingerprint}
        parent.describe(asked | dict(params or {}), dataset, fingerprint, source)
        return parent
