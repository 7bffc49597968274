"""Build a torch network from a bundle's files: the only place that runs a bundle's code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import nn

from engine.bundle.architecture_py import decode_source
from engine.bundle.digest import Snapshot
from engine.bundle.fit_npz import Fit, read_fit
from engine.bundle.model_bundle import ARCHITECTURE, CONFIG, FIT, NETWORKS, SETTINGS, TORCHSCRIPT, ModelBundle
from engine.checkpoints.matching import Match, match
from engine.errors import BundleError
from engine.network.device import is_out_of_memory
from engine.network.layout import take_channels_first
from engine.network.settled_input import remember_input
from engine.network.sources.named import build_named, import_package
from engine.network.sources.onnx_file import weight_files
from engine.network.sources.onnx_network import build_onnx
from engine.network.sources.torchscript import build_torchscript
from engine.network.torch_state import StateWatch
from engine.network.weights import most_bytes, read_weights, too_little_memory
from engine.trust.execution import run_alone
from engine.trust.permission import approved_content


def build_network(bundle: ModelBundle, watch: StateWatch | None = None) -> nn.Module:
    """Return the bundle's network as `build_network_and_fit` does."""
    return build_network_and_fit(bundle, watch).network


class Built(NamedTuple):
    """A network that was built from a bundle.

    Attributes:
        network: on the CPU, in float32 and evaluation mode.
        fit: what the images look like that it was fitted with, if the bundle says so.
        notes: a sentence for each thing that was done to give it its weights; none where all names are the same.
    """

    network: nn.Module
    fit: Fit | None
    notes: tuple[str, ...]


def build_network_and_fit(bundle: ModelBundle, watch: StateWatch | None = None) -> Built:
    """Return the bundle's network with its weights, and its fit, if any.

    It takes (B, C, H, W), whatever the layout that the bundle declares.

    The folder is read only once. The bytes that are hashed and checked for approval are the bytes that run, so nobody
    can change a file in between. What the code sets for the whole process is restored before the weights are read.

    Args:
        bundle: the model folder.
        watch: notes what the code sets.

    Raises:
        BundleError: the model is not approved or was changed, the code does not run or defines no network, or the
            weights do not fit it or hold NaN; `fit.npz` is damaged.
        OutOfMemoryError: the machine ran out of memory.
    """
    content = approved_content(bundle)
    fit = read_fit(content.kept[FIT], bundle.path / FIT) if FIT in content.kept else None
    watch = watch or StateWatch()
    if bundle.weights.name in NETWORKS:
        return Built(_whole(bundle, content, watch), fit, ())
    network = _empty(bundle, content, watch)
    weights = read_weights(content.kept[bundle.weights.name], bundle.weights)
    # The network may have hooks or methods of its own that run here.
    with watch.passing():
        # Code may build it elsewhere, on a GPU for example.
        network.to("cpu")
        notes = _load_weights(network, weights, bundle)
        network = network.float().eval()
    network = take_channels_first(network) if bundle.input.layout == "nhwc" else network
    return Built(network, fit, notes)


def build_without_weights(bundle: ModelBundle) -> nn.Module:
    """Return the bundle's network as it is built, before any weights are loaded: its names and shapes matter only.

    Raises:
        BundleError, OutOfMemoryError: as for `build_network_and_fit`.
    """
    return _empty(bundle, approved_content(bundle), StateWatch())


def _empty(bundle: ModelBundle, content: Snapshot, watch: StateWatch) -> nn.Module:
    if not bundle.runs_code:  # before the watch, which would take what the package sets for the model's own
        import_package(bundle.network.package, bundle.path / SETTINGS)
    try:
        with watch.loading():
            network = _built(bundle, content)
        _check_storage(network, bundle.architecture or bundle.path / SETTINGS)
    except BundleError as error:
        raise watch.blamed(error) from error
    return network


def _whole(bundle: ModelBundle, content: Snapshot, watch: StateWatch) -> nn.Module:
    """Return the network of a file that holds all of it."""
    data, path, layout = content.kept[bundle.weights.name], bundle.weights, bundle.input.layout
    if path.name == TORCHSCRIPT:
        try:
            with watch.loading():
                network = build_torchscript(data, path)
        except BundleError as error:
            raise watch.blamed(error) from error
    else:
        beside = weight_files(data, path)
        # Read again, together: only then it is one and the same model.
        kept = approved_content(bundle, beside).kept if beside else {}
        with watch.loading():
            network, told = build_onnx(kept.get(path.name, data), path, bundle.input, bundle.undeclared, kept)
        remember_input(network, told)
        layout = told.layout
    return take_channels_first(network) if layout == "nhwc" else network


def _built(bundle: ModelBundle, content: Snapshot) -> nn.Module:
    """Build the network from what the bundle has for it: the one place where this is chosen."""
    if bundle.architecture is not None:
        return _architecture(bundle, content, bundle.architecture)
    most = most_bytes(content.files[bundle.weights.name].size)
    return build_named(bundle.network, bundle.path / SETTINGS, config=content.kept.get(CONFIG), most_bytes=most)


