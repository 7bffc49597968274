"""Make the specs of the screens' pictures from maps and explanations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.explainers.registry import method_keys, voting
from engine.explanation.exact_words import speaking
from xaimed_tui.widgets.exact_words import shown_fill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage
    from engine.results.cells import Cell
    from engine.results.exact_cells import ExactCells
    from engine.results.saliency import SaliencyMap
    from engine.results.statistics import GridStatistics
    from xaimed_tui.preferences.look import Display, Look
    from xaimed_tui.render.spec import PictureSpec


def image_picture(image: MedicalImage, pixels: NDArray[np.uint8]) -> PictureSpec:
    """Return an image in its true shape, with the letters that say how it lies in the patient.

    Args:
        image: the image.
        pixels: (h, w, C) the part of it that is shown. All else is drawn on it.
    """
    from xaimed_tui.render.spec import NO_LETTERS, PictureSpec

    of = f"{image.path}:{image.sha256}"
    return PictureSpec(pixels, aspect=image.pixel_aspect, edges=image.letters or NO_LETTERS, side=image.side, of=of)


def method_picture(
    ground: PictureSpec | None,
    saliency: SaliencyMap | None,
    statistics: GridStatistics | None,
    look: Look,
    *,
    display: Display | None = None,
    highlight: Cell | None = None,
    show_grid: bool = False,
) -> PictureSpec | None:
    """Return a method's map on the image, in the look's display unless another is given; None while there is no map."""
    if ground is None or saliency is None:
        return None
    return replace(
        ground,
        values=saliency.values,
        style=display or look.display,
        top=statistics.top if statistics is not None else (),
        ties=statistics.ties if statistics is not None else (),
        colormap=look.colormap,
        opacity=look.opacity,
        highlight=highlight,
        show_grid=show_grid,
    )


def exact_picture(
    ground: PictureSpec | None, exact: ExactCells | None, look: Look, *, highlight: Cell | None = None
) -> PictureSpec | None:
    """Return the exact value of each cell under the fill looked at; None while there are none."""
    if ground is None or exact is None:
        return None
    found = shown_fill(exact, look)
    return replace(
        ground,
        style="exact",
        signed=found.shapley,
        exact=speaking(found),
        firm=exact.firm or (),
        colormap=look.colormap,
        opacity=look.opacity,
        highlight=highlight,
    )


def agreement_picture(
    ground: PictureSpec, explanation: Explanation, look: Look, *, highlight: Cell | None = None
) -> PictureSpec:
    """Return the counts on the image's cells, the exact three outlined."""
    exact = explanation.exact
    return replace(
        ground,
        style="agreement",
        counts=explanation.consensus.counts,
        ties=explanation.consensus.unsettled,
        exact=() if exact is None else speaking(shown_fill(exact, look)),
        firm=() if exact is None else exact.firm or (),
        methods=max(len(voting(method_keys(), explanation.settings.voters)), len(explanation.consensus.methods)),
        colormap=look.colormap,
        opacity=look.opacity,
        highlight=highlight,
    )
