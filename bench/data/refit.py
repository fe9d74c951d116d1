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
from numpy.typing import NDArray

from bench.core.arrays import Mask
from bench.core.errors import UserError
from bench.core.records import SplitName
from bench.core.seeds import derive
from bench.core.system.atomic import atomic_folder
from bench.core.system.mapped import mapped
from bench.data.arrays import ArrayWriter, read_parts
from bench.data.card import Card
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
    aside = sum(int(mask.sum()) for mask in masks)
    rows = {"train": sum(map(len, masks)) - aside, "valid": aside, "test": len(store.split("test"))}
    if not (rows["train"] and aside):
        raise UserError(
            f"{store.key}: expected rows to train on and rows to hold out, found {rows['train']:,} "
            f"and {aside:,} at a share of {share:g}"
        )
    with atomic_folder(target) as folder:
        for name, wanted in (("train", False), ("valid", True)):
            (folder / name).mkdir()
            for file in (f"{array}.npy" for array in store.arrays):
                sources = [store.path / part / file for part in JOINED]
                _copy(sources, masks, wanted, folder / name / file)
        (folder / "test").symlink_to((store.path / "test").resolve(), target_is_directory=True)
        shutil.copyfile(store.path / "encoder.json", folder / "encoder.json")
        manifest = store.manifest | {"fingerprint": f"{store.fingerprint}+refit-{share:g}-{seed}"}
        manifest["splits"] = {name: {"rows": count} for name, count in rows.items()}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return Store.open(target).with_tasks([task.name for task in store.schema.tasks])


def held_out(card: Card, splits: Sequence[StoredSplit], share: float, seed: int) -> list[Mask]:
    """Which rows (N,) of each split are held out; the first is train, the others are parts of
    validation.
    """
    rule, (train, *parts) = card.split, splits
    from_valid = min(MOST_HELD_OUT, share * sum(map(len, splits)) / max(1, sum(map(len, parts))))
    none = np.zeros(len(train), np.bool_)
    if card.split_times:
        return [
            none,
            *(np.arange(len(part)) >= len(part) - round(from_valid * len(part)) for part in parts),
        ]
    rng = np.random.default_rng(derive(seed, "held out"))
    by_group = card.split_by_group
    groups = 1 + max(int(split.together.max(initial=-1)) for split in splits)
    of_group = rng.random(groups) if by_group else None
    apart = isinstance(rule, ValidOfTrain) and bool(rule.valid)
    if apart or (isinstance(rule, HashSplit) and not by_group):
        return [none, *(_drawn(part, of_group, rng) < from_valid for part in parts)]
    return [_drawn(split, of_group, rng) < share for split in splits]


def _drawn(
    split: StoredSplit, of_group: NDArray[np.float64] | None, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(N,) in [0, 1): one draw a row, or one a group, or a unit; rows without one have one each."""
    draws = rng.random(len(split))
    if of_group is None or not len(of_group):
        return draws
    group = np.asarray(split.together)
    return np.where(group >= 0, of_group[np.maximum(group, 0)], draws)


def _copy(sources: Sequence[Path], masks: Sequence[Mask], wanted: bool, target: Path) -> None:
    """The rows of the sources, one after the other, whose mask is as wanted."""
    like = mapped(sources[0])
    with ArrayWriter(target, like.dtype, like.shape[1:]) as writer:
        for source, mask in zip(sources, masks, strict=True):
            for start, block in zip(
                range(0, len(mask), BLOCK), read_parts(mapped(source), BLOCK), strict=True
            ):
                writer.append(block[mask[start : start + len(block)] == wanted])
