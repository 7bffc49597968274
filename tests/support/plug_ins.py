"""Methods of plug-ins, and entry points that offer them without a package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from engine.bundle.keys import Key
from engine.explainers import registry
from engine.explainers.base import Request, scaled_map
from engine.explainers.registry import Declaration

if TYPE_CHECKING:
    from engine.explainers.registry import Choices
    from engine.results.saliency import SaliencyMap


@dataclass
class Offered:
    """Stands in for an entry point."""

    name: str
    factory: object
    value: str = "somewhere:Something"
    dist: None = None

    def load(self) -> object:
        if isinstance(self.factory, BaseException):
            raise self.factory
        return self.factory


def offer(monkeypatch: pytest.MonkeyPatch, *entries: Offered) -> None:
    # Not in the library itself: others, matplotlib for one, look for entry points of their own there.
    monkeypatch.setattr(registry, "metadata", SimpleNamespace(entry_points=lambda *, group: list(entries)))
    registry.find_plug_ins.cache_clear()


@dataclass(frozen=True)
class Ramp:
    """A method that points at the bottom right, whatever the network does; `change` spoils its map."""

    choices: Choices
    key: str = "ramp"
    change: Callable[[SaliencyMap], object] | None = None

    def explain(self, request: Request) -> SaliencyMap:
        height, width = request.size
        raw = np.add.outer(np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64))
        made = scaled_map(raw, request, method=self.key, parameters={"layer": self.choices.layer}, started=0.0)
        return made if self.change is None else self.change(made)  # type: ignore[return-value]


@dataclass(frozen=True)
class Sampled(Ramp):
    """A method that says what can be set; its map records with what it was made."""

    declares: ClassVar[Declaration] = Declaration(
        parameters=(
            Key.whole("samples", 50, 20, 400, "samples to draw"),
            Key.choice("side", "right", ("left", "right"), "where to point"),
            Key.between("slope", None, 0, 9, "of the ramp"),
        ),
        layer=False,
        shares_gradients=("gradcam",),
    )

    def explain(self, request: Request) -> SaliencyMap:
        return replace(super().explain(request), parameters={"until": self.choices.until, **self.choices.parameters})
