"""Build a network by its name in a package that has it: nothing of a model folder runs, and nothing is downloaded.

A name is looked up in the package's own list of networks, and must stand there exactly: it is never a path, an address
or a name of Python. Arguments are plain values, must be parameters of the network's constructor, and none of those
that load or download weights. The weights come from the model folder alone.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from engine.bundle.specs import NetworkSpec, Plain
from engine.errors import BundleError
from engine.network.device import is_out_of_memory
from engine.network.sources.hugging_face import CLASSES, make_from_config
from engine.network.weights import too_little_memory

_EXTRAS = {"transformers": "huggingface"}
_MOST_MODULES = 100_000

_LOADING = ("pretrained", "checkpoint", "weights_backbone", "cache_dir", "url")
"""Parts of the names of parameters that load or download weights, in any of the packages."""

_LOADING_NAMES = frozenset({"weights", "progress", "file", "path"})

_MODULES = {
    "torchvision": "torchvision.models",
    "timm": "timm",
    "monai": "monai.networks.nets",
    "transformers": "transformers",
}
"""The module of each package that has its networks."""

_FLAT: Mapping[str, Plain] = {"spatial_dims": 2}
_MONAI: Mapping[str, Mapping[str, Plain]] = {
    **{f"DenseNet{depth}": _FLAT for depth in ("", 121, 169, 201, 264)},
    **{f"resnet{depth}": _FLAT for depth in (10, 18, 34, 50, 101, 152, 200)},
    **{f"SEResNet{depth}": _FLAT for depth in (50, 101, 152)},
    **{f"SEResNext{depth}": _FLAT for depth in (50, 101)},
    "SENet154": _FLAT,
    "EfficientNetBN": {**_FLAT, "pretrained": False},
    "ViT": {**_FLAT, "classification": True},
    "Classifier": {},
    "Discriminator": {},
    "TorchVisionFCModel": {"pretrained": False},
}
"""MONAI's networks that classify images, with the defaults that are not the constructor's own: two dimensions, and no
download. MONAI has no list of its own by which they could be told from the others."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A network of a package.

    Attributes:
        make: builds it; takes arguments of its constructor.
        kind: its class, whose constructor tells the parameters; None if only a built network tells it.
        defaults: arguments that are passed unless others are given.
    """

    make: Callable[..., object]
    kind: type[nn.Module] | None
    defaults: Mapping[str, Plain]


def build_named(
    spec: NetworkSpec, subject: str | Path, *, config: bytes | None = None, most_bytes: int | None = None
) -> nn.Module:
    """Build the network that a `[network] source` names, with random weights, on the CPU.

    Args:
        spec: source and arguments.
        subject: what errors are about: the `model.toml`, or an option.
        config: content of `config.json`, which a network of transformers needs; others ignore it.
        most_bytes: how many bytes its parameters and buffers may take, so that arguments cannot fill the memory; None
            for any.

    Raises:
        BundleError: the package is not installed or has no such network; an argument is unknown, would load weights, or
            does not fit; the network is larger than `most_bytes`.
        OutOfMemoryError: the machine ran out of memory.
    """
    check_name(spec, subject)
    if spec.package == "transformers":
        make: Callable[[], object] = partial(make_from_config, spec, config, subject)
    else:
        found = _find(spec, subject)
        _check_arguments(spec, found, subject)
        make = partial(found.make, **{**found.defaults, **spec.arguments})
    if most_bytes is not None:
        _refuse_larger(make, most_bytes, spec, subject)
    with _within(most_bytes, spec, subject):
        network = _make(make, spec, subject)
    if not isinstance(network, nn.Module):
        raise BundleError(f"{spec.source} is a {type(network).__name__} and not a network", subject=subject)
    return network


@cache
def names_of(package: str) -> tuple[str, ...]:
    """Return the names of a package's networks, in alphabetical order; the package must be installed."""
    if package == "torchvision":
        models = importlib.import_module(_MODULES[package])
        # Without `module` there are also networks that find objects and segment, of which some download a backbone.
        return tuple(sorted(models.list_models(module=models)))
    if package == "timm":
        timm = importlib.import_module(_MODULES[package])
        return tuple(sorted({*timm.list_models(), *timm.list_models(pretrained=True)}))
    return tuple(sorted(_MONAI if package == "monai" else CLASSES.values()))


