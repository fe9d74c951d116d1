"""Labels that are known, and columns as a sample of files."""

import numpy as np
import pyarrow as pa

from bench.data.inspection.labels import Label
from bench.data.inspection.sample import InspectedRows
from bench.data.tasks import TaskRule


def known(y, binary=True):
    """A task called y."""
    return Label(TaskRule(name="y", column="y", kind="binary" if binary else "regression"), y)


def sample_of(columns, files=("a.csv",)):
    """Of as many rows of each file."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    return InspectedRows(files, (np.arange(table.num_rows) * len(files) // table.num_rows).astype(np.int16), table)
