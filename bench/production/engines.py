"""Engines that run a packaged model: each turns arrays into arrays, on n threads. Also writes ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from bench.errors import UserError, adding, listed, unknown
from bench.machine import installed
from bench.production import archive
from bench.production.plain_onnx import check_onnx
from bench.production.served_model import ModelSpec

MODEL, ONNX = "model.pt2", "model.onnx"
Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
Engine = Callable[[Ids, Floats], tuple[Floats, Floats]]
"""ids (B, S), dense (B, D) -> conditional and joint (B, T); B may be 0."""


def exported(folder: Path, spec: ModelSpec, threads: int) -> Engine:
    """The graph of torch.export, in plain torch."""
    path = folder / MODEL
    return _checked(_torch(archive.load(path, spec.shapes()).module(), threads), path, len(spec.schema.tasks))


def eager(folder: Path, spec: ModelSpec, threads: int) -> Engine:
    """The modules that were trained, with the compiled passes of `bench.models.kernels`."""
    weights = archive.load(folder / MODEL, spec.shapes()).state_dict  # before memory is taken for a model
    model = spec.build()
    model.load_state_dict(weights)
    return _torch(model, threads)


def onnx(folder: Path, spec: ModelSpec, threads: int) -> Engine:
    """ONNX Runtime.

    Raises:
        UserError: it is not installed, or the package was made where it was not.
    """
    for module in ("onnxruntime", "onnx"):
        need(module, "to run a model in ONNX Runtime")
    path = folder / ONNX
    if not path.is_file():
        raise UserError(f"expected a {ONNX} in {folder}, found none: it was packaged without the extra 'serve'")
    check_onnx(path)
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what went wrong is raised as well
    options.add_session_config_entry("session.use_env_allocators", "1")
    _bound_memory(runtime)
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"{path}: expected a model that ONNX Runtime can read: {_last_line(error)}") from None
    asked = {each.name for each in session.get_inputs()}  # what a model does not use is not asked for
    if not asked <= {"ids", "dense"} or len(session.get_outputs()) != 2:
        raise UserError(f"{path}: expected ids and dense to give two outputs, found {', '.join(sorted(asked))}")

    def run(ids: Ids, dense: Floats) -> tuple[Floats, Floats]:
        rows = len(ids)
        if rows == 0:  # without a row ONNX Runtime ends the process
            ids, dense = np.zeros((1, *ids.shape[1:]), np.int32), np.zeros((1, *dense.shape[1:]), np.float32)
        given = {"ids": ids, "dense": dense}
        conditional, joint = session.run(None, {name: given[name] for name in asked})
        return conditional[:rows], joint[:rows]

    return _checked(run, path, len(spec.schema.tasks))


@cache
def _bound_memory(runtime: Any) -> None:
    """Has all sessions of this process take their memory from one arena of bounded size."""
    arena = runtime.OrtArenaCfg(installed() // 2, -1, -1, -1)
    place = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    runtime.create_and_register_allocator(place, arena)


ENGINES: dict[str, Callable[[Path, ModelSpec, int], Engine]] = {"eager": eager, "exported": exported, "onnx": onnx}


def open_engine(name: str, folder: Path, spec: ModelSpec, threads: int = 1) -> Engine:
    """The engine of that name for the package in a folder.

    Raises:
        UserError: an unknown name, or the engine cannot be had.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name](folder, spec, threads)


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


def _checked(engine: Engine, path: Path, tasks: int) -> Engine:
    """An engine whose graph was read from a file. Raises a UserError where it cannot run, or gives another shape."""

    def run(ids: Ids, dense: Floats) -> tuple[Floats, Floats]:
        try:
            predictions = engine(ids, dense)
        except Exception as error:
            raise UserError(f"{path}: expected a graph that can be run: {_last_line(error)}") from None
        if any(each.shape != (len(ids), tasks) for each in predictions):
            shapes = " and ".join(str(each.shape) for each in predictions)
            raise UserError(f"{path}: expected predictions of shape {(len(ids), tasks)}, found {shapes}")
        return predictions

    return run


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:500]


def _torch(model: Callable[..., tuple[torch.Tensor, torch.Tensor]], threads: int) -> Engine:
    def run(ids: Ids, dense: Floats) -> tuple[Floats, Floats]:
        if torch.get_num_threads() != threads:  # of the whole process, which may hold several engines
            torch.set_num_threads(threads)
        with torch.inference_mode():
            conditional, joint = model(torch.from_numpy(ids), torch.from_numpy(dense))
        return conditional.numpy(), joint.numpy()

    return run


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Writes `path` and, with the weights, `path` + `.data`.

    Raises:
        UserError: the extra `serve` is not installed.
    """
    for module in ("onnx", "onnxscript"):
        need(module, "to write a model in ONNX")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of torch about its own exporter
        noise = logging.getLogger("torch.onnx")
        level = noise.level
        noise.setLevel(logging.ERROR)
        try:
            made = torch.onnx.export(
                program,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=["ids", "dense"],
                output_names=["conditional", "joint"],
            )
        finally:
            noise.setLevel(level)
    assert made is not None
    made.save(path, external_data=True)
