"""The table of explanation methods: the five built-in ones, and those of installed packages (plug-ins).

A built-in method is an entry of `BUILT_IN`. That entry is all that engine, settings, command line and app know of it.

A package adds a method with an entry point of the group `xaimed.explainers`, without touching the engine:

    [project.entry-points."xaimed.explainers"]
    LayerCAM = "xaimed_layercam:LayerCam"

The entry point's name is what people read. In lower case, with `-` for spaces, it is also the method's key: on the
command line, in the names of files, in `explanation.json`. The entry point refers to a factory, which is called with
`Choices` and returns an explainer (`engine.explainers.base.Explainer`): an object with that `key` and with
`explain(request)`, which returns a `SaliencyMap` of the size of the network's input. `engine.explainers.base` has what
the built-in methods use for this: `Request` (the network, the input, the class, the seed, `progress` and `stop`) and
`scaled_map` (which turns a raw map into a `SaliencyMap`).

    @dataclass(frozen=True)
    class LayerCam:
        choices: Choices
        key: ClassVar[str] = "layercam"

        def explain(self, request: Request) -> SaliencyMap: ...

A factory may say more about its method in an attribute `declares`, a `Declaration` (see the protocol `Factory`): which
parameters people may set (`engine.bundle.keys.Key`), that it does not look at a layer, or with which methods it shares
gradients. The method receives the values of its parameters, checked, in `Choices.parameters`.

    declares: ClassVar[Declaration] = Declaration(
        parameters=(Key.whole("samples", 500, 16, 100_000, "masks to draw"),), layer=False
    )

People set parameters with `--set METHOD.NAME=VALUE`, and the number of samples also with `--samples METHOD=N`; under
`[explain.METHOD]` of a `model.toml`; and under `[METHOD]` of the app's settings file. Scripts use `Settings`.
`explanation.json` records what the method puts into its map's `parameters`. A package is imported when its method is
first made or its parameters are first needed. Until then the method counts as one without parameters that looks at a
layer.

The rules for built-in methods apply to plug-ins as well: gradients are those of `classifier.target_logit`; random
numbers come only from `request.seed`; `request.stop` is checked before every pass; hooks and modes are left as they
were. `engine.explainers.plugins` checks some of this at every run, `engine.testing` nearly all of it in a plug-in's
own tests. Like a model, a plug-in is a program and can do whatever its user can. Whoever installs it trusts it, and
from then on it runs in every explanation unless `--methods` says otherwise. `tests/plugins/layercam` is a complete
example.

Only the paper's four methods vote in the map of 0 to 4 that counts how many methods mark a cell. Others, plug-ins among
them, are shown beside it, and vote where people set `voters = "all"`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
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
    from engine.explainers.cam_formulas import CamKey

GROUP = "xaimed.explainers"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9+._ -]{0,22}[A-Za-z0-9+])?")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = frozenset({"original", "agreement", "saliency", "statistics", "explanation"})
"""Names that files and cards use for something else."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person may choose about a method; given to its factory.

    Attributes:
        layer: name of the layer to look at, as in `named_modules()`; None for the classifier's `default_layer`.
        parameters: checked values of the parameters that the method declares, by name. Those with neither a value nor a
            default are left out.
        until: `certain` asks a method that draws samples to stop as soon as the three top cells are settled.
    """

    layer: str | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict, hash=False)  # `Request.kept` needs a hash
    until: Literal["samples", "certain"] = "samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is known about a method before it runs.

    Attributes:
        parameters: what a person may set. A whole number named `samples` is the number of samples that it draws.
        layer: whether it looks at a layer of the network.
        shares_gradients: keys of the methods that use the same gradients, so that their maps are not independent of
            its own. It is enough if one of two methods names the other.
    """

    parameters: tuple[Key[Scalar], ...] = ()
    layer: bool = True
    shares_gradients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse parameters that nobody could set.

        Raises:
            ValueError: a name is invalid or used twice, or `samples` is not a whole number with a range and a default.
        """
        names = [key.name for key in self.parameters]
        for name in names:
            if not _PARAMETER.fullmatch(name) or names.count(name) > 1:
                raise ValueError(f"the parameter {name!r} occurs twice or its name is not allowed (a-z, 0-9 and _)")
        samples = self.samples
        if samples is not None and not all(
            isinstance(number, int) for number in (samples.least, samples.most, samples.default)
        ):
            raise ValueError("the parameter 'samples' is no whole number with a range and a default")

    @property
    def samples(self) -> Key[Scalar] | None:
        """The parameter for the number of samples, with its range; None if the method draws none."""
        return self.parameter("samples")

    def parameter(self, name: str) -> Key[Scalar] | None:
        """Return the parameter with this name, or None."""
        return next((key for key in self.parameters if key.name == name), None)


class Factory(Protocol):
    """Makes a method. A plug-in's may have an attribute `declares`, a `Declaration`; otherwise the defaults hold."""

    def __call__(self, choices: Choices, /) -> Explainer:
        """Return the method with its parameters set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Declaration):
    """A method: all that engine, command line and app know about it.

    Attributes:
        key: its name on the command line, in the names of files and in `explanation.json`.
        name: its name for people. A plug-in's is not made safe.
        make: returns the method with its parameters set; imports what the method needs only then.
        letter: the key on the keyboard that starts it in the app. A plug-in has none and gets a digit.
        short: its name where space is short; empty for the beginning of `name`.
        votes: whether it is one of the paper's four, which always count in the agreement.
    """

    key: str
    name: str
    make: Factory
    letter: str = ""
    short: str = ""
    votes: bool = False


def _make_lime(choices: Choices) -> Explainer:
    from engine.explainers.lime import Lime

    # mypy sees one type for all values of the mapping; each key's check has ensured the right one.
    return Lime(until=choices.until, **choices.parameters)  # type: ignore[arg-type]


def _make_rise(choices: Choices) -> Explainer:
    from engine.explainers.rise import Rise

    return Rise(until=choices.until, **choices.parameters)  # type: ignore[arg-type]  # as for LIME


def _make_cam(key: CamKey) -> Factory:
    def make(choices: Choices, /) -> Explainer:
        from engine.explainers.gradcam import GradCam

        return GradCam(key, choices.layer)

    return make


BUILT_IN: tuple[Method, ...] = (
    Method(key="lime", name="LIME", make=_make_lime, letter="l", parameters=LIME_KEYS, layer=False, votes=True),
    Method(key="rise", name="RISE", make=_make_rise, letter="r", parameters=RISE_KEYS, layer=False, votes=True),
    Method(key="gradcam", name="Grad-CAM", make=_make_cam("gradcam"), letter="g", short="CAM", votes=True),
    Method(
        key="gradcam++",
        name="Grad-CAM++",
        make=_make_cam("gradcam++"),
        letter="p",
        short="CAM++",
        shares_gradients=("gradcam",),
        votes=True,
    ),
    Method(
        key="hirescam",
        name="HiResCAM",
        make=_make_cam("hirescam"),
        letter="h",
        short="HiRes",
        shares_gradients=("gradcam", "gradcam++"),
    ),
)
"""The built-in methods, in the order they are shown."""

METHODS: tuple[str, ...] = tuple(method.key for method in BUILT_IN)
"""Keys of the built-in methods, for scripts."""

Voters = Literal["paper", "all"]
"""Who votes in the agreement: the paper's four methods, or all that gave a map."""

