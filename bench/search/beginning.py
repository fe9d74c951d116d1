"""Where a search begins: its two studies in a storage, and whether they are there."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.samplers import RandomSampler

from bench.search.plan import Plan
from bench.search.samplers import quiet
from bench.search.storage import JOURNAL, Storage, open_storage
from bench.search.storage_address import Address


def begun(folder: Path) -> Storage | None:
    """The storage that a search was begun in; None where none was."""
    if not (folder / JOURNAL).is_file() and Address.read(folder) is None:
        return None
    storage = open_storage(folder, write=False)
    if storage.empty:
        storage.close()
        return None
    return storage


def create(storage: Storage, plan: Plan) -> None:
    """Makes the two studies of a plan in an empty storage: all of them, or nothing."""
    within = storage.load()
    with quiet(), storage.transaction():
        for name in ("search", "confirm"):
            study = optuna.create_study(
                storage=within,
                study_name=name,
                directions=[objective.direction for objective in plan.objectives],
                sampler=RandomSampler(),
            )
            study.set_user_attr("plan", plan.identity())
