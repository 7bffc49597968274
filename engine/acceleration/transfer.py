"""Keep a GPU busy: copies that do not wait, and a loop that does not run too far ahead."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AHEAD = 2
"""Batches that may queue on the GPU after the one it is working on."""


def on_device(array: NDArray[Any], device: torch.device | str) -> torch.Tensor:
    """Return an array as a tensor on a device; a GPU gets it from pinned memory, without waiting for the copy.

    An ordinary copy would wait for all the work queued on the GPU, once a batch.
    """
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        # Nothing has to hold the pinned memory: torch does not hand it out again before the copy is done.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Pace:
    """Lets a loop run at most a few batches ahead of its GPU, so that progress is accurate and a stop works soon.

    The loop waits for an earlier batch than the one it has just queued, so the GPU never runs dry. On a CPU, a call
    returns when its batch is done, so there is nothing to wait for.
    """

    def __init__(self, device: str) -> None:
        """Start with an empty queue."""
        self._device = torch.device(device)
        self._given: deque[torch.cuda.Event] = deque()

    def given(self) -> None:
        """Note that a batch has been queued; wait if too many are ahead."""
        if self._device.type != "cuda":
            return
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch declares no types for it
        event.record(torch.cuda.current_stream(self._device))
        self._given.append(event)
        if len(self._given) > _AHEAD:
            self._given.popleft().synchronize()
