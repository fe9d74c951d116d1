"""`import seesaw` is `import bench`: every module of `bench` is the same object under both
names.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import bench


class _Alias(MetaPathFinder, Loader):
    """Finds `seesaw.x` as `bench.x`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec for names below `seesaw`."""
        return ModuleSpec(fullname, self) if fullname.startswith("seesaw.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module of `bench`, which is imported if need be."""
        found = import_module(f"bench.{spec.name.removeprefix('seesaw.')}")
        spec.loader_state = found.__spec__
        return found

    def exec_module(self, module: ModuleType) -> None:
        """Gives the module back its own spec, which the import system replaced."""
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


if __name__ == "__main__":
    from bench.app.cli import main

    sys.exit(main())

sys.meta_path.insert(0, _Alias())
sys.modules["seesaw"] = bench
