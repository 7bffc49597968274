"""Runs a bundle's code from text that was approved, and nothing else in its folder."""

from __future__ import annotations

import builtins
import importlib
import linecache
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType, ModuleType

from engine.bundle.siblings import ARCHITECTURE
from engine.storage.places import real_path

_NONE: Mapping[str, str] = MappingProxyType({})

_running = threading.RLock()
"""Held while code is run and used, because `sys.path` belongs to the whole program."""


@contextmanager
def run_alone(code: str, path: Path, name: str, siblings: Mapping[str, str] = _NONE) -> Iterator[ModuleType]:
    """Run a module's code under these rules.

    - The code is compiled from `code`; the file is not opened, and no bytecode is read or written. Who asks for its
      source, such as `torch.jit.script`, which compiles that, is given `code` too.
    - Of the files beside it only those in `siblings` can be imported, now or later, and they run from the texts given
      here. `import blocks` means one of them only in the module's own code and in theirs: their modules have names that
      begin with `name`, so two models may each have a `blocks.py`, and no library sees either.
    - Nothing else is imported from the folder of `path`, now or later: neither other files nor anything in a
      `__pycache__`.
    - Whatever it adds to `sys.path` within the context is removed again.

    The rules make sure that only approved code runs; they do not confine code that wants to get around them.

    Args:
        code: the module's text.
        path: the file named in messages and as `__file__`.
        name: the module's name; it stays in `sys.modules`, where `dataclasses`, for one, looks it up.
        siblings: texts of files beside it, by their paths relative to its folder, with `/`.

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
            for loaded in [each for each in sys.modules if each.startswith(f"{name}.")]:
                del sys.modules[loaded]  # of an earlier run
            sys.modules[name] = module
            if siblings:
                _siblings.adopt(module, path, siblings)
            _give_source(code, str(path))
            # dont_inherit: this file's `from __future__` imports must not change how the code is compiled.
            exec(compile(code, str(path), "exec", dont_inherit=True), module.__dict__)  # a bundle is a program
            yield module
        finally:
            sys.path[:] = kept
            sys.dont_write_bytecode = writes


def _give_source(code: str, file: str) -> None:
    """Let `inspect` find the text that runs; the file on the disk may be another by now."""
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)  # None: it is never read again


class _Siblings(MetaPathFinder, Loader):
    """Finds the files beside a model's module in the texts that were given for them.

    It stays installed: a network may import a file when it is used, long after its code was loaded.
    """

    def __init__(self) -> None:
        self._texts: dict[str, Mapping[str, str]] = {}
        self._folders: dict[str, Path] = {}
        self._builtins: dict[str, dict[str, object]] = {}

    def adopt(self, module: ModuleType, path: Path, siblings: Mapping[str, str]) -> None:
        """Let a module, which is about to run, import its siblings, and them it and one another."""
        root = module.__name__
        self._texts[root], self._folders[root] = dict(siblings), path.parent
        own = {file.split("/")[0].removesuffix(".py") for file in siblings}
        if path.name == ARCHITECTURE:  # a sibling may import what it is imported by
            own.add(path.stem)
            sys.modules[f"{root}.{path.stem}"] = module
        self._builtins[root] = {**vars(builtins), "__import__": _importing(root, own)}
        module.__package__, module.__path__ = root, []
        module.__dict__["__builtins__"] = self._builtins[root]
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a sibling; None for any other module."""
        root, _, rest = fullname.partition(".")
        if not rest or root not in self._texts:
            return None
        texts, place = self._texts[root], rest.replace(".", "/")
        for file, is_package in ((f"{place}/__init__.py", True), (f"{place}.py", False)):
            if file in texts:
                return ModuleSpec(fullname, self, origin=str(self._folders[root] / file), is_package=is_package)
        if any(file.startswith(f"{place}/") for file in texts):
            return ModuleSpec(fullname, self, is_package=True)  # a folder without __init__.py: nothing runs
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Run a sibling's code from its text."""
        spec = module.__spec__
        root, _, rest = module.__name__.partition(".")
        if spec is None or spec.origin is None:
            return
        place = rest.replace(".", "/")
        is_package = spec.submodule_search_locations is not None
        text = self._texts[root][f"{place}/__init__.py" if is_package else f"{place}.py"]
        module.__file__ = spec.origin
        module.__dict__["__builtins__"] = self._builtins[root]
        _give_source(text, spec.origin)
        exec(compile(text, spec.origin, "exec", dont_inherit=True), module.__dict__)  # as approved as the module


def _importing(root: str, own: set[str]) -> Callable[..., ModuleType]:
    """Return the `__import__` of a module's own code, for which the names in `own` are its siblings."""

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in own:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        full = f"{root}.{name}"
        if fromlist:
            return builtins.__import__(full, globals, locals, fromlist, 0)
        importlib.import_module(full)
        return sys.modules[f"{root}.{top}"]

    return import_


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
                            f"{fullname} is in the model folder, and not among the files that its code imports",
                            name=fullname,
                        )
                return spec
        return None


_guard = _Guard()
_siblings = _Siblings()
