"""Prepared data sets on disk: arrays to map into memory, the encoder that made them, and a
manifest.

    <home>/store/<key>/<fingerprint>/
        manifest.json   schema, default tasks, counts, files
        encoder.json    enough to encode raw rows later
        train/ valid/ confirm/ test/
            ids.npy       (N, W) uint16
            dense.npy     (N, D) float32
            labels.npy    (N, T) float32
            group.npy     (N,) int32
            units.npy     (N,) int32             of a card with `units`
            segments.npy  (N, G) int16           of a card with segments
            logged.npy    (N, K) float32         of a card with logged scores
            weights.npy   (N, 1 or 2) float32    of a card with `weight` or `sampling`
            bounds.npy    (N, T) float32         of a card with a censored regression
            items.npy     (N, I) float64         of a card with columns of items

`bench.data.packing` says how ids lie in `ids.npy`.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from glob import escape
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from bench.core.arrays import Floats, Ids, Ints, Singles
from bench.core.errors import UserError, check_known
from bench.core.exposure import Shown
from bench.core.objectives import ItemKind
from bench.core.plain import read_json
from bench.core.records import SplitName
from bench.core.schema import Schema
from bench.core.seeds import mixed
from bench.core.system.mapped import mapped
from bench.core.system.progress import Progress

if TYPE_CHECKING:
    from bench.data.encoding.encoder import Encoder
    from bench.data.packing import Packing

ARRAYS = ("ids", "dense", "labels", "group")
OPTIONAL_ARRAYS = ("segments", "logged", "weights", "bounds", "units", "items")
"""Of cards that ask for them."""
_MANIFEST_KEYS = {
    "key",
    "id",
    "fingerprint",
    "recipe",
    "files",
    "splits",
    "schema",
    "default_tasks",
}


class DamagedStore(UserError):
    """A store that cannot be used; the text names it, what is wrong with it, and the way out."""

    def __init__(self, path: Path, problem: object) -> None:
        way_out = "remove the folder"
        key_folder = path.resolve().parent
        shelf = key_folder.parent
        if shelf.name == "store":
            key, home = shlex.quote(key_folder.name), shlex.quote(str(shelf.parent))
            way_out = f"free it with `seesaw data remove {key} --home {home}`"
        super().__init__(
            f"{path}: this prepared data is damaged: {problem}; {way_out}, and prepare the data "
            "again"
        )


def stored(store: Path, name: str, rows: int) -> NDArray[Any]:
    """An array (rows, ...) of a store's folder, mapped; raises UserError where it is missing, cut
    or of other rows.
    """
    try:
        array = mapped(store / name)
    except FileNotFoundError:
        raise UserError(f"expected the prepared data at {store}, found no {store / name}") from None
    except (EOFError, SyntaxError, TokenError, ValueError) as error:
        raise DamagedStore(store, f"{name}: {error}") from None
    if array.shape[:1] != (rows,):
        raise DamagedStore(
            store, f"{name}: expected {rows:,} rows, found an array of shape {array.shape}"
        )
    return array


@dataclass(frozen=True)
class WeightFacts:
    """Which weights the rows of a store have."""

    plain: bool
    """Whether the card has a row weight, so that metrics without it are reported, too."""
    task: str | None = None
    """Whose negatives were thinned."""
    rate: float | None = None
    """The share of them that was kept; None where it differs from row to row."""


@dataclass(frozen=True)
class StoredSplit:
    """The rows of one split; arrays are memory-mapped and read-only."""

    stored_ids: NDArray[Any]
    """(N, W) uint16 as `packing` says; without it (N, S) int32, rows of the embedding table."""
    dense: Singles
    """(N, D)."""
    stored_labels: Singles
    """(N, all tasks), NaN where unobserved."""
    group: Ids
    """(N,), rows of one number are ranked against each other; -1 for none."""
    columns: tuple[int, ...] | None = None
    """The stored labels' columns that are this view's, in its order; None for all as they are."""
    packing: Packing | None = None
    """How the stored ids are packed; None where they are not, as in memory."""
    segments: NDArray[np.int16] | None = None
    """(N, G), place among the values of each of the store's segments, -1 where missing; None
    without.
    """
    logged: Singles | None = None
    """(N, K), each of the store's logged scores, NaN where missing; None without."""
    weights: Singles | None = None
    """(N, 1), how many rows a row stands for; (N, 2) where negatives were thinned: the row's weight
    and, of a negative, one over the share that was kept. None where the card has neither."""
    stored_bounds: Singles | None = None
    """(N, all tasks), the most that each label can be, infinite where there is no such bound; a
    label that reaches it is only known to be at least that. None where no task of the view is
    censored."""
    units: Ids | None = None
    """(N,), rows of one number are resampled together; -1 for a row alone. None where they are the
    groups.
    """
    items: Floats | None = None
    """(N, I), each of the store's columns of items: codes of a category, or numbers; NaN where
    missing; or None.
    """

    def __len__(self) -> int:
        return len(self.group)

    @property
    def together(self) -> Ids:
        """(N,), rows of one number are resampled together: of a unit, by default of a group; -1 for
        a row alone.
        """
        return self.group if self.units is None else self.units

    @property
    def ids(self) -> Ids:
        """(N, S), rows of the embedding table (see `bench.core.schema.Schema`); of a store, a copy
        of them all.
        """
        return self.ids_of(slice(None))

    def ids_of(self, rows: slice | Ints) -> Ids:
        """(n, S) of some rows."""
        stored = self.stored_ids[rows]
        return stored if self.packing is None else self.packing.unpacked(stored)

    @cached_property
    def labels(self) -> Singles:
        """(N, T) float32 of this view's tasks; a view of fewer tasks copies them all into memory,
        when first asked.
        """
        return self.labels_of(slice(None))

    def labels_of(self, rows: slice | Ints) -> Singles:
        """(n, T) float32 of some rows, of this view's tasks."""
        return self.of_view(self.stored_labels[rows])

    @property
    def bounds(self) -> Singles | None:
        """(N, T) float32 of this view's tasks."""
        return None if self.stored_bounds is None else self.of_view(self.stored_bounds)

    def of_view(self, stored: Singles) -> Singles:
        """(n, T) the columns of this view's tasks, of some rows' stored labels or bounds."""
        if self.columns is None:
            return stored
        return np.ascontiguousarray(stored[:, list(self.columns)])  # row by row

    def taken(self, rows: Ints) -> StoredSplit:
        """Some rows, copied into memory."""
        taken: dict[str, Any] = {}
        for field in fields(self):
            array = getattr(self, field.name)
            if isinstance(array, np.ndarray):
                taken[field.name] = np.ascontiguousarray(array[rows])
        return replace(self, **taken)

    def weights_of(self, rows: slice | Ints) -> Singles | None:
        """(n, K) of some rows."""
        return None if self.weights is None else np.asarray(self.weights[rows])


