"""Convert weights from a pickle to a file that holds nothing but numbers.

Loading a pickle runs whatever code its maker put into it. This is the only place that does so, and only at the request
of someone who trusts the maker.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from engine.bundle.architecture_py import decode_source
from engine.errors import BundleError, LibraryError
from engine.network.weights import check_archive
from engine.storage.reading import UnusableFileError, check_regular, read_limited
from engine.storage.writing import SHARED, make_file
from engine.trust.execution import run_alone

_MOST_CODE = 1_000_000
_MOST_BYTES = 100_000_000_000
_NOT_SAVED_BY_TORCH = "name a file that torch.save wrote, or copy it again"
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
"""How the files that torch saves begin: zip archives, and before version 1.6 pickles of protocol 2 and up."""

_NETWORK_KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "ema")
"""Keys under which training programs save the network among other things."""


@dataclass(frozen=True, slots=True)
class Converted:
    """Weights from a file.

    Attributes:
        tensors: the weights by key, contiguous, each with its own memory.
        notes: a sentence for each step that it took to find them.
    """

    tensors: Mapping[str, torch.Tensor]
    notes: tuple[str, ...]


def read_safely(source: Path) -> Converted | None:
    """Return the weights if they can be read without running code; None if the file is a pickle that may run some.

    Raises:
        LibraryError: the file cannot be read, was not saved by torch, or holds no weights.
    """
    data = _read(source)
    if not data.startswith((_ZIP, _PICKLE)):
        raise LibraryError("it is not a file that torch saved", subject=source, remedy=_NOT_SAVED_BY_TORCH)
    try:
        check_archive(data, source)
    except BundleError as error:
        raise LibraryError(error.cause, subject=source, remedy=error.remedy) from error
    try:
        content = _load(data, source, trusted=None)
    except pickle.UnpicklingError:
        return None
    return _weights(content, source)


def read_trusting(source: Path, architecture: Path | None = None) -> Converted:
    """Return the weights, running whatever code loading them takes.

    Args:
        source: a file that `torch.save` wrote.
        architecture: a Python file that defines the classes named in the pickle. It is run.

    Raises:
        LibraryError: a file cannot be read or loaded, or holds no weights.
    """
    data = _read(source)
    if architecture is None:
        return _weights(_load(data, source, trusted=ModuleType("nothing")), source)
    try:
        code = decode_source(read_limited(architecture, _MOST_CODE), architecture)
    except UnusableFileError as error:
        raise LibraryError(error.cause, subject=architecture, remedy=error.remedy) from error
    try:
        with run_alone(code, architecture, "xaimed_conversion") as module:
            return _weights(_load(data, source, trusted=module), source)
    except (LibraryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the file's code may raise anything
        raise LibraryError(f"does not run: {type(error).__name__}: {error}", subject=architecture) from error


def write_safetensors(converted: Converted, target: Path) -> None:
    """Write the weights to a new file.

    Raises:
        LibraryError: the file exists already, or could not be written.
    """
    from safetensors.torch import save

    if os.path.lexists(target):
        raise LibraryError("this file exists already", subject=target, remedy="name another with --out")
    try:
        make_file(target, save(dict(converted.tensors)), mode=SHARED)
    except FileExistsError as error:  # another process was first
        raise LibraryError("this file exists already", subject=target, remedy="name another with --out") from error
    except OSError as error:
        raise LibraryError((error.strerror or str(error)).lower(), subject=target) from error


def _read(source: Path) -> bytes:
    try:
        check_regular(source)
        if source.suffix == ".safetensors":
            raise LibraryError("it is a safetensors file, which needs no conversion", subject=source)
        return read_limited(source, _MOST_BYTES)
    except UnusableFileError as error:
        raise LibraryError(error.cause, subject=source, remedy=error.remedy) from error


def _load(data: bytes, source: Path, *, trusted: ModuleType | None) -> object:
    """Return the object that a file holds.

    Args:
        data: the file's content.
        source: the file's path, for errors.
        trusted: None to run no code; otherwise a module with the classes that cannot be imported.

    Raises:
        pickle.UnpicklingError: loading it would run code, and `trusted` is None.
        LibraryError: the file cannot be loaded.
    """
    try:
        if trusted is None:
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=False, pickle_module=_pickle_with(trusted))
    except KeyboardInterrupt:
        raise
    except pickle.UnpicklingError as error:
        if trusted is None:
            raise
        first = str(error).partition("\n")[0]
        raise LibraryError(
            f"it is not a file that torch saved ({first})", subject=source, remedy=_NOT_SAVED_BY_TORCH
        ) from error
    except (AttributeError, ImportError) as error:
        raise LibraryError(
            f"it needs a class that cannot be found ({error})",
            subject=source,
            remedy="name the Python file that defines it with --architecture, or install the package",
        ) from error
    except BaseException as error:  # code in a pickle may raise anything
        raise LibraryError(
            f"it cannot be loaded ({type(error).__name__}: {error})", subject=source, remedy=_NOT_SAVED_BY_TORCH
        ) from error


def _pickle_with(module: ModuleType) -> ModuleType:
    """Return a copy of the module `pickle` that looks in `module` for classes that cannot be imported."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module_name: str, name: str) -> object:
            try:
                return super().find_class(module_name, name)
            except (AttributeError, ImportError):
                if hasattr(module, name):
                    return getattr(module, name)
                raise

    patched = ModuleType("pickle")
    patched.__dict__.update(pickle.__dict__)
    # torch subclasses `Unpickler` for archives; for older files it also calls `load`.
    patched.__dict__.update(Unpickler=Unpickler, load=lambda file, **options: Unpickler(file, **options).load())
    return patched


def _weights(content: object, source: Path) -> Converted:
    """Return the tensors in a loaded object.

    Raises:
        LibraryError: it holds none, or something else with them.
    """
    notes: list[str] = []
    for _ in range(3):  # a checkpoint, the network in it, and its state_dict
        if isinstance(content, nn.Module):
            notes.append(f"The file held a whole network ({type(content).__name__}); its weights were taken.")
            content = content.state_dict()
        if not isinstance(content, Mapping) or all(isinstance(value, torch.Tensor) for value in content.values()):
            break
        inside = next((key for key in _NETWORK_KEYS if isinstance(content.get(key), Mapping | nn.Module)), None)
        if inside is None:
            break
        notes.append(f"The file held several things; '{inside}' was taken.")
        content = content[inside]
    if not isinstance(content, Mapping) or not content:
        raise LibraryError(f"it holds no weights, only a {type(content).__name__}", subject=source)
    wrong = [key for key, value in content.items() if not isinstance(key, str) or not isinstance(value, torch.Tensor)]
    if wrong:
        raise LibraryError(f"it holds something other than tensors, under {wrong[0]!r}", subject=source)
    # `clone`: safetensors refuses tensors that share memory.
    tensors = {key: value.detach().to("cpu").clone().contiguous() for key, value in content.items()}
    if all(key.startswith("module.") for key in tensors):
        notes.append("The keys began with 'module.', as DataParallel names them; that was removed.")
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return Converted(tensors, tuple(notes))
