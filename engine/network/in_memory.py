"""A classifier around a network that a Python program has in memory, without a model folder."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from engine.bundle.declared import contradiction, declare_values
from engine.bundle.keys import Scalar, WrongValueError
from engine.bundle.model_bundle import Activation, ModelBundle, Resize
from engine.bundle.schema import KEYS, closest
from engine.bundle.specs import ColourOrder, Fill, InMemory, InputSpec, Layout
from engine.errors import BundleError
from engine.network.feeding import Feeding, FunctionFeeding, name_of
from engine.network.layers.scopes import all_tensors
from engine.network.layout import take_channels_first
from engine.network.sources.torchscript import TorchScriptBlackBox

if TYPE_CHECKING:
    from engine.images.image import MedicalImage
    from engine.network.torch_state import StateWatch

TASK = "in memory"
"""Stands in place of the task's name."""

SUBJECT = "Classifier.from_module"

_WITH_A_FUNCTION = ("size", "channels", "layout", "colour_order", "value_range", "mean", "std")
"""Keys of `[input]` that say something about what a preprocessing function gives, or the network takes."""


class Declarations(TypedDict, total=False):
    """What `model.toml` could declare about a network, as keyword arguments: see its keys in the README."""

    channels: int
    exact_size: bool
    minimum_size: tuple[int, int] | int
    resize: Resize
    layout: Layout
    colour_order: ColourOrder
    value_range: Sequence[float]
    mean: Sequence[float]
    std: Sequence[float]
    bits: int
    accept_grey: bool
    accept_colour: bool
    dicom: Mapping[str, Scalar | Sequence[Scalar]]
    classes: Sequence[str]
    activation: Activation
    multilabel: bool
    select: str
    threshold: float
    temperature: float
    target_layer: str
    exact_fills: Sequence[Fill]
    rise: Mapping[str, Scalar]
    lime: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Given:
    """A network from memory, prepared as one from a model folder is.

    Attributes:
        bundle: what the call declares, in place of what a model folder does.
        network: a copy of the network, on the CPU, in float32; it takes (B, C, H, W) whatever the caller's does.
        feeding: makes of the settled input how images are fed; None for what the bundle declares.
    """

    bundle: ModelBundle
    network: nn.Module
    feeding: Callable[[InputSpec], Feeding] | None


def prepare(
    network: nn.Module,
    values: Mapping[str, object],
    preprocessing: Callable[[MedicalImage], object] | None,
    name: str | None,
    watch: StateWatch,
) -> Given:
    """Copy a network and check what the call declares about it.

    Args:
        network: the caller's; it is left as it is.
        values: what is declared, by the names of keyword arguments.
        preprocessing: makes the network's input, or None.
        name: what to call the network; None for its class.
        watch: watches over what the network's own code sets while it is copied.

    Raises:
        BundleError: a wrong declaration, or a network that cannot be copied or has no usable weights.
    """
    if not isinstance(network, nn.Module):
        raise _refused(f"a {type(network).__name__} is not a torch.nn.Module", "give the network itself")
    checked = _checked(values)
    function = None if preprocessing is None else name_of(preprocessing)
    if function is not None:
        for key in checked:
            section, _, own = key.partition(".")
            if section == "input" and own not in _WITH_A_FUNCTION:
                raise _refused(f"{own} has no meaning where a preprocessing function makes the input", "leave it out")
    declared = declare_values(checked)
    if problem := contradiction(declared):
        key, clause = problem
        raise _refused(f"{key.rpartition('.')[2]} {clause}", "correct it")
    undeclared = declared.undeclared()
    normalised = bool(declared.given & {"input.mean", "input.std", "input.value_range"})
    with watch.passing():
        copied, other_types = _copied(network)
        digest = digest_of(copied)
        if isinstance(copied, torch.jit.ScriptModule):
            copied = TorchScriptBlackBox(copied)
        if declared.input.layout == "nhwc":
            copied = take_channels_first(copied)
    own_name = name if name is not None else type(_unwrapped(network)).__name__
    said = [
        "The network was given from Python's memory: it has no model folder, approval does not apply to it, and "
        "its digest covers only its weights and the class names of its modules.",
        *(f"Weights of {kind} were converted to float32." for kind in other_types),
    ]
    if function is not None:
        said.append(f"The input is made by the function {function} of the calling program.")
        declared = replace(declared, given=declared.given | {"input.mean", "input.std"})
    bundle = ModelBundle(
        task=TASK,
        name=own_name,
        path=Path(TASK, own_name),
        weights=Path(TASK, own_name, "weights"),
        architecture=None,
        input=declared.input,
        output=declared.output,
        explain=declared.explain,
        assumed=(*said, *declared.assumed()),
        description="",
        picture=None,
        samples=None,
        notes=MappingProxyType({}),
        digest=digest,
        undeclared=undeclared,
        in_memory=InMemory(type(_unwrapped(network)).__qualname__, function, MappingProxyType(checked)),
    )
    feeding = None if preprocessing is None else partial(FunctionFeeding, preprocessing, normalised=normalised)
    return Given(bundle, copied, feeding)


