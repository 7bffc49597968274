"""Where a map and its cells lie on the image that they explain: the way back through resizing, cropping and padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.drawing.scaling import scale_values
from engine.images.preprocessing import view_place
from engine.results.cells import CELLS, Cell, cell_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.explanation.explain import Explanation
    from engine.images.dicom.origin import DicomOrigin

NOT_SEEN = -1.0
"""The value of pixels that the network did not see; those that it saw have 0 to 1."""

_UNIT = 1e-3
"""How far from 1 the length of a direction may be, and from 0 the product of two that are perpendicular."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the image; (0, 0) is the upper left corner of its first pixel."""


def why_no_place(explanation: Explanation) -> str:
    """Return why nobody knows where the maps lie on the image; empty if it is known."""
    given = explanation.bundle.in_memory
    if given is None or given.preprocessing is None:
        return ""
    return "a function of the program makes the network's input, so nobody knows which part of the image it shows"


def why_no_geometry(origin: DicomOrigin) -> str:
    """Return why a map on an image's grid cannot be placed in the patient; empty if it can."""
    if origin.on_slide:
        return "the image lies on a slide, and maps are placed in a patient only"
    if not origin.reference:
        return "the image has no frame of reference, as those of CR, DX, US and Secondary Capture"
    if origin.position is None or origin.orientation is None or origin.spacing is None:
        return "the file does not say where this image lies in its frame of reference"
    rows, columns = np.array(origin.orientation).reshape(2, 3)
    lengths = np.linalg.norm(rows), np.linalg.norm(columns)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(rows @ columns)) > _UNIT:
        return "the file gives directions of its rows and columns that are not perpendicular, or not of length 1"
    return ""


def on_the_image(explanation: Explanation, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a map on the grid of the image: (H, W) float32, `NOT_SEEN` where the network saw nothing of the image.

    Values are neither interpolated nor smoothed: an enlarged pixel stays a square, and a smaller one is a mean, as on
    all pictures. Where image and network have the same grid, they stay the same bit for bit.
    """
    image = explanation.image
    top, left, rows, columns = view_place(image.height, image.width, explanation.bundle.input)
    scaled = scale_values(values, rows, columns)
    seen = np.full((image.height, image.width), NOT_SEEN, dtype=np.float32)
    inner = scaled[max(-top, 0) :, max(-left, 0) :][: image.height, : image.width]
    seen[max(top, 0) :, max(left, 0) :][: inner.shape[0], : inner.shape[1]] = inner
    return seen


def cell_boxes(explanation: Explanation) -> dict[Cell, Box | None]:
    """Return where the nine cells lie on the image; None for one that lies in the padding, or where nobody knows."""
    shape = next((each.values.shape for each in explanation.maps.values()), explanation.bundle.input.size)
    if why_no_place(explanation):
        return dict.fromkeys(CELLS)
    image = explanation.image
    top, left, rows, columns = view_place(image.height, image.width, explanation.bundle.input)
    down = [min(max(top + edge * rows / shape[0], 0.0), image.height) for edge in cell_edges(shape[0])]
    across = [min(max(left + edge * columns / shape[1], 0.0), image.width) for edge in cell_edges(shape[1])]
    boxes: dict[Cell, Box | None] = {}
    for row, column in CELLS:
        box = (across[column], down[row], across[column + 1], down[row + 1])
        boxes[row, column] = box if box[0] < box[2] and box[1] < box[3] else None
    return boxes
