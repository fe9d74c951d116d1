"""Train and both halves of validation together, except a part held out: what a picked configuration
is trained on.

The part held out takes the place of validation, and follows the logic of the card's split. Where
validation is another population than train (a later time, files or values of its own), the part
comes from validation alone, so that it stays nearer to the future. By time it is the last rows of
each half, in the store's order, which is that of the log. Elsewhere it is a seeded draw over all,
by group where the card splits by group, so that none is on both sides.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.core.arrays import Floats, Mask
from bench.core.errors import UserError
from bench.core.records import SplitName
from bench.core.seeds import derive
from bench.core.system.atomic import atomic_folder
from bench.core.system.mapped import mapped
from bench.data.card import Card
from bench.data.npy_files import ArrayWriter, read_parts
from bench.data.splits import HashSplit, ValidOfTrain
from bench.data.store import Store, StoredSplit

BLOCK = 1 << 16  # rows copied at a time
MOST_HELD_OUT = 0.5
"""The most of validation that is held out where it is the only one to give."""

JOINED: tuple[SplitName, ...] = ("train", "valid", "confirm")
"""The splits that are joined."""


def refit_store(store: Store, card: Card, share: float, seed: int, target: Path) -> Store:
    """A store at `target`: its train is train and validation without what is held out, its valid is
    what is held out.

    Rows are copied in blocks, so memory stays bounded; test is linked, not copied; it has no
    `confirm`. One seed gives one store. Raises UserError if nothing would be held out, or nothing
    left, or the disk is full.

    Args:
        store: with the tasks that the view is to have.
        card: that it was made from.
        share: of train and validation together to hold out.
    """
    masks = held_out(card, [store.split(name) for name in JOINED], share, seed)
    held_out_rows = sum(int(mask.sum()) for mask in masks)
    train_rows = sum(map(len, masks)) - held_out_rows
    if not (train_rows and held_out_rows):
        raise UserError(
            f"{store.key}: expected rows to train on and rows to hold out, found {train_rows:,} "
            f"and {held_out_rows:,} at a share of {share:g}"
        )
    with atomic_folder(target) as folder:
        _write_split(store, [~mask for mask in masks], folder / "train")
        _write_split(store, masks, folder / "valid")
        (folder / "test").symlink_to((store.path / "test").resolve(), target_is_directory=True)
        shutil.copyfile(store.path / "encoder.json", folder / "encoder.json")
        rows = {"train": train_rows, "valid": held_out_rows, "test": len(store.split("test"))}
        manifest = store.manifest | {
            "fingerprint": f"{store.fingerprint}+refit-{share:g}-{seed}",
            "splits": {name: {"rows": count} for name, count in rows.items()},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return Store.open(target).with_tasks([task.name for task in store.schema.tasks])


def held_out(card: Card, splits: Sequence[StoredSplit], share: float, seed: int) -> list[Mask]:
    """Which rows (N,) of each split are held out; the first is train, the others are parts of
    validation.
    """
    train, *valid_parts = splits
    total, valid_total = sum(map(len, splits)), sum(map(len, valid_parts))
    valid_share = min(MOST_HELD_OUT, share * total / max(1, valid_total))
    none_of_train = np.zeros(len(train), np.bool_)
    if card.split_times:
        return [none_of_train, *(_last(len(part), valid_share) for part in valid_parts)]

    rng = np.random.default_rng(derive(seed, "held out"))
    group_draws = None
    if card.split_by_group:
        groups = 1 + max(int(split.together.max(initial=-1)) for split in splits)
        group_draws = rng.random(groups)
    rule = card.split
    named_valid = isinstance(rule, ValidOfTrain) and bool(rule.valid)
    by_value = isinstance(rule, HashSplit) and not card.split_by_group
    if named_valid or by_value:  # another population than train
        masks = [_draws(part, group_draws, rng) < valid_share for part in valid_parts]
        return [none_of_train, *masks]
    return [_draws(split, group_draws, rng) < share for split in splits]


def _last(rows: int, share: float) -> Mask:
    return np.arange(rows) >= rows - round(share * rows)


def _draws(split: StoredSplit, group_draws: Floats | None, rng: np.random.Generator) -> Floats:
    """(N,) in [0, 1): one draw a row, or one a group, or a unit; rows without one have one each."""
    row_draws = rng.random(len(split))
    if group_draws is None or not len(group_draws):
        return row_draws
    group = np.asarray(split.together)
    return np.where(group >= 0, group_draws[np.maximum(group, 0)], row_draws)


def _write_split(store: Store, masks: Sequence[Mask], folder: Path) -> None:
    """Writes the rows of the masks, those of one joined split after the other."""
    folder.mkdir()
    for name in store.arrays:
        file = f"{name}.npy"
        arrays = [mapped(store.path / split / file) for split in JOINED]
        with ArrayWriter(folder / file, arrays[0].dtype, arrays[0].shape[1:]) as writer:
            for array, mask in zip(arrays, masks, strict=True):
                start = 0
                for block in read_parts(array, BLOCK):
                    end = start + len(block)
                    writer.append(block[mask[start:end]])
                    start = end
