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

A method may declare more about itself by a `Declaration`, in the attribute `declares` of what the entry point leads to
(see the protocol `Factory`): parameters that a person may set (`engine.bundle.keys.Key`), that it does not look at a
layer, or with which methods it shares gradients. The values of the parameters are checked and reach the method as
`Choices.parameters`.

    declares: ClassVar[Declaration] = Declaration(
        parameters=(Key.whole("samples", 500, 16, 100_000, "masks to draw"),), layer=False
    )

A person sets them by `--set METHOD.NAME=VALUE`, and the number of samples also by `--samples METHOD=N`; a script by
`Settings.parameters`. `explanation.json` records what the method puts into its map's `parameters`. A package is
imported when its method is first made or its parameters are first asked for; until then a method counts as one without
parameters that looks at a layer.

The rules are those for the built-in methods: gradients are those of `classifier.target_logit`; random numbers come
from `request.seed` alone; `request.stop` is looked at before every pass; no hook and no changed mode is left behind.
What can be checked of that is checked here. Like a model, a plug-in is a program and can do whatever its user can; it
is installed by whoever trusts it, and runs in every explanation from then on unless `--methods` says otherwise. A
complete one lies in `tests/plugins/hirescam`.

A built-in method is an entry of `BUILT_IN`, which is all that engine, settings, command line and app know of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, cast

from engine.bundle.keys import LIME_KEYS, RISE_KEYS, Key, Scalar
from engine.text import word_list

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from engine.explainers.base import Explainer

GROUP = "xaimed.explainers"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9+._ -]{0,22}[A-Za-z0-9+])?")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = frozenset({"original", "agreement", "saliency", "statistics", "explanation"})
"""Names that files and cards have already."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person may choose about a method, as it is made.

    Attributes:
        layer: name of the layer to look at, in `named_modules()`; None for the classifier's `default_layer`.
        parameters: the values of the parameters that the method declares, by name, checked; without those that have
            neither a value nor a default.
        until: `certain` asks a method that draws samples to stop as soon as the three top cells are settled.
    """

    layer: str | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict, hash=False)  # else no key of `Request.kept`
    until: Literal["samples", "certain"] = "samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is known of a method before it runs.

    Attributes:
        parameters: what a person may set. A whole number named `samples` means that the method draws so many.
        layer: whether it looks at a layer of the network.
        shares_gradients: keys of the methods that use the same gradients: their votes are not independent of its own.
            It is enough that one of two methods names the other.
    """

    parameters: tuple[Key[Scalar], ...] = ()
    layer: bool = True
    shares_gradients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parameters that nobody could set.

        Raises:
            ValueError: a name that will not do or is there twice, or `samples` without a range of whole numbers.
        """
        names = [key.name for key in self.parameters]
        for name in names:
            if not _PARAMETER.fullmatch(name) or names.count(name) > 1:
                raise ValueError(f"the parameter {name!r} is there twice or its name will not do (a-z, 0-9 and _)")
        samples = self.samples
        if samples is not None and not all(
            isinstance(number, int) for number in (samples.least, samples.most, samples.default)
        ):
            raise ValueError("the parameter 'samples' is no whole number with a range and a default")

    @property
    def samples(self) -> Key[Scalar] | None:
        """The number of samples, with the fewest and the most that are possible; None if the method draws none."""
        return self.parameter("samples")

    def parameter(self, name: str) -> Key[Scalar] | None:
        """The parameter with a name, or None."""
        return next((key for key in self.parameters if key.name == name), None)


