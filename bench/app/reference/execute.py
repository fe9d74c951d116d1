"""Carries out parts of a design: prepares data, trains what no row is there of, and keeps a row for
each training.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
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
from bench.app.reference.gains import over_others, summary
from bench.app.reference.own import (
    FEW_WEIGHTS,
    CellComparison,
    beside,
    compared,
    cost_of,
    effort,
    sentence,
)
from bench.app.reference.table import FOLDER, TABLE, KnownRows, Row, composed, key_of, row_of
from bench.app.reference.training import RESAMPLES, served, train
from bench.app.runs.suite import (
    Design,
    Suite,
    SuiteDataset,
    load_suite,
    resolve_objectives,
    resolve_outcomes,
)
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
        if only not in (every := [*BALANCING, *SHARING]):
            raise UserError(f"--only: {unknown('balancer or way of sharing', only, every)}")
        axis = "sharing" if only in SHARING else "balancing"
        design = design.model_copy(update={"more_sharing": (), "more_balancing": (), axis: (only,)})
    for name in (*design.sharing, *design.more_sharing):
        lookup(SHARING, "design: way of sharing", name)
    for name in (*design.balancing, *design.more_balancing):
        lookup(BALANCING, "design: balancer", name)
    return design


@dataclass(frozen=True)
class TrainingSummary:
    """What a call came to: new trainings, those that were there already, and failed ones.

    Attributes:
        skipped: data sets that are not at hand, and cells that cannot be, with the reason.
        answer: whether a balancer of one's own beats static weights, and at what cost; or what a
            way of sharing beats.
        compared: of a balancer, by cell.
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
    every = cells_of(design, [dataset.id for dataset in suite.datasets])
    every = [cell for cell in every if only in (None, cell.sharing, cell.balancing)]
    wanted = (
        [*dict.fromkeys(cell for part in parts for cell in of_part(every, part))]
        if parts
        else every
    )
    rows = KnownRows(home, published(name))
    skipped: dict[str, str] = {}
    if only in BALANCING:
        skipped = {cell.part: FEW_WEIGHTS for cell in wanted if not beside(rows, cell)}
        if skipped:
            few = ", ".join([*skipped][:3]) + (" and others" if len(skipped) > 3 else "")
            progress.note(
                f"left out {len(skipped)} of {count(len(wanted), 'cell')}, {FEW_WEIGHTS}: {few}"
            )
        if len(skipped) == len(wanted):
            part = f"{wanted[0].data}/{wanted[0].sharing}/static"
            adds = f"`seesaw run {name} --part {part}` adds them"
            raise UserError(f"--only: nothing to compare with, {FEW_WEIGHTS}; {adds}")
        wanted = [cell for cell in wanted if cell.part not in skipped]
        progress.note(cost_of(design.draws + design.seeds, [beside(rows, cell) for cell in wanted]))
    done: list[Cell] = []
    runners: dict[str, CellRunner] = {}
    try:
        for cell in wanted:
            left_out = cell.data
            if left_out in skipped:
                continue
            try:
                if cell.data not in runners:
                    of = suite.dataset(cell.data)
                    runners[cell.data] = CellRunner(
                        home, of, raw, workers or cores(), rows, progress
                    )
                left_out, runner = cell.part, runners[cell.data]
                if only in BALANCING and not beside(runner.current(cell), cell):
                    raise UserError("its data are prepared otherwise than the published ones")
                runner.carry_out(cell, design)
                done.append(cell)
            except UserError as error:
                skipped[left_out] = str(error)
                progress.note(f"{left_out} is left out: {error}")
    finally:
        for runner in runners.values():
            runner.close()
    if not runners:
        raise UserError("\n".join(dict.fromkeys(skipped.values())))
    new, there, failed = (
        sum(getattr(each, name) for each in runners.values()) for name in ("new", "there", "failed")
    )
    answer, comparisons = tuple[str, ...](), tuple[CellComparison, ...]()
    known = [(cell, runners[cell.data]) for cell in done]
    if only in BALANCING:
        beside_it = [beside(of.current(cell), cell) for cell, of in known]
        answers = (
            compared(cell, rows, of.objectives, suite.dataset(cell.data), len(done))
            for (cell, of), rows in zip(known, beside_it, strict=True)
        )
        if comparisons := tuple(filter(None, answers)):
            answer = (
                sentence(str(only), comparisons),
                effort(str(only), [row for rows in beside_it for row in rows]),
            )
    elif only and (
        gained := [
            gain
            for cell, of in known
            for gain in over_others(of.current(cell), cell, of.objectives)
        ]
    ):
        answer = (summary(gained),)
    return TrainingSummary(new, there, failed, skipped, answer, comparisons)


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
        check_data(card, home, raw if card.files else None, progress)
        store = prepare(card, home, raw if card.files else None, progress)
        self.store: Store = store.with_tasks(dataset.tasks or store.default_tasks)
        self.content = content_of(self.store)
        self.name, self._rows, self._progress = dataset.id, rows, progress
        self._lock = FolderLock(home / FOLDER / dataset.id)
        tasks = self.store.schema.tasks
        self.objectives = resolve_objectives(
            dataset, tasks, ranked=()
        )  # over all rows, whatever is served
        group = self.store.split(TEST).group
        self.outcomes = tuple(each.name for each in resolve_outcomes(dataset, tasks, group))
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
        """Rows on these data, without the cell's own ones of another text of its plug-in."""
        here, own, plugin = (
            (self.name, self.content, ""),
            (cell.sharing, cell.balancing),
            plugin_of(cell),
        )
        rows = [row for row in self._rows if (row.data, row.content, row.failure) == here]
        return [
            row for row in rows if (row.sharing, row.balancing) != own or plugin in ("", row.commit)
        ]

    def carry_out(self, cell: Cell, design: Design) -> None:
        """Trains what a cell lacks; raises UserError, before it leaves a row, where the cell cannot
        be.
        """
        tuning = Tuning(design, self.name, self.store.schema, self.objectives)
        single = Cell(self.name, ALONE, SINGLE_TASK)
        picks = tuning.choose(cell, partial(self._tried, cell), partial(self._tried, single))
        distinct = list({str(config): config for config in picks}.values())
        rows = self.trained(
            cell, [(config, seed) for seed in range(1, design.seeds + 1) for config in distinct]
        )
        if cell == single:
            self._compose(dict(zip(tuning.tasks, picks, strict=True)), rows)

    def _tried(self, cell: Cell, asked: Sequence[Params]) -> list[Tried]:
        rows = self.trained(cell, [(config, 0) for config in asked])
        keys = [each.key(SEARCH) for each in self.objectives]
        return [Tried(dict(zip(keys, row.valid, strict=False)), row.norms) for row in rows]

    def trained(self, cell: Cell, wanted: Sequence[tuple[Params, int]]) -> list[Row]:
        """The rows of configurations and seeds, trained where they are not there."""
        keys = [key_of(cell, self.content, seed, config) for config, seed in wanted]
        asked, plugin = dict(zip(keys, wanted, strict=True)), plugin_of(cell)
        rows = {
            key: row for key in asked if (row := self._rows.get(key)) and plugin in ("", row.commit)
        }
        self.there += len(rows)
        jobs = {key: self._job(cell, *each) for key, each in asked.items() if key not in rows}
        of_job = {id(job): key for key, job in jobs.items()}
        stage = "seeds" if wanted and wanted[0][1] else "tuning"
        with self._progress.task(
            f"{cell.part}: {stage}", len(asked), "trainings", len(rows)
        ) as advance:
            for outcome in outcomes(self._executor, [*jobs.values()], advance, None):
                key = of_job[id(outcome.job)]
                rows[key] = self._keep(cell, asked[key][0], outcome)
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
        objectives, tasks = (
            [each.name for each in of] for of in (self.objectives, self.store.schema.tasks)
        )
        job = Job(
            trial=None,
            replicate=seed,
            config=config,
            store=str(self.store.path),
            seed=derive(0, PURPOSE, seed),
            splits=(SEARCH,),
            objectives=tuple(objectives),
            tasks=tuple(tasks),
            threads=1,
            device="cpu",
            kind=cell.kind,
            plugins=plugins.files(),
        )
        if not seed:
            return job
        kept = str(self._predictions)
        return replace(
            job,
            splits=(SEARCH, TEST),
            resamples=RESAMPLES,
            outcomes=self.outcomes,
            predictions=kept,
        )

    def _compose(self, picks: Mapping[str, Params], rows: Sequence[Row]) -> None:
        """Adds a row for each seed of the best single-task models together: each task's values from
        its own model.
        """
        cell = Cell(self.name, ALONE, COMPOSITE)
        config: Params = {task: json.dumps(own, sort_keys=True) for task, own in picks.items()}
        places = [list(picks).index(each.name.partition(".")[0]) for each in self.objectives]
        of = {
            (json.dumps(row.config, sort_keys=True), row.seed): row
            for row in rows
            if not row.failure
        }
        for seed in sorted({row.seed for row in rows}):
            own = [of.get((str(text), seed)) for text in config.values()]
            if self._rows.get(key_of(cell, self.content, seed, config)) or None in own:
                continue
            names = [name_of(self._job(cell, each, seed).training, seed) for each in picks.values()]
            if (said := joined(self._predictions, TEST, names)) is None:
                self._progress.note(
                    f"{cell.part}: seed {seed} is left out: its models were trained elsewhere"
                )
                continue
            models = [row for row in own if row is not None]
            ranked = served(str(self._predictions), self.outcomes, said)
            self._rows.add(composed(models, places, cell, config, ranked, self._origin))
        for file in self._predictions.glob("trial-*.npy"):
            file.unlink()


