"""Progress and cancellation: what every long computation reports, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.results.saliency import SaliencyMap


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running method.

    Attributes:
        method: the method's key, e.g. `rise`.
        done: samples processed so far, 0 <= done <= total.
        total: the most samples this run may take (with `until="certain"` it may end earlier).
        preview: the map from the samples so far, or None if this report carries none. At most one report in a quarter
            of a second carries one.
    """

    method: str
    done: int
    total: int
    preview: SaliencyMap | None = None


ProgressCallback = Callable[[Progress], None]
"""Called from the thread that computes; must return quickly and must not raise."""


class StopSignal(Protocol):
    """A `threading.Event`, or anything else that can say whether to stop."""

    def is_set(self) -> bool:
        """True once the work should stop."""


class NeverStop:
    """The stop signal of a run that nobody can stop."""

    def is_set(self) -> bool:
        """False: the work goes on to its end."""
        return False


def no_progress(_: Progress) -> None:
    """A progress callback that ignores every report."""
