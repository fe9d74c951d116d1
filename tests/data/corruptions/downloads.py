"""Files that a server does not deliver as the card says."""

from __future__ import annotations

import gzip
import io
import zipfile
from contextlib import AbstractContextManager
from unittest import mock

from corruptions import goods
from corruptions.entry import Edit, Entry, Kept, Refused
from corruptions.work import Work

from bench.data import download

LOG = "/log.csv.gz"
ADVICE = (
    ": put log.csv from https://example.org into a folder, each as it is or with .gz or .zst, and pass it with "
    "--raw DIR, or use synthetic-funnel, which needs no network"
)


def could_not(reason: str) -> str:
    return f"shop: could not get log.csv ({reason}){ADVICE}"


def at_once(work: Work) -> AbstractContextManager[object]:
    """No waiting between tries."""
    return mock.patch.object(download.time, "sleep")


def anew(change: Edit) -> Edit:
    """The fetched file is gone, and another recipe, which makes the same arrays, asks for it again."""

    def corrupt(work: Work) -> None:
        for path in (work.home / "raw" / "shop").iterdir():
            path.unlink()
        work.card_edit('["spend"]', '["spend", "plan"]')
        change(work)

    return corrupt


def served(content: bytes) -> Edit:
    return lambda work: work.server.files.update({LOG: content})


def archive(content: bytes) -> Edit:
    """An archive instead of the file itself."""

    def change(work: Work) -> None:
        source = f'urls = {{ "log.csv" = "{work.server.url}{LOG}" }}'
        work.card_edit(source, f'url = "{work.server.url}/all.zip"\nmembers = {{ "log.csv" = "log.csv" }}')
        work.server.files["/all.zip"] = content

    return change


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("top/log.csv", goods.log())
    return buffer.getvalue()


def several(work: Work) -> None:
    """A source that has nothing before the one that has it."""
    source = work.card.read_text().partition("[[sources]]")[2].partition("[split]")[0]
    work.card_edit("[split]", f"[[sources]]{source}[split]")
    text = work.card.read_text().replace(LOG, "/gone.csv", 1)
    work.card.write_text(text)


def state(**values: object) -> Edit:
    """How the server misbehaves."""

    def change(work: Work) -> None:
        for name, value in values.items():
            setattr(work.server, name, value)

    return change


def refused(name: str, change: Edit, reason: str, leaves: tuple[str, ...] = ()) -> Refused:
    return Refused(name, goods.REMOTE, anew(change), could_not(reason), at_once, leaves)


OTHER = goods.log().replace(b"u1,", b"u8,")
PARTS = ("raw/shop", "raw/shop/downloads", "raw/shop/downloads/*-log.csv.gz.part")
"""What a later call goes on from."""

TABLE: tuple[Entry, ...] = (
    refused("a wrong sha256", served(gzip.compress(OTHER)), f"{{url}}{LOG}: log.csv: expected sha256 ..., found ..."),
    refused("an interrupted download", state(cuts=[500] + [0] * 9), f"{{url}}{LOG}: the connection ended early", PARTS),
    refused(
        "an archive with a wrong byte",
        archive(zipped()[:99] + b"?" + zipped()[100:]),
        "...-all.zip: broken archive: ...",
    ),
    Kept("a connection that breaks twice", goods.REMOTE, anew(state(cuts=[300, 300]))),
    Kept(
        "a source that has nothing",
        goods.REMOTE,
        anew(several),
        says="{url}/gone.csv: HTTP 404 Not Found; trying the next source",
    ),
    Kept(
        "a file of one's own that is not the published one",
        "log",
        lambda work: work.card_edit('name = "log.csv"', f'name = "log.csv"\nsha256 = "{"0" * 64}"'),
        says="{raw}/log.csv differs from the published file; results will not compare with others'",
    ),
)
