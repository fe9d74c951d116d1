"""The state of torch's random numbers that belongs to one training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """States of torch's default generators by device: the CPU's and this device's."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state()
    return states


@contextmanager
def replayed(state: Mapping[str, Tensor], device: torch.device) -> Iterator[None]:
    """Replays torch's draws from a state of `random_state` on; afterwards restores the present
    state.
    """
    present = random_state(device)
    _write(state)
    try:
        yield
    finally:
        _write(present)


def _write(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


class RandomState:
    """A random state for one training: torch draws from it within `drawing`; code outside keeps its
    own.

    Dropout and random balancers draw from torch's default generators, on the CPU and on the
    training's device.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        with replayed(random_state(device), device):
            torch.manual_seed(seed)
            self._state = random_state(device)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Torch draws from this state, which moves on."""
        with replayed(self._state, self.device):
            try:
                yield
            finally:
                self._state = random_state(self.device)

    def state_dict(self) -> dict[str, Tensor]:
        """States of the generators by device."""
        return self._state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Loads a state; devices that it lacks keep their own."""
        for device in self._state:
            self._state[device] = state.get(device, self._state[device])
