"""AdamW on the dense parameters, by torch's fused kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class _Moments:
    """Moving averages of a parameter's gradient and of its square, and the number of its steps."""

    def __init__(self, parameter: nn.Parameter) -> None:
        self.parameter = parameter
        self.mean = torch.zeros_like(parameter, requires_grad=False)
        self.square = torch.zeros_like(parameter, requires_grad=False)
        self.step = torch.zeros((), device=parameter.device)

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "square": self.square, "step": self.step}


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
        self._decayed = [_Moments(parameter) for parameter in decayed]
        self._plain = [_Moments(parameter) for parameter in plain]
        self._all = self._decayed + self._plain
        self._weight_decay = weight_decay
        self.lr = lr
        self.rate = torch.tensor(lr, dtype=torch.float64)
        for moments in self._all:
            if moments.parameter.is_cuda:
                self.rate = torch.tensor(lr, dtype=torch.float32, device=moments.parameter.device)
                break

    def zero_grad(self) -> None:
        """Drops all gradients, so that the next backward pass need not add to them."""
        for moments in self._all:
            moments.parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Updates the parameters from their gradients."""
        self._step(self._decayed, self._weight_decay)
        self._step(self._plain, 0.0)

    def _step(self, group: Sequence[_Moments], weight_decay: float) -> None:
        parameters: list[Tensor] = []
        gradients, means, squares, steps = [], [], [], []
        for moments in group:
            gradient = moments.parameter.grad
            if gradient is not None:
                parameters.append(moments.parameter)
                gradients.append(gradient.contiguous())  # the kernel does not look at strides
                means.append(moments.mean)
                squares.append(moments.square)
                steps.append(moments.step)
        if not parameters:
            return
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=self.rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=weight_decay,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Moments and step counters of each parameter, by index; the optimizer's own tensors."""
        return {str(number): moments.tensors for number, moments in enumerate(self._all)}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Copies a state of the same parameters."""
        for number, moments in enumerate(self._all):
            for name, tensor in moments.tensors.items():
                tensor.copy_(state[str(number)][name])
