"""What options of a command ask of a policy."""

from __future__ import annotations

import math
import re
from contextlib import suppress

from bench.core.errors import UserError, shortened
from bench.frontier.policy import bound


def read_bound(option: str, text: str) -> tuple[str, float | str]:
    """Metric and bound of an option such as `--at-least "click.recall@10%[country=US]=98% of current"`.

    Raises:
        UserError: anything else.
    """
    found = re.fullmatch(r"\s*([^=\s\[]+(?:\[[^\]]*\])?)\s*=\s*(.+?)\s*", text)  # [country=US] is of the metric
    with suppress(ValueError):
        if found is not None:
            number = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", found[2], re.I)
            return found[1], bound(float(found[2]) if number else found[2])
    raise UserError(
        f"{option}: expected METRIC=NUMBER or METRIC=98% of current, as in 'click.recall@10%=98% of current', "
        f"found '{shortened(text)}'"
    )


def read_value(text: str) -> tuple[str, float]:
    """Task and value of an option such as `--value buy=40`.

    Raises:
        UserError: anything else.
    """
    task, _, value = text.partition("=")
    with suppress(ValueError):
        if task.strip() and 0 < (number := float(value)) < math.inf:
            return task.strip(), number
    raise UserError(f"--value: expected TASK=NUMBER above 0, as in buy=40, found '{shortened(text)}'")