METHOD_NAMES: Mapping[str, str] = MappingProxyType({method.key: method.name for method in BUILT_IN})
"""Names of the built-in methods for people, by key; for scripts."""


@dataclass(frozen=True)
class PlugIn:
    """A method from an installed package, which is imported when the method is first used.

    Attributes:
        key: the method's key.
        name: its name for people.
        package: name and version of the package, as far as they are known.
        entry: the entry point, which loads the factory.
    """

    key: str
    name: str
    package: str
    entry: EntryPoint

    @cached_property
    def factory(self) -> Factory:
        """The factory. This imports the package, which may raise anything."""
        return cast("Factory", self.entry.load())

    @cached_property
    def declaration(self) -> Declaration:
        """What the factory declares. This imports the package, which may raise anything.

        Raises:
            TypeError: `declares` is not a `Declaration`.
        """
        declared = getattr(self.factory, "declares", None)
        if declared is None:
            return Declaration()
        if not isinstance(declared, Declaration):
            raise TypeError(f"its attribute declares is a {type(declared).__name__} instead of a Declaration")
        return declared

    @property
    def method(self) -> Method:
        """The method as known without importing anything: with its declaration if that was read, else the defaults."""
        # A cached property that was read stands in `vars`; reading it here would import the package.
        known: Declaration = vars(self).get("declaration", Declaration())
        return Method(
            key=self.key,
            name=self.name,
            make=lambda choices: self.factory(choices),  # not `self.factory`, which would import the package now
            parameters=known.parameters,
            layer=known.layer,
            shares_gradients=known.shares_gradients,
        )


