"""Runs a bundle's `architecture.py` from text that was approved, and nothing else in its folder."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from engine.storage.places import real_path

_running = threading.RLock()
"""Held while code is run and used, because `sys.path` belongs to the whole program."""


@contextmanager
def run_alone(code: str, path: Path, name: str) -> Iterator[ModuleType]:
    """Run a module's code under these rules.

    - The code is compiled from `code`; the file is not opened, and no bytecode is read or written.
    - Nothing is imported from the folder of `path`, now or later: neither files beside it nor anything in a
      `__pycache__`. The module must stand alone.
    - Whatever it adds to `sys.path` within the context is removed again.

    The rules make sure that only approved code runs; they do not confine code that wants to get around them.

    Args:
        code: the module's text.
        path: the file named in messages and as `__file__`.
        name: the module's name; it stays in `sys.modules`, where `dataclasses`, for one, looks it up.

    Raises:
        BaseException: whatever the code raises.
    """
    module = ModuleType(name)
    module.__file__ = str(path)
    with _running:
        kept, writes = list(sys.path), sys.dont_write_bytecode
        _guard.forbid(path.parent)
        sys.dont_write_bytecode = True
        try:
            sys.modules[name] = module
            # dont_inherit: this file's `from __future__` imports must not change how the code is compiled.
            exec(compile(code, str(path), "exec", dont_inherit=True), module.__dict__)  # a bundle is a program
            yield module
        finally:
            sys.path[:] = kept
            sys.dont_write_bytecode = writes


class _Guard(MetaPathFinder):
    """Refuses modules from model folders; all others are found as they would be without it.

    It stays installed: a network may import modules when it is used, long after its code was loaded.
    """

    def __init__(self) -> None:
        self._folders: set[Path] = set()
        self._homes = {real_path(Path(home)) for home in (sys.prefix, sys.base_prefix)}

    def forbid(self, folder: Path) -> None:
        """Refuse imports from a folder from now on."""
        self._folders.add(real_path(folder))
        # First in line, so that no other finder supplies a module unchecked.
        if self not in sys.meta_path[:1]:
            sys.meta_path[:] = [self, *(finder for finder in sys.meta_path if finder is not self)]

    def _forbids(self, place: Path) -> bool:
        found = self._folders.intersection((place, *place.parents))
        # Python itself may be installed inside such a folder (a virtual environment in a project): that is no model.
        return any(
            not any(place.is_relative_to(home) and home.is_relative_to(folder) for home in self._homes)
            for folder in found
        )

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find.

        Raises:
            ImportError: it is in one of the folders.
        """
        for finder in sys.meta_path[:]:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                files = (spec.origin, spec.cached) if spec.has_location else ()
                for place in (*files, *(spec.submodule_search_locations or ())):
                    if place and self._forbids(real_path(Path(place))):
                        raise ImportError(
                            f"{fullname} is in the model folder, and only architecture.py itself is run from there",
                            name=fullname,
                        )
                return spec
        return None


_guard = _Guard()