def digest_of(network: nn.Module) -> str:
    """Return the hex SHA-256 of a network's state and of the classes of its modules, by their names.

    It is the same in every process, whatever device the tensors lie on, in whatever memory format, and whether the
    same numbers are float16, float32 or float64. What is neither a module's class nor in the state, such as the code
    of `forward`, hooks and buffers that are not persistent, does not count.
    """
    digest = hashlib.sha256()
    for name, module in _unwrapped(network).named_modules():
        digest.update(f"{name}: {type(module).__qualname__}\n".encode())
    # Quantized layers keep their weights in tuples. Of other extra state nobody knows how to hash it.
    parts = [
        (name, part) for name, value in sorted(_unwrapped(network).state_dict().items()) for part in all_tensors(value)
    ]
    for name, value in parts:
        numbers = value.dequantize() if value.is_quantized else value
        numbers = torch.view_as_real(numbers) if numbers.is_complex() else numbers
        floating = numbers.is_floating_point()
        array = (numbers.detach().to("cpu", torch.float32 if floating else torch.int64)).numpy()
        digest.update(f"{name}: {'float' if floating else 'int'} {tuple(value.shape)}\n".encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4" if floating else "<i8").data)
    return digest.hexdigest()


@contextmanager
def in_terms_of_the_call() -> Iterator[None]:
    """Word the errors of a network that is tried for those who wrote a call, not a `model.toml`."""
    try:
        yield
    except BundleError as error:
        remedy = None if error.remedy is None else _in_python(error.remedy)
        raise BundleError(_in_python(error.cause), subject=error.subject, remedy=remedy, code=error.code) from error


def _in_python(text: str) -> str:
    text = re.sub(r"( under \[\w+\])? in model\.toml", f" in the call of {SUBJECT}", text)
    text = re.sub(r",? or [A-Z_]+ in architecture\.py", "", text)
    text = re.sub(r"\[(input|output|explain)\] ", "", text)
    text = text.replace("= true", "= True").replace("= false", "= False")
    return text.replace("the bundle declares", "the call declares").replace("architecture.py", "the network")


def _checked(values: Mapping[str, object]) -> dict[str, object]:
    """Return the checked values by the full names of their keys."""
    checked: dict[str, object] = {}
    for name, value in _flat(values):
        full = next(
            (full for full in (f"{part}{name}" for part in ("input.", "output.", "explain.")) if full in KEYS), ""
        )
        if not full:
            known = sorted({*Declarations.__annotations__, "size"})
            near = closest(name, known)
            raise _refused(
                f"there is no argument '{name}'", f"did you mean '{near}'?" if near else f"use only {', '.join(known)}"
            )
        key = KEYS[full]
        plain = value.tolist() if isinstance(value, np.ndarray | np.generic | torch.Tensor) else value
        try:
            checked[full] = (key.constant_check or key.check)(plain)
        except WrongValueError as error:
            raise _refused(f"{name} {error}", "correct it") from error
    return checked


def _flat(values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{own}", each) for own, each in value.items())
        else:
            yield name, value


def _copied(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """Return a copy of a network on the CPU in float32, and the names of the other types that its weights had.

    A copy takes as much memory again, but whatever a classifier does, for as long as it lives, the caller's network
    keeps its modes, gradients, device, hooks and memory format.
    """
    network = _unwrapped(network)
    fresh: dict[int, object] = {}
    types: set[str] = set()
    # The caller may be in inference mode, and whatever is made there could not take part in a pass with gradients.
    with torch.inference_mode(mode=False), torch.no_grad():
        for name, tensor in chain(network.named_parameters(), network.named_buffers()):
            if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
                raise _refused(f"{name} has no size yet", "pass one image through the network first")
            if tensor.is_meta:
                raise _refused(f"{name} is on the device meta and has no values", "load the weights first")
            if tensor.is_floating_point() and isinstance(tensor, nn.Parameter):
                if not bool(torch.isfinite(tensor).all()):
                    raise _refused(f"{name} holds NaN or infinite values", "train or load the network again")
                if tensor.dtype != torch.float32:
                    types.add(str(tensor.dtype).removeprefix("torch."))
            if type(tensor) in (nn.Parameter, torch.Tensor):
                kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
                plain = tensor.detach().to("cpu", kind, copy=True)
                fresh[id(tensor)] = (
                    nn.Parameter(plain, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else plain
                )
        # Old-style weight_norm keeps the result of its last pass, which Python alone could not copy.
        for module in network.modules():
            for value in vars(module).values():
                if isinstance(value, torch.Tensor) and not value.is_leaf:
                    fresh[id(value)] = value.detach().clone()
        try:
            copied = copy.deepcopy(network, fresh)
        except Exception as error:  # a network may hold anything, and copying that may raise anything
            raise _refused(
                f"the network cannot be copied ({type(error).__name__}: {error})",
                "leave out of it what is no part of a network, such as files, locks and loggers",
            ) from error
        if isinstance(copied, torch.jit.ScriptModule):  # whose gradients nobody can take
            for parameter in copied.parameters():
                parameter.requires_grad_(False)
        return copied.to("cpu").float().eval(), sorted(types)


def _unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside what `torch.compile` and data parallelism put around it."""
    while True:
        inner = getattr(network, "_orig_mod", None)
        if inner is None and isinstance(network, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = network.module
        if not isinstance(inner, nn.Module):
            return network
        network = inner


def _refused(cause: str, remedy: str) -> BundleError:
    return BundleError(cause, subject=SUBJECT, remedy=remedy)
