"""What the pictures of the screens show: specs made from maps and explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from engine.cells import CELL_NAMES
from engine.methods import method_keys
from xaimed_tui.names import method_name
from xaimed_tui.widgets.words import Part

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.cells import Cell
    from engine.explanation import Explanation
    from engine.grid import GridStatistics
    from engine.saliency import SaliencyMap
    from xaimed_tui.look import Display, Look
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
    """A method's map on the image, in the look's display unless another is asked for; None while there is no map."""
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
    """The counts on the image's cells."""
    from xaimed_tui.render.spec import PictureSpec

    return PictureSpec(
        explanation.view,
        style="agreement",
        counts=explanation.consensus.counts,
        ties=explanation.consensus.unsettled,
        methods=max(len(method_keys()), len(explanation.maps)),
        colormap=look.colormap,
        opacity=look.opacity,
        highlight=highlight,
    )


def agreement_caption(explanation: Explanation, cell: Cell | None = None) -> Content:
    """Where most methods agree, and what that is worth; or which methods mark a cell."""
    counts = explanation.consensus.counts
    if cell is not None:
        who = [
            f"{method_name(method)}{'?' if cell in statistics.ties else ''}"
            for method, statistics in explanation.statistics.items()
            if cell in statistics.top
        ]
        head = f"{CELL_NAMES[cell]}: {len(who)} of {len(explanation.consensus.methods)}"
        return Content.assemble((head, "bold $foreground"), "\n", ", ".join(who) or "no map marks it")
    most = int(counts.max())
    if most == 0:
        return Content("no map marks a cell")
    unsettled = explanation.consensus.unsettled
    cells = ", ".join(
        f"{name}{'?' if cell in unsettled else ''}" for cell, name in CELL_NAMES.items() if counts[cell] == most
    )
    made = len(explanation.consensus.methods)
    parts: list[Part] = [(f"{most} of {made}: ", "bold $foreground"), cells]
    if {"gradcam", "gradcam++"} <= set(explanation.consensus.methods):
        parts.append("\nthe two CAMs are not independent votes")
    return Content.assemble(*parts)
