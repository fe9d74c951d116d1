"""Where negatives were left out, each task's loss is least at the probabilities of all data."""

import pytest
import torch

from bench.core.schema import Schema, Task
from bench.models.contracts import Funnel
from bench.models.funnels import FUNNELS
from bench.models.thinned import Thinned, Thinning

TASKS = (Task("click"), Task("buy", parent="click"), Task("like"), Task("stay", "regression"))
CELLS = torch.tensor(  # click, buy, like, seconds stayed; and how often, of all data: nothing is independent
    [
        [0, 0, 0, 0, 0.5],
        [0, 0, 1, 1, 0.1],
        [1, 0, 0, 2, 0.15],
        [1, 0, 1, 5, 0.05],
        [1, 1, 0, 1, 0.05],
        [1, 1, 1, 7, 0.15],
    ],
    dtype=torch.float64,
)
RATE = 0.1


def gradients(funnel, rate, by="click", correct=True):
    """Of each task's loss at the logits of the truth (T, O), over all cells of thinned data."""
    entry = FUNNELS[funnel]
    made: Funnel = entry.build(Schema((), (), TASKS), entry.config())
    labels, often = CELLS[:, :4], CELLS[:, 4]
    click, buy, like = (often @ labels[:, :3]).tolist()
    stay = float(often @ labels[:, 3])
    truth = [click, buy / click if made.conditional else buy, like]
    more = torch.zeros(len(made.outputs) - len(TASKS), dtype=torch.float64)
    logits = torch.cat([torch.logit(torch.tensor(truth, dtype=torch.float64)), torch.tensor([stay]).double(), more])
    logits.requires_grad_()
    negative = labels[:, 0] == 0
    there = torch.where(negative, RATE, 1.0).double() * often
    weights = torch.stack([there, torch.where(negative, 1 / RATE, 1.0).double()], 1)
    whole = logits.expand(len(CELLS), -1)
    if correct:
        thinned = Thinned(made, Thinning(by, rate)).double()
        losses = made.losses(whole + thinned.offset, labels, thinned.weights(weights))
    else:
        losses = made.losses(whole, labels, weights[:, :1])
    return torch.stack([torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in losses])


@pytest.mark.parametrize("rate", [RATE, None])
@pytest.mark.parametrize("funnel", FUNNELS)
def test_the_truth_of_all_data_is_the_optimum(funnel, rate):
    found = gradients(funnel, rate)[:, : len(TASKS)]
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-7)
    biased = gradients(funnel, rate, correct=False).abs()
    assert (biased[[0, 2, 3], [0, 2, 3]] > 0.01).all()
