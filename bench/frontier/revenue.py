"""What choices earn, from what a click, a like or a second is worth.

Of 1,000 rows to rank, 1000 x mean label are clicks; `recall@10%` is the share of them among the first 10%, which are
shown. What a row of the choices earns is the sum over outcomes of value x 1000 x mean label x outcome.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from bench.errors import UserError
from bench.frontier.choices import Choices
from bench.frontier.guard import flat
from bench.objectives import ranked

Weights = Annotated[dict[str, float], BeforeValidator(flat)]


def some_weight(weights: dict[str, float]) -> dict[str, float]:
    """The weights, checked.

    Raises:
        ValueError: one is below 0 or not finite, or all are 0.
    """
    if weights and not (min(weights.values()) >= 0 and 0 < sum(weights.values()) < np.inf):
        raise ValueError(f"expected finite weights of at least 0, one of them above, found {weights}")
    return weights


class Revenue(BaseModel):
    """The `[revenue]` table of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    value: Weights = Field(min_length=1)
    """What one is worth (a click, a like, a second), by a served outcome that counts them: `recall@..`, `value@..`."""
    rate: Weights = {}
    """Mean label on all impressions, by task; else that of train."""

    _check = field_validator("value")(some_weight)

    def earned(self, choices: Choices, row: int) -> dict[str, float]:
        """What a row earns by outcome, for 1,000 rows to rank.

        Raises:
            UserError: a value is of what is no served outcome that counts, or a task's mean label is not known.
        """
        found, rates = {}, choices.rates | self.rate
        for name, value in self.value.items():
            choices.check(name, "revenue.value", directed=True)
            task, outcome = name.split(".")[0], ranked(name.rpartition(".")[2])
            if outcome is None or outcome.measure == "ndcg" or not choices.served or name not in choices.objectives:
                raise UserError(
                    "revenue.value: expected an outcome of the served score that counts, recall@.. or value@.., found "
                    f"'{name}'; add one to the suite's `outcomes`"
                )
            if task not in rates:
                raise UserError(f"revenue: expected the mean label of '{task}', found none; add revenue.rate '{task}'")
            found[name] = value * 1000 * rates[task] * float(choices.values([name])[row, 0])
        return found
