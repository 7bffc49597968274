"""Reads weights as data: bare tensors, no code, and no more memory than the file's size warrants."""

from __future__ import annotations

import contextlib
import io
import pickle
import shlex
import threading
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import torch

from engine.acceleration.torch_private import archive_size
from engine.checkpoints.content import Content, recognise_bytes
from engine.checkpoints.networks import choose, is_whole_network, networks_in
from engine.checkpoints.pickles import names_in
from engine.checkpoints.stand_ins import stand_ins_for, unknown_names
from engine.errors import BundleError, OutOfMemoryError
from engine.network.device import is_out_of_memory

_MOST_FACTOR, _MOST_MORE = 8, 64 * 2**20
"""Tensors may take eight times the file and 64 MiB more: several may share their values, and some repeat one value."""


_allowing = threading.Lock()
"""Held while names are allowed: torch keeps them for the whole process, and takes them back one by one."""


def read_weights(data: bytes, path: Path) -> Mapping[str, torch.Tensor]:
    """Read a state_dict onto the CPU without running any code in the file.

    Args:
        data: the file's content, which tells its format.
        path: the file's name, for errors.

    Raises:
        BundleError: the file is damaged, is no file of weights, or holds more than one state_dict of tensors.
        OutOfMemoryError: the machine ran out of memory.
    """
    tree = read_tree(data, path)
    if not is_state_dict(tree):
        found = networks_in(tree, shape_of)
        inside = ", ".join(repr(network.key) for network in found if network.key)
        raise BundleError(
            "holds something other than a state_dict of tensors"
            + (f": a checkpoint with weights under {inside}" if inside else ": a whole network" if found else ""),
            subject=path,
            remedy=f"run xaimed models import {shlex.quote(str(path))}, which takes the weights out of it"
            if found
            else "save it again with torch.save(network.state_dict(), ...)",
        )
    return bare_tensors(tree, len(data), path)


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one network, taken out of a file.

    Attributes:
        tensors: plain tensors by their names in the network, each contiguous and with its own memory.
        notes: a sentence for each step that it took to find them.
    """

    tensors: Mapping[str, torch.Tensor]
    notes: tuple[str, ...]


def take_weights(tree: object, size: int, path: Path, key: str | None = None) -> Weights:
    """Take the weights of one network out of what a file holds.

    Args:
        tree: what the file holds (`read_tree`).
        size: of the file, in bytes.
        path: the file, for errors.
        key: where the network lies in it; None for the only one, or the one whose weights are averaged.

    Raises:
        BundleError: it holds no network, several among which a person must choose, or tensors of an unknown kind.
    """
    network, said = choose(networks_in(tree, shape_of), key, path)
    notes = [said] if said else []
    if network.key and not said:
        notes.append(f"The file holds several things; '{network.key}' was taken.")
    # `clone`: safetensors refuses tensors that share memory.
    bare = bare_tensors(network.tensors, size, path)
    return Weights({name: value.clone().contiguous() for name, value in bare.items()}, tuple(notes))


def as_safetensors(weights: Weights) -> bytes:
    """Return the content of a safetensors file with these weights, which holds nothing but numbers."""
    from safetensors.torch import save

    return save(dict(weights.tensors))


def is_state_dict(tree: object) -> TypeGuard[Mapping[str, torch.Tensor]]:
    """Whether what a file holds is a state_dict, and nothing else."""
    return (
        isinstance(tree, Mapping)
        and not is_whole_network(tree)
        and all(isinstance(value, torch.Tensor) for value in tree.values())
    )


def read_tree(data: bytes, path: Path) -> object:
    """Return what a file of weights holds, onto the CPU, without running any code in it.

    Classes that the file names beside torch's own are replaced by empty ones (`engine.checkpoints.stand_ins`).

    Args:
        data: the file's content, which tells its format.
        path: the file's name, for errors.

    Raises:
        PickleError: it can be loaded only by running code that it names.
        BundleError: it is damaged, or no file of weights.
        OutOfMemoryError: the machine ran out of memory.
    """
    content = recognise_bytes(data)
    if content.damaged or not content.has_weights:
        raise content.refusal(path)
    if content.kind == "pickle":
        raise _needs_code(content, path)
    check_archive(data, path)
    names: frozenset[str] = frozenset()
    try:
        if content.kind == "safetensors":
            from safetensors.torch import load

            return load(data)
        names = names_in(data)
        with _allowing, torch.serialization.safe_globals(stand_ins_for(names)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old protocols, on standard error
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _needs_code(content, path, unknown_names(names)) from error
    # torch and safetensors raise RuntimeError, ValueError, EOFError, KeyError, SafetensorError, ... for damaged files.
    except Exception as error:
        if is_out_of_memory(error):
            raise too_little_memory(path) from error
        raise BundleError(
            f"it is {content.words}, but damaged ({type(error).__name__})",
            subject=path,
            remedy="copy or download it again",
        ) from error


def shape_of(value: object) -> tuple[int, ...] | None:
    """Return a tensor's shape; None for what is no tensor."""
    # The class's own property: a file can give a tensor an attribute that hides it.
    return tuple(torch.Tensor.size(value)) if isinstance(value, torch.Tensor) else None


