"""Numbers that nobody asked for: defaults of options and arguments, and constants. `remake.py defaults` writes them."""

import dataclasses
import importlib
import inspect
import json
import lzma
import pkgutil
from pathlib import Path

from pydantic import BaseModel

DEFAULTS = Path(__file__).parent / "defaults.json.xz"
PLAIN = (bool, int, float, str, type(None))
OF_MACHINE = ("bench.results.served.measuring.THREADS",)


def defaults():
    """By name each default and constant that is plain, of the modules that can be imported here."""
    import bench

    found = {}
    for each in pkgutil.walk_packages(bench.__path__, "bench."):
        if each.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(each.name)
        except ImportError:  # of a package that is optional
            continue
        for name, value in vars(module).items():
            if name.isupper() and name[0] != "_" and is_plain(value) and f"{each.name}.{name}" not in OF_MACHINE:
                found[f"{each.name}.{name}"] = value
            elif getattr(value, "__module__", None) == each.name:
                found |= {f"{each.name}.{name}.{key}": of for key, of in of_object(value) if is_plain(of)}
    return json.loads(json.dumps(found, sort_keys=True, default=list))


def of_object(value):
    """Names and defaults of a class's fields and methods, or of a function."""
    if inspect.isfunction(value):
        yield from ((key, each.default) for key, each in inspect.signature(value).parameters.items()
                    if each.default is not each.empty)  # fmt: skip
    elif inspect.isclass(value):
        if issubclass(value, BaseModel):
            for key, each in value.model_fields.items():
                bounds = {kind: of for part in each.metadata for kind, of in vars_of(part).items()}
                yield from ((key, each.default), (f"{key}, its bounds", bounds))
        elif dataclasses.is_dataclass(value):
            yield from ((each.name, each.default) for each in dataclasses.fields(value))
        for name, own in vars(value).items():
            if inspect.isfunction(own) and name not in ("__replace__", "__eq__"):
                yield from ((f"{name}.{key}", of) for key, of in of_object(own))


def vars_of(part):
    """Of a bound such as Ge(ge=0)."""
    return dataclasses.asdict(part) if dataclasses.is_dataclass(part) else {}


def is_plain(value):
    """Whether it is a number, a short text, or some of these."""
    if isinstance(value, (tuple, list)):
        return len(value) < 100 and all(map(is_plain, value))
    if isinstance(value, dict):
        return len(value) < 100 and all(isinstance(key, str) and is_plain(of) for key, of in value.items())
    return type(value) in PLAIN and (not isinstance(value, str) or len(value) < 40)


def write_defaults(home):
    """Writes them down."""
    DEFAULTS.write_bytes(lzma.compress(json.dumps(defaults(), sort_keys=True).encode(), preset=9))


def read_defaults():
    """As they were written down."""
    return json.loads(lzma.decompress(DEFAULTS.read_bytes()))
