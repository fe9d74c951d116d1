"""Carries out parts of a design: prepares data, trains configurations that have no row, and keeps a
row for each training.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from bench import __version__
from bench.app.reference.cells import (
    ALONE,
    COMPOSITE,
    PURPOSE,
    SINGLE_TASK,
    Cell,
    Params,
    Tried,
    Tuning,
    cells_of,
    of_part,
)
from bench.app.reference.comparisons import (
    FEW_WEIGHTS,
    CellComparison,
    Gain,
    comparable,
    compared,
    cost_of,
    effort,
    over_others,
    sentence,
    summary,
)
from bench.app.reference.one_training import RESAMPLES, served, train
from bench.app.reference.table import FOLDER, TABLE, KnownRows, Row, composed, key_of, row_of
from bench.app.runs.suite import Design, Suite, SuiteDataset, load_suite
from bench.app.runs.suite_objectives import resolve_objectives, resolve_outcomes
from bench.core import plugins
from bench.core.errors import UserError, count, unknown
from bench.core.records import Job, Outcome
from bench.core.registry import lookup
from bench.core.rows import SEARCH, TEST
from bench.core.seeds import derive
from bench.core.system import content
from bench.core.system.lock import FolderLock
from bench.core.system.machine import cores, processor
from bench.core.system.progress import Progress
from bench.data import Store, load_card, prepare
from bench.data.preparation import check_data
from bench.measure.predictions import FOLDER as PREDICTIONS
from bench.measure.predictions import joined, name_of
from bench.models.balancing import BALANCING
from bench.models.sharing import SHARING
from bench.models.training.config import TrialConfig
from bench.models.training.kept import write_rows
from bench.search.driver import outcomes
from bench.search.executors import EXECUTORS
from bench.search.executors.base import Executor, Options


def published(suite: str) -> Path:
    """The table beside a suite."""
    return content.find("reports", suite).parent / TABLE


def design_of(suite: Suite, only: str | None = None) -> Design:
    """The design of a suite; raises UserError if it has none, or for an unknown entry.

    Args:
        only: the name of a balancer or a way of sharing: it alone takes the place of all others of
            its axis.
    """
    if suite.design is None:
        raise UserError(
            "expected a suite with a [design], found one without: `--part` and `--only` are for "
            "designs"
        )
    design = suite.design
    if only is not None:
        entries = [*BALANCING, *SHARING]
        if only not in entries:
            raise UserError(f"--only: {unknown('balancer or way of sharing', only, entries)}")
        axis = "sharing" if only in SHARING else "balancing"
        design = design.model_copy(update={"more_sharing": (), "more_balancing": (), axis: (only,)})
    for name in (*design.sharing, *design.more_sharing):
        lookup(SHARING, "design: way of sharing", name)
    for name in (*design.balancing, *design.more_balancing):
        lookup(BALANCING, "design: balancer", name)
    return design


@dataclass(frozen=True)
class TrainingSummary:
    """Numbers of new trainings, of those that were there already, and of failed ones.

    Attributes:
        skipped: data sets that are not at hand, and cells that do not fit, with the reason.
        answer: whether a balancer beats static weights, and at what cost; or what a way of sharing
            beats.
        compared: results of a balancer, by cell.
    """

    new: int
    there: int
    failed: int
    skipped: dict[str, str]
    answer: tuple[str, ...] = ()
    compared: tuple[CellComparison, ...] = ()


def run_design(
    home: Path,
    name: str,
    parts: Sequence[str],
    only: str | None,
    raw: Path | None,
    workers: int,
    progress: Progress,
) -> TrainingSummary:
    """Trains the cells of the parts, all of them where there are none, and keeps their rows at
    home.

    Args:
        parts: as `bench.app.reference.cells.of_part` reads them.
        raw: folder of raw files, or with a folder for each data set.
        workers: trainings at once; 0 means one a core.

    Raises:
        UserError: an unknown part or entry, or no data set is at hand.
    """
    suite = load_suite(name)
    design = design_of(suite, only)
    rows = KnownRows(home, published(name))
    cells = _wanted_cells(suite, design, parts, only)
    skipped: dict[str, str] = {}
    if only in BALANCING:
        skipped = {cell.part: FEW_WEIGHTS for cell in cells if not comparable(rows, cell)}
        _check_weights(name, cells, skipped, progress)
        cells = [cell for cell in cells if cell.part not in skipped]
        groups = [comparable(rows, cell) for cell in cells]
        progress.note(cost_of(design.draws + design.seeds, groups))

    done: list[Cell] = []
    runners: dict[str, CellRunner] = {}
    try:
        for cell in cells:
            if cell.data in skipped:
                continue
            part = cell.data
            try:
                if cell.data not in runners:
                    dataset = suite.dataset(cell.data)
                    runners[cell.data] = CellRunner(
                        home, dataset, raw, workers or cores(), rows, progress
                    )
                part, runner = cell.part, runners[cell.data]
                if only in BALANCING and not comparable(runner.current(cell), cell):
                    raise UserError("its data are prepared otherwise than the published ones")
                runner.carry_out(cell, design)
                done.append(cell)
            except UserError as error:
                skipped[part] = str(error)
                progress.note(f"{part} is left out: {error}")
    finally:
        for runner in runners.values():
            runner.close()
    if not runners:
        raise UserError("\n".join(dict.fromkeys(skipped.values())))
    counts = TrainingSummary(
        sum(runner.new for runner in runners.values()),
        sum(runner.there for runner in runners.values()),
        sum(runner.failed for runner in runners.values()),
        skipped,
    )
    if only is None:
        return counts
    if only in BALANCING:
        return _with_comparisons(counts, only, suite, done, runners)
    return _with_gains(counts, done, runners)


def _wanted_cells(
    suite: Suite, design: Design, parts: Sequence[str], only: str | None
) -> list[Cell]:
    """The cells of the parts, or all, each once."""
    cells = cells_of(design, [dataset.id for dataset in suite.datasets])
    if only is not None:
        cells = [cell for cell in cells if only in (cell.sharing, cell.balancing)]
    if not parts:
        return cells
    chosen: dict[Cell, None] = {}
    for part in parts:
        chosen |= dict.fromkeys(of_part(cells, part))
    return list(chosen)


def _check_weights(
    suite: str, cells: Sequence[Cell], skipped: Mapping[str, str], progress: Progress
) -> None:
    """Notes the cells without enough static weights; raises UserError if no other is left."""
    if skipped:
        few = ", ".join(list(skipped)[:3])
        if len(skipped) > 3:
            few += " and others"
        progress.note(
            f"left out {len(skipped)} of {count(len(cells), 'cell')}, {FEW_WEIGHTS}: {few}"
        )
    if len(skipped) == len(cells):
        part = f"{cells[0].data}/{cells[0].sharing}/static"
        raise UserError(
            f"--only: nothing to compare with, {FEW_WEIGHTS}; `seesaw run {suite} --part {part}` "
            "adds them"
        )


def _with_comparisons(
    counts: TrainingSummary,
    balancer: str,
    suite: Suite,
    cells: Sequence[Cell],
    runners: Mapping[str, CellRunner],
) -> TrainingSummary:
    """The summary with the answer for a balancer, in all cells that were carried out."""
    comparisons: list[CellComparison] = []
    all_rows: list[Row] = []
    for cell in cells:
        runner, dataset = runners[cell.data], suite.dataset(cell.data)
        rows = comparable(runner.current(cell), cell)
        all_rows += rows
        comparison = compared(cell, rows, runner.objectives, dataset, len(cells))
        if comparison is not None:
            comparisons.append(comparison)
    if not comparisons:
        return counts
    answer = (sentence(balancer, comparisons), effort(balancer, all_rows))
    return replace(counts, answer=answer, compared=tuple(comparisons))


def _with_gains(
    counts: TrainingSummary, cells: Sequence[Cell], runners: Mapping[str, CellRunner]
) -> TrainingSummary:
    """The summary with the answer for a way of sharing."""
    gains: list[Gain] = []
    for cell in cells:
        runner = runners[cell.data]
        gains += over_others(runner.current(cell), cell, runner.objectives)
    return replace(counts, answer=(summary(gains),)) if gains else counts


class CellRunner:
    """Trains cells of one data set."""

    def __init__(
        self,
        home: Path,
        dataset: SuiteDataset,
        raw: Path | None,
        workers: int,
        rows: KnownRows,
        progress: Progress,
    ) -> None:
        card = load_card(dataset.id)
        raw = raw if card.files else None
        check_data(card, home, raw, progress)
        store = prepare(card, home, raw, progress)
        self.store: Store = store.with_tasks(dataset.tasks or store.default_tasks)
        self.content = content_of(self.store)
        self.name, self._rows, self._progress = dataset.id, rows, progress
        self._lock = FolderLock(home / FOLDER / dataset.id)
        tasks = self.store.schema.tasks
        self.objectives = resolve_objectives(dataset, tasks, ranked=())  # over all rows
        group = self.store.split(TEST).group
        outcomes = resolve_outcomes(dataset, tasks, group)
        self.outcomes = tuple(outcome.name for outcome in outcomes)
        self._predictions = home / FOLDER / dataset.id / PREDICTIONS
        write_rows(self.store, self._predictions)
        options = Options(note=progress.note, store=str(self.store.path), threads=1)
        self._executor: Executor = EXECUTORS["process"](train, workers, options)
        self._origin = {
            "version": __version__,
            "commit": _commit(),
            "machine": f"{processor()}, {platform.system()}",
        }
        self.new = self.there = self.failed = 0

    def close(self) -> None:
        """Ends the workers."""
        self._executor.close()
        self._lock.release()

    def current(self, cell: Cell) -> list[Row]:
        """Rows on these data, without the cell's rows of another version of its plug-in."""
        plugin = plugin_of(cell)
        rows = []
        for row in self._rows:
            if (row.data, row.content, row.failure) != (self.name, self.content, ""):
                continue
            in_cell = (row.sharing, row.balancing) == (cell.sharing, cell.balancing)
            if not in_cell or plugin in ("", row.commit):
                rows.append(row)
        return rows

    def carry_out(self, cell: Cell, design: Design) -> None:
        """Trains what a cell lacks; raises UserError, before it leaves a row, if the cell does not
        fit the data.
        """
        tuning = Tuning(design, self.name, self.store.schema, self.objectives)
        single = Cell(self.name, ALONE, SINGLE_TASK)
        picks = tuning.choose(cell, partial(self._tried, cell), partial(self._tried, single))
        distinct = {str(config): config for config in picks}.values()
        seeds = range(1, design.seeds + 1)
        rows = self.trained(cell, [(config, seed) for seed, config in product(seeds, distinct)])
        if cell == single:
            self._compose(dict(zip(tuning.tasks, picks, strict=True)), rows)

    def _tried(self, cell: Cell, configs: Sequence[Params]) -> list[Tried]:
        keys = [objective.key(SEARCH) for objective in self.objectives]
        tries = []
        for config, row in zip(
            configs, self.trained(cell, [(config, 0) for config in configs]), strict=True
        ):
            tries.append(Tried(config, dict(zip(keys, row.valid, strict=False)), row.norms))
        return tries

    def trained(self, cell: Cell, wanted: Sequence[tuple[Params, int]]) -> list[Row]:
        """The rows of configurations and seeds, trained if they are not there."""
        keys = [key_of(cell, self.content, seed, config) for config, seed in wanted]
        by_key = dict(zip(keys, wanted, strict=True))
        plugin = plugin_of(cell)
        rows: dict[str, Row] = {}
        for key in by_key:
            row = self._rows.get(key)
            if row is not None and plugin in ("", row.commit):
                rows[key] = row
        self.there += len(rows)

        missing = [key for key in by_key if key not in rows]
        jobs = [self._job(cell, *by_key[key]) for key in missing]
        key_of_job = {id(job): key for job, key in zip(jobs, missing, strict=True)}
        stage = "seeds" if wanted and wanted[0][1] else "tuning"
        title = f"{cell.part}: {stage}"
        with self._progress.task(title, len(by_key), "trainings", len(rows)) as advance:
            for outcome in outcomes(self._executor, jobs, advance, None):
                key = key_of_job[id(outcome.job)]
                rows[key] = self._keep(cell, by_key[key][0], outcome)
        return [rows[key] for key in keys]

    def _keep(self, cell: Cell, config: Params, outcome: Outcome) -> Row:
        origin = self._origin | {"commit": plugin_of(cell) or self._origin["commit"]}
        row = row_of(cell, self.content, config, outcome, self.objectives, origin)
        self._rows.add(row)
        self.new += 1
        if row.failure:
            self.failed += 1
            self._progress.note(f"{cell.part}: a training failed: {row.failure}")
        return row

    def _job(self, cell: Cell, config: Params, seed: int) -> Job:
        if cell.kind == "trial":
            parsed = TrialConfig.parse(config)
            parsed.check_fit(self.store.schema)
            config = parsed.dotted()
        job = Job(
            trial=None,
            replicate=seed,
            config=config,
            store=str(self.store.path),
            seed=derive(0, PURPOSE, seed),
            splits=(SEARCH,),
            objectives=tuple(objective.name for objective in self.objectives),
            tasks=tuple(task.name for task in self.store.schema.tasks),
            threads=1,
            device="cpu",
            kind=cell.kind,
            plugins=plugins.files(),
        )
        if not seed:
            return job
        return replace(
            job,
            splits=(SEARCH, TEST),
            resamples=RESAMPLES,
            outcomes=self.outcomes,
            predictions=str(self._predictions),
        )

    def _compose(self, picks: Mapping[str, Params], rows: Sequence[Row]) -> None:
        """Adds a row for each seed of the best single-task models together: each task's values from
        its own model.
        """
        cell = Cell(self.name, ALONE, COMPOSITE)
        texts = {task: json.dumps(config, sort_keys=True) for task, config in picks.items()}
        config: Params = dict(texts)
        by_config: dict[tuple[str, int], Row] = {}
        for row in rows:
            if not row.failure:
                by_config[json.dumps(row.config, sort_keys=True), row.seed] = row
        tasks = list(picks)
        places = [tasks.index(objective.name.partition(".")[0]) for objective in self.objectives]
        for seed in sorted({row.seed for row in rows}):
            if self._rows.get(key_of(cell, self.content, seed, config)):
                continue
            models = [by_config[text, seed] for text in texts.values() if (text, seed) in by_config]
            if len(models) < len(tasks):
                continue
            jobs = [self._job(cell, single, seed) for single in picks.values()]
            names = [name_of(job.training, seed) for job in jobs]
            predictions = joined(self._predictions, TEST, names)
            if predictions is None:
                self._progress.note(
                    f"{cell.part}: seed {seed} is left out: its models were trained elsewhere"
                )
                continue
            ranked = served(str(self._predictions), self.outcomes, predictions)
            self._rows.add(composed(models, places, cell, config, ranked, self._origin))
        for file in self._predictions.glob("trial-*.npy"):
            file.unlink()


def plugin_of(cell: Cell) -> str:
    """The plug-in of a cell's entries, with its version or a digest of its text; empty for built-in
    ones.
    """
    kinds = ("balancing.kind", cell.balancing), ("sharing.kind", cell.sharing)
    return ", ".join(plugins.needs(kinds).values())


FIRST = 1 << 16
"""Number of a split's rows that enter its digest."""


def content_of(store: Store) -> str:
    """A digest of the arrays that trainings read, the same whichever version prepared them.

    Args:
        store: with the tasks of the design.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name in ("train", SEARCH, TEST):
        split = store.split(name)
        ids = split.ids_of(slice(FIRST))
        digest.update(f"{name} {len(split)} {ids.shape[1]} {split.dense.shape[1]} ".encode())
        for array in (ids, split.dense, split.group, split.weights, split.units):
            if array is not None:
                digest.update(np.ascontiguousarray(array[:FIRST]).tobytes())
        digest.update(np.ascontiguousarray(split.labels_of(slice(0, FIRST))).tobytes())
    return digest.hexdigest()


def _commit() -> str:
    folder = Path(__file__).parents[3]
    if not (folder / ".git").exists():
        return ""
    command = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return process.stdout.strip()
