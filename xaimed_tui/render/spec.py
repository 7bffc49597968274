"""What a picture shows. Light to import: the drawing itself is in `picture.py`, which is imported late."""

from __future__ import annotations

import hashlib
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.drawing.colormaps import COLORMAPS, DEFAULT_COLORMAP
from engine.results.cells import GRID, Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

Style = Literal["image", "overlay", "map", "cells", "agreement", "exact"]

NO_LETTERS = ("", "", "", "")
"""The edges of a picture of which nobody knows where in the patient they lie."""

_DIGESTS: dict[int, tuple[weakref.ref[NDArray[np.generic]], str]] = {}
"""Digests of read-only arrays by `id`, as arrays cannot be hashed; the reference tells when an id is used again."""


@dataclass(frozen=True, eq=False)
class PictureSpec:
    """One picture: the image, what lies on it, and how it is shown. Neither it nor its arrays are ever changed.

    Two specs are equal if they show the same content, even from different arrays.

    Attributes:
        pixels: (h, w, C) uint8, C 1 or 3: the view that the network saw.
        values: (H, W) float32 in [0, 1], a saliency map whose edges are the view's edges; for `overlay` and `map`.
        style: `image` the view alone; `overlay` the map over the view in grey; `map` the map alone; `cells` the
            view in its own colours with the cells marked; `agreement` the counts on the view's cells; `exact` a
            signed number on each.
        top: cells to mark, in the order of their ranks; drawn in the styles `overlay`, `map` and `cells`.
        ties: cells whose place among the three is not settled, in `top` or not; for counts, those whose count may be
            another.
        exact: those of the exact three that speak for the class, in the order of their ranks; for `exact` and
            `agreement`.
        firm: those of `exact` that are firm.
        counts: (3, 3), how many methods marked each cell; for `agreement`.
        signed: (3, 3) float64, what each cell is worth; for `exact`.
        methods: the highest count that is possible.
        colormap: one of `engine.drawing.colormaps.COLORMAPS`.
        opacity: how much of the map or the counts covers the view, 0 to 1.
        show_grid: thin lines between the cells; always there for `agreement` and `exact`.
        highlight: a cell to point out, e.g. the one of a table's cursor.
        zoom: how many times larger than the largest fit the picture is drawn; a whole number, 1 shows all of it.
        centre: the point (x, y) of the picture, each in [0, 1], in the middle of the box while it is magnified.
        aspect: the height of a pixel divided by its width; the picture is drawn in its true shape.
        edges: where in the patient the left, right, upper and lower edges lie, as `("R", "L", "A", "P")`; each may be
            empty.
        side: the side of the body, a word for the upper right corner; may be empty.
        evenly: whether its pixels may be enlarged by a whole number instead of filling the box.
        of: which image this is, if it may be shown in several ways; empty if the pixels alone tell.

    Raises:
        ValueError: something is missing, or has the wrong shape or range.
    """

    pixels: NDArray[np.uint8]
    values: NDArray[np.float32] | None = None
    style: Style = "image"
    top: tuple[Cell, ...] = ()
    ties: tuple[Cell, ...] = ()
    exact: tuple[Cell, ...] = ()
    firm: tuple[Cell, ...] = ()
    counts: NDArray[np.int64] | None = None
    signed: NDArray[np.float64] | None = None
    methods: int = 4
    colormap: str = DEFAULT_COLORMAP
    opacity: float = 0.55
    show_grid: bool = False
    highlight: Cell | None = None
    zoom: int = 1
    centre: tuple[float, float] = (0.5, 0.5)
    aspect: float = 1.0
    edges: tuple[str, str, str, str] = NO_LETTERS
    side: str = ""
    evenly: bool = True
    of: str = ""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] not in (1, 3) or not self.pixels.size:
            raise ValueError(f"pixels must be (h, w, 1) or (h, w, 3), not {self.pixels.shape}")
        if self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels must be uint8, not {self.pixels.dtype}")
        if self.style in ("overlay", "map") and (self.values is None or self.values.ndim != 2):
            raise ValueError(f"the style {self.style} needs a map of shape (H, W)")
        if self.style == "agreement" and (self.counts is None or self.counts.shape != (GRID, GRID)):
            raise ValueError("the style agreement needs (3, 3) counts")
        if self.style == "exact" and (self.signed is None or self.signed.shape != (GRID, GRID)):
            raise ValueError("the style exact needs (3, 3) signed numbers")
        if self.colormap not in COLORMAPS:
            raise ValueError(f"{self.colormap!r} is not a colormap")
        if not 0.0 <= self.opacity <= 1.0:
            raise ValueError(f"an opacity of {self.opacity} is not in [0, 1]")
        if not 0.0 < self.aspect < np.inf:
            raise ValueError(f"pixels cannot be {self.aspect} times as high as wide")
        if self.zoom < 1:
            raise ValueError(f"a zoom of {self.zoom} is not at least 1")

    @cached_property
    def image_key(self) -> str:
        """What is the same for two specs that show the same image, be it through another window."""
        return self.of or _digest(self.pixels)

    @cached_property
    def key(self) -> str:
        """Digest of everything that changes what is drawn. The first call reads all arrays: 1 ms per megabyte."""
        parts = (
            self.of,
            _digest(self.pixels),
            None if self.values is None else _digest(self.values),
            None if self.counts is None else _digest(self.counts),
            None if self.signed is None else _digest(self.signed),
            *(
                self.style,
                self.top,
                self.ties,
                self.exact,
                self.firm,
                self.methods,
                self.colormap,
                self.opacity,
                self.show_grid,
            ),
            *(self.highlight, self.zoom, self.centre, self.aspect, self.edges, self.side, self.evenly),
        )
        return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PictureSpec) and (self is other or self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)


def _digest(array: NDArray[np.generic]) -> str:
    """Return a digest of shape, type and content; it is worked out once for a read-only array."""
    kept = _DIGESTS.get(id(array))
    if kept is not None and kept[0]() is array:
        return kept[1]
    data = hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16)
    data.update(repr((array.shape, array.dtype.str)).encode())
    digest = data.hexdigest()
    if not array.flags.writeable:
        place = id(array)
        _DIGESTS[place] = (weakref.ref(array, lambda _: _DIGESTS.pop(place, None)), digest)
    return digest