def import_package(package: str, subject: str | Path) -> ModuleType:
    """Import the package of a source.

    Raises:
        BundleError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(_MODULES[package])
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == package
        why = "is not installed" if missing else f"cannot be imported ({error})"
        extra = _EXTRAS.get(package, "networks")
        raise BundleError(
            f"{package}, which has the network, {why}",
            subject=subject,
            remedy=f'install the extra "{extra}": pip install "xaimed[{extra}]"',
        ) from error


def check_name(spec: NetworkSpec, subject: str | Path) -> None:
    """Check that a package has the network that a source names.

    Raises:
        BundleError: the package is not installed, or its list does not have that very name.
    """
    package, name = spec.package, spec.name
    import_package(package, subject)
    known = names_of(package)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        listed = f"did you mean {', '.join(near)}?" if near else f"see which networks {package} lists"
        raise BundleError(f"{package} has no network for images called {name}", subject=subject, remedy=listed)


def _find(spec: NetworkSpec, subject: str | Path) -> _Found:
    package, name = spec.package, spec.name
    module = import_package(package, subject)
    if package == "torchvision":
        builder = module.get_model_builder(name)
        kind = _class_of(builder)
        # Auxiliary heads have no part in an answer, and drawing random weights takes long.
        taken = _parameters(kind) if kind else frozenset()
        quiet: Mapping[str, Plain] = {one: False for one in ("aux_logits", "init_weights") if one in taken}
        return _Found(partial(builder, weights=None), kind, quiet)
    if package == "timm":
        return _Found(
            partial(module.create_model, name, pretrained=False), _class_of(module.models.model_entrypoint(name)), {}
        )
    made: Callable[..., object] = getattr(module, name)
    # Those that are functions all make the same class, and say so in text.
    return _Found(made, made if isinstance(made, type) else module.ResNet, _MONAI[name])


def _class_of(builder: Callable[..., object]) -> type[nn.Module] | None:
    """Return the class that a function says it returns, or None if it does not say so."""
    kind = getattr(builder, "__annotations__", {}).get("return")
    return kind if isinstance(kind, type) and issubclass(kind, nn.Module) and kind is not nn.Module else None


def _check_arguments(spec: NetworkSpec, found: _Found, subject: str | Path) -> None:
    """Check that the arguments are parameters of the network, and that none of them loads anything.

    Raises:
        BundleError: names the argument.
    """
    for name in spec.arguments:
        if name in _LOADING_NAMES or any(part in name for part in _LOADING):
            raise BundleError(
                f"[network] arguments has {name}, which loads or downloads weights; they come from the model's folder",
                subject=subject,
                remedy="remove it",
            )
    if not spec.arguments:
        return
    known = _parameters(found.kind or _kind_by_building(spec, found, subject))
    for name in spec.arguments:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise BundleError(
                f"{spec.source} takes no argument {name}",
                subject=subject,
                remedy=f"did you mean {near[0]}?" if near else f"use only {', '.join(sorted(known))}",
            )
    if spec.name == "TorchVisionFCModel":  # it looks up this name as an attribute
        backbone = spec.arguments.get("model_name", "resnet18")
        if backbone not in names_of("torchvision"):
            raise BundleError(f"torchvision has no network for images called {backbone}", subject=subject)


def _kind_by_building(spec: NetworkSpec, found: _Found, subject: str | Path) -> type:
    with torch.device("meta"):  # no memory is taken there, and nothing is computed
        return type(_make(found.make, spec, subject))


def _parameters(kind: type) -> frozenset[str]:
    """Return the names of all parameters of a class's constructor, and of those to which it passes on its `**`."""
    names: set[str] = set()
    for base in kind.__mro__:
        if base is nn.Module or "__init__" not in vars(base):
            continue
        parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names |= {one.name for one in parameters if one.kind in plain}
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
            break
    return frozenset(names - {"self"})


def _make(make: Callable[[], object], spec: NetworkSpec, subject: str | Path) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the packages will change in the drawing of random weights
            return make()
    except BundleError:
        raise
    # A constructor may raise anything for values that it does not expect.
    except Exception as error:
        if is_out_of_memory(error):
            raise too_little_memory(Path(subject)) from error
        given = ", ".join(f"{name} = {value}" for name, value in spec.arguments.items()) or "no arguments"
        raise BundleError(
            f"{spec.source} cannot be built with {given}: {type(error).__name__}: {error}",
            subject=subject,
            remedy="correct [network] arguments",
        ) from error


class _TooLargeError(BundleError):
    """A network that is far larger than its weights."""


def _refuse_larger(make: Callable[[], object], most_bytes: int, spec: NetworkSpec, subject: str | Path) -> None:
    """Refuse a network that is too large, by building it without memory.

    Many networks draw the numbers of a parameter before they register it, so that `_within` alone would be too late.
    """
    try:
        with torch.device("meta"), _within(most_bytes, spec, subject):
            _make(make, spec, subject)
    except _TooLargeError:
        raise
    except BundleError:  # some compute their own sizes with tensors (RegNet), and the others say it again
        pass


@contextmanager
def _within(most_bytes: int | None, spec: NetworkSpec, subject: str | Path) -> Iterator[None]:
    """Refuse a network as soon as its parameters and buffers take more than `most_bytes`.

    A model without code needs no approval, so its arguments must not be able to fill the memory.
    """
    here, taken, modules = threading.get_ident(), 0, 0

    def refuse() -> BundleError:
        return _TooLargeError(
            f"with these arguments {spec.source} is far larger than the weights",
            subject=subject,
            remedy="correct [network] arguments",
        )

    def tensor_added(module: nn.Module, name: str, tensor: torch.Tensor | None) -> None:
        nonlocal taken
        if tensor is None or threading.get_ident() != here:
            return
        taken += tensor.numel() * tensor.element_size()
        if most_bytes is not None and taken > most_bytes:
            raise refuse()

    def module_added(module: nn.Module, name: str, part: nn.Module | None) -> None:
        nonlocal modules
        modules += threading.get_ident() == here
        if modules > _MOST_MODULES:
            raise refuse()

    handles = (
        register_module_parameter_registration_hook(tensor_added),
        register_module_buffer_registration_hook(tensor_added),
        register_module_module_registration_hook(module_added),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