@cache
def find_plug_ins() -> tuple[Mapping[str, PlugIn], tuple[str, ...]]:
    """Return the plug-ins by key, and a line for each that is left out. No package is imported."""
    plug_ins: dict[str, PlugIn] = {}
    problems = []
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: (entry.name.lower(), entry.value)):
        key = entry.name.lower().replace(" ", "-")
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
        # `x-cells.png` is the second picture of the method x.
        if not _NAME.fullmatch(entry.name) or key in _TAKEN or key.endswith("-cells"):
            why = "its name is not allowed (letters, digits and + . _ - at most 24)"
        elif _built_in(key) is not None:
            why = "a built-in method has that name"
        elif key in plug_ins:
            if plug_ins[key].entry.value == entry.value:
                continue  # the same package, found twice on the path
            why = f"{plug_ins[key].package} has a method of that name"
        else:
            plug_ins[key] = PlugIn(key, entry.name, package, entry)
            continue
        problems.append(f"the method {entry.name} of {package} is left out: {why}")
    return MappingProxyType(plug_ins), tuple(problems)


def method_keys() -> tuple[str, ...]:
    """Return the keys of all methods in the order they are shown: the built-in ones, then the plug-ins."""
    return (*(method.key for method in BUILT_IN), *find_plug_ins()[0])


def find_method(key: str) -> Method | None:
    """Return the method with this key, or None. A plug-in is not imported: until it is, it has the defaults."""
    if (built_in := _built_in(key)) is not None:
        return built_in
    found = plug_in(key)
    return None if found is None else found.method


def method_name(key: str) -> str:
    """Return a method's name for people, not made safe; the key itself if there is no such method."""
    method = find_method(key)
    return key if method is None else method.name


def looks_at_layer(key: str) -> bool:
    """Whether a method may look at a layer. A plug-in counts as one that does until its declaration is read."""
    method = find_method(key)
    return method is not None and method.layer


def sampling() -> tuple[Method, ...]:
    """Return the built-in methods that draw samples, those that draw the most first."""
    drawing = [method for method in BUILT_IN if method.samples is not None]
    return tuple(sorted(drawing, key=usual_samples, reverse=True))


def usual_samples(method: Method) -> int:
    """Return how many samples a method draws by default; 0 if it draws none."""
    samples = method.samples
    return samples.default if samples is not None and isinstance(samples.default, int) else 0


def is_quick(key: str) -> bool:
    """Whether a method draws no samples, so that its map is ready at once. False for plug-ins: nobody knows."""
    built_in = _built_in(key)
    return built_in is not None and built_in.samples is None


def running_place(key: str) -> int:
    """Return a method's place in the order of running: quick ones first, so that people soon see a map.

    Plug-ins share the last place.
    """
    keys = sorted((method.key for method in BUILT_IN), key=lambda built_in: not is_quick(built_in))
    return keys.index(key) if key in keys else len(keys)


def voting(keys: Iterable[str], voters: Voters) -> tuple[str, ...]:
    """Return those of the methods that vote in the agreement, in the order given."""
    paper = [method.key for method in BUILT_IN if method.votes]
    return tuple(key for key in keys if voters == "all" or key in paper)


def sharing_gradients(keys: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Group those of the methods that use the same gradients. Groups have two or more, in the order given."""
    order = list(keys)
    groups: list[list[str]] = []
    for key in order:
        # A method may link groups that had nothing in common so far: they become one.
        related = [group for group in groups if any(_share(key, other) for other in group)]
        groups = [group for group in groups if group not in related]
        groups.append([*(member for group in related for member in group), key])
    return tuple(tuple(sorted(group, key=order.index)) for group in groups if len(group) > 1)


def dependence_notes(keys: Iterable[str]) -> tuple[str, ...]:
    """Return a sentence for each group of methods whose maps are not independent. Names are not made safe."""
    return tuple(_dependence_note([method_name(key) for key in group]) for group in sharing_gradients(keys))


def silence_notes(keys: Iterable[str], counted: Collection[str]) -> tuple[str, ...]:
    """Return a sentence about those of the methods that do not vote, if there are any. Names are not made safe.

    Args:
        keys: methods with a map.
        counted: those of them that vote.
    """
    names = [method_name(key) for key in keys if key not in counted]
    if not names:
        return ()
    do, are = ("does", "it is") if len(names) == 1 else ("do", "they are")
    return (f"{word_list(names)} {do} not vote: {are} not among the paper's four methods.",)


def plug_in(key: str) -> PlugIn | None:
    """Return the plug-in with this key, or None."""
    return find_plug_ins()[0].get(key)


def left_out() -> tuple[str, ...]:
    """Return a line, not made safe, for every plug-in that cannot be offered."""
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
    return f"{word_list(names)} use the same activations and gradients: where {where} independent findings."
