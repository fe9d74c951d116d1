"""What is Adam's own: each row's step count and its tabled bias corrections."""

import numpy as np
import torch

from bench.core.schema import Field, Schema
from bench.training.optimizers.adam import RowAdam

SCHEMA = Schema((Field("id", 30),), (), ())


def test_bias_corrections_hold_however_many_steps_a_row_has_had():
    """Including beyond the tables' ends, where 1 - beta^t is 1."""
    for steps in (0, 1, 2, 350, 356, 357, 358, 5_000, 37_410, 37_412, 37_413, 1_000_000):
        for compiled in (True, False):
            weight = torch.zeros(SCHEMA.rows, 4)
            optimizer = RowAdam(weight, SCHEMA, lr=0.1, compiled=compiled)
            optimizer.state_dict()["steps"].fill_(steps)
            optimizer.step(torch.tensor([[7]], dtype=torch.int32), torch.full((1, 1, 4), 2.0))
            t = steps + 1
            m, v = 0.1 * 2.0 / (1 - 0.9**t), 0.001 * 4.0 / (1 - 0.999**t)
            np.testing.assert_allclose(weight[7].numpy(), -0.1 * m / np.sqrt(v), rtol=1e-6)
