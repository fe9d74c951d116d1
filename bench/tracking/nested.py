"""The runs below a parent: each trial and each replicate once, whatever became of the answers to our requests."""

from __future__ import annotations

from collections.abc import Mapping

from bench.tracking.node import RUNNING, Node
from bench.tracking.store import Store, TrackingError
from bench.tracking.values import UNTIL

Key = tuple[int, int, str]
"""Number of the trial, of its replicate, and where that stopped (`values.UNTIL`); 0 and "" for the trial itself."""


class Nested:
    """All runs below `parent`, as far as they are known."""

    def __init__(self, store: Store, experiment: str, parent: Node) -> None:
        self._store = store
        self._experiment = experiment
        self._parent = parent
        self._known: dict[Key, Node] = {}
        self._doubtful: set[Key] = set()
        self._lost = False

    def __getitem__(self, key: Key) -> Node:
        return self._known[key]

    def get(self, trial: int, replicate: int = 0, until: str = "") -> Node | None:
        """The run of a trial or a replicate, if there is one."""
        return self._known.get((trial, replicate, until))

    def trials(self) -> dict[int, Node]:
        """The trials' runs by number."""
        return {trial: node for (trial, replicate, _), node in self._known.items() if not replicate}

    def load(self) -> None:
        """Reads what is there. Of two runs of one key, which a late answer makes possible, one is removed."""
        for node in Node.search(self._store, self._experiment, f"tags.`seesaw.parent` = '{self._parent.run_id}'"):
            replicate = int(node.tags.get("seesaw.replicate", "0"))
            key = int(node.tags["seesaw.trial"]), replicate, node.tags[UNTIL] if replicate else ""
            known = self._known.get(key)
            if known is None:
                self._known[key] = node
            elif known.run_id != node.run_id:
                keep, other = (node, known) if len(node.metrics) > len(known.metrics) else (known, node)
                other.delete()
                self._known[key] = keep

    def make(self, key: Key, name: str, tags: Mapping[str, str], inside: Node, started: float = 0.0) -> Node:
        """A new run; found instead, where an earlier request made it and its answer was lost."""
        trial, replicate, until = key
        if key in self._doubtful:
            kind = "replicate" if replicate else "trial"
            condition = f"tags.`seesaw.parent` = '{self._parent.run_id}' and tags.`seesaw.trial` = '{trial}'"
            condition += f" and tags.`seesaw.kind` = '{kind}'"
            if replicate:
                condition += f" and tags.`seesaw.replicate` = '{replicate}' and tags.`{UNTIL}` = '{until}'"
            found = Node.search(self._store, self._experiment, condition)
            if found:
                self._doubtful.discard(key)
                self._known[key] = found[0]
                return found[0]
        nested = {"mlflow.parentRunId": inside.run_id, "seesaw.parent": self._parent.run_id}
        try:
            node = Node.create(self._store, self._experiment, name, {**tags, **nested}, started)
        except TrackingError:
            self._doubtful.add(key)
            self._lost = True
            raise
        self._doubtful.discard(key)
        self._known[key] = node
        return node

    def drop(self, key: Key) -> None:
        """Removes a run."""
        self._known[key].delete()
        del self._known[key]

    def tidy(self) -> None:
        """Looks for doubles where a request was in doubt: a server may have carried it out after we had asked again."""
        if self._lost:
            self.load()
            self._lost = False

    def is_whole(self, trial: int, replicate: int, until: str) -> bool:
        """Whether a replicate's run is there and closed."""
        node = self.get(trial, replicate, until)
        return node is not None and node.status != RUNNING
