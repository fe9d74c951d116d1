"""AdamW on the dense parameters, by torch's fused kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class DenseAdamW:
    """AdamW (Loshchilov & Hutter, ICLR 2019): `torch.optim.AdamW(.., fused=True)` without its
    overhead.

    The first optimizer of `torch.optim` in a process imports torch's compiler, a second of work;
    and for a small model its bookkeeping costs more than the update. Skips parameters without
    gradient. `decayed` parameters have weight decay, `plain` ones none.

    Attributes:
        rate: learning rate of the next step, at first `lr`; on the parameters' device, where a
            captured step reads it.
    """

    def __init__(
        self,
        decayed: Iterable[nn.Parameter],
        plain: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
    ) -> None:
        self._groups = [
            ([(parameter, _new_state(parameter)) for parameter in group], decay)
            for group, decay in ((decayed, weight_decay), (plain, 0.0))
        ]
        self._all = [entry for group, _ in self._groups for entry in group]
        gpu = next((parameter.device for parameter, _ in self._all if parameter.is_cuda), None)
        self.lr, self.rate = (
            lr,
            torch.tensor(lr, dtype=torch.float64 if gpu is None else torch.float32, device=gpu),
        )

    def zero_grad(self) -> None:
        """Drops all gradients, so that the next backward pass need not add to them."""
        for parameter, _ in self._all:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Updates the parameters from their gradients."""
        for group, decay in self._groups:
            live = [(p, p.grad, state) for p, state in group if p.grad is not None]
            if not live:
                continue
            steps = [state["step"] for _, _, state in live]
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                [parameter for parameter, _, _ in live],
                [
                    gradient.contiguous() for _, gradient, _ in live
                ],  # the kernel does not look at strides
                [state["mean"] for _, _, state in live],
                [state["square"] for _, _, state in live],
                [],
                steps,
                lr=self.rate,
                beta1=BETA1,
                beta2=BETA2,
                weight_decay=decay,
                eps=EPS,
                amsgrad=False,
                maximize=False,
            )

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Moments and step counters of each parameter, by index; the optimizer's own tensors."""
        return {str(number): dict(state) for number, (_, state) in enumerate(self._all)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Copies a state of the same parameters."""
        for number, (_, own) in enumerate(self._all):
            for name, tensor in own.items():
                tensor.copy_(state[str(number)][name])


def _new_state(parameter: nn.Parameter) -> dict[str, Tensor]:
    return {
        "mean": torch.zeros_like(parameter, requires_grad=False),
        "square": torch.zeros_like(parameter, requires_grad=False),
        "step": torch.zeros((), device=parameter.device),
    }
