"""*Better than chance*: does the output follow the map more than it follows random maps and a blob in the centre?

Pixels are deleted and inserted in the map's order and in the order of maps that know nothing of the network
(`engine.evidence.chance_maps`). A map is the better, the larger the area under the insertion curve and the smaller that
under the deletion curve; the difference of the two is held against that of the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import Stopped
from engine.evidence.chance_maps import centre_blob, random_maps
from engine.evidence.fidelity import FidelityCurve, Kind, measured_curves
from engine.evidence.thresholds import BEATEN_FOR_NO, BEATEN_FOR_YES, RANDOM_MAPS, SMALLEST_SPREAD, STEPS
from engine.progress import Progress, ProgressCallback
from engine.results.evidence import BetterThanChance, Curves, Verdict

if TYPE_CHECKING:
    from engine.explainers.base import Request
    from engine.results.saliency import SaliencyMap

QUESTION = "better_than_chance"

KINDS: tuple[Kind, Kind] = ("deletion", "insertion")


def ask_better_than_chance(request: Request, saliency: SaliencyMap) -> BetterThanChance:
    """Return whether a map is better than random maps and a centre blob; in float32, with 32 steps a curve.

    Args:
        request: the image, the network and the map's class; its seed is that of the random maps. Hold its lock.
        saliency: the map, of the size of the network's input.

    Raises:
        Stopped: stopped before the end.
        ExplanationError: the network gave NaN.
    """
    if saliency.constant:
        return BetterThanChance(Verdict.UNKNOWN, why="a constant map gives no order of pixels")
    others = random_maps(saliency.values, RANDOM_MAPS, request.seed)
    maps = [saliency.values, *others, centre_blob(*request.size)]
    step = -(-request.size[0] * request.size[1] // STEPS)
    found: list[Curves] = []
    for number, kind in enumerate(KINDS):
        own = replace(request, progress=_scaled(request, number))
        found.append(_beside(measured_curves(own, maps, kind, step)))
        if request.stop.is_set() and number + 1 < len(KINDS):
            raise Stopped(QUESTION)
    return judge_curves(*found)


def judge_curves(deletion: Curves, insertion: Curves) -> BetterThanChance:
    """Return what the curves of a map say beside those of maps that know nothing of the network."""
    own = insertion.area - deletion.area
    random = insertion.random_areas - deletion.random_areas
    centre = insertion.centre_area - deletion.centre_area
    beaten = int((own > random).sum())
    why = f"it beats {beaten} of {len(random)} random maps; by chance {len(random) // 2}"
    if float(np.ptp([*random, own, centre])) < SMALLEST_SPREAD:
        verdict, why = Verdict.UNKNOWN, "the order of the pixels hardly matters to this network here"
    elif beaten < BEATEN_FOR_NO:
        verdict = Verdict.NO
    elif beaten < BEATEN_FOR_YES:
        verdict = Verdict.UNKNOWN
    elif own <= centre:
        verdict, why = Verdict.UNKNOWN, f"{why}. A blob in the centre does as well"
    else:
        verdict = Verdict.YES
    return BetterThanChance(verdict, deletion, insertion, why=why)


def _beside(curves: list[FidelityCurve]) -> Curves:
    own, *random, centre = curves
    beside = np.stack([curve.probabilities for curve in random])
    areas = np.array([curve.area for curve in random])
    for array in (beside, areas):
        array.setflags(write=False)
    return Curves(own.kind, own.shares, own.probabilities, beside, centre.probabilities, own.area, areas, centre.area)


def _scaled(request: Request, number: int) -> ProgressCallback:
    """Return a progress callback for one of the two kinds, which reports to the request's as a part of the whole."""

    def report(progress: Progress) -> None:
        total = len(KINDS) * progress.total
        request.progress(Progress(QUESTION, number * progress.total + progress.done, total))

    return report
