"""What tests of data share: the least of a card, the bytes of a store, and an archive."""

import io
import tarfile
from typing import Any

from bench.data import parse_card

LEAST: dict[str, Any] = {
    **dict.fromkeys(("id", "title", "licence", "citation", "homepage"), "shop"),
    "tasks": [{"name": "click", "column": "click"}],
    "split": {"kind": "random", "valid": 0.3, "test": 0.2},
}
"""What every card says except its reader, files and columns."""


def card_of(**values):
    """A card of one task, split by chance, with these values."""
    return parse_card(LEAST | values, "here")


def arrays(store):
    """Everything in a store without the manifest, whose times differ."""
    files = (path for path in store.path.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {str(path.relative_to(store.path)): path.read_bytes() for path in files}


def tar_bytes(members, mode="w:gz"):
    """A tar file of these names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
