"""The exact cells: every combination of shown and hidden cells is passed through the network, so nothing is sampled.

The passes go through the masked-forward loop that LIME and RISE use, in float32 throughout. What has been passed is
kept with the image: another class needs no new passes, and a fill that is asked for later only its own 511.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from engine.acceleration.tuning import Tuning, untuned
from engine.bundle.specs import Fill
from engine.errors import Stopped
from engine.evidence.fills import hidden_picture
from engine.explainers.perturbation import MaskedForward, kept_columns
from engine.explainers.superpixels import SuperpixelMasks, Superpixels
from engine.progress import Progress
from engine.results.caution import Caution
from engine.results.cells import CELLS, cell_slices
from engine.results.exact_cells import (
    ALL,
    COMBINATIONS,
    FILL_NAMES,
    NO_CELL_MATTERS,
    ExactCells,
    FillValues,
    fill_values,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.explainers.base import Request
    from engine.results.saliency import Parameter

KEY = "exact"
"""The exact cells' key among those of the methods, in reports of progress."""

_CLASSES_KEPT = 2_048
"""With more classes, only the values of those that are asked for are kept: 8 MB a fill are enough."""

_ORDER = np.arange(ALL) * 181 % ALL
"""The combinations but the one that shows all, in an order in which any few of them differ in every cell: the table of
the first layers is checked with the first few."""


@dataclass(slots=True)
class _Kept:
    """The passes of one fill, or of the whole image, and the seconds that they have taken so far."""

    loop: MaskedForward
    hidden: str
    seconds: float = 0.0


def exact_cells(request: Request, fills: Sequence[Fill]) -> ExactCells:
    """Return the exact answer for the nine cells.

    To show the answer fill by fill, ask for the first fill, then for the first two, and so on: what is known is not
    passed again.

    Args:
        request: the image and the class; hold the classifier's lock. `stop` is asked before every pass, and `progress`
            is told after each.
        fills: at least one, each once.

    Raises:
        Stopped: stopped before the first fill was done. Later, the answer has those that are done.
        ExplanationError: the network gave NaN or infinity.
    """
    # Nothing is measured: that takes several times as many passes as the cells do, and a fixed batch is as quick.
    tuning = Tuning(1, "fp32") if request.classifier.one_at_a_time else untuned(request.tensor, "fp32")
    columns = kept_columns(request, _CLASSES_KEPT)
    total = 1 + ALL * len(fills)
    whole = _kept(request, None, tuning, columns)
    run = _Run(request, total)
    run.passed(whole, 1, 0)
    found: dict[str, FillValues] = {}
    used = [whole]
    for fill in fills:
        try:
            kept = _kept(request, fill, tuning, columns)
            run.passed(kept, ALL, 1 + ALL * len(found))
        except Stopped:
            if not found:
                raise
            break
        used.append(kept)
        values = np.empty(COMBINATIONS)
        values[ALL] = whole.loop.outputs(1)[0]
        values[_ORDER] = kept.loop.outputs(ALL)
        found[fill] = fill_values(fill, values, kept.hidden)
    return ExactCells(
        target=request.classifier.classes[request.target],
        fills=MappingProxyType(found),
        passes=1 + ALL * len(found),
        seconds=sum(kept.seconds for kept in used),
        parameters=MappingProxyType(_parameters(used, run.reused)),
        stopped=len(found) < len(fills),
        warnings=tuple(_cautions(used, found.values())),
    )


class _Run:
    """The passes of one call."""

    def __init__(self, request: Request, total: int) -> None:
        self._request, self._total = request, total
        self.reused = 0

    def passed(self, kept: _Kept, count: int, before: int) -> None:
        """Make the passes that are missing, and report them.

        Args:
            kept: whose passes.
            count: how many there are to be.
            before: how many were made for others.

        Raises:
            Stopped: stopped before the end.
        """
        request, loop, started = self._request, kept.loop, time.perf_counter()
        loop.settle_precision(request.target, request.stop)  # in float32 it only takes note of the class
        done = 0
        try:
            for done in loop.run(count, request.stop):
                request.progress(Progress(KEY, before + done, self._total))
        finally:
            kept.seconds += time.perf_counter() - started
        if done < count:
            raise Stopped("the exact cells")
        self.reused += loop.reused


def _kept(request: Request, fill: Fill | None, tuning: Tuning, columns: tuple[int, ...]) -> _Kept:
    """Return the passes of a fill that an earlier request for this image has begun, or begin them.

    Args:
        fill: None for the one pass that shows every cell, which all fills share.
        (others): as for `MaskedForward`.
    """
    key = (KEY, fill, columns, request.seed if fill == "noise" else None)
    found = request.kept.get(key)
    if isinstance(found, _Kept):
        return found
    started = time.perf_counter()
    shown = np.ones((1, len(CELLS)), dtype=np.int_) if fill is None else _ORDER[:, None] >> np.arange(len(CELLS)) & 1
    masks = SuperpixelMasks(_cells(request.size), shown, request.tensor.device)
    hidden, words = (request.tensor, "") if fill is None else hidden_picture(request, fill)
    made = _Kept(MaskedForward(request, hidden, masks, tuning, columns), words, time.perf_counter() - started)
    request.kept[key] = made
    return made


def _cells(size: tuple[int, int]) -> Superpixels:
    labels = np.empty(size, dtype=np.int64)
    for number, (rows, columns) in enumerate(cell_slices(*size).values()):
        labels[rows, columns] = number
    return Superpixels(labels, len(CELLS), "cells")


def _parameters(used: Sequence[_Kept], reused: int) -> dict[str, Parameter]:
    last = used[-1].loop
    return {**last.parameters(), "passes_reused": reused, "convolutions_looked_up": last.looked_up}


def _cautions(used: Sequence[_Kept], found: Iterable[FillValues]) -> Iterable[Caution]:
    yield from dict.fromkeys(caution for kept in used for caution in kept.loop.warnings)
    for one in found:
        if not one.matters:
            yield Caution(
                NO_CELL_MATTERS,
                f"With {FILL_NAMES[one.fill]} in place of hidden cells, the probability moves by {one.range:.2g} at "
                "most: no cell matters.",
            )
