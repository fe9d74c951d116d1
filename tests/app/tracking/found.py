"""What a search of some records finds."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

from bench.app.runs.reporting import front_of
from bench.core.objectives import Objective
from bench.deciding.choices import head_choices
from bench.deciding.decision import Decision
from bench.deciding.pick import pick
from bench.deciding.policy import Policy
from bench.deciding.verdict import Verdict
from bench.ledger.course import History
from bench.ledger.heads import frontier

OBJECTIVES = (Objective("click.auc", "maximize"), Objective("like.auc", "maximize"))
REFERENCE = {"click.auc": 0.5, "like.auc": 0.5}


def history(by_rungs=False, objectives=OBJECTIVES):
    return History(objectives, REFERENCE, by_rungs)


def put(section, result):
    """Gives a section what came of its search."""
    section.front = result and partial(
        front_of, result, {"front": result.picture} if result.picture else {}
    )


def found_in(records, objectives=OBJECTIVES, folder=Path("nowhere"), picture=""):
    """What MLflow gets of a search's results; `folder` has the page and the cells."""
    front = frontier(records, objectives)
    run = SimpleNamespace(
        name="shop", folder=folder, manifest=SimpleNamespace(command="seesaw run quick")
    )
    decision = SimpleNamespace(
        frontier=front,
        pick=pick(head_choices(front, front.points), front.points, Policy()),
        no_pick="nothing was picked",
        nothing_passes=None,
        verdict=Verdict("unknown", ("Cannot tell.",)),
        formula="",
        serving=SimpleNamespace(served=None),
        policy=Policy(),
    )
    decision.picked = Decision.picked.fget(decision)
    return SimpleNamespace(
        decision=decision, asked="", run=SimpleNamespace(run=run, folder=folder), picture=picture
    )


def changed(asked, changes):
    """What a driver asks for, with changes, also of its part's identity."""
    identity = {name: changes.get(name, value) for name, value in asked["identity"].items()}
    return (
        asked
        | {name: value for name, value in changes.items() if name not in identity}
        | {"identity": identity}
    )
