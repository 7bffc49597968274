"""The explanation methods there are: the four built-in ones, and those that installed packages bring along.

A package brings a method by an entry point of the group `xaimed.explainers`; the engine is not touched:

    [project.entry-points."xaimed.explainers"]
    HiResCAM = "xaimed_hirescam:HiResCam"

The entry point's name is what people read, and in small letters (spaces as `-`) the method's key: on the command
line, in the names of files, in `explanation.json`. What it leads to is called with `Choices` and gives an explainer
(`engine.explainers.base.Explainer`): an object with that `key` and with `explain(request)`, which returns a
`SaliencyMap` of the size of the network's input. `engine.explainers.base` has what the built-in methods use for that:
`Request` (the network, the input, the class, the seed, `progress` and `stop`) and `scaled_map` (a raw map to a
`SaliencyMap`).

    @dataclass(frozen=True)
    class HiResCam:
        choices: Choices
        key: ClassVar[str] = "hirescam"

        def explain(self, request: Request) -> SaliencyMap: ...

The rules are those for the built-in methods: gradients are those of `classifier.target_logit`; random numbers come
from `request.seed` alone; `request.stop` is looked at before every pass; no hook and no changed mode is left behind.
What can be checked of that is checked here. Like a model, a plug-in is a program and can do whatever its user can; it
is installed by whoever trusts it, and runs in every explanation from then on unless `--methods` says otherwise. A
complete one lies in `tests/plugins/hirescam`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from engine.errors import ExplanationError, XAIMedError
from engine.saliency import SaliencyMap
from engine.text import safe_text

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from torch import nn

    from engine.explainers.base import Explainer, Request

GROUP = "xaimed.explainers"

METHODS: tuple[str, ...] = ("lime", "rise", "gradcam", "gradcam++")
"""The four built-in methods, in the order in which they are shown."""

METHOD_NAMES: Mapping[str, str] = {"lime": "LIME", "rise": "RISE", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++"}
"""Their names for people."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9+._ -]{0,22}[A-Za-z0-9+])?")
_TAKEN = frozenset({"original", "agreement", "saliency", "statistics", "explanation"})
"""Names that files and cards have already."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person may choose about a plug-in's method.

    Attributes:
        layer: name of the layer to look at, in `named_modules()`; None for the classifier's `default_layer`.
    """

    layer: str | None = None


Factory = Callable[[Choices], "Explainer"]
"""What an entry point leads to."""


@dataclass(frozen=True, slots=True)
class PlugIn:
    """A method that a package brings along; it is imported when it is first used.

    Attributes:
        key: the method's key.
        name: its name for people.
        package: name and version of the package, as far as known.
        entry: leads to the factory.
    """

    key: str
    name: str
    package: str
    entry: EntryPoint


@cache
def _found() -> tuple[Mapping[str, PlugIn], tuple[str, ...]]:
    """The plug-ins by key, and a line for each that is left out. Nothing is imported."""
    plug_ins: dict[str, PlugIn] = {}
    problems = []
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: (entry.name.lower(), entry.value)):
        key = entry.name.lower().replace(" ", "-")
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
        if not _NAME.fullmatch(entry.name) or key in _TAKEN or key.endswith("-cells"):
            why = "its name will not do (letters, digits and + . _ - at most 24)"
        elif key in METHODS:
            why = "a built-in method has that name"
        elif key in plug_ins:
            if plug_ins[key].entry.value == entry.value:
                continue  # the same package found twice on the path
            why = f"{plug_ins[key].package} has a method of that name"
        else:
            plug_ins[key] = PlugIn(key, entry.name, package, entry)
            continue
        problems.append(f"the method {entry.name} of {package} is left out: {why}")
    return MappingProxyType(plug_ins), tuple(problems)


def method_keys() -> tuple[str, ...]:
    """The keys of all methods in the order in which they are shown: the built-in ones, then the plug-ins."""
    return (*METHODS, *_found()[0])


def method_name(key: str) -> str:
    """A method's name for people; its key if there is no such method. It is not made safe."""
    if key in METHOD_NAMES:
        return METHOD_NAMES[key]
    found = plug_in(key)
    return key if found is None else found.name


