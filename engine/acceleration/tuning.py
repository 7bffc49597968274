"""Batch size and precision of the many passes, measured once per model and device and then stored.

Maps must be the same bit for bit every time, so the measured choice is stored in the user's cache and used again. If it
cannot be stored, nothing is measured and fixed values are used. So they are where measuring would take longer than the
passes themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from engine.acceleration.torch_private import cpu_computes_in_bfloat16
from engine.storage import places
from engine.storage.documents import DocumentError, parse_json
from engine.storage.reading import UnusableFileError, read_limited
from engine.storage.writing import make_file

Probe = Callable[[torch.Tensor, str], None]
"""Passes a batch of images (n, C, H, W) through the network in the given precision and waits for the result."""

_BATCHES = (4, 8, 16, 32, 64, 128, 256)
_LONGEST_PASS = 0.4
"""Seconds: a stop waits for one pass, so no batch but the smallest may take longer."""
_LONGEST_ROUND = 1.0
"""Seconds: if timing all sizes once takes longer, their first timings have to do."""
_ROUNDS = 5
_AS_GOOD = 1.03
"""Sizes within 3 % of the fastest count as equal; the smallest of them stops soonest and needs the least memory."""
_REDUCED_WORTH_IT = 1.2
"""Reduced precision is used if it is at least this much faster."""
_FIXED = {64: 64, 224: 16}
"""The fixed batches up to images of so many pixels a side; larger images are passed in the smallest."""
_MOST_BYTES = 10_000
"""Of a file with what was measured, which has about 60."""

_VERSION = 7
"""Part of the file's key; raise it when the choice is made in another way."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Batch size and precision of the many passes.

    Attributes:
        batch: images a pass.
        precision: `fp32`, `bf16` or `fp16`.
        exact_batch: images a pass if `auto` falls back to float32; 0 for the same as `batch`.
    """

    batch: int
    precision: str
    exact_batch: int = 0

    def batch_for(self, precision: str) -> int:
        """Return the images a pass in the tuned precision or in float32."""
        return self.batch if precision == self.precision or not self.exact_batch else self.exact_batch


def tune(probe: Probe, image: torch.Tensor, *, model: str, device: str, asked: str) -> Tuning:
    """Return the stored tuning of this model on this device; measure and store it if there is none.

    Args:
        probe: passes a batch.
        image: (1, C, H, W); the batches are copies of it.
        model: digest of the bundle.
        device: `cpu` or `cuda:<n>`.
        asked: `auto` or the precision to use.
    """
    path = places.cache() / "tuning" / f"{_key(image, model, device, asked)}.json"
    stored = _read(path)
    if stored is not None:
        return stored
    if not _writable(path):
        return untuned(image, asked)
    measured = _measure(probe, image, device, asked)
    _write(path, measured)
    return _read(path) or measured  # another process may have stored its choice first: use that one


def native_precision(device: str) -> str | None:
    """Return the reduced precision that the hardware supports natively: `bf16`, `fp16` or None."""
    if device.startswith("cuda"):
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if torch.cuda.get_device_capability(torch.device(device)) >= (7, 0) else None
    return "bf16" if cpu_computes_in_bfloat16() else None


def untuned(image: torch.Tensor, asked: str) -> Tuning:
    """Return fixed values, which depend on nothing but the size of the image; `auto` is float32.

    Args:
        image: (1, C, H, W).
        asked: `auto` or the precision to use.
    """
    pixels = image.shape[-1] * image.shape[-2]
    # A stop waits for one pass, so fewer large images are passed at once.
    batch = next((batch for most, batch in _FIXED.items() if pixels <= most * most), _BATCHES[0])
    return Tuning(batch, precision="fp32" if asked == "auto" else asked)


def _measure(probe: Probe, image: torch.Tensor, device: str, asked: str) -> Tuning:
    if asked != "auto":
        batch, _ = _best_batch(probe, image, asked)
        return Tuning(batch, asked)
    batch, speed = _best_batch(probe, image, "fp32")
    native = native_precision(device)
    if native is not None:
        reduced_batch, reduced_speed = _best_batch(probe, image, native)
        if reduced_speed > speed * _REDUCED_WORTH_IT:
            return Tuning(reduced_batch, native, exact_batch=batch)
    return Tuning(batch, "fp32")


def _best_batch(probe: Probe, image: torch.Tensor, precision: str) -> tuple[int, float]:
    """Return the smallest batch size that is as good as the fastest and not too slow to stop, and its images a second.

    Other work on the machine disturbs the measurements, so all sizes are timed in turn, several times, and the shortest
    time of each counts.
    """
    times: dict[int, float] = {}
    for batch in _BATCHES:
        images = image.repeat(batch, 1, 1, 1).contiguous(memory_format=torch.channels_last)
        try:
            probe(images, precision)  # the first pass of a shape is slow: torch sets things up
            times[batch] = _seconds(probe, images, precision)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        # The next size is twice as large.
        if 2 * times[batch] > _LONGEST_PASS:
            break
    for _ in range(_ROUNDS):
        for batch, seconds in times.items():
            if sum(times.values()) > _LONGEST_ROUND:
                break
            images = image.repeat(batch, 1, 1, 1).contiguous(memory_format=torch.channels_last)
            times[batch] = min(seconds, _seconds(probe, images, precision))
    if not times:
        return 1, 0.0  # not even the smallest batch fits: pass one image at a time
    speeds = {batch: batch / seconds for batch, seconds in times.items()}
    fastest = max(speeds.values())
    best = min(batch for batch, speed in speeds.items() if speed * _AS_GOOD >= fastest)
    return best, speeds[best]


def _seconds(probe: Probe, images: torch.Tensor, precision: str) -> float:
    started = time.perf_counter()
    probe(images, precision)
    return time.perf_counter() - started


def _key(image: torch.Tensor, model: str, device: str, asked: str) -> str:
    hardware = (
        torch.cuda.get_device_name(device) if device.startswith("cuda") else torch.backends.cpu.get_cpu_capability()
    )
    facts = [_VERSION, model, tuple(image.shape), device, asked, hardware, torch.__version__, torch.get_num_threads()]
    return hashlib.sha256(json.dumps([str(fact) for fact in facts]).encode()).hexdigest()[:32]


def _read(path: Path) -> Tuning | None:
    try:
        match parse_json(read_limited(path, _MOST_BYTES)):
            case {"batch": int() as batch, "precision": str() as precision, "exact_batch": int() as exact_batch}:
                tuning = Tuning(batch, precision, exact_batch)
            case _:
                return None
    except (UnusableFileError, DocumentError):
        return None  # missing or damaged: the caller measures again and replaces it
    # The file may hold anything, and with a batch of 0 the loop over the samples would never end.
    batches = 1 <= tuning.batch <= _BATCHES[-1] and 0 <= tuning.exact_batch <= _BATCHES[-1]
    return tuning if batches and tuning.precision in ("fp32", "bf16", "fp16") else None


def _writable(path: Path) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(path.parent, os.W_OK)


def _write(path: Path, tuning: Tuning) -> None:
    """Write the file atomically unless another process has done so; if the disk is full, measure again next time."""
    try:
        if _read(path) is None:
            path.unlink(missing_ok=True)  # damaged
        make_file(path, json.dumps(asdict(tuning)).encode("ascii"))
    except OSError:  # another process was first, or the disk is full
        return
