"""Import a plug-in, make and run its method, and check its map. The network is left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import ExplanationError, XAIMedError
from engine.explainers.registry import Choices, PlugIn, find_plug_ins, plug_in
from engine.results.saliency import SaliencyMap
from engine.text import safe_text

if TYPE_CHECKING:
    from torch import nn

    from engine.explainers.base import Explainer, Request
    from engine.explainers.registry import Method


def declared_plug_in(key: str) -> Method:
    """Return a plug-in's method with all that it declares. This imports the package.

    Raises:
        ExplanationError: the package cannot be imported, or its declaration is not valid.
    """
    found = find_plug_ins()[0][key]
    with blaming(key):
        _ = found.declaration  # once it has been read, `method` includes it
    return found.method


@contextmanager
def blaming(key: str) -> Iterator[None]:
    """Report in one line what a plug-in's code raises. For the key of a built-in method errors stay as they are.

    Raises:
        ExplanationError: the plug-in's code raised something.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the code is not ours and may even call sys.exit()
        if (found := plug_in(key)) is None:
            raise
        raise _broken(found, f"{type(error).__name__}: {error}") from error


def make_plug_in(key: str, choices: Choices) -> Explainer:
    """Import a plug-in and make its method.

    Raises:
        ExplanationError: it cannot be imported or made, or what it makes is not an explainer with this key.
    """
    found = find_plug_ins()[0][key]
    with blaming(key):
        explainer = found.factory(choices)
        given, explain = explainer.key, explainer.explain
    if given != key or not callable(explain):
        raise _broken(found, f"its key is {given!r} instead of {key!r}" if given != key else "explain is no method")
    return explainer


def run_plug_in(explainer: Explainer, request: Request) -> SaliencyMap:
    """Run a plug-in's method and check its map. The network's modes, gradients and hooks are left as they were.

    Raises:
        Stopped: the method was stopped before it had a map worth showing.
        ExplanationError: the method failed, or its map is not valid.
        RuntimeError, MemoryError: there was not enough memory.
    """
    from engine.explainers.gradcam import restored
    from engine.network.device import is_out_of_memory

    found = find_plug_ins()[0][explainer.key]
    try:
        with _without_new_hooks(request.classifier.network), restored(request.classifier.network):
            made = explainer.explain(request)
        problem = map_problem(made, explainer.key, request)
    except (XAIMedError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the code is not ours
        if is_out_of_memory(error):
            raise
        raise _broken(found, f"{type(error).__name__}: {error}") from error
    if problem:
        raise _broken(found, problem)
    made.values.setflags(write=False)
    return replace(made, warnings=tuple(safe_text(warning, limit=1000) for warning in made.warnings))


@contextmanager
def _without_new_hooks(network: nn.Module) -> Iterator[None]:
    """Remove hooks that were left behind, since they would act on every later forward pass."""
    from engine.acceleration.torch_private import hooks_of  # late: torch, which listing the plug-ins must not import

    # By id, since a dictionary cannot be a key; the network keeps these dictionaries alive, so no id is used again.
    before = {id(hooks): set(hooks) for hooks in hooks_of(network)}
    try:
        yield
    finally:
        for hooks in hooks_of(network):
            for key in set(hooks) - before.get(id(hooks), set()):
                del hooks[key]


def map_problem(made: object, key: str, request: Request) -> str:
    """Return what is wrong with a map, as a clause; empty if nothing is."""
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
