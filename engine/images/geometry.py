"""Which part of an image a network sees: the region that is resized to its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.bundle import InputSpec


def view_size(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """(rows, columns) of the view of an image, at the image's own resolution.

    `stretch` shows the whole image; `crop` the largest centred part with the shape of the network's input; `fit` the
    whole image, padded to that shape. Where rows and columns do not divide evenly, they are rounded to whole pixels.
    """
    if spec.resize == "stretch":
        return height, width
    rows, columns = spec.size
    wider = width * rows > height * columns  # than the network's input
    if (spec.resize == "crop") == wider:
        return height, max(1, (2 * height * columns + rows) // (2 * rows))
    return max(1, (2 * width * rows + columns) // (2 * columns)), width


def centred(outer: int, inner: int) -> slice:
    """The `inner` pixels in the middle of `outer`; of an odd rest, the larger half comes after them."""
    start = (outer - inner) // 2
    return slice(start, start + inner)