@dataclass(frozen=True)
class Store:
    """A prepared data set, or a view of it with fewer tasks."""

    path: Path
    manifest: dict[str, Any]
    """As plain values; about all tasks, whichever the view has."""
    schema: Schema
    selected: tuple[int, ...]
    """For each task of this view its column in the stored labels."""

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Opens a store with all its tasks; raises UserError where none is there, or its manifest
        is damaged.
        """
        path = Path(path)
        try:
            manifest = read_json(path / "manifest.json")
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"expected a prepared store with a manifest.json, found none at {path}"
            ) from None
        except UserError as error:
            raise DamagedStore(path, error) from None
        if not isinstance(manifest, dict) or not manifest.keys() >= _MANIFEST_KEYS:
            keys = ", ".join(sorted(_MANIFEST_KEYS))
            raise DamagedStore(path, f"manifest.json: expected a table with {keys}")
        try:
            schema = TypeAdapter(Schema).validate_python(manifest["schema"])
        except ValidationError as error:
            raise DamagedStore(path, f"manifest.json: schema: {error.errors()[0]['msg']}") from None
        return cls(path, manifest, schema, tuple(range(len(schema.tasks))))

    def check(self) -> None:
        """Raises UserError where an array is missing, cut, or of another number of rows than the
        manifest says.
        """
        for name in self.manifest["splits"]:
            self._mapped(name)

    def _mapped(self, split: str) -> dict[str, NDArray[Any]]:
        """The arrays of a split, by name; errors as of `check`."""
        facts = self.manifest["splits"][split]
        folder, rows = facts.get("folder", split), facts["rows"]
        return {name: stored(self.path, f"{folder}/{name}.npy", rows) for name in self.arrays}

    @property
    def key(self) -> str:
        """Full name of the card it was made from."""
        return str(self.manifest["key"])

    @property
    def fingerprint(self) -> str:
        """Of card, files and code that made it."""
        return str(self.manifest["fingerprint"])

    @property
    def default_tasks(self) -> tuple[str, ...]:
        """Names of the tasks to use where none are asked for."""
        return tuple(self.manifest["default_tasks"])

    @property
    def segments(self) -> dict[str, tuple[str, ...]]:
        """The values of each segment, by its name."""
        return {name: tuple(values) for name, values in self.manifest.get("segments", {}).items()}

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of the logged scores, and of the column that says how rows came to be shown."""
        return tuple(self.manifest.get("logged", ()))

    @property
    def exposure(self) -> dict[Shown, str]:
        """`random` or `propensity` and the logged column that says it; empty without."""
        return dict(self.manifest.get("exposure", {}))

    @property
    def items(self) -> dict[str, ItemKind]:
        """The kinds of the columns of items, by name."""
        return dict(self.manifest.get("items", {}))

    @property
    def weights(self) -> WeightFacts | None:
        """Which weights its rows have; None where all weigh the same."""
        facts = self.manifest.get("weights")
        return None if facts is None else WeightFacts(facts["plain"], **facts["thinned"] or {})

    @property
    def bounds(self) -> bool:
        """Whether a regression is censored, of this view or another."""
        return any(task["censored"] for task in self.manifest["schema"]["tasks"])

    @property
    def units(self) -> bool:
        """Whether its card has units."""
        return bool(self.manifest.get("units"))

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays of each split."""
        return (*ARRAYS, *(name for name in OPTIONAL_ARRAYS if getattr(self, name)))

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that made it."""
        from bench.data.encoding.encoder import Encoder  # brings pyarrow, which no worker needs

        return Encoder.load(self.path / "encoder.json")

    def split(self, name: SplitName) -> StoredSplit:
        """The rows of a split, with the labels of this view's tasks; errors as of `check`."""
        from bench.data.packing import Packing  # brings numba, which opening a store does not need

        arrays = self._mapped(name)
        ids, dense, labels, group = (arrays[array] for array in ARRAYS)
        columns = None if self.selected == tuple(range(labels.shape[1])) else self.selected
        if not any(task.censored for task in self.schema.tasks):
            arrays.pop("bounds", None)
        optional = map(arrays.get, OPTIONAL_ARRAYS)
        packing = Packing.of(self.schema)
        return StoredSplit(ids, dense, labels, group, columns, packing, *optional)

    def with_tasks(self, names: Sequence[str]) -> Store:
        """A view with these tasks, in order; raises UserError for none, unknown ones, one twice, or
        without parent.
        """
        tasks = {task.name: task for task in self.schema.tasks}
        if not names:
            raise UserError(f"{self.key}: expected at least one task of {', '.join(tasks)}")
        for name in names:
            check_known("task", name, tasks, self.key)
            if list(names).count(name) > 1:
                raise UserError(f"{self.key}: task '{name}' is asked for twice")
            parent = tasks[name].parent
            if parent is not None and parent not in names:
                raise UserError(
                    f"{self.key}: task '{name}' needs its parent '{parent}' among the tasks"
                )
        column_of_task = dict(zip(tasks, self.selected, strict=True))
        schema = replace(self.schema, tasks=tuple(tasks[name] for name in names))
        selected = tuple(column_of_task[name] for name in names)
        return Store(self.path, self.manifest, schema, selected)


