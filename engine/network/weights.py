"""Reads weights as data: bare tensors, no code, and no more memory than the file's size warrants."""

from __future__ import annotations

import io
import pickle
import shlex
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from engine.errors import BundleError, OutOfMemoryError
from engine.network.device import is_out_of_memory

_MOST_FACTOR, _MOST_MORE = 8, 64 * 2**20
"""Tensors may take eight times the file and 64 MiB more: several may share their values, and some repeat one value."""


def read_weights(data: bytes, path: Path) -> Mapping[str, torch.Tensor]:
    """Read a state_dict onto the CPU without running any code in the file.

    Args:
        data: the file's content.
        path: the file's name; its suffix tells the format, and errors quote it.

    Raises:
        BundleError: the file is damaged, is a pickle that holds more than weights, or holds no state_dict.
        OutOfMemoryError: the machine ran out of memory.
    """
    check_archive(data, path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            content: object = load(data)
        else:
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BundleError(
            "is damaged, or is a pickle that holds more than weights and can run code; it was not loaded",
            subject=path,
            remedy=f"if you trust whoever made it, run xaimed models convert {shlex.quote(str(path))}",
        ) from error
    # torch and safetensors raise RuntimeError, ValueError, EOFError, KeyError, SafetensorError, ... for damaged files.
    except Exception as error:
        if is_out_of_memory(error):
            raise too_little_memory(path) from error
        raise BundleError(
            f"is not a weights file ({type(error).__name__})", subject=path, remedy="copy the file again"
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise BundleError(
            "holds something other than a state_dict of tensors",
            subject=path,
            remedy="save it again with torch.save(network.state_dict(), ...)",
        )
    return _bare(content, len(data), path)


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
            f"is not a weights file ({type(error).__name__})", subject=path, remedy="copy the file again"
        ) from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > len(data):
        raise BundleError(
            "it is compressed, which torch.save never does, and may take any amount of memory; it was not loaded",
            subject=path,
            remedy="save it again with torch.save(network.state_dict(), ...)",
        )


def _bare(content: Mapping[str, torch.Tensor], size: int, path: Path) -> dict[str, torch.Tensor]:
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
        plain = torch.Tensor.detach(value)
        if plain.layout != torch.strided or plain.device.type != "cpu" or plain.is_quantized:
            raise BundleError(
                f"{key} is sparse, quantized or without values, which is not supported",
                subject=path,
                remedy="save the weights of the ordinary network",
            )
        taken += plain.numel() * plain.element_size()
        bare[str(key)] = plain.as_subclass(torch.Tensor)
    if taken > _MOST_FACTOR * size + _MOST_MORE:
        raise BundleError(
            f"its tensors claim {taken:,} bytes, and the file has {size:,}",
            subject=path,
            remedy="save it again, after making each tensor contiguous",
        )
    return bare


def too_little_memory(path: Path) -> OutOfMemoryError:
    """Return the error for a file of a model that takes more memory than there is."""
    return OutOfMemoryError(
        "there is not enough memory for it",
        subject=path,
        remedy="end other programs, or use a machine with more memory",
    )
