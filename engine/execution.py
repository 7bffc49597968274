"""Running a bundle's `architecture.py` from text that was approved, and from nothing else in its folder."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_running = threading.RLock()


@contextmanager
def run_alone(code: str, path: Path, name: str) -> Iterator[ModuleType]:
    """Run a module's code, and keep the rules below for as long as the context lasts.

    - The code is compiled from `code`; the file is not opened, and no bytecode is read or written.
    - Nothing is imported from the folder of `path`: neither files beside it nor what lies in a `__pycache__`. The
      module must stand alone. What it puts into `sys.path` is taken out again.

    These rules keep what runs the same as what was approved; they do not confine code that wants to get around them.

    Args:
        code: the module's text.
        path: where it is said to come from, for messages and `__file__`.
        name: the module's name; it is left in `sys.modules`, where dataclasses, for one, look it up.

    Raises:
        BaseException: whatever the code raises.
    """
    module = ModuleType(name)
    module.__file__ = str(path)
    finder = _NothingFrom(path.parent)
    with _running:
        kept, writes = list(sys.path), sys.dont_write_bytecode
        sys.meta_path.insert(0, finder)
        sys.dont_write_bytecode = True
        try:
            sys.modules[name] = module
            exec(compile(code, str(path), "exec", dont_inherit=True), module.__dict__)  # a bundle is a program
            yield module
        finally:
            sys.path[:] = kept
            sys.dont_write_bytecode = writes
            if finder in sys.meta_path:
                sys.meta_path.remove(finder)


class _NothingFrom(MetaPathFinder):
    """Refuses modules that lie in a folder; all others are found as they would be without it."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.path.realpath(folder))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the finders behind this one find.

        Raises:
            ImportError: it lies in the folder.
        """
        for finder in sys.meta_path[:]:
            if isinstance(finder, _NothingFrom) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                files = (spec.origin, spec.cached) if spec.has_location else ()
                for place in (*files, *(spec.submodule_search_locations or ())):
                    if place and Path(os.path.realpath(place)).is_relative_to(self._folder):
                        raise ImportError(
                            f"{fullname} lies in the model folder, and only architecture.py itself is run from there",
                            name=fullname,
                        )
                return spec
        return None
