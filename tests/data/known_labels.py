"""Labels that are known."""

from bench.data.inspection.labels import Label
from bench.data.tasks import TaskRule


def known(y, binary=True):
    """A task called y."""
    return Label(TaskRule(name="y", column="y", kind="binary" if binary else "regression"), y)
