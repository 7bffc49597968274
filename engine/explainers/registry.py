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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from engine.explainers.base import Explainer

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
def find_plug_ins() -> tuple[Mapping[str, PlugIn], tuple[str, ...]]:
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
    return (*METHODS, *find_plug_ins()[0])


def method_name(key: str) -> str:
    """A method's name for people; its key if there is no such method. It is not made safe."""
    if key in METHOD_NAMES:
        return METHOD_NAMES[key]
    found = plug_in(key)
    return key if found is None else found.name


def plug_in(key: str) -> PlugIn | None:
    """The plug-in with a key, or None."""
    return find_plug_ins()[0].get(key)


def left_out() -> tuple[str, ...]:
    """A line for every plug-in that cannot be offered. It is not made safe."""
    return find_plug_ins()[1]