def part_of(split: StoredSplit, rows: int, units: bool = False) -> StoredSplit:
    """About `rows` rows of a split, in its order and in memory; the split itself where it has no
    more.

    Rows of one group (of one unit, where `units`) are in or out together. Which are in depends on
    it, or on their place where they have none, and on nothing else: every job of a search sees the
    same part.
    """
    total = len(split)
    if total <= rows:
        return split
    group = np.asarray(split.together if units else split.group)
    keys = np.where(group >= 0, group.astype(np.int64), -1 - np.arange(total))
    scattered = mixed(keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15))
    limit = np.uint64(rows / total * 2**63) * np.uint64(2)
    return split.taken(np.flatnonzero(scattered < limit))


def prepared(home: Path, progress: Progress | None = None) -> list[dict[str, Any]]:
    """The stores under a home, by key: path, fingerprint, rows, default tasks, size on disk;
    without damaged ones.
    """
    stores = []
    for path in _store_folders(home):
        try:
            store = Store.open(path)
            store.check()
        except UserError as error:
            if progress is not None:
                progress.note(f"left out: {error}")
            continue
        manifest = store.manifest
        stores.append(
            {key: manifest[key] for key in ("key", "id", "fingerprint", "default_tasks")}
            | {
                "path": str(path),
                "rows": {name: split["rows"] for name, split in manifest["splits"].items()},
                "size_mb": _megabytes(path),
            }
        )
    return stores


def _store_folders(home: Path, key: str = "*") -> list[Path]:
    """The folders of stores, damaged ones too, in order; what is being written has a name that
    begins with a dot.
    """
    folders = (home / "store").glob(f"{key}/*/")
    return sorted(path for path in folders if path.is_dir() and not path.name.startswith("."))


def prepared_keys(home: Path) -> set[str]:
    """Keys of all stores under a home, damaged ones too."""
    return {path.parent.name for path in _store_folders(home)}


def _megabytes(folder: Path) -> float:
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return round(sum(sizes) / 2**20, 1)


def remove_stores(home: Path, key: str) -> list[dict[str, Any]]:
    """Removes the stores of that key under a home, damaged ones too; returns key, path and size of
    each.

    Fetched files stay.
    """
    removed: list[dict[str, Any]] = []
    for path in _store_folders(home, escape(key)):
        removed.append({"key": key, "path": str(path), "size_mb": _megabytes(path)})
    for store in removed:
        shutil.rmtree(store["path"])
    shelf = home / "store" / key
    if shelf.is_dir() and not any(shelf.iterdir()):
        shelf.rmdir()
    return removed
