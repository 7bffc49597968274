"""What a running method costs beside time: the peak of its memory, and how long it takes to stop.

Measured by `python -m tests.benchmarks.speed --only memory stop`; run by itself this is one of its memory cases.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks.common import RESNETS, make_classifier, make_request, say, settle_environment, wrap

if TYPE_CHECKING:
    import torch

    from engine.network.classifier import Classifier


def sketch() -> torch.nn.Module:
    """A network of next to no work at 224x224: what RISE itself needs stands out, and 16,000 masks take seconds."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 4, 16, stride=16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return nn.Sequential(*layers).eval()


def memory_case(who: str, name: str, masks: int) -> None:
    """In a process of its own: run one RISE and print the peak of the resident memory in KiB."""
    settle_environment()
    classifier = wrap("sketch", sketch()) if name == "sketch" else make_classifier(name, "auto")
    if who == "ours":
        from engine.explainers.rise import Rise

        Rise(samples=masks).explain(make_request(classifier))
    else:
        from tests.benchmarks.rivals import make_plain, rise_masks, rise_of_the_paper

        rise_of_the_paper(make_plain(classifier), rise_masks(masks, classifier.bundle.input.size))
    say(str(peak_kib()))


def peak_kib() -> int:
    """Peak resident memory of this process in KiB.

    Not `ru_maxrss` on Linux: it survives exec, so a child of a large process starts with its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


def measure_memory(many: int, networks: Iterable[str], repeats: int = 5) -> list[dict[str, Any]]:
    """Peak memory of RISE with 1,000 and `many` masks, each case in its own process."""
    rows = []
    for name in networks:
        _peak("ours", name, 100)  # calibrates, which has a peak of its own
        for who, counts in (("ours", (1000, many)), ("paper", (1000, 4000))):
            if who == "paper" and name in RESNETS:
                continue  # as at `sketch`, only slower
            # What the allocator keeps differs from process to process by some 5 %: medians of five.
            runs = {count: [_peak(who, name, count) for _ in range(repeats)] for count in counts}
            peaks = {count: median(kib) for count, kib in runs.items()}
            low, high = peaks.values()
            rows.append({"who": who, "network": name, "peak_kib": peaks, "runs": runs, "growth": high / low - 1.0})
            say(f"memory: {who} {name} {runs}")
    return rows


def _peak(who: str, name: str, masks: int) -> int:
    command = [sys.executable, "-m", "tests.benchmarks.footprint", who, name, str(masks)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, env=dict(os.environ))
    return int(done.stdout.splitlines()[-1])


def measure_stop(rounds: int) -> list[dict[str, Any]]:
    """Seconds from asking RISE and LIME on ResNet-50 to stop until they return, beside one forward pass."""
    from engine.explainers.lime import Lime
    from engine.explainers.rise import Rise

    rows = []
    for precision in ("fp32", "auto"):
        classifier = make_classifier("resnet50", precision)
        for method in (Rise(samples=100_000), Lime(samples=20_000)):
            waits, passes, batch = [], [], 0
            for number in range(rounds):
                wait, longest, batch = _stop_once(classifier, method, number / rounds)
                waits.append(wait)
                passes.append(longest)
            rows.append(
                {
                    "method": method.key,
                    "precision": precision,
                    "batch": batch,
                    "stop_seconds": waits,
                    "pass_seconds": passes,
                }
            )
    return rows


def _stop_once(classifier: Classifier, method: Any, share: float) -> tuple[float, float, int]:
    """Stop after 128 samples and `share` of a pass; seconds until it returned, median seconds a batch, batch."""
    stop, under_way, moments, results = threading.Event(), threading.Event(), [], []

    def progress(report: Any) -> None:
        moments.append(time.perf_counter())
        if report.done >= 128 and len(moments) > 4:
            under_way.set()

    request = replace(make_request(classifier), stop=stop, progress=progress)
    thread = threading.Thread(target=lambda: results.append(method.explain(request)))
    thread.start()
    under_way.wait()
    each = median(later - earlier for earlier, later in pairwise(moments))
    time.sleep(share * each)
    asked = time.perf_counter()
    stop.set()
    thread.join()
    waited = time.perf_counter() - asked
    if not results or not results[0].stopped:
        raise RuntimeError(f"{method.key} did not return a stopped map")
    return waited, each, int(results[0].parameters["batch"])


if __name__ == "__main__":
    memory_case(sys.argv[1], sys.argv[2], int(sys.argv[3]))