def plug_in(key: str) -> PlugIn | None:
    """The plug-in with a key, or None."""
    return _found()[0].get(key)


def left_out() -> tuple[str, ...]:
    """A line for every plug-in that cannot be offered. It is not made safe."""
    return _found()[1]


def make_plug_in(key: str, choices: Choices) -> Explainer:
    """A plug-in's method, imported and made.

    Raises:
        ExplanationError: it cannot be imported or made, or is none.
    """
    found = _found()[0][key]
    try:
        explainer = cast("Factory", found.entry.load())(choices)
        given, explain = explainer.key, explainer.explain
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # code of others, which may even call sys.exit()
        raise _broken(found, f"{type(error).__name__}: {error}") from error
    if given != key or not callable(explain):
        raise _broken(found, f"its key is {given!r} instead of {key!r}" if given != key else "explain is no method")
    return explainer


def run_plug_in(explainer: Explainer, request: Request) -> SaliencyMap:
    """A plug-in's map, checked; modes, gradients and hooks of the network are left as they were.

    Raises:
        Stopped: stopped before there was a map worth showing.
        ExplanationError: it failed, or what it gave is no map.
        RuntimeError, MemoryError: the memory did not suffice.
    """
    from engine.explainers.gradcam import as_it_was
    from engine.network import lacks_memory

    found = _found()[0][explainer.key]
    try:
        with _without_new_hooks(request.classifier.network), as_it_was(request.classifier.network):
            made = explainer.explain(request)
        problem = _problem(made, explainer.key, request)
    except (XAIMedError, KeyboardInterrupt):
        raise
    except BaseException as error:  # code of others
        if lacks_memory(error):
            raise
        raise _broken(found, f"{type(error).__name__}: {error}") from error
    if problem:
        raise _broken(found, problem)
    made.values.setflags(write=False)
    return replace(made, warnings=tuple(safe_text(warning, limit=1000) for warning in made.warnings))


@contextmanager
def _without_new_hooks(network: nn.Module) -> Iterator[None]:
    """Take away the hooks that are left behind: they would act on every later answer."""
    before = {id(hooks): set(hooks) for hooks in _hooks_of(network)}
    try:
        yield
    finally:
        for hooks in _hooks_of(network):
            for key in set(hooks) - before.get(id(hooks), set()):
                del hooks[key]


def _hooks_of(network: nn.Module) -> Iterator[dict[int, object]]:
    for module in network.modules():
        for name, value in vars(module).items():
            if name.endswith("_hooks") and isinstance(value, dict):
                yield value


def _problem(made: object, key: str, request: Request) -> str:
    """What is wrong with a map, as a clause; empty if nothing is."""
    import numpy as np

    if not isinstance(made, SaliencyMap):
        return f"it gave a {type(made).__name__} instead of a SaliencyMap"
    values = made.values
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.shape != request.size:
        given = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        return f"its map is {given} instead of float32 {request.size}"
    if not np.isfinite(values).all() or float(values.min()) < 0 or float(values.max()) > 1:
        return "its map has values outside [0, 1]"
    if not (np.isfinite(made.raw_min) and np.isfinite(made.raw_max)):
        return "the range of its map is not finite"
    target = request.classifier.classes[request.target]
    if (made.method, made.target) != (key, target):
        return f"its map is of {made.method!r} for {made.target!r} instead of {key!r} for {target!r}"
    if not all(isinstance(value, str | int | float | bool | None) for value in made.parameters.values()):
        return "its parameters are not all text, numbers or truth values"
    if not all(isinstance(warning, str) for warning in made.warnings):
        return "its warnings are not all text"
    if made.cells is not None and (made.cells.means.shape, made.cells.covariance.shape) != ((9,), (9, 9)):
        return "its cell estimates have not the shapes (9,) and (9, 9)"
    return ""


def _broken(found: PlugIn, why: str) -> ExplanationError:
    return ExplanationError(
        f"the plug-in cannot be used ({why})",
        subject=f"{found.name} of {found.package}",
        remedy="tell its makers, or leave it out with --methods",
    )
