"""All that torchjd offers is offered here, in the example of a plug-in, or excused; values are its,
up to our scale.
"""

from pathlib import Path

import pytest
import torch
import torchjd.aggregation
import torchjd.scalarization
from torchjd import aggregation as theirs
from torchjd import scalarization as scalars

from bench.core import plugins
from bench.core.plugins import PluginFile
from bench.models.balancing import BALANCING
from bench.testing import checks
from bench.testing.balancing import TASKS, build, step

OURS = {
    "Constant": "static",
    "Mean": "static",
    "Sum": "static",
    "DWA": "dwa",
    "FAMO": "famo",
    "GeometricMean": "gls",
    "IMTLL": "uncertainty",
    "Random": "rlw",
    "STCH": "stch",
    "UW": "uncertainty",
    "AlignedMTL": "aligned_mtl",
    "CAGrad": "cagrad",
    "ConFIG": "conflict_free",
    "FairGrad": "fairgrad",
    "GradDrop": "graddrop",
    "GradVac": "gradvac",
    "IMTLG": "imtl_g",
    "MGDA": "mgda",
    "NashMTL": "nash_mtl",
    "PCGrad": "pcgrad",
    "UPGrad": "upgrad",
}
EXCUSED = {
    "Aggregator": "The base class of aggregations.",
    "GramianWeightedAggregator": "A base class.",
    "Krum": "An example of a plug-in, examples/robust.",
    "KrumWeighting": "An example of a plug-in, examples/robust.",
    **dict.fromkeys(
        ("COSMOS", "PBI", "CRMOGM", "DualProj", "ExcessMTL", "MoDo", "PCD", "SDMGrad"),
        "No table favours it.",
    ),
    "Scalarizer": "The base class of scalarisations.",
    "TrimmedMean": "An example of a plug-in, examples/robust.",
    "WeightedAggregator": "A base class.",
    "Weighting": "The base class of weightings.",
}


@pytest.mark.parametrize("module", [torchjd.aggregation, torchjd.scalarization])
def test_every_public_name_is_offered_or_excused(module):
    for name in module.__all__:
        if name not in EXCUSED and name.removesuffix("Weighting") not in EXCUSED:
            assert OURS.get(name.removesuffix("Weighting")) in BALANCING, name


def jacobian(tasks, seed):
    return torch.randn(
        tasks, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


MEANS = {"aligned_mtl": theirs.AlignedMTL(), "imtl_g": theirs.IMTLG()}
ROBUST = {"krum": theirs.Krum(0), "trimmed_mean": theirs.TrimmedMean(1)}


@pytest.fixture(autouse=True)
def _plugin(monkeypatch):
    monkeypatch.setattr(plugins, "_FILES", {})
    plugins.add(PluginFile.read(Path(__file__).parents[3] / "examples" / "robust" / "robust.py"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ROBUST)
def test_a_balancer_of_the_example_does_what_every_balancer_must_do(name):
    all_checks = checks("balancing", name)
    assert len(all_checks) > 10
    for check in all_checks:
        check()


@pytest.mark.parametrize(("name", "reference"), (MEANS | ROBUST).items())
def test_it_is_the_number_of_tasks_times_theirs(name, reference):
    for tasks in (3, 5):
        ours = build(name, tasks)
        for seed in range(5):
            rows = jacobian(tasks, seed)
            torch.testing.assert_close(
                step(ours, rows), tasks * reference(rows), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize(
    ("name", "reference"), [("conflict_free", theirs.ConFIG()), ("graddrop", None)]
)
def test_it_is_theirs(name, reference):
    for tasks, seed in ((1, 0), (2, 1), (5, 2)):
        rows = jacobian(tasks, seed)
        if reference is None:
            # One draw for each number, taken part by part here and in one go there: equal where all
            # draws are.
            direction = step(build(name, tasks), rows)
            allowed = torch.stack([rows.clamp(min=0).sum(0), rows.clamp(max=0).sum(0)])
            assert torch.isclose(direction, allowed).any(0).all()
        else:
            torch.testing.assert_close(
                step(build(name, tasks), rows), reference(rows), rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize(
    ("name", "reference"),
    [("gradvac", theirs.GradVac(beta=0.5, eps=0.0)), ("pcgrad", theirs.PCGrad())],
)
def test_it_draws_and_remembers_as_theirs(name, reference):
    ours = build(name, 4)
    for seed in range(6):
        rows = jacobian(4, seed)
        torch.manual_seed(seed)
        expected = reference(rows)
        torch.manual_seed(seed)
        torch.testing.assert_close(step(ours, rows), expected, rtol=1e-5, atol=1e-5)


def test_famo_is_the_number_of_tasks_times_theirs_over_steps():
    ours, reference = build("famo", 3), scalars.FAMO(3)
    for seed in range(20):
        losses, after = torch.rand(2, 3, generator=torch.Generator().manual_seed(seed)) + 0.1
        torch.testing.assert_close(ours(losses), 3 * reference(losses), rtol=1e-4, atol=1e-5)
        ours.after(after)
        reference.update(after)


def test_scalarisations_are_theirs_up_to_their_scale():
    losses = torch.rand(4) + 0.1
    r = torch.tensor([1.0, 2.0, 3.0, 4.0]) / 10
    weight = dict(zip(TASKS, (10 * r).tolist(), strict=False))
    value = build("stch", 4, mu=0.2, weight=weight, virtual_epoch=0)(losses)
    torch.testing.assert_close(value, 16 * scalars.STCH(0.2, r)(losses))


def test_uncertainty_is_twice_the_papers_loss():
    ours, reference = build("uncertainty", 3), scalars.UW(3)
    values = torch.tensor([-1.0, 0.5, 2.0])
    with torch.no_grad():
        ours.log_variance.copy_(values)
        reference.log_var.copy_(values)
    losses = torch.tensor([0.3, 2.0, 0.01], requires_grad=True)
    value, expected = ours(losses), 2 * reference(losses)
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, [losses, ours.log_variance])
    torch.testing.assert_close(
        gradients, torch.autograd.grad(expected, [losses, reference.log_var])
    )
    ours(torch.tensor([0.5, 0.0, 0.0])).backward()
    assert ours.log_variance.grad.tolist()[1:] == [0, 0]  # tasks without samples teach nothing


def test_imtl_l_is_uncertainty_with_the_other_sign():
    ours, reference = build("uncertainty", 3), scalars.IMTLL(3)
    with torch.no_grad():
        ours.log_variance.copy_(torch.tensor([0.5, -0.2, 1.0]))
        reference.log_scale.copy_(-ours.log_variance)
    losses = torch.rand(3)
    torch.testing.assert_close(ours(losses), reference(losses))