def plugin_of(cell: Cell) -> str:
    """The plug-in of a cell's entries, with its version or a digest of its text; empty of built-in
    ones.
    """
    kinds = ("balancing.kind", cell.balancing), ("sharing.kind", cell.sharing)
    return ", ".join(plugins.needs(kinds).values())


FIRST = 1 << 16
"""Rows of a split that tell it from others."""


def content_of(store: Store) -> str:
    """A digest of what trainings read. Equal arrays have equal digests, whichever version prepared
    them.

    Args:
        store: with the tasks of the design.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name in ("train", SEARCH, TEST):
        split = store.split(name)
        ids = split.ids_of(slice(FIRST))
        digest.update(f"{name} {len(split)} {ids.shape[1]} {split.dense.shape[1]} ".encode())
        beside = [array for array in (split.weights, split.units) if array is not None]
        for array in (ids, split.dense, split.group, *beside):
            digest.update(np.ascontiguousarray(array[:FIRST]).tobytes())
        digest.update(np.ascontiguousarray(split.labels_of(slice(0, FIRST))).tobytes())
    return digest.hexdigest()


def _commit() -> str:
    folder = Path(__file__).parents[3]
    if not (folder / ".git").exists():
        return ""
    asked = ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"]
    process = subprocess.run(asked, capture_output=True, text=True, check=False)
    return process.stdout.strip()
