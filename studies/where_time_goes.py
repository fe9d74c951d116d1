"""Where the time of a training goes: that of each stage, compared with the machine's limits.

python studies/where_time_goes.py CARD [--set NAME=VALUE ..] [--threads 1] [--raw DIR] [--home DIR]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.app.cli.output import TerminalProgress, print_table
from bench.core.objectives import Objective, primary
from bench.core.plain import assignments
from bench.data import load_card, prepare
from bench.data.batches import Batch
from bench.models.products import is_bf16, product
from bench.models.training.config import TrialConfig
from bench.models.training.loop import Trainer

STAGES = (
    "batch",
    "gather",
    "forward",
    "backward",
    "balancing",
    "dense step",
    "table step",
    "evaluation",
)
_SIDE = 1024  # of the matrices: large enough to reach the ceiling, small enough for a CPU's time
_NUMBERS = 1 << 24  # in the copied tensor: 64 MiB, more than a core's share of a cache
_TRIES = 7


@dataclass(frozen=True)
class Stage:
    """One stage's share of the time.

    Attributes:
        seconds: without those of stages inside it.
        percent: of all stages' time.
        matrix: operations a second in matrix products, over the machine's ceiling; None where there
            are none.
        memory: bytes a second that have to be moved, over the machine's ceiling; None where that is
            not what takes the time.
    """

    name: str
    seconds: float
    percent: float
    matrix: float | None
    memory: float | None


class Profile:
    """Times the stages of one trainer, in place of whose functions `watch` puts timed ones.

    A stage inside another is counted once, as itself.

    The first step is left out: kernels are compiled and memory is taken in it. What a step's
    products and its traffic amount to is counted there. On a GPU every stage waits for the device
    and no graph is captured, so that training is slower than without a profile. Measuring the
    ceilings takes 128 MiB, which the job's peak memory then includes.
    """

    def __init__(self) -> None:
        self.ceilings: Ceilings | None = None
        self.steps = 0
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._work: dict[str, int] = {}  # operations, or bytes, of a stage in one step
        self._counting = True
        # seconds of what was timed inside each open stage; the last is the innermost
        self._inside = [0.0]
        self._wait: Callable[[], None] = lambda: None

    def watch(self, trainer: Trainer) -> None:
        """Begins with the trainer's next step; a trainer can be watched once."""
        step, evaluation = trainer.step, trainer.evaluation
        if trainer.device.type == "cuda":
            self._wait = torch.cuda.synchronize
        low = is_bf16(trainer.model.precision, trainer.device, trainer.model.weights)
        self.ceilings = measure_ceilings(trainer.device, torch.bfloat16 if low else torch.float32)
        trainer.compute = step
        shuffled = trainer.data.shuffled
        stages = [
            (step, "embed", "gather"),
            (step, "forward", "forward"),
            (step, "backward", "backward"),
            (step, "update_dense", "dense step"),
            (step, "update_rows", "table step"),
            (evaluation, "judge", "evaluation"),
            (evaluation, "best", "evaluation"),
            (step.aggregation, "combine", "balancing")
            if step.aggregation
            else (step.balancer, "forward", "balancing"),
        ]
        for owner, method, stage in stages:
            setattr(owner, method, self._timed(getattr(owner, method), stage))
        update_rows = step.update_rows

        def update_rows_and_count(ids: Tensor, e: Tensor) -> None:
            update_rows(ids, e)
            if self._counting:
                self._work |= traffic(trainer, ids, e)
                self._counting, self._seconds = False, dict.fromkeys(STAGES, 0.0)
            else:
                self.steps += 1

        step.update_rows = update_rows_and_count  # type: ignore[method-assign]

        def shuffled_and_timed(size: int, seed: int, start: int = 0) -> Iterator[Batch]:
            return self._iterated(shuffled(size, seed, start))

        trainer.data.shuffled = shuffled_and_timed  # type: ignore[method-assign]

    def stages(self) -> list[Stage]:
        """What was found so far, in the order of a step."""
        total = sum(self._seconds.values())
        return [self._stage(name, seconds, total) for name, seconds in self._seconds.items()]

    @property
    def share(self) -> float | None:
        """What whole steps reach of the ceiling in matrix products; None before the second step."""
        seconds = sum(seconds for name, seconds in self._seconds.items() if name != "evaluation")
        if not self.ceilings or not self.steps or not seconds:
            return None
        operations = self._work["forward"] + self._work["backward"]
        return operations * self.steps / seconds / self.ceilings.flops

    def _stage(self, name: str, seconds: float, total: float) -> Stage:
        matrix = memory = None
        if self.ceilings and seconds > 0 and name in self._work:
            rate = self._work[name] * self.steps / seconds
            if name in ("forward", "backward"):
                matrix = rate / self.ceilings.flops
            else:
                memory = rate / self.ceilings.bytes
        return Stage(name, seconds, 100 * seconds / total if total else 0.0, matrix, memory)

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            if self._counting and stage in ("forward", "backward"):
                with FlopCounterMode(display=False, custom_mapping=counted()) as counter:
                    result = function(*arguments)
                self._work[stage] = counter.get_total_flops()
                return result
            self._wait()
            started = time.perf_counter()
            self._inside.append(0.0)
            try:
                result = function(*arguments)
                self._wait()
            finally:
                spent = time.perf_counter() - started
                self._seconds[stage] += spent - self._inside.pop()
                self._inside[-1] += spent
            return result

        return run

    def _iterated(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        following = self._timed(lambda: next(batches, None), "batch")
        while (batch := following()) is not None:
            yield batch


def counted() -> dict[Any, Callable[..., int]]:
    """What torch's counter of operations must be told of oneDNN's products: its
    `custom_mapping`.
    """

    def operations(x: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
        return 2 * x.numel() * weight[0]

    return (
        {torch.ops.mkldnn._linear_pointwise: operations}
        if hasattr(torch.ops.mkldnn, "_linear_pointwise")
        else {}
    )


def traffic(trainer: Trainer, ids: Tensor, e: Tensor) -> dict[str, int]:
    """Bytes that the stages bound by memory have to move in one step, each number read and written
    once.

    Adam reads a parameter, its gradient and two moments, and writes all except the gradient. The
    table's optimizer reads every gradient, adds them up by distinct row, and reads and writes those
    rows and their state.
    """
    batch, slots, width = e.shape
    rows, number = trainer.step.rows, e.element_size()
    dense = sum(parameter.numel() for parameter in trainer.model.dense_parameters())
    columns = slots + len(trainer.schema.dense) + len(trainer.schema.tasks)
    distinct = len(torch.unique(ids))
    of_row = width * number + sum(state.nbytes for state in rows.state_dict().values()) // len(
        rows.weight
    )
    return {
        "batch": 2 * batch * columns * 4,
        "gather": ids.numel() * 4 + 2 * e.nbytes,
        "dense step": 7 * dense * 4,
        "table step": ids.numel() * 4 + e.nbytes + 2 * distinct * (width * number + of_row),
    }


@dataclass(frozen=True)
class Ceilings:
    """Measured limits, with torch's number of threads.

    Attributes:
        flops: floating-point operations a second in a square product; a multiplication and an
            addition are two.
        bytes: bytes a second in a copy, those read and those written.
        products_in: the type of the matrices, as in "float32".
    """

    flops: float
    bytes: float
    products_in: str


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Takes the best of a few tries, in about a tenth of a second; matrices are of the given
    type.
    """
    wait = torch.cuda.synchronize if device.type == "cuda" else _nothing
    matrix = torch.randn(1, _SIDE, _SIDE, device=device).to(dtype)
    source = torch.ones(_NUMBERS, device=device)
    target = torch.ones_like(source)
    return Ceilings(
        flops=2 * _SIDE**3 / _best(lambda: product(matrix, matrix), wait),
        bytes=2 * source.nbytes / _best(lambda: target.copy_(source), wait),
        products_in=str(dtype).removeprefix("torch."),
    )


def _best(work: Callable[[], object], wait: Callable[[], None]) -> float:
    times = []
    for _ in range(_TRIES):
        wait()
        started = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - started)
    return min(times)


def _nothing() -> None:
    pass


def show(profile: Profile) -> None:
    """Prints the stages and the ceilings."""
    rows = [
        [
            stage.name,
            stage.seconds,
            f"{stage.percent:.1f}",
            _percent(stage.matrix),
            _percent(stage.memory),
        ]
        for stage in profile.stages()
    ]
    headers = ["stage", "seconds", "% of time", "% of matrix ceiling", "% of memory ceiling"]
    print_table(headers, rows, f"Where the time of {profile.steps:,} steps went")
    assert profile.ceilings is not None
    flops, moved = profile.ceilings.flops / 1e9, profile.ceilings.bytes / 1e9
    print(
        f"ceilings: {flops:,.0f} GFLOP/s in products of {profile.ceilings.products_in}, "
        f"{moved:,.1f} GB/s in a copy"
    )
    if profile.share is not None:
        print(f"products of whole steps, evaluation left out: {profile.share:.0%} of that ceiling")


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def main() -> None:
    """Trains one configuration, watched."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("card")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--raw", type=Path)
    parser.add_argument("--home", type=Path, default=Path(".seesaw"))
    options = parser.parse_args()
    config = TrialConfig.parse(assignments(options.set))
    store = prepare(load_card(options.card), options.home, options.raw, TerminalProgress())
    store = store.with_tasks(store.default_tasks)
    objectives = [
        Objective(primary(task, in_groups=False), "maximize") for task in store.schema.tasks
    ]
    trainer, profile = Trainer(store, config, objectives, 0, options.threads), Profile()
    profile.watch(trainer)
    trainer.run_to()
    show(profile)


if __name__ == "__main__":
    main()
