"""What tests of data share: the least of a card, bytes of a store, an archive, known labels, and
samples of files.
"""

import io
import tarfile
from typing import Any

import numpy as np
import pyarrow as pa

from bench.data import parse_card
from bench.data.inspection.labels import Label
from bench.data.inspection.sample import InspectedRows
from bench.data.tasks import TaskRule

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
    files = (
        path for path in store.path.rglob("*") if path.is_file() and path.name != "manifest.json"
    )
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


def known(y, binary=True):
    """A task called y."""
    return Label(TaskRule(name="y", column="y", kind="binary" if binary else "regression"), y)


def sample_of(columns, files=("a.csv",)):
    """Of as many rows of each file."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    return InspectedRows(
        files, (np.arange(table.num_rows) * len(files) // table.num_rows).astype(np.int16), table
    )
