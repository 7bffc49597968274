"""Two hundred explanations in a row leave nothing behind."""

from __future__ import annotations

import gc
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from factories import make_image
from networks import classifier, small_cnn

from engine.explainers.settings import Settings
from engine.explanation.explain import explain

_SLOPE = 20_000
"""Bytes an explanation: an image, a map or a mask kept by mistake would be 2 to 20 times as much here."""


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_two_hundred_explanations_do_not_grow_memory_threads_hooks_or_descriptors() -> None:
    model = classifier(small_cnn(3, size=60), size=(60, 60))
    settings = Settings(samples={"rise": 32, "lime": 100}, exact_fills=())
    memory: list[int] = []
    counts = set()
    for i in range(200):
        # The exact cells, a thousand passes, only now and then.
        asked = settings if i % 10 else replace(settings, exact_fills=("mean", "blur"))
        explain(model, make_image(f"image-{i}.png", height=60, width=60), asked)
        if i % 5 == 4:
            gc.collect()
            memory.append(_resident())
            hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.network.modules())
            counts.add((threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), hooks))
    # The first fifty fill caches and thread pools. The allocator takes and gives back some MB at once, so the lowest
    # readings of the first and the last fifty of the rest are compared, a hundred explanations apart.
    slope = (min(memory[30:]) - min(memory[10:20])) / 100
    assert slope < _SLOPE
    assert len(counts) == 1
