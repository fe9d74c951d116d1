"""Commands to type next, as a result suggests them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from bench.content import is_path
from bench.home import resolve_home, shown
from bench.run.folder import Run
from bench.run.picked import picked_network, recipe_of
from bench.run.result import DatasetResult
from bench.suite import EPOCHS


def train_command(result: DatasetResult) -> str:
    """What trains any configuration of a run as the run did, once its searched parameters are added."""
    fixed = recipe_of(result)
    for first in result.records[:1]:
        names = {*result.run.run.space.fixed, EPOCHS} & first.config.keys() - first.params.keys()
        fixed = {name: first.config[name] for name in sorted(names)} | fixed
    sets = [f"--set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in fixed.items()]
    return " ".join([f"seesaw train {shlex.quote(result.run.key)}", *sets])


def mlflow_search(result: DatasetResult) -> str:
    """The search that finds the runs of a trial in MLflow; `{trial}` stands for its number."""
    tags = {"seesaw.run": result.run.run.name, "seesaw.dataset": result.run.key, "seesaw.trial": "{trial}"}
    return " and ".join("tags.`{}` = '{}'".format(name, value.replace("'", "\\'")) for name, value in tags.items())


OWN_LOG = "seesaw card log.csv --label click"
MOST_REPLICATES = 20
"""Replicates of each point that are still worth asking for."""
STRONGER = {"numeric.kind": "bucket_and_piecewise", "interaction.kind": "dcn_v2", "loss.kind": "distilled"}
"""What brings networks nearest to boosted trees, see `docs/inputs.md`."""


def next_step(results: Sequence[DatasetResult]) -> str:
    """A command, with what it does behind `#`.

    The user's own log after a suite of ours on its own data. Else stronger networks where boosted trees are ahead; more
    replicates where they would settle the verdict; to deploy the pick where the verdict says to switch to it; else the
    tables.
    """
    run = results[0].run.run
    name = run_argument(run)
    words = shlex.split(run.manifest.command)
    named = any(word.partition("=")[0] == "--dataset" for word in words)
    if words[:2] == ["seesaw", "run"] and not named and not is_path(run.manifest.suite_name):
        return f"{OWN_LOG}  # now your own log, by the names of its columns"
    if again := next(filter(None, map(stronger, results)), ""):
        return f"{again}  # stronger networks, taught by trees; takes at least twice as long"
    needed = max((result.verdict.needed or 0 for result in results), default=0)
    if run.manifest.suite.confirm.replicates < needed <= MOST_REPLICATES:
        return f"seesaw confirm {name} --replicates {needed}  # would show the gain that is seen"
    switch = len(results) == 1 and results[0].verdict.kind in ("win", "trade") and not results[0].verdict.keep
    if switch and results[0].pick and results[0].pick.role == "trial" and picked_network(results[0]):
        return f"seesaw deploy {name}  # trains the pick for good and packages it"
    return f"seesaw frontier {name} --full  # all tables"


def stronger(result: DatasetResult) -> str:
    """Where boosted trees are ahead, the run's own command with `STRONGER` networks.

    Empty elsewhere, and where that command was no `seesaw run`, has any of them or searches one.
    """
    manifest = result.run.run.manifest
    words = shlex.split(manifest.command)
    if result.verdict.kind != "trees" or words[:2] != ["seesaw", "run"]:
        return ""
    space = result.run.fitted().space
    if any(name in manifest.suite.set or space.branches(name) for name in STRONGER):
        return ""
    named = {at + more for at, word in enumerate(words) if word == "--name" for more in (0, 1)}
    kept = [word for at, word in enumerate(words) if at not in named and not word.startswith("--name=")]
    return shlex.join([*kept, *(word for name, value in STRONGER.items() for word in ("--set", f"{name}={value}"))])


def run_argument(run: Run) -> str:
    """How a command names the run: by its name, or by its path where its home is not the usual one."""
    return run.name if run.home == resolve_home() else shlex.quote(shown(run.folder))
