"""How many threads torch and numpy use, and how they wait; this must be settled before either is imported."""

from __future__ import annotations

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def settle_threads() -> None:
    """Use the cores there are and no more, and let idle threads sleep; what the user has set stays.

    Idle OpenMP threads spin by default. That costs nothing on an idle machine, but when other programs run, each of the
    network's many small steps waits for a thread that is not running. Measured on two cores at a load of 2.5, 600 RISE
    masks of the demo: 0.30 s instead of 1.79 s. OpenBLAS spins whatever it is told, and the small matrices here gain
    nothing from its threads, so it gets one: 0.3 ms instead of 84 ms for a (4000, 36) product on that machine.

    A container may use fewer cores than the machine has. There, a thread for each core of the machine would be too
    many, so the container's quota counts.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    allowed = cores_allowed()
    if allowed is not None and allowed < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(allowed))


def cores_allowed(quota: Path = _QUOTA) -> int | None:
    """Return how many cores the container's quota is worth, at least 1; None if there is no quota.

    Args:
        quota: the kernel's file with the quota and the period in microseconds (`max 100000` for none).
    """
    try:
        limit, period = quota.read_text(encoding="ascii").split()
        return max(1, math.floor(int(limit) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
