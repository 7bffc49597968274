"""Convert weights from a pickle to a file that holds nothing but numbers.

Loading a pickle runs whatever code its maker put into it. This is the only place that does so, and only at the request
of someone who trusts the maker.
"""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from types import ModuleType

import torch

from engine.bundle.architecture_py import decode_source
from engine.bundle.siblings import siblings_beside
from engine.checkpoints.content import recognise_bytes
from engine.errors import BundleError, LibraryError
from engine.network.weights import PickleError, Weights, as_safetensors, check_archive, read_tree, take_weights
from engine.storage.reading import UnusableFileError, check_regular, read_limited
from engine.storage.writing import SHARED, make_file
from engine.trust.execution import run_alone

_MOST_CODE = 1_000_000
_MOST_BYTES = 100_000_000_000


def read_safely(source: Path, key: str | None = None) -> Weights | None:
    """Return the weights if they can be read without running code; None if loading the file would run some.

    Args:
        source: a file that `torch.save` wrote.
        key: which network of the file, by its place; None for the only one, or the averaged one.

    Raises:
        LibraryError: the file cannot be read, was not saved by torch, or holds no weights.
    """
    data = _read(source)
    try:
        return _weights(read_tree(data, source), len(data), source, key)
    except PickleError:
        return None
    except BundleError as error:
        raise LibraryError(error.cause, subject=source, remedy=error.remedy) from error


def read_trusting(source: Path, architecture: Path | None = None, key: str | None = None) -> Weights:
    """Return the weights, running whatever code loading them takes.

    Args:
        source: a file that `torch.save` wrote.
        architecture: a Python file that defines the classes named in the pickle. It is run.
        key: as in `read_safely`.

    Raises:
        LibraryError: a file cannot be read or loaded, or holds no weights.
    """
    data = _read(source)
    if architecture is None:
        return _found(_load(data, source, ModuleType("nothing")), len(data), source, key)
    try:
        code = decode_source(read_limited(architecture, _MOST_CODE), architecture)
        siblings = siblings_beside(architecture, code)
    except UnusableFileError as error:
        raise LibraryError(error.cause, subject=architecture, remedy=error.remedy) from error
    try:
        with run_alone(code, architecture, "xaimed_conversion", siblings) as module:
            return _found(_load(data, source, module), len(data), source, key)
    except (LibraryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the file's code may raise anything
        raise LibraryError(f"does not run: {type(error).__name__}: {error}", subject=architecture) from error


def write_safetensors(converted: Weights, target: Path) -> None:
    """Write the weights to a new file.

    Raises:
        LibraryError: the file exists already, or could not be written.
    """
    if os.path.lexists(target):
        raise LibraryError("this file exists already", subject=target, remedy="name another with --out")
    try:
        make_file(target, as_safetensors(converted), mode=SHARED)
    except FileExistsError as error:  # another process was first
        raise LibraryError("this file exists already", subject=target, remedy="name another with --out") from error
    except OSError as error:
        raise LibraryError((error.strerror or str(error)).lower(), subject=target) from error


def _read(source: Path) -> bytes:
    try:
        check_regular(source)
        data = read_limited(source, _MOST_BYTES)
    except UnusableFileError as error:
        raise LibraryError(error.cause, subject=source, remedy=error.remedy) from error
    content = recognise_bytes(data)
    if content.kind == "safetensors" and not content.damaged:
        raise LibraryError("it is a safetensors file, which needs no conversion", subject=source)
    if content.kind not in ("torch", "legacy", "pickle") or content.damaged:
        refusal = content.refusal(source)
        raise LibraryError(refusal.cause, subject=source, remedy=refusal.remedy)
    return data


def _load(data: bytes, source: Path, trusted: ModuleType) -> object:
    """Return the object that a file holds. THIS RUNS CODE that the file names.

    Args:
        data: the file's content.
        source: the file's path, for errors.
        trusted: a module with the classes that cannot be imported.

    Raises:
        LibraryError: the file cannot be loaded.
    """
    try:
        check_archive(data, source)
        if recognise_bytes(data).kind == "pickle":
            return _pickle_with(trusted).Unpickler(io.BytesIO(data)).load()
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=False, pickle_module=_pickle_with(trusted))
    except KeyboardInterrupt:
        raise
    except BundleError as error:
        raise LibraryError(error.cause, subject=source, remedy=error.remedy) from error
    except (AttributeError, ImportError) as error:
        raise LibraryError(
            f"it needs a class that cannot be found ({error})",
            subject=source,
            remedy="name the Python file that defines it with --architecture, or install the package",
        ) from error
    except BaseException as error:  # code in a pickle may raise anything
        raise LibraryError(
            f"it cannot be loaded ({type(error).__name__}: {error})",
            subject=source,
            remedy="ask its maker for the state_dict, saved with torch.save",
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


def _found(content: object, size: int, source: Path, key: str | None) -> Weights:
    try:
        return _weights(content, size, source, key)
    except BundleError as error:
        raise LibraryError(error.cause, subject=source, remedy=error.remedy) from error


def _weights(content: object, size: int, source: Path, key: str | None) -> Weights:
    """Return the tensors of the network in a loaded object, without the prefix of DataParallel.

    Raises:
        BundleError: it holds none, or several of which none is chosen.
    """
    found = take_weights(content, size, source, key)
    if not all(name.startswith("module.") for name in found.tensors):
        return found
    tensors = {name.removeprefix("module."): value for name, value in found.tensors.items()}
    said = "The keys began with 'module.', as DataParallel names them; that was removed."
    return Weights(tensors, (*found.notes, said))
