"""Creates a run. Checks all of the user's input before anything is written or trained."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.app.runs.current import CurrentPoint, check_confirms, lasting_current, read_current
from bench.app.runs.folder import (
    CARD,
    MANIFEST,
    SPACE,
    TRAINER_FILE,
    DatasetFolder,
    Manifest,
    Run,
    slug,
)
from bench.app.runs.given import checked_columns
from bench.app.runs.request import Request
from bench.app.runs.suite import Budget, Suite, load_suite, with_limits
from bench.app.runs.suite_objectives import resolve_objectives, resolve_outcomes
from bench.core import plugins
from bench.core.errors import UserError, check_known
from bench.core.system import content
from bench.core.system.atomic import atomic_folder, writable
from bench.core.system.credentials import plain_address, remember
from bench.core.system.home import shown
from bench.core.system.lock import in_turn
from bench.core.system.machine import cores, versions
from bench.core.system.object_store import located
from bench.core.system.progress import Progress
from bench.core.validation import validate
from bench.data import load_card
from bench.data.card_summary import shape_of
from bench.data.loading import find_card, lasting_name
from bench.data.preparation import check_data
from bench.deciding.policy import Policy
from bench.ledger.pareto import resolve_reference
from bench.models.model_options import overridden
from bench.models.trainers.handing import OriginalTrainer, check_trainer
from bench.search.confirm.baselines import check_static
from bench.search.executors import EXECUTORS, ray_module
from bench.search.executors.base import RAY, Options
from bench.search.samplers import RUNG_SAMPLERS, SAMPLERS
from bench.search.space import NONE, fitting, load_space, trainer_tree

MOST_LETTERS = 100
"""Of a run's name, from which names of files and folders are made."""
LOCK = "create.lock"


def create(
    home: Path, request: Request, progress: Progress | None = None, words: Sequence[str] = ()
) -> Run:
    """Writes the folder of a new run; raises UserError, and writes nothing, if a name is unknown or
    does not fit.

    Args:
        progress: of fetching raw files, which is done before anything of the run is written; None
            leaves it for later.
        words: the command that asked for it; else that of the request.
    """
    if request.set:
        from bench.models.training.config import TrialConfig  # imports torch

        TrialConfig.parse(request.set, "--set")
    if request.name is not None:
        _check_name(home, request.name)
    suite = with_request(request)
    _check(suite, request.executor)
    cards = {dataset.id: find_card(dataset.id) for dataset in suite.datasets}
    command = list(words) or request.words
    tracking = request.tracking
    if tracking is not None:
        typed = tracking
        tracking = plain_address(tracking)
        command = [word.replace(typed, tracking) for word in command]
    request.check()
    if request.backtest:
        _check_split_times(suite)
    _check_data(suite, home, request.raw, progress)
    suite_folder = content.find("reports", request.suite).parent
    trainers = _trainers(suite)
    production = _production(suite, request.current, suite_folder, home, tracking)
    models = _models_from_elsewhere(suite, request.model)
    space_file = None if suite.space == NONE else content.find("search_spaces", suite.space)
    definite = definite_request(request, suite).model_copy(update={"tracking": tracking})
    with in_turn(writable(home) / LOCK):  # two of one name at once
        folder = _folder(home, request)
        manifest = Manifest(
            request=definite.model_copy(update={"name": folder.name}),
            suite=suite,
            parts=_parts(cards),
            current=production,
            trainers={name: str(trainer.beside) for name, trainer in trainers.items()},
            given=models,
            command=shlex.join(command),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
            plugins=plugins.needs(_choices(suite, request.executor, production)),
        )
        if tracking is not None:
            remember(tracking, home)
        with atomic_folder(folder) as temporary:
            if space_file is not None:
                (temporary / SPACE).write_bytes(space_file.read_bytes())
            for name, trainer in trainers.items():
                copy = temporary / f"{name}{TRAINER_FILE}"
                copy.write_bytes(trainer.path.read_bytes())
            (temporary / MANIFEST).write_text(manifest.text, encoding="utf-8")
            for key, part in manifest.parts.items():
                folder_of_part = temporary / part.folder
                folder_of_part.mkdir()
                card_file, _ = cards[key]
                (folder_of_part / CARD).write_bytes(card_file.read_bytes())
    return Run.open(home, folder.name)


