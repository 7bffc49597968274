"""Keeping a GPU busy: copies that wait for nothing, and a loop that does not run far ahead of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AHEAD = 2
"""Batches that may wait on the GPU behind the one it works on."""


def on_device(array: NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """An array as a tensor on a device; to a GPU through pinned memory, without waiting for the copy.

    An ordinary copy would wait until the GPU has done all work given to it so far, once a batch.
    """
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Pace:
    """Lets a loop run at most a few batches ahead of its GPU, so that progress is true and a stop takes effect soon.

    It waits for a batch that lies behind the one being worked on, so the GPU never runs dry. On a CPU, which works on
    a batch while it is called, there is nothing to wait for.
    """

    def __init__(self, device: str) -> None:
        """Start with nothing given to the device."""
        self._device = torch.device(device)
        self._given: deque[torch.cuda.Event] = deque()

    def given(self) -> None:
        """A batch has been given to the device."""
        if self._device.type != "cuda":
            return
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch declares no types for it
        event.record(torch.cuda.current_stream(self._device))
        self._given.append(event)
        if len(self._given) > _AHEAD:
            self._given.popleft().synchronize()
