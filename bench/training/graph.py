"""A training step as a CUDA graph: launched as one piece, instead of some hundred kernels from Python."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Compute = Callable[..., Tensor]

WARMUP = 3  # steps before the capture, so that libraries and optimizers have allocated what they keep


class CapturedStep:
    """Runs a step as it is for a few batches, captures it at the next one, and replays it from then on.

    Every one of these runs is a real step on its own batch. A batch of another shape runs as it is. Where the step
    cannot be captured (a balancer that reads values back to the host, say), every batch runs as it is, after a note.

    Args:
        compute: the tensors of a batch, on the device -> losses (T,). Learning rates that it reads must be tensors,
            changed in place.
        note: is told once where the step cannot be captured.
    """

    def __init__(self, compute: Compute, note: Callable[[str], None]) -> None:
        self.compute, self.note = compute, note
        self.seen, self.possible = 0, True
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor] = []
        self.losses: Tensor | None = None

    def __call__(self, *tensors: Tensor) -> Tensor:
        """One step; the losses (T,) are overwritten by the next."""
        batch = list(tensors)
        if not self.possible:
            return self.compute(*batch)
        if self.seen < WARMUP:
            self.seen += 1
            return self._beside(batch)
        if self.graph is None and not self._capture(batch):
            return self.compute(*batch)
        if any(tensor.shape != place.shape for tensor, place in zip(batch, self.inputs, strict=True)):
            return self.compute(*batch)
        assert self.graph is not None and self.losses is not None  # noqa: PT018 (one condition)
        for tensor, place in zip(batch, self.inputs, strict=True):
            place.copy_(tensor)
        self.graph.replay()
        return self.losses

    def _beside(self, batch: list[Tensor]) -> Tensor:
        """A step on a side stream, as capturing asks of what runs before it."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            losses = self.compute(*batch)
        torch.cuda.current_stream().wait_stream(stream)
        return losses

    def _capture(self, batch: list[Tensor]) -> bool:
        """Records the step without running it; whether that was possible."""
        self.inputs = [tensor.clone() for tensor in batch]
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.losses = self.compute(*self.inputs)
        except RuntimeError as error:
            self.possible, self.inputs, self.losses = False, [], None
            torch.cuda.synchronize()
            reason = str(error).strip().splitlines()
            self.note(f"training without a CUDA graph: {reason[0] if reason else type(error).__name__}")
            return False
        self.graph = graph
        return True