def definite_request(request: Request, suite: Suite) -> Request:
    """The request with the number of workers and threads, and with absolute paths."""
    if request.executor == RAY:
        threads = request.threads or 1
        slots = ray_module().slots(Options.of(request, threads=threads))
        workers = request.workers or slots
    else:
        workers = 1 if request.executor == "inline" else request.workers or cores()
        threads = request.threads or max(1, cores() // workers)
    datasets: tuple[str, ...] = ()
    if request.dataset:
        datasets = tuple(dataset.id for dataset in suite.datasets)
    paths = {
        "suite": content.lasting("reports", request.suite),
        "dataset": datasets,
        "space": request.space and suite.space,
        "current": request.current and lasting_current(request.current),
        "trainer": tuple(map(_absolute, request.trainer)),
        "raw": request.raw and located(request.raw.expanduser()).resolve(),
    }
    return request.model_copy(update={"workers": workers, "threads": threads, **paths})


def _absolute(path: str) -> str:
    return os.path.abspath(Path(path).expanduser())


def _choices(
    suite: Suite, executor: str, production: Mapping[str, CurrentPoint]
) -> Iterator[tuple[str, Any]]:
    """Every kind that the run may use, by the name of its choice."""
    yield "sampler.kind", suite.search.sampler
    yield "executor.kind", executor
    yield "rule.kind", suite.policy.get("rule")
    yield from load_space(suite.space).restricted(suite.set).values()
    for current in production.values():
        yield from (current.config or {}).items()
    for dataset in suite.datasets:
        yield "reader.kind", load_card(dataset.id).reader.kind


def _parts(cards: Mapping[str, tuple[Path, str]]) -> dict[str, DatasetFolder]:
    """By data set. Each has a folder of its own, though two cards may be called the same."""
    parts: dict[str, DatasetFolder] = {}
    taken: set[str] = set()
    for dataset, (file, variant) in cards.items():
        folder = _numbered(slug(load_card(dataset).key), taken.__contains__)
        taken.add(folder)
        beside = os.path.abspath(file.parent)
        parts[dataset] = DatasetFolder(folder=folder, variant=variant, beside=beside)
    return parts


def with_request(request: Request) -> Suite:
    """The suite that is searched; paths in it are absolute."""
    suite = load_suite(request.suite)
    values = suite.model_dump()
    if request.dataset:
        values["datasets"] = [suite.dataset(dataset).model_dump() for dataset in request.dataset]
    for dataset in values["datasets"]:
        dataset["id"] = lasting_name(dataset["id"])
    space = suite.space if request.space is None else request.space
    values["space"] = content.lasting("search_spaces", space)
    limits = request.model_dump(include=set(Budget.model_fields))
    values["budget"] = with_limits(suite.budget, limits)
    values["search"] |= request.model_dump(include={"sampler", "lowest"}, exclude_none=True)
    values["confirm"] |= request.confirm
    values["set"] = overridden(values["set"], request.set)
    values["trainers"] = _lasting_trainers(suite, request)
    return validate(Suite, values, "the command line")


def _trainers(suite: Suite) -> dict[str, OriginalTrainer]:
    """Trainers from elsewhere by name, checked against each card."""
    if suite.space == NONE and not suite.trainers:
        raise UserError("--space none: expected --trainer beside it, as nothing else is searched")
    trainers: dict[str, OriginalTrainer] = {}
    for named in suite.trainers:
        path = Path(named)
        trainer = OriginalTrainer(path, path.parent)
        name = trainer.file.name
        if name in trainers:
            raise UserError(f"{path}: expected a name of its own, found '{name}' a second time")
        trainer_tree(trainer.file)
        for dataset in suite.datasets:
            check_trainer(trainer.file, load_card(dataset.id))
        trainers[name] = trainer
    return trainers


def _lasting_trainers(suite: Suite, request: Request) -> list[str]:
    """Absolute paths of trainers: of a suite as seen from its file, of a request from here."""
    folder = content.find("reports", request.suite).parent
    of_suite = [os.path.abspath(folder / path) for path in suite.trainers]
    return [*of_suite, *map(_absolute, request.trainer)]


def _production(
    suite: Suite, named: str | None, suite_folder: Path, home: Path, tracking: str | None
) -> dict[str, CurrentPoint]:
    """The current point of each data set that has one: what the request names, else the suite's,
    whose paths may be relative to its folder.
    """
    points = {}
    for dataset in suite.datasets:
        source = dataset.current or suite.current
        if named is not None:
            source = lasting_current(named)
        if source is not None:
            check_confirms(suite.confirm.replicates)
            card = load_card(dataset.id)
            tasks = dataset.tasks or card.default_tasks
            lasting = lasting_current(source, suite_folder)
            points[dataset.id] = read_current(lasting, card, tasks, home, tracking)
    return points


def _models_from_elsewhere(
    suite: Suite, models: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """The models from elsewhere of each data set, checked against its card."""
    if not models:
        return {}
    check_confirms(suite.confirm.replicates, "--model")
    checked = {}
    for dataset in suite.datasets:
        card = load_card(dataset.id)
        tasks = dataset.tasks_of(card.tasks, card.default_tasks)
        checked[dataset.id] = checked_columns(models, card, tasks)
    return checked


def _check_split_times(suite: Suite) -> None:
    for dataset in suite.datasets:
        card = load_card(dataset.id)
        if not card.split_times:
            raise UserError(
                f"--backtest: {card.key}: expected a split by time, found kind '{card.split.kind}'"
            )


def _check(suite: Suite, executor: str) -> None:
    check_known("executor", executor, EXECUTORS)
    if executor == "inline" and suite.budget.job_time is not None:
        raise UserError(
            "job_time: expected --executor process or ray, which can end a job; found inline"
        )
    options = suite.search
    check_known("sampler", options.sampler, SAMPLERS)
    if options.by_rungs and options.sampler not in RUNG_SAMPLERS:
        raise UserError(
            f"sampler: expected {' or '.join(RUNG_SAMPLERS)} in a search by rungs, found "
            f"'{options.sampler}', which learns nothing from trials below full length"
        )
    policy = validate(Policy, suite.policy, "policy")
    space = load_space(suite.space).restricted(suite.set)
    for dataset in suite.datasets:
        card = load_card(dataset.id)
        tasks = dataset.tasks_of(card.tasks, card.default_tasks)
        chosen = [task.name for task in tasks]
        objectives = resolve_objectives(dataset, tasks, chosen if card.group else ())
        resolve_reference(objectives, dataset.reference)
        resolve_outcomes(dataset, tasks, np.empty(0), policy.outcomes, card)
        policy.check(tasks, card.item_kinds)
        space.validate_against_config(chosen)
        fitted = fitting(space, shape_of(card, chosen))
        if suite.confirm.static:
            check_static(dataset.id, chosen, fitted.space)


def _check_data(suite: Suite, home: Path, raw: Path | None, progress: Progress | None) -> None:
    """Raises one error for all data sets whose files are neither at hand nor to be had."""
    problems = []
    for dataset in suite.datasets:
        try:
            check_data(load_card(dataset.id), home, raw, progress)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def _check_name(home: Path, name: str) -> None:
    # other commands take -n for an option
    if slug(name) != name or len(name) > MOST_LETTERS or name.startswith("-"):
        raise UserError(
            f"--name: expected at most {MOST_LETTERS} letters, digits and ._@=- only, no - first, "
            f"found '{name}'"
        )
    folder = home / "runs" / name
    if folder.exists():
        raise UserError(
            f"--name: expected a name that no run has, found '{name}', at {shown(folder)}"
        )
    if name in content.names("reports"):
        raise UserError(
            f"--name: expected a name that no suite has, found '{name}', which `seesaw run {name}` "
            "begins another run of it"
        )


def _folder(home: Path, request: Request) -> Path:
    """The run's folder: without a name called after the user's one data set, else after the
    suite.
    """
    runs = home / "runs"
    if request.name is not None:
        _check_name(home, request.name)
        return runs / request.name
    suite = Path(request.suite)
    name = suite.stem if suite.suffix == ".toml" else suite.name
    if len(request.dataset) == 1:
        name = load_card(request.dataset[0]).key
    name = slug(name)[:MOST_LETTERS].lstrip("-")
    # `seesaw run quick` begins a run, `seesaw run quick-1` goes on with one
    first = f"{name}-1" if name in content.names("reports") else name
    return runs / _numbered(name, lambda numbered: (runs / numbered).exists(), first)


def _numbered(name: str, taken: Callable[[str], bool], first: str = "") -> str:
    """The first of `first` (itself `name`), `name-2`, `name-3`, .. that is not taken."""
    numbered = first or name
    for number in itertools.count(2):
        if not taken(numbered):
            break
        numbered = f"{name}-{number}"
    return numbered
