"""Where the time of a model's dense part goes: forward and backward pass, without table and
optimizers.

    python studies/dense_part.py [--kinds mmoe,ple] [--precisions fp32,bf16] [--batch 2048]
    [--threads 1]
        [--repeats 5] [--out FILE]

23 fields x 16, two tasks, experts and bottoms [128, 64], towers [64, 32], MMoE with 8 experts, PLE
with two levels of 4 + 4 + 4. Precisions and kinds take turns, so that a busy machine is as busy for
each. `bound` is the time that all matrix products would take at the rate of a large square one,
measured in the same turns; `share` is bound / time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from bench.core.schema import Field, Schema, Task
from bench.core.system.atomic import write_text
from bench.core.system.machine import keep_freed_memory
from bench.models.assembly import MultiTaskModel
from bench.models.model_options import Precision
from bench.models.products import is_bf16, product
from bench.models.training.config import TrialConfig
from bench.models.training.step import build_model

KINDS: dict[str, dict[str, object]] = {
    "shared_bottom": {"layers": "128-64"},
    "esmm": {},
    "mmoe": {"experts": 8, "layers": "128-64"},
    "ple": {"levels": 2, "shared_experts": 4, "own_experts": 4, "layers": "128-64"},
}
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
SCHEMA = Schema(
    tuple(Field(f"field{number}", 1000) for number in range(23)),
    (),
    (Task("click"), Task("buy", parent="click")),
)
CLASSES = {
    "products": (
        "aten::bmm",
        "aten::mm",
        "aten::addmm",
        "aten::baddbmm",
        "mkldnn::_linear_pointwise",
    ),
    "compiled passes": (
        "_Stacks",
        "_StacksBackward",
        "_Mix",
        "_MixBackward",
        "_Head",
        "_HeadBackward",
    ),
    "copies and casts": ("aten::copy_", "aten::clone", "aten::_to_copy"),
}
SQUARE = 2048


def build(kind: str, precision: Precision) -> MultiTaskModel:
    """The model of a preset."""
    torch.manual_seed(0)
    options = {f"sharing.{kind}.{name}": value for name, value in KINDS[kind].items()}
    dotted = {
        "architecture": kind,
        "embedding.dim": 16,
        "tower.layers": "64-32",
        "optim.precision": precision,
    }
    return build_model(SCHEMA, TrialConfig.parse(dotted | options))


def stepper(model: MultiTaskModel, batch: int) -> Callable[[], None]:
    """One forward and backward pass from embedded ids to their gradient."""
    ids = torch.stack([torch.randint(o, o + 1000, (batch,)) for o in SCHEMA.offsets], 1).int()
    dense, labels = torch.zeros(batch, 0), (torch.rand(batch, 2) < 0.3).float()
    e: Tensor = model.embed(ids).detach()

    def step() -> None:
        leaf = e.detach().requires_grad_()
        for parameter in model.dense_parameters():
            parameter.grad = None
        model.losses(model.logits(leaf, ids, dense), labels).sum().backward()

    return step


def milliseconds(run: Callable[[], object], clock: Callable[[], float], times: int) -> float:
    """Median over `times` runs."""
    durations = []
    for _ in range(times):
        started = clock()
        run()
        durations.append(clock() - started)
    return float(np.median(durations)) * 1e3


def products(model: MultiTaskModel, batch: int) -> float:
    """Floating-point operations of a step's matrix products: each weight, three times, a sample."""
    return (
        6.0
        * batch
        * sum(p.numel() for p in model.dense_parameters() if p.dim() == 3 and p.shape[1] > 1)
    )


def by_class(step: Callable[[], None]) -> tuple[dict[str, float], int]:
    """The share of each class of operations in a step, as the profiler sees it, and the number of
    copies.
    """
    times = 5
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(times):
            step()
    spent, copies = dict.fromkeys([*CLASSES, "rest"], 0.0), 0
    for event in record.key_averages():
        if event.device_type == DeviceType.CPU:
            name = next((name for name, members in CLASSES.items() if event.key in members), "rest")
            spent[name] += event.self_cpu_time_total
            copies += event.count // times if event.key == "aten::copy_" else 0
    return {name: part / sum(spent.values()) for name, part in spent.items()}, copies


def main() -> None:
    """Runs the measurements and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0] if __doc__ else None)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument(
        "--precisions", default=",".join(PRECISIONS), help="bf16 takes minutes where it is emulated"
    )
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    # of one thread: others do not count
    clock = time.process_time if options.threads == 1 else time.perf_counter
    precisions = [
        precision for precision in PRECISIONS if precision in options.precisions.split(",")
    ]
    runs = {
        (kind, precision): build(kind, precision)
        for kind in options.kinds.split(",")
        for precision in precisions
    }
    steps = {key: stepper(model, options.batch) for key, model in runs.items()}
    squares = {}
    for precision in precisions:
        low = is_bf16(precision, torch.device("cpu"), 0)
        a = torch.randn(1, SQUARE, SQUARE, dtype=torch.bfloat16 if low else torch.float32)
        squares[precision] = lambda a=a: product(a, a)
    for step in steps.values():
        milliseconds(step, clock, 3)  # compiles, fills caches
    durations: dict[object, list[float]] = {key: [] for key in [*steps, *squares]}
    for _ in range(options.repeats):
        for key, step in steps.items():
            durations[key].append(milliseconds(step, clock, 7))
        for precision, square in squares.items():
            durations[precision].append(milliseconds(square, clock, 3))
    columns = [
        "kind",
        "precision",
        "ms a step (range)",
        "samples/s",
        "bound, ms",
        "share",
        *CLASSES,
        "rest",
        "copies",
    ]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for (kind, precision), model in runs.items():
        ms = durations[kind, precision]
        middle = float(np.median(ms))
        bound = (
            products(model, options.batch)
            / (2.0 * SQUARE**3)
            * float(np.median(durations[precision]))
        )
        classes, copies = by_class(steps[kind, precision])
        cells = [
            kind,
            precision,
            f"{middle:.2f} ({min(ms):.2f}-{max(ms):.2f})",
            f"{options.batch / middle * 1e3:,.0f}",
        ]
        cells += [
            f"{bound:.2f}",
            f"{bound / middle:.0%}",
            *(f"{middle * part:.2f} ms" for part in classes.values()),
        ]
        lines.append(f"| {' | '.join([*cells, str(copies)])} |")
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if options.out:
        write_text(options.out, text)


if __name__ == "__main__":
    main()