class Factory(Protocol):
    """What makes a method. A plug-in's may have an attribute `declares`, a `Declaration`; else the defaults hold."""

    def __call__(self, choices: Choices, /) -> Explainer:
        """The method with its parameters set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Declaration):
    """A method: all that engine, command line and app know of it.

    Attributes:
        key: on the command line, in the names of files, in `explanation.json`.
        name: its name for people. A plug-in's is not made safe.
        make: gives the method with its parameters set; what it needs is imported only then.
        letter: the key of the keyboard that starts it in the app; a plug-in has none and gets a digit.
        short: its name where there is little room; empty for the beginning of `name`.
    """

    key: str
    name: str
    make: Factory
    letter: str = ""
    short: str = ""


def _make_lime(choices: Choices) -> Explainer:
    from engine.explainers.lime import Lime

    # Values of a mapping have one type for all; the keys' checks have looked at each.
    return Lime(until=choices.until, **choices.parameters)  # type: ignore[arg-type]


def _make_rise(choices: Choices) -> Explainer:
    from engine.explainers.rise import Rise

    return Rise(until=choices.until, **choices.parameters)  # type: ignore[arg-type]  # as for LIME


def _make_gradcam(choices: Choices) -> Explainer:
    from engine.explainers.gradcam import GradCam

    return GradCam("gradcam", choices.layer)


def _make_gradcam_plus_plus(choices: Choices) -> Explainer:
    from engine.explainers.gradcam import GradCam

    return GradCam("gradcam++", choices.layer)


BUILT_IN: tuple[Method, ...] = (
    Method(key="lime", name="LIME", make=_make_lime, letter="l", parameters=LIME_KEYS, layer=False),
    Method(key="rise", name="RISE", make=_make_rise, letter="r", parameters=RISE_KEYS, layer=False),
    Method(key="gradcam", name="Grad-CAM", make=_make_gradcam, letter="g", short="CAM"),
    Method(
        key="gradcam++",
        name="Grad-CAM++",
        make=_make_gradcam_plus_plus,
        letter="p",
        short="CAM++",
        shares_gradients=("gradcam",),
    ),
)
"""The built-in methods, in the order in which they are shown."""

METHODS: tuple[str, ...] = tuple(method.key for method in BUILT_IN)
"""Their keys, for scripts."""

METHOD_NAMES: Mapping[str, str] = MappingProxyType({method.key: method.name for method in BUILT_IN})
"""Their names for people, for scripts."""


@dataclass(frozen=True)
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

    @cached_property
    def factory(self) -> Factory:
        """What the entry point leads to. This imports the package, which may raise anything."""
        return cast("Factory", self.entry.load())

    @cached_property
    def declaration(self) -> Declaration:
        """What the factory declares. This imports the package, which may raise anything.

        Raises:
            TypeError: `declares` is no `Declaration`.
        """
        declared = getattr(self.factory, "declares", None)
        if declared is None:
            return Declaration()
        if not isinstance(declared, Declaration):
            raise TypeError(f"its attribute declares is a {type(declared).__name__} instead of a Declaration")
        return declared

    @property
    def method(self) -> Method:
        """What is known of the method without importing anything: its declaration, if that has been read."""
        known: Declaration = vars(self).get("declaration", Declaration())
        return Method(
            key=self.key,
            name=self.name,
            make=lambda choices: self.factory(choices),
            parameters=known.parameters,
            layer=known.layer,
            shares_gradients=known.shares_gradients,
        )


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
        elif _built_in(key) is not None:
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
    return (*(method.key for method in BUILT_IN), *find_plug_ins()[0])


def find_method(key: str) -> Method | None:
    """The method with a key, or None. Nothing is imported: a plug-in has the defaults until its declaration is read."""
    if (built_in := _built_in(key)) is not None:
        return built_in
    found = plug_in(key)
    return None if found is None else found.method


def method_name(key: str) -> str:
    """A method's name for people; its key if there is no such method. It is not made safe."""
    method = find_method(key)
    return key if method is None else method.name


def looks_at_layer(key: str) -> bool:
    """Whether a method may look at a layer; so does a plug-in until its declaration is read."""
    method = find_method(key)
    return method is not None and method.layer


def sampling() -> tuple[Method, ...]:
    """The built-in methods that draw samples; those that draw the most come first."""
    drawing = [method for method in BUILT_IN if method.samples is not None]
    return tuple(sorted(drawing, key=usual_samples, reverse=True))


def usual_samples(method: Method) -> int:
    """How many samples a method draws if nobody says otherwise; 0 if it draws none."""
    samples = method.samples
    return samples.default if samples is not None and isinstance(samples.default, int) else 0


def is_quick(key: str) -> bool:
    """Whether a method is known to draw no samples, so that its map is ready at once. Of a plug-in nothing is known."""
    built_in = _built_in(key)
    return built_in is not None and built_in.samples is None


def running_place(key: str) -> int:
    """The place in which a method runs: the quick ones first, so that a person who waits gets something to look at.

    Plug-ins share the last place.
    """
    keys = sorted((method.key for method in BUILT_IN), key=lambda built_in: not is_quick(built_in))
    return keys.index(key) if key in keys else len(keys)


def sharing_gradients(keys: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Those of some methods that use the same gradients, in groups of two or more, in the order given."""
    order = list(keys)
    groups: list[list[str]] = []
    for key in order:
        related = [group for group in groups if any(_share(key, other) for other in group)]
        groups = [group for group in groups if group not in related]
        groups.append([*(member for group in related for member in group), key])
    return tuple(tuple(sorted(group, key=order.index)) for group in groups if len(group) > 1)


def dependence_notes(keys: Iterable[str]) -> tuple[str, ...]:
    """A sentence for each group of methods whose votes are not independent; their names are not made safe."""
    return tuple(_dependence_note([method_name(key) for key in group]) for group in sharing_gradients(keys))


def plug_in(key: str) -> PlugIn | None:
    """The plug-in with a key, or None."""
    return find_plug_ins()[0].get(key)


def left_out() -> tuple[str, ...]:
    """A line for every plug-in that cannot be offered. It is not made safe."""
    return find_plug_ins()[1]


def _built_in(key: str) -> Method | None:
    return next((method for method in BUILT_IN if method.key == key), None)


def _share(one: str, other: str) -> bool:
    first, second = find_method(one), find_method(other)
    return (
        first is not None and second is not None and (other in first.shares_gradients or one in second.shares_gradients)
    )


def _dependence_note(names: list[str]) -> str:
    where = "both mark a cell, that is not two" if len(names) == 2 else "several mark a cell, those are not"
    return f"{word_list(names)} use the same activations and gradients: where {where} independent votes."