def _architecture(bundle: ModelBundle, content: Snapshot, path: Path) -> nn.Module:
    root = f"xaimed_architecture_{bundle.digest[:16]}"
    try:
        # The same files as were shown: whoever changes what is imported changes the digest.
        code = {name: decode_source(content.kept[name], bundle.path / name) for name in bundle.code}
        text = code.pop(ARCHITECTURE)
        with run_alone(text, path, root, code) as module:
            builder = _builder(module, path)
            _check_arguments(builder, bundle)
            network = builder(**bundle.network.arguments)
    except (BundleError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        missing = (error.name or "").removeprefix(f"{root}.")
        raise BundleError(
            f"imports {missing}, which is neither beside it nor installed",
            subject=path,
            remedy=f"put {missing.partition('.')[0]}.py beside it, or install the package that has it",
        ) from error
    # A bundle's code may raise anything, SystemExit included; in every case the model cannot be used.
    except BaseException as error:
        if is_out_of_memory(error):
            raise too_little_memory(path) from error
        raise BundleError(
            f"does not run: {type(error).__name__}: {error}",
            subject=path,
            remedy="mend the file or ask who made the model",
        ) from error
    if not isinstance(network, nn.Module):
        raise BundleError(
            f"build_model() gave a {type(network).__name__}", subject=path, remedy="make it return a torch.nn.Module"
        )
    return network


def _check_arguments(builder: Callable[..., object], bundle: ModelBundle) -> None:
    try:
        signature = inspect.signature(builder)
    except (TypeError, ValueError):  # a callable may have none; calling it will tell
        return
    try:
        signature.bind(**bundle.network.arguments)
    except TypeError as error:
        raise BundleError(
            f"{getattr(builder, '__name__', 'build_model')}() cannot be called with the declared arguments: {error}",
            subject=bundle.architecture,
            remedy=f"correct arguments under [network] in {SETTINGS}",
        ) from error


def _check_storage(network: nn.Module, path: Path) -> None:
    for name, tensor in network.state_dict(keep_vars=True).items():
        if isinstance(tensor, torch.Tensor) and tensor.is_meta:
            raise BundleError(
                f"builds {name} on the device meta, where no weights can be stored",
                subject=path,
                remedy="make it build the network on the CPU",
            )


def _builder(module: ModuleType, path: Path) -> Callable[..., object]:
    builder: object = getattr(module, "build_model", None)
    if callable(builder):
        return builder
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, nn.Module)]
    own = [value for value in classes if value.__module__ == module.__name__]
    # Those that it imports count only if it defines none, and never those of libraries.
    own = own or [value for value in classes if value.__module__.startswith(f"{module.__name__}.")]
    if len(own) != 1:
        found = ", ".join(kind.__name__ for kind in own) or "none"
        raise BundleError(
            f"needs build_model() or exactly one nn.Module class (found: {found})",
            subject=path,
            remedy="define build_model() -> nn.Module",
        )
    return own[0]


def _load_weights(network: nn.Module, weights: Mapping[str, torch.Tensor], bundle: ModelBundle) -> tuple[str, ...]:
    """Load the weights, by the names that they have or, where these differ, by the one way in which they fit."""
    path = bundle.weights
    remedy = "use the weights made with this architecture.py"
    if not bundle.runs_code:
        remedy = f"use the weights of {bundle.network.source}, or correct [network] in {SETTINGS}"
    # Compared here for a short message: that of `load_state_dict` lists all keys.
    expected = network.state_dict()
    found = match(_shapes(expected), _shapes(weights))
    notes: tuple[str, ...] = ()
    if isinstance(found, Match):
        notes = found.notes
        weights = {name: weights[other] for name, other in found.names.items()}
        weights |= {name: expected[name] for name in found.filled}
    missing = [key for key in expected if key not in weights]
    surplus = [key for key in weights if key not in expected]
    if missing or surplus:
        parts = [f"lacks {_some(missing)}"] if missing else []
        parts += [f"has {_some(surplus)} that the architecture does not have"] if surplus else []
        raise BundleError(" and ".join(parts), subject=path, remedy=remedy)
    for key, value in weights.items():
        if value.shape != expected[key].shape:
            raise BundleError(
                f"{key} has the shape {tuple(value.shape)}, the architecture expects {tuple(expected[key].shape)}",
                subject=path,
                remedy=remedy,
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise BundleError(
                f"{key} holds NaN or infinite values", subject=path, remedy="train or copy the model again"
            )
    network.load_state_dict(dict(weights))
    return notes


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    # A network's code may put anything into its state_dict.
    return {name: tuple(value.shape) for name, value in tensors.items() if isinstance(value, torch.Tensor)}


def _some(keys: list[str]) -> str:
    shown = ", ".join(keys[:3])
    return shown if len(keys) <= 3 else f"{shown} and {len(keys) - 3} more"
