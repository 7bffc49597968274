"""What the screens know about one method on the current image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.results.evidence import Evidence
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from xaimed_tui.background.failure import Failure

State = Literal["idle", "waiting", "running", "done", "stopped", "failed"]


@dataclass
class MethodRun:
    """One method's state: how far it is, and the best map so far.

    Attributes:
        method: its key.
        state: `idle` until it is asked for; `stopped` only if it was stopped before there was a map.
        done, total: samples.
        since: when it started, by the jobs' clock.
        paced_since, paced_from: when it last had only its first samples done, and how many these are. The pace is
            counted from there: the time before, such as measuring the batch size, says nothing about it.
        map, statistics: the map (while it runs: an intermediate one) and its cells.
        evidence: what is known of the finished map's worth.
        reason, failure: why it failed.
    """

    method: str
    state: State = "idle"
    done: int = 0
    total: int = 0
    since: float = 0.0
    paced_since: float = 0.0
    paced_from: int = 0
    map: SaliencyMap | None = None
    statistics: GridStatistics | None = None
    evidence: Evidence | None = None
    reason: str = ""
    failure: Failure | None = None

    @property
    def busy(self) -> bool:
        """Whether it is running or waits for its turn."""
        return self.state in ("waiting", "running")
