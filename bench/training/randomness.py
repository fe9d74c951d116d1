"""The state of torch's random numbers that belongs to one training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

import torch
from torch import Tensor


def random_state(device: torch.device) -> dict[str, Tensor]:
    """States of torch's default generators by device: the CPU's and this device's."""
    of_cpu = {"cpu": torch.get_rng_state()}
    return of_cpu | ({"cuda": torch.cuda.get_rng_state()} if device.type == "cuda" else {})


def write_state(state: Mapping[str, Tensor]) -> None:
    """Sets torch's default generators to states of `random_state`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def replayed(state: Mapping[str, Tensor], device: torch.device) -> Iterator[None]:
    """Replays torch's draws from that state on; afterwards restores the present state."""
    now = random_state(device)
    write_state(state)
    try:
        yield
    finally:
        write_state(now)


class RandomState:
    """A random state for one training: within `with`, torch draws from it; code outside keeps its own.

    Dropout and random balancers draw from torch's default generators, on the CPU and on the training's device.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        outside = random_state(device)
        torch.manual_seed(seed)
        self._inside = random_state(device)
        write_state(outside)
        self._outside = outside

    def __enter__(self) -> None:
        self._outside = random_state(self.device)
        write_state(self._inside)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._inside = random_state(self.device)
        write_state(self._outside)

    def state_dict(self) -> dict[str, Tensor]:
        """States of the generators by device."""
        return self._inside

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Loads a state; devices that it lacks keep their own."""
        self._inside = {name: state.get(name, own) for name, own in self._inside.items()}
