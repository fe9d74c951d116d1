"""Raw files of any size -> arrays, in one reading: values become provisional codes while they are counted; when all of
train has been seen the encoder is fixed, and the codes on disk are turned into embedding rows.

What is held: the distinct values of categorical and multi-valued inputs and of segments, the side tables, and a few
parts.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.data.append import ArrayWriter
from bench.data.assemble import Assembler, Rows
from bench.data.beside import Besides
from bench.data.card import Card
from bench.data.encoding.fitter import EncoderFitter, Provisional
from bench.data.history import Pasts, Times
from bench.data.reachable import Truth
from bench.data.readers import Paths, read, read_sides
from bench.data.rejects import Rejects
from bench.data.spill import Spill
from bench.data.splits import SPLITS, TRAIN, FileSplit
from bench.data.store import schema_to_json
from bench.data.target_scale import scaled_tasks
from bench.progress import Progress


def encode_stream(card: Card, paths: Paths, folder: Path, progress: Progress, rejects: Rejects) -> dict[str, Any]:
    """Reads, fits and writes encoder and splits into `folder`; returns what the manifest says of them.

    Raises:
        UserError: a file that does not fit its card, more bad rows than it allows, a split that is empty or lacks a
            class.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps more of what parts leave, and is slower at it
    fitter, assembler = EncoderFitter(card), Assembler(card, read_sides(card, paths, progress), rejects)
    files = card.split.train if isinstance(card.split, FileSplit) else card.row_files
    last = max(map(card.row_files.index, files))  # of the files that may hold rows of train
    every = card.history is not None  # values that train does not hold are told apart in histories
    with ExitStack() as stack:
        spills = [Spill(folder / name, card, fitter.widths, stack) for name in SPLITS]
        truths = [stack.enter_context(Truth(folder / name, card)) for name in SPLITS]
        besides = Besides(card, folder, SPLITS, stack)
        times = Times(card.history_time if card.history else None, card.missing, folder, SPLITS, stack)
        for part in read(card, paths, progress, folder):
            rows = assembler.take(part)
            if len(rows.split):  # work for each column, though there are no rows
                grow = every or card.row_files.index(part.file) <= last
                _spill(rows, fitter.take(rows.table, rows.split == TRAIN, rows.labels, grow), spills, truths)
                besides.take(rows.table, rows.split)
                times.take(rows.table, rows.split)
    rejects.check(card.key, assembler.rows + assembler.duplicates)
    for spill, name in zip(spills, SPLITS, strict=True):
        spill.counts.check(name, assembler.empty_reason())
    assembler.note(progress)

    pasts = None
    if card.history is not None:
        actions = [[rule.name for rule in card.task_rules].index(name) for name in card.history.actions]
        pasts = Pasts(card.history, [spill.folder for spill in spills], progress)
        pasts.compute(spills[0].widths[0], fitter.columns_of(card.history.inputs), actions)
        for numbers in pasts.numbers(0):
            fitter.take_past(numbers)
    encoder = fitter.finish(progress)
    encoder.save(folder / "encoder.json")
    labels = np.load(spills[0].folder / "labels.npy", mmap_mode="r")
    schema = encoder.schema_of(scaled_tasks(card.task_rules, labels, card.key), card.group_input)
    total = sum(spill.counts.rows for spill in spills)
    with progress.task(f"encoding {card.key}", total, "rows") as advance:
        for spill, name in zip(spills, SPLITS, strict=True):
            with (
                ArrayWriter(spill.folder / "ids.npy", np.int32, (schema.slots,)) as ids_out,
                ArrayWriter(spill.folder / "dense.npy", np.float32, (len(schema.dense),)) as dense_out,
            ):
                for start, kept in spill.chunks():
                    past = pasts.of(SPLITS.index(name), start, len(kept.codes)) if pasts else None
                    ids, dense = fitter.encode(kept, start if name == "train" else None, past)
                    ids_out.append(ids)
                    dense_out.append(dense)
                    advance(len(ids))
    if pasts:
        pasts.remove()
    best: dict[str, float] = {}
    for truth, name in zip(truths, SPLITS, strict=True):
        best |= truth.reachable(name)
    return {
        "duplicates_dropped": assembler.duplicates,
        "outside_splits": assembler.outside,
        **rejects.facts(),
        "splits": {
            name: {"rows": spill.counts.rows, "tasks": spill.counts.facts()}
            for name, spill in zip(SPLITS, spills, strict=True)
        },
        "schema": schema_to_json(schema),
        "default_tasks": list(card.default_tasks),
        **besides.finish(),
        **({"reachable": best} if best else {}),
    }


def _spill(rows: Rows, kept: Provisional, spills: list[Spill], truths: list[Truth]) -> None:
    for number, (spill, truth) in enumerate(zip(spills, truths, strict=True)):
        at = np.flatnonzero(rows.split == number)
        if len(at):
            own = kept if len(at) == len(rows.split) else Provisional(kept.codes[at], kept.numbers[at])
            spill.append(rows.labels[at], rows.group[at], own)
            truth.append(rows.table, at)
