"""The colours behind the numbers on cells: one for each count of the agreement, one for each cell's exact value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.drawing.colours import RGB, count_colours, signed_colours, signed_steps
from xaimed_tui.render.depth import count_steps, step_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from xaimed_tui.render.spec import PictureSpec
    from xaimed_tui.terminal.colour_depth import Depth


def plates_of(spec: PictureSpec, depth: Depth = "true") -> tuple[RGB, ...]:
    """Return the colours that the numbers of a picture lie on; none for a picture without numbers."""
    if spec.style == "agreement":
        few = depth != "true"
        return count_steps(spec.methods, spec.colormap, depth) if few else count_colours(spec.methods, spec.colormap)
    if spec.style == "exact" and spec.signed is not None:
        if depth == "true":
            return signed_colours(spec.signed, spec.colormap)
        steps = step_colours(spec.colormap, depth)
        return tuple(
            steps[place] for place in np.rint(signed_steps(spec.signed).ravel() * (len(steps) - 1)).astype(int)
        )
    return ()


def plate_numbers(spec: PictureSpec) -> NDArray[np.int64] | None:
    """Return (3, 3), which of `plates_of` each cell has; None for a picture without numbers."""
    if spec.style == "agreement":
        return spec.counts
    return np.arange(9).reshape(3, 3) if spec.style == "exact" else None
