"""Compiled passes over activations on the CPU, stored as float32, float64 or bfloat16.

Between two matrix products a step has elementwise work to do: bias, ReLU, mixing of experts, and their gradients. As
separate tensor operations each is a pass over memory of its own; here each is one pass, with the change of layout that
the next product wants thrown in. Arithmetic is in float32 (float64 for float64) whatever is stored.
"""

from bench.models.kernels.layers import (
    add_up,
    head,
    is_live,
    rectify,
    rectify_in_place,
    spread,
    unhead,
    unrectify,
    unspread,
)
from bench.models.kernels.mixing import mix, unmix
from bench.models.kernels.numbers import DTYPES, array, computed_in

__all__ = [
    "DTYPES",
    "add_up",
    "array",
    "computed_in",
    "head",
    "is_live",
    "mix",
    "rectify",
    "rectify_in_place",
    "spread",
    "unhead",
    "unmix",
    "unrectify",
    "unspread",
]
