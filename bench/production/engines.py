"""Ways to run a packaged model: each turns arrays into arrays, on a number of threads."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.errors import UserError, listed, unknown
from bench.extras import adding
from bench.production import archive
from bench.production.served_model import Recipe

Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
Engine = Callable[[Ids, Floats], tuple[Floats, Floats]]
"""ids (B, S), dense (B, D) -> conditional and joint (B, T); B may be 0."""


def exported(folder: Path, recipe: Recipe, threads: int) -> Engine:
    """The graph of torch.export, in plain torch."""
    return _torch(archive.load(folder / "model.pt2").module(), threads)


def eager(folder: Path, recipe: Recipe, threads: int) -> Engine:
    """The modules that were trained, with the compiled passes of `bench.models.kernels`."""
    model = recipe.build()
    model.load_state_dict(archive.load(folder / "model.pt2").state_dict)
    return _torch(model, threads)


def onnx(folder: Path, recipe: Recipe, threads: int) -> Engine:
    """ONNX Runtime.

    Raises:
        UserError: it is not installed, or the package was made where it was not.
    """
    need("onnxruntime", "to run a model in ONNX Runtime")
    if not (folder / "model.onnx").is_file():
        raise UserError(f"expected a model.onnx in {folder}, found none: it was packaged without the extra 'serve'")
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    session = runtime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    asked = {each.name for each in session.get_inputs()}  # what a model does not use is not asked for

    def run(ids: Ids, dense: Floats) -> tuple[Floats, Floats]:
        given = {"ids": ids, "dense": dense}
        conditional, joint = session.run(None, {name: given[name] for name in asked})
        return conditional, joint

    return run


ENGINES: dict[str, Callable[[Path, Recipe, int], Engine]] = {"eager": eager, "exported": exported, "onnx": onnx}


def open_engine(name: str, folder: Path, recipe: Recipe, threads: int = 1) -> Engine:
    """The engine of that name for the package in a folder.

    Raises:
        UserError: an unknown name, or the engine cannot be had.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name](folder, recipe, threads)


def without_onnx() -> str:
    """Why no model can be written in ONNX and checked; empty where it can."""
    absent = [module for module in ("onnx", "onnxscript", "onnxruntime") if find_spec(module) is None]
    if not absent:
        return ""
    return f"{listed(absent)} {'is' if len(absent) == 1 else 'are'} not installed; {adding('serve')}"


def need(module: str, why: str) -> None:
    """Raises UserError where a package of the extra `serve` is not installed."""
    if find_spec(module) is None:
        raise UserError(f"expected {module} {why}, found none installed; {adding('serve')}")


def _torch(model: Callable[..., tuple[torch.Tensor, torch.Tensor]], threads: int) -> Engine:
    def run(ids: Ids, dense: Floats) -> tuple[Floats, Floats]:
        if torch.get_num_threads() != threads:  # of the whole process, which may hold several engines
            torch.set_num_threads(threads)
        with torch.inference_mode():
            conditional, joint = model(torch.from_numpy(ids), torch.from_numpy(dense))
        return conditional.numpy(), joint.numpy()

    return run
