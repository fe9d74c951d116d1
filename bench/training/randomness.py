"""The state of torch's random numbers that belongs to one training."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import torch
from torch import Tensor


class RandomState:
    """Within `with`, torch draws from this state, wherever it was left; whatever else runs in between has its own.

    Dropout and random balancers draw from torch's default generators, on the CPU and on the training's device.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        outside = self._read()
        torch.manual_seed(seed)
        self._inside = self._read()
        self._write(outside)
        self._outside = outside

    def __enter__(self) -> None:
        self._outside = self._read()
        self._write(self._inside)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._inside = self._read()
        self._write(self._outside)

    def state_dict(self) -> dict[str, Tensor]:
        """States of the generators by device."""
        return self._inside

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a state; a device that it does not know keeps its own."""
        self._inside = {name: state.get(name, own) for name, own in self._inside.items()}

    def _read(self) -> dict[str, Tensor]:
        found = {"cpu": torch.get_rng_state()}
        return found | ({"cuda": torch.cuda.get_rng_state()} if self.device.type == "cuda" else {})

    def _write(self, state: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"])
