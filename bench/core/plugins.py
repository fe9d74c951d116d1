"""Plug-ins: entries of registries that come from installed packages, or from a file that the user
names.

An installed package names its entries as entry points, `"seesaw.balancing"` being the group of
`BALANCING`:

    [project.entry-points."seesaw.balancing"]
    tempered = "my_package:TEMPERED"

A file has dicts with the names of the registries, `BALANCING = {"tempered": Entry(...)}`. The
option `--plugin`, the argument `plugins` of Python and the environment variable `PLUGIN` name
files. Both are code: a plug-in runs because somebody installed it or named its path, never because
a run or a package asks for it.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from bench.core.errors import UserError, listed, unknown
from bench.core.registry import Entry

T = TypeVar("T")

GROUPS = {
    "sharing": "bench.models.sharing:SHARING",
    "funnel": "bench.models.funnels:FUNNELS",
    "numeric": "bench.models.numeric:NUMERIC",
    "interaction": "bench.models.interactions:INTERACTIONS",
    "sequence": "bench.models.sequence:SEQUENCE",
    "loss": "bench.models.losses:LOSSES",
    "regression_loss": "bench.models.losses:REGRESSION_LOSSES",
    "balancing": "bench.models.balancing:BALANCING",
    "sampler": "bench.search.samplers:SAMPLERS",
    "reader": "bench.data.readers:FILES",
    "executor": "bench.search.executors:EXECUTORS",
    "engine": "bench.serve.engines:ENGINES",
    "rule": "bench.deciding.policy:PICK_RULES",
}
"""Group of entry points, without `seesaw.` -> the registry that it extends."""


class PluginFile(NamedTuple):
    """A file of entries, carried by jobs so that workers on any machine run the same text."""

    path: str
    text: str

    @classmethod
    def read(cls, path: Path, named: str = "--plugin") -> PluginFile:
        """Reads a file; raises UserError, with the option or variable that `named` it, if it cannot
        be read.
        """
        file = path.expanduser()
        try:
            return cls(str(file.resolve()), file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UserError(f"{named} {path}: expected a file of Python: {reason}") from None

    @property
    def origin(self) -> str:
        """Name and content hash, as runs and packages record it."""
        return f"{Path(self.path).name} (sha256 {_digest(self.text)})"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


PLUGIN = "SEESAW_PLUGIN"
"""Environment variable with one path or several, separated as in `PATH`. It counts wherever a
registry is read.
"""
_FILES: dict[PluginFile, ModuleType] = {}
_RUNNING: set[PluginFile] = set()
"""Files whose code runs just now: it may read a registry."""
_LOCK = RLock()


class Registry(Mapping[str, T]):
    """Entries by name: ours as a dict literal, and those of plug-ins, which are imported on the
    first read.

    Every entry is a `kind`, which messages call `wanted`. Reading raises UserError if a plug-in
    cannot be imported, gives a taken name, or gives no entry.
    """

    def __init__(
        self,
        group: str,
        ours: dict[str, T],
        kind: Any = Entry,
        wanted: str = "a bench.core.registry.Entry",
    ) -> None:
        self.group, self._ours = group, ours
        self._kind, self._wanted = kind, wanted
        self._all, self._origins = ours, dict[str, str]()
        self._files: tuple[PluginFile, ...] | None = None  # merged so far
        self._reading = False

    def __getitem__(self, name: str) -> T:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    @property
    def origins(self) -> Mapping[str, str]:
        """Name -> its plug-in, for plug-ins' entries only."""
        self._read()
        return self._origins

    def _read(self) -> dict[str, T]:
        with _LOCK:
            # A plug-in may read it while being imported.
            if self._files != files() and not self._reading:
                self._reading = True
                try:
                    self._merge()
                finally:
                    self._reading = False
            return self._all

    def _merge(self) -> None:
        entries, origins = dict(self._ours), dict[str, str]()
        for name, origin, entry in (*_of_packages(self.group), *_of_files(self.group)):
            where = f"plug-in {origin}: seesaw.{self.group}"
            if not name.isidentifier():
                raise UserError(
                    f"{where}: expected a name of letters, digits and _, found '{name}'"
                )
            if name in entries:
                raise UserError(
                    f"{where}: expected a new name, found '{name}', which "
                    f"{origins.get(name, 'seesaw itself')} has"
                )
            if not isinstance(entry, self._kind):
                raise UserError(
                    f"{where}.{name}: expected {self._wanted}, found {type(entry).__name__}"
                )
            entries[name], origins[name] = entry, origin
        self._all, self._origins, self._files = entries, origins, files()


