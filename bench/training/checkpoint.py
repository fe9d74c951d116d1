"""Checkpoints: pure data in one safetensors file, whole or absent, written while training continues.

A state is nested dictionaries and lists of tensors, stored by their paths, and plain values. These are JSON in the
file's header, with the identity of the training.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from bench.core.errors import UserError
from bench.system.atomic import atomic_path

_KEY = "seesaw"  # key of the header's entry
_FORMAT = 1
_TENSOR = "$tensor"  # marks the place of a tensor in the JSON


class Writer:
    """Writes one checkpoint at a time on a separate thread."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._shares = False  # whether the tensors being written are the training's own

    def write(self, path: Path, state: Mapping[str, Any], identity: Mapping[str, Any], copy: bool = True) -> None:
        """Starts writing; returns as soon as the state may change again.

        `identity` has plain values that identify the training. Without `copy`, which saves memory, tensors must not
        change until `wait` returns. Raises OSError if the previous checkpoint could not be written.
        """
        self.wait()
        tensors: dict[str, Tensor] = {}
        plain = _take(state, "", tensors)
        header = {_KEY: json.dumps({"format": _FORMAT, "identity": identity, "state": plain})}
        self._shares = not copy
        ready = {name: _of_its_own(tensor, copy) for name, tensor in tensors.items()}
        self._thread = threading.Thread(target=self._run, args=(path, ready, header))
        self._thread.start()

    def wait(self) -> None:
        """Waits for the file; raises OSError if it could not be written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait_if_shared(self) -> None:
        """Waits if the state was not copied, so that it may change."""
        if self._shares:
            self.wait()

    def _run(self, path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
        try:
            with atomic_path(path) as temporary:
                save_file(tensors, temporary, header)
        except SafetensorError as error:  # wraps the system's error
            self._error = OSError(f"could not write the checkpoint {path}: {error}")
        except BaseException as error:
            self._error = error


def read(path: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a checkpoint's state on the CPU; raises UserError if it is missing, damaged, or of another `identity`."""
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)
    except FileNotFoundError:
        raise UserError(f"expected a checkpoint, found no file {path}") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"expected a whole checkpoint in {path}, found a damaged or foreign file ({reason})") from None
    if header["format"] != _FORMAT:
        raise UserError(f"{path}: expected a checkpoint of format {_FORMAT}, found {header['format']}")
    theirs = header["identity"]
    for name in dict.fromkeys([*identity, *theirs]):
        ours, own = identity.get(name), theirs.get(name)
        if ours != own:
            raise UserError(f"{path}: expected a checkpoint of a training with {name} = {ours!r}, found {own!r}")
    state: dict[str, Any] = _put(header["state"], tensors)
    return state


def _of_its_own(tensor: Tensor, copy: bool) -> Tensor:
    """A dense tensor on the CPU, as the format needs, copied if asked for."""
    tensor = tensor.detach()
    if tensor.device.type != "cpu":
        return tensor.cpu().contiguous()
    return tensor.clone(memory_format=torch.contiguous_format) if copy else tensor.contiguous()


def _take(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Returns a state with references in place of its tensors, which go to `tensors`."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {_TENSOR: path}
    if isinstance(value, Mapping):
        return {str(key): _take(inner, f"{path}/{key}" if path else str(key), tensors) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_take(inner, f"{path}/{at}", tensors) for at, inner in enumerate(value)]
    return value


def _put(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of `_take`; keys become text and sequences lists."""
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        return {key: _put(inner, tensors) for key, inner in value.items()}
    if isinstance(value, list):
        return [_put(inner, tensors) for inner in value]
    return value
