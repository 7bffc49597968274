"""One pass that may fail: what each layer was given until then, and in which the failure arose."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from engine.bundle.model_bundle import ARCHITECTURE

WEIGHTED = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
)
"""Layers whose weights say how many channels, or numbers, they take."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A layer that a pass has come to.

    Attributes:
        name: in `named_modules()`.
        module: the layer.
        given: shape of its first input; empty if that is not a tensor.
        dtype: type of that input, None likewise.
    """

    name: str
    module: nn.Module
    given: tuple[int, ...]
    dtype: torch.dtype | None

    @property
    def expected(self) -> int | None:
        """How many channels, or numbers, its weights take; None if they do not say."""
        if isinstance(self.module, nn.Linear):
            return self.module.in_features
        if isinstance(self.module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            return self.module.num_features
        # It is 0 in a layer that waits for its first input.
        channels = getattr(self.module, "in_channels", 0) if isinstance(self.module, WEIGHTED) else 0
        return channels if isinstance(channels, int) and channels else None

    @property
    def got(self) -> int | None:
        """How many channels, or numbers, it was given."""
        if isinstance(self.module, nn.Linear):
            return self.given[-1] if self.given else None
        return self.given[1] if len(self.given) > 1 else None

    @property
    def said(self) -> str:
        """Its name and its class."""
        return f"{self.name} ({type(self.module).__name__})" if self.name else type(self.module).__name__


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen of one pass.

    Attributes:
        output: what the network gave; None if it failed.
        error: why it failed, or None.
        entered: the layers with weights that it came to, in order.
        failed_in: the innermost module in which it failed, or None.
    """

    output: object
    error: BaseException | None
    entered: tuple[Entered, ...]
    failed_in: Entered | None

    @property
    def first(self) -> Entered | None:
        """The first layer with weights that the pass came to."""
        return self.entered[0] if self.entered else None


def try_pass(network: nn.Module, images: torch.Tensor) -> Trial:
    """Pass images through a network, and note what its layers are given.

    Args:
        network: in evaluation mode.
        images: (B, C, H, W), on the network's device; on `meta` nothing is computed.
    """
    entered: list[Entered] = []
    running: list[Entered] = []
    handles = []

    def note(name: str, module: nn.Module) -> None:
        def before(_: nn.Module, inputs: tuple[object, ...]) -> None:
            tensor = inputs[0] if inputs and isinstance(inputs[0], torch.Tensor) else None
            seen = Entered(
                name,
                module,
                () if tensor is None else tuple(tensor.shape),
                None if tensor is None else tensor.dtype,
            )
            running.append(seen)
            if isinstance(module, WEIGHTED):
                entered.append(seen)

        def after(_: nn.Module, __: object, ___: object) -> None:
            # A module whose code has caught an error inside another one leaves that one on the stack.
            while running and running.pop().name != name:
                pass

        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after))

    output: object = None
    failed: BaseException | None = None
    try:
        for name, module in network.named_modules():
            if name:
                note(name, module)
        with torch.inference_mode():
            output = network(images)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a network's code may fail in any way, and even call sys.exit()
        failed = error
    finally:
        for handle in handles:
            handle.remove()
    return Trial(output, failed, tuple(entered), running[-1] if failed is not None and running else None)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its class where it has none."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def line_of(error: BaseException) -> str:
    """Return where in a model's code an error arose, such as ` in line 12 of architecture.py`; empty if elsewhere."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).name == ARCHITECTURE
    ]
    return f" in line {lines[-1]} of {ARCHITECTURE}" if lines and lines[-1] is not None else ""