def registry_of(group: str) -> Registry[Any]:
    """The registry of a group of `GROUPS`."""
    module, name = GROUPS[group].split(":")
    registry: Registry[Any] = getattr(import_module(module), name)
    return registry


def add(*files: PluginFile) -> None:
    """Runs new files and adds their entries to the registries; raises UserError if one fails or has
    no entries.

    Those that the variable `PLUGIN` names come first.
    """
    dicts = [place.split(":")[1] for place in GROUPS.values()]
    with _LOCK:
        for file in (*_named(os.environ.get(PLUGIN, "")), *files):
            if file not in _FILES and file not in _RUNNING:
                _RUNNING.add(file)
                try:
                    _FILES[file] = _module_of(file, dicts)
                finally:
                    _RUNNING.remove(file)


@cache
def _named(paths: str) -> tuple[PluginFile, ...]:
    """The files of a value of the variable, as they are when it is first read."""
    return tuple(PluginFile.read(Path(path), PLUGIN) for path in paths.split(os.pathsep) if path)


def _module_of(file: PluginFile, dicts: list[str]) -> ModuleType:
    module = ModuleType(f"seesaw_plugin_{_digest(file.origin)}")
    module.__file__ = file.path
    sys.modules[module.__name__] = module  # typing resolves names there
    with _naming(file.origin):
        exec(compile(file.text, file.path, "exec"), module.__dict__)
    if not any(isinstance(module.__dict__.get(name), dict) for name in dicts):
        raise UserError(
            f"plug-in {file.origin}: expected one of the dicts {listed(dicts)}, found none"
        )
    return module


def carried(*files: PluginFile) -> None:
    """Adds files in a worker's process, in place of those that the variable `PLUGIN` names there.

    The driver sends what it read. By now the named file may have changed, and another machine may
    not have it.
    """
    os.environ.pop(PLUGIN, None)
    add(*files)


def files() -> tuple[PluginFile, ...]:
    """The files added so far, for a job."""
    add()
    return tuple(_FILES)


def needs(choices: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Finds the plug-ins that choices such as ("sharing.kind", "mmoe") need: `sharing.NAME` ->
    plug-in, see `check`.
    """
    needed = {}
    for key, value in choices:
        group, _, rest = key.partition(".")
        if rest != "kind" or group not in GROUPS:
            continue
        origin = registry_of(group).origins.get(str(value))
        if origin is not None:
            needed[f"{group}.{value}"] = origin
    return needed


def check(needed: Mapping[str, str], where: str, same: bool = True) -> None:
    """Raises UserError if a plug-in is missing or differs; `same`: whether version or content must
    be the same.
    """
    for key, origin in needed.items():
        group, _, name = key.partition(".")
        installed = registry_of(group).origins.get(name) if group in GROUPS else None
        expected = f"{where}: expected {key} of the plug-in {origin}, found"
        if installed is None:
            remedy = "install it"
            if "(sha256 " in origin:
                remedy = (
                    f"name it with --plugin, in Python with `plugins`, or anywhere with {PLUGIN}"
                )
            raise UserError(f"{expected} none; {remedy}")
        if same and installed != origin:
            raise UserError(f"{expected} {installed}: it changed since")


def inventory() -> tuple[dict[str, str], list[str]]:
    """Returns `group.name` -> plug-in for all plug-ins, and one sentence for each problem."""
    plugins, problems = dict[str, str](), []
    for group in GROUPS:
        try:
            for name, origin in registry_of(group).origins.items():
                plugins[f"{group}.{name}"] = origin
        except UserError as error:
            problems.append(str(error))
    groups = [f"seesaw.{group}" for group in GROUPS]
    for group in _entry_points():
        if group not in groups:
            problems.append(str(unknown("group of entry points", group, groups)))
    return plugins, problems


@cache
def _entry_points() -> dict[str, list[EntryPoint]]:
    groups = [group for group in entry_points().groups if group.startswith("seesaw.")]
    return {group: list(entry_points(group=group)) for group in groups}


def _of_packages(group: str) -> Iterator[tuple[str, str, Any]]:
    for point in _entry_points().get(f"seesaw.{group}", ()):
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        with _naming(origin):
            entry = point.load()
        yield point.name, origin, entry


def _of_files(group: str) -> Iterator[tuple[str, str, Any]]:
    for file, module in _FILES.items():
        entries = module.__dict__.get(GROUPS[group].split(":")[1])
        if isinstance(entries, dict):
            for name, entry in entries.items():
                yield str(name), file.origin, entry


@contextmanager
def _naming(origin: str) -> Iterator[None]:
    """Turns any exception of a plug-in's own code into a UserError that names the plug-in."""
    try:
        yield
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"plug-in {origin} cannot be imported: {reason}") from error
