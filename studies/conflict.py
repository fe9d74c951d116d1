"""PCGrad paper, figure 1: two tasks in a steep valley whose gradients conflict, and who gets out of
it.

    python studies/conflict.py [--seeds 5] [--write docs/studies/experiments.md] [--figure
    docs/studies/conflict.svg]

The shared parameters are two numbers (x, y), the losses 20 log|x/2 + tanh y| and 25 log|x/2 - tanh
y + 2| (cut where the argument falls below 5e-6). Both are least at x = -2 with y large. On the way
there lies a valley in which the first loss is low: across it gradients are long and conflict, along
it they are short. Every balancer takes the same steps of Adam from the same starts. It reports the
mean of each task's argument over the last tenth of the steps: 0 is solved.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from conflict_figure import svg
from numpy.typing import NDArray
from speed.table import replace, writer

from bench.core.seeds import derive
from bench.core.system.atomic import write_text
from bench.models.balancing import BALANCING
from bench.models.balancing.base import GradientAggregation

KINDS = ("static", "pcgrad", "cagrad", "mgda", "upgrad")
STEPS, RATE, LEAST = 25_000, 0.01, 5e-6
SCALES = np.array([20.0, 25.0])
Array = NDArray[np.float64]


def arguments(theta: Array) -> Array:
    """(2,), what the logarithms are taken of, with sign."""
    bend = np.tanh(theta[1])
    return np.array([0.5 * theta[0] + bend, 0.5 * theta[0] - bend + 2])


def gradients(theta: Array) -> Array:
    """(2, 2), a row for each task's loss; 0 where it is cut."""
    inner, slope = arguments(theta), 1 - np.tanh(theta[1]) ** 2
    scales = np.where(np.abs(inner) > LEAST, SCALES / np.where(inner == 0, 1, inner), 0)
    return scales[:, None] * np.array([[0.5, slope], [0.5, -slope]])


def path(kind: str, seed: int, steps: int = STEPS) -> Array:
    """(steps + 1, 2), the way from the seed's start under a balancer, by Adam with its usual
    constants.
    """
    torch.manual_seed(derive(seed, kind))
    entry = BALANCING[kind]
    balancer = entry.build(["first", "second"], entry.config())
    rng = np.random.default_rng(derive(seed, "start"))
    positions = np.empty((steps + 1, 2))
    positions[0] = theta = np.array([0.5, -3.0]) + rng.uniform(-0.5, 0.5, 2)
    mean, square = np.zeros(2), np.zeros(2)
    for step in range(1, steps + 1):
        jacobian, weights = gradients(theta), np.ones(2)
        if isinstance(balancer, GradientAggregation):
            weights = balancer(torch.from_numpy(jacobian @ jacobian.T)).double().numpy()
        gradient = weights @ jacobian
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        theta = theta - RATE * (mean / (1 - 0.9**step)) / (
            np.sqrt(square / (1 - 0.999**step)) + 1e-8
        )
        positions[step] = theta
    return positions


def left(positions: Array) -> Array:
    """(2,), each task's mean argument over the last tenth of a way."""
    last = positions[-max(1, len(positions) // 10) :]
    return np.mean([np.abs(arguments(theta)) for theta in last], axis=0)


def main() -> None:
    """Runs the experiment and prints or writes its table."""
    parser = writer(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path, help="draw the first seed's ways into this file")
    options = parser.parse_args()
    lines = [
        (
            "| balancing | first task, left | second task, left | starts from which both get below "
            ".25 |"
        ),
        "|---" * 4 + "|",
    ]
    drawn = {}
    for kind in KINDS:
        paths = [path(kind, seed) for seed in range(options.seeds)]
        remaining = np.array([left(positions) for positions in paths])
        drawn[kind] = paths[0]
        cells = [
            f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"
            for values in remaining.T
        ]
        lines.append(
            f"| {kind} | {' | '.join(cells)} | {(remaining.max(1) < 0.25).sum()} of {len(remaining)} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    if options.figure:
        write_text(options.figure, svg(drawn))
    replace(options.write, "conflict", "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
