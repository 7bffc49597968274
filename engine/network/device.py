"""The device that a network runs on, and errors that mean it ran out of memory."""

from __future__ import annotations

import torch

from engine.errors import DeviceError


def choose_device(name: str) -> str:
    """Return `cpu` or `cuda:<n>` for `auto`, `cpu`, `cuda` or `cuda:<n>`.

    Raises:
        DeviceError: this machine has no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda:0" if count else "cpu"
    if name == "cpu":
        return name
    kind, _, number = name.partition(":")
    if kind == "cuda" and (number or "0").isdigit():
        index = int(number or 0)
        if index < count:
            return f"cuda:{index}"
        raise DeviceError(
            f"this machine has {count or 'no'} CUDA device{'s' if count > 1 else ''}",
            subject=f"device {name}",
            remedy="use --device cpu",
        )
    raise DeviceError("no such device", subject=f"device {name}", remedy="use auto, cpu or cuda:<number>")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on any device."""
    # On the CPU torch raises a plain RuntimeError, so the text has to tell.
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "allocate memory" in str(error)
        or "enough memory" in str(error)
    )