def _needs_code(content: Content, path: Path, names: Sequence[str] = ()) -> PickleError:
    """Return the error for a file that only running code can load."""
    named = f" that it names ({', '.join(names[:3])})" if names else ""
    return PickleError(
        f"it is {content.words}, and loading it would run code{named}; it was not loaded",
        subject=path,
        remedy=f"if you trust whoever made it, run xaimed models convert {shlex.quote(str(path))}",
    )


class PickleError(BundleError):
    """A file whose loading would run code that it names."""


def check_archive(data: bytes, path: Path) -> None:
    """Check that an archive, as torch saves it, holds no more bytes than it has: nothing compressed, nothing twice.

    Raises:
        BundleError: it may hold more, or its entries cannot be listed.
    """
    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    # torch reads archives that `zipfile` does not, those of an unknown version for one: so what cannot be checked is
    # not loaded. What torch.save writes can always be listed.
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise BundleError(
            f"its list of contents cannot be read ({type(error).__name__})",
            subject=path,
            remedy="copy or download it again",
        ) from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    size = sum(entry.file_size for entry in entries)
    with contextlib.suppress(RuntimeError):  # torch cannot read it, and says so when it is loaded
        size = max(size, archive_size(data))  # it may find another list of contents than `zipfile`
    if packed or size > len(data):
        raise BundleError(
            "it is compressed, which torch.save never does, and may take any amount of memory; it was not loaded",
            subject=path,
            remedy="save it again with torch.save(network.state_dict(), ...)",
        )


def bare_tensors(content: Mapping[str, object], size: int, path: Path) -> dict[str, torch.Tensor]:
    """Return plain tensors with the same values, without subclasses, attributes and hooks that the file gave them.

    Args:
        content: as loaded; a tensor's own attributes may hide its methods, so only the class's are called.
        size: of the file, in bytes.
        path: for errors.

    Raises:
        BundleError: a tensor is of a kind that is no weight, or they take far more memory than the file.
    """
    bare: dict[str, torch.Tensor] = {}
    taken = 0
    for key, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise BundleError(f"{key} is no tensor", subject=path, remedy="save the weights of the network only")
        plain = torch.Tensor.detach(value)
        if plain.layout != torch.strided or plain.device.type != "cpu" or plain.is_quantized:
            raise BundleError(
                f"{key} is sparse, quantized or without values, which is not supported",
                subject=path,
                remedy="save the weights of the ordinary network",
            )
        taken += plain.numel() * plain.element_size()
        bare[str(key)] = plain.as_subclass(torch.Tensor)
    if taken > most_bytes(size):
        raise BundleError(
            f"its tensors claim {taken:,} bytes, and the file has {size:,}",
            subject=path,
            remedy="save it again, after making each tensor contiguous",
        )
    return bare


def most_bytes(size: int) -> int:
    """Return how many bytes of memory the tensors of a file of `size` bytes may take at most."""
    return _MOST_FACTOR * size + _MOST_MORE


def too_little_memory(path: Path) -> OutOfMemoryError:
    """Return the error for a file of a model that takes more memory than there is."""
    return OutOfMemoryError(
        "there is not enough memory for it",
        subject=path,
        remedy="end other programs, or use a machine with more memory",
    )
