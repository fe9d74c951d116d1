import torch
from torchjd.scalarization import UW

from bench.balancing.uncertainty import Uncertainty
from bench.registry import NoOptions


def test_it_is_twice_the_papers_loss() -> None:
    balancer, reference = Uncertainty(["a", "b", "c"], NoOptions()), UW(3)
    values = torch.tensor([-1.0, 0.5, 2.0])
    with torch.no_grad():
        balancer.log_variance.copy_(values)
        reference.log_var.copy_(values)
    losses = torch.tensor([0.3, 2.0, 0.01], requires_grad=True)
    ours, theirs = balancer(losses), 2 * reference(losses)
    torch.testing.assert_close(ours, theirs)
    ours = torch.autograd.grad(ours, [losses, balancer.log_variance])
    theirs = torch.autograd.grad(theirs, [losses, reference.log_var])
    torch.testing.assert_close(ours, theirs)


def test_a_batch_without_samples_teaches_nothing() -> None:
    balancer = Uncertainty(["a", "b"], NoOptions())
    balancer(torch.tensor([0.5, 0.0])).backward()
    assert balancer.log_variance.grad is not None
    assert balancer.log_variance.grad.tolist() == [0.5, 0.0]
