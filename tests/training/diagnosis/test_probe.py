"""What a probe measures, against plain autograd on a model without compiled passes and a softmax written out."""

import copy
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from diagnosis_toys import ToyStore, related, trainer

from bench.balancing import BALANCING
from bench.balancing.base import GradientCombination, LossWeighting
from bench.data.batches import Batches
from bench.models import fused
from bench.models.sharing import SHARING
from bench.training.probe import shared_blocks

STORE = ToyStore(related)


def batch_of(rows=200):
    return next(iter(Batches(STORE.split("train")).in_order(rows)))


def probed(kind, **more):
    made = trainer(STORE, **{"sharing.kind": kind} | more)
    return made, *made.diagnosis._probe(batch_of())


def gradients(made, parameters, monkeypatch):
    """Each task's, of a copy in float64, whose layers run one by one in plain torch."""
    monkeypatch.setattr(fused, "fits", lambda *_: False)
    names = {id(parameter): name for name, parameter in made.model.named_parameters()}
    model = copy.deepcopy(made.model).double().eval()
    own = dict(model.named_parameters())
    batch = batch_of()
    e = model.embed(batch.ids).detach().requires_grad_()
    losses = model.losses(model.logits(e, batch.ids, batch.dense.double()), batch.labels.double())
    inputs = [e, *(own[names[id(parameter)]] for parameter in parameters)]
    return [
        list(torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True, materialize_grads=True))
        for loss in losses
    ]


@pytest.mark.parametrize("kind", [kind for kind in SHARING if kind != "single_task"])
def test_cosines_and_norms_are_those_of_plain_autograd(kind, monkeypatch):
    made, found, _ = probed(kind)
    blocks = shared_blocks(made.model)
    assert {id(p) for block in blocks.values() for p in block} == {id(p) for p in made.model.shared_parameters()}
    everything = [parameter for block in blocks.values() for parameter in block]
    of_tasks = gradients(made, everything, monkeypatch)
    at = 1
    parts = {"representation": slice(0, 1)} | ({"all shared": slice(1, None)} if blocks else {})
    for name, block in blocks.items():
        parts[name] = slice(at, at + len(block))
        at += len(block)
    assert found["norms"].keys() == parts.keys() | {"table rows"}
    flats = {name: [torch.cat([g.flatten() for g in of[part]]) for of in of_tasks] for name, part in parts.items()}
    table, ids = made.model.embedding.weight, batch_of().ids
    flats["table rows"] = [  # through the table's lookup
        torch.autograd.grad(F.embedding(ids, table, padding_idx=0), table, of[0].float())[0].double().flatten()
        for of in of_tasks
    ]
    for name, flat in flats.items():
        assert found["norms"][name] == pytest.approx([float(vector.norm()) for vector in flat], rel=1e-3)
        for cosine, (one, other) in zip(found["cosines"][name], combinations(flat, 2), strict=True):
            assert cosine == pytest.approx(float(torch.cosine_similarity(one, other, dim=0)), abs=1e-3)


@pytest.mark.parametrize("top_k", [0, 2])
def test_gate_shares_are_the_mean_softmax(top_k):
    made, _, experts = probed("mmoe", **{"sharing.mmoe.top_k": top_k})
    model, batch = made.model, batch_of()
    with torch.no_grad():
        x = model._inputs(model.embed(batch.ids), batch.ids, batch.dense)[0]
        for task, weight in enumerate(model.sharing.gates.linear.weight):
            scores = (x @ weight.T).double()
            if top_k:
                least = scores.sort(1, descending=True).values[:, top_k - 1 : top_k]
                scores[scores < least] = -torch.inf
            expected = (scores.exp() / scores.exp().sum(1, keepdim=True)).mean(0)
            assert experts["gates"]["gates"][task] == pytest.approx(expected.tolist(), abs=1e-5)


def test_units_that_cannot_fire_are_dead_and_an_expert_of_them_is_silent():
    made = trainer(STORE, **{"sharing.kind": "mmoe", "sharing.mmoe.layers": "8", "sharing.mmoe.experts": 3})
    (layer,) = made.model.sharing.experts.linears
    with torch.no_grad():
        layer.bias[:] = 20.0  # all fire ...
        layer.bias[0, :6] = -1e3
        layer.bias[2] = -1e3
    _, experts = made.diagnosis._probe(batch_of())
    assert experts["units"]["experts"] == {"dead": [0.75, 0.0, 1.0], "silent": [0.75, 0.0, 1.0]}
    made.diagnosis.experts = experts
    assert made.diagnosis.summary([], ())["experts"]["units"]["experts"]["silent"] == [False, False, True]


@pytest.mark.parametrize("kind", [kind for kind in BALANCING if BALANCING[kind].unfit(STORE.schema) is None])
def test_weights_are_those_that_the_balancer_would_give(kind):
    made, found, _ = probed("shared_bottom", **{"balancing.kind": kind})
    balancer = made.step.balancer
    if isinstance(balancer, GradientCombination):
        assert found["weights"] is None
        return
    assert len(found["weights"]) == 2
    if isinstance(balancer, LossWeighting):
        losses = torch.tensor(found["losses"], requires_grad=True)
        torch.random.set_rng_state(state := torch.random.get_rng_state())
        balancer(losses).backward()
        torch.random.set_rng_state(state)
        if kind != "rlw":  # drawn anew
            assert found["weights"] == pytest.approx(losses.grad.tolist(), rel=1e-5)
