"""Make the specs of the screens' pictures from maps and explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.explainers.registry import method_keys, voting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.explanation.explain import Explanation
    from engine.results.cells import Cell
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from xaimed_tui.preferences.look import Display, Look
    from xaimed_tui.render.spec import PictureSpec


def method_picture(
    pixels: NDArray[np.uint8] | None,
    saliency: SaliencyMap | None,
    statistics: GridStatistics | None,
    look: Look,
    *,
    display: Display | None = None,
    highlight: Cell | None = None,
    show_grid: bool = False,
) -> PictureSpec | None:
    """Return a method's map on the image, in the look's display unless another is given; None while there is no map."""
    from xaimed_tui.render.spec import PictureSpec

    if pixels is None or saliency is None:
        return None
    return PictureSpec(
        pixels,
        values=saliency.values,
        style=display or look.display,
        top=statistics.top if statistics is not None else (),
        ties=statistics.ties if statistics is not None else (),
        colormap=look.colormap,
        opacity=look.opacity,
        highlight=highlight,
        show_grid=show_grid,
    )


def agreement_picture(explanation: Explanation, look: Look, *, highlight: Cell | None = None) -> PictureSpec:
    """Return the counts on the image's cells."""
    from xaimed_tui.render.spec import PictureSpec

    return PictureSpec(
        explanation.view,
        style="agreement",
        counts=explanation.consensus.counts,
        ties=explanation.consensus.unsettled,
        methods=max(len(voting(method_keys(), explanation.settings.voters)), len(explanation.consensus.methods)),
        colormap=look.colormap,
        opacity=look.opacity,
        highlight=highlight,
    )
