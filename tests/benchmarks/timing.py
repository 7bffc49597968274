"""Repeated runs of a case, and the bare forward passes that everything is held against."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import torch

_BATCHES = (4, 8, 16, 32, 64, 128, 256)
_LONGEST = 4.0
"""Seconds: larger batches are not tried once a pass takes longer."""
_REDUCED = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(slots=True)
class Record:
    """Runs of one case.

    Attributes:
        case: its name.
        samples: drawn in each run.
        stated: what `seconds` is for.
        wall, cpu: seconds of each run, for `samples`.
        bare: the mean of the bare passes before and after each run, in seconds for `samples` passes.
        bare_cpu: the same in seconds of processor time.
        note: what a reader must know.
    """

    case: str
    samples: int
    stated: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_cpu: list[float] = field(default_factory=list)
    note: str = ""

    def run(self, method: Callable[[], object], repeats: int = 1) -> None:
        """Time a round; of several runs in it the median counts."""
        walls, cpus = [], []
        for _ in range(repeats):
            wall, cpu = time.perf_counter(), time.process_time()
            method()
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        self.wall.append(median(walls))
        self.cpu.append(median(cpus))

    def run_beside(self, bare: Bare, chunk: int, method: Callable[[], object], repeats: int = 1) -> None:
        """Time a round with `chunk` bare passes before it and after it."""
        before = bare(chunk)
        self.run(method, repeats)
        after = bare(chunk)
        scale = self.samples / (2 * chunk)
        self.bare.append((before[0] + after[0]) * scale)
        self.bare_cpu.append((before[1] + after[1]) * scale)

    @property
    def seconds(self) -> float:
        """Median, for the stated number of samples."""
        return median(self.wall) * self.stated / self.samples

    @property
    def seconds_cpu(self) -> float:
        """The same in processor time, which other work on the machine disturbs less."""
        return median(self.cpu) * self.stated / self.samples

    @property
    def overhead(self) -> float:
        """Median of method / bare within a round."""
        return median(own / bare for own, bare in zip(self.wall, self.bare, strict=True))

    @property
    def overhead_cpu(self) -> float:
        """The same in processor time."""
        return median(own / bare for own, bare in zip(self.cpu, self.bare_cpu, strict=True))

    def summary(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "seconds_stated": self.seconds,
            "seconds_stated_cpu": self.seconds_cpu,
            "over_bare": self.overhead if self.bare else None,
            "over_bare_cpu": self.overhead_cpu if self.bare else None,
        }


class Bare:
    """Forward passes of the same image and nothing else, at the batch size that is best here."""

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor], tensor: torch.Tensor, precision: str) -> None:
        self._network, self._tensor, self._precision = network, tensor, precision
        self.batch = self._best()

    def __call__(self, passes: int) -> tuple[float, float]:
        """Seconds (wall, processor) for some passes, rounded up to whole batches and scaled back."""
        images = self._images(self.batch)
        batches = -(-passes // self.batch)
        with self._mode():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(batches):
                self._network(images)
            scale = passes / (batches * self.batch)
            return (time.perf_counter() - wall) * scale, (time.process_time() - cpu) * scale

    def _best(self) -> int:
        """The batch size with the shortest time an image; all sizes in turn, three times over."""
        shortest: dict[int, float] = {}
        for batch in _BATCHES:
            first = self._seconds(self._images(batch))
            if first > _LONGEST:
                break
            shortest[batch] = first
        for _ in range(3):
            for batch in shortest:
                shortest[batch] = min(shortest[batch], self._seconds(self._images(batch)))
        return min(shortest, key=lambda batch: shortest[batch] / batch)

    def _images(self, batch: int) -> torch.Tensor:
        return self._tensor.repeat(batch, 1, 1, 1).contiguous(memory_format=torch.channels_last)

    def _seconds(self, images: torch.Tensor) -> float:
        with self._mode():
            started = time.perf_counter()
            self._network(images)
            return time.perf_counter() - started

    def _mode(self) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(torch.inference_mode())
        if self._precision != "fp32":
            stack.enter_context(torch.autocast("cpu", dtype=_REDUCED[self._precision]))
        return stack
