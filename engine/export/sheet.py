"""Lay out the page around a picture: a title above it, legends and notes below it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image, ImageDraw

from engine.drawing.cells import Outline, draw_outline
from engine.drawing.colours import RGB, WHITE, colormap, text_on
from engine.drawing.lettering import fit, font, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_INK: RGB = (20, 20, 20)
_MUTED: RGB = (90, 90, 90)
_NARROWEST = 560
"""Smallest width of a page without its margins, in pixels, so that the text can be read beside a narrow picture."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A finished page.

    Attributes:
        image: the whole page, RGB.
        picture: (left, top, width, height) of the picture on it, in pixels.
    """

    image: Image.Image
    picture: tuple[int, int, int, int]


@dataclass(slots=True)
class Page:
    """Collects the parts of a page, then lays them out.

    Attributes:
        picture: RGB image, drawn at its own size.
        title: one line, shortened to fit.
        subtitle: one smaller line, shortened to fit.
    """

    picture: Image.Image
    title: str
    subtitle: str
    _blocks: list[_Block] = field(default_factory=list)

    def add_colour_bar(self, name: str, label: str) -> None:
        """Add a colormap from 0 to 1 with numbers, and what they mean."""
        self.add_colours(colormap(name), label, ("0", "0.25", "0.5", "0.75", "1"))

    def add_colours(self, colours: NDArray[np.uint8], label: str, ticks: tuple[str, ...]) -> None:
        """Add a bar of (n, 3) colours from left to right, with numbers at equal distances, and what they mean."""
        self._blocks.append(_ColourBar(colours, label, ticks))

    def add_key(self, colours: Sequence[RGB], label: str) -> None:
        """Add a numbered field for every colour, from 0 on, and what the numbers mean."""
        self._blocks.append(_Key(tuple(colours), label))

    def add_outline(self, outline: Outline, text: str) -> None:
        """Add a small outline, and what it means."""
        self._blocks.append(_OutlineText(outline, text))

    def add_note(self, text: str, *, strong: bool = False) -> None:
        """Add a paragraph, in bold if `strong`, for what must not be overlooked."""
        self._blocks.append(_Note(text, strong))

    def draw(self) -> Sheet:
        """Lay the page out on white; letters grow with the picture."""
        unit = min(max(self.picture.width // 36, 15), 48)
        margin = unit
        width = max(self.picture.width, _NARROWEST) + 2 * margin
        inner = width - 2 * margin
        above = margin + round(unit * 3.4)
        left = (width - self.picture.width) // 2
        scratch = ImageDraw.Draw(Image.new("RGB", (1, 1)))  # drawn on once, only to measure the blocks' heights
        heights = [block.draw(scratch, 0, 0, inner, unit) for block in self._blocks]
        height = above + self.picture.height + unit + sum(heights) + margin
        page = Image.new("RGB", (width, height), WHITE)
        pen = ImageDraw.Draw(page)
        big, small = font(round(unit * 1.15), bold=True), font(round(unit * 0.9))
        pen.text((margin, margin), fit(self.title, big, inner), fill=_INK, font=big)
        pen.text((margin, margin + round(unit * 1.7)), fit(self.subtitle, small, inner), fill=_MUTED, font=small)
        page.paste(self.picture, (left, above))
        y = above + self.picture.height + unit
        for block, block_height in zip(self._blocks, heights, strict=True):
            block.draw(pen, margin, y, inner, unit)
            y += block_height
        return Sheet(page, (left, above, self.picture.width, self.picture.height))


class _Block(Protocol):
    """Something below the picture."""

    def draw(self, pen: ImageDraw.ImageDraw, x: int, y: int, width: int, unit: int) -> int:
        """Draw at (x, y) with letters of about `unit` pixels; return the height used."""


@dataclass(frozen=True, slots=True)
class _ColourBar:
    colours: NDArray[np.uint8]
    label: str
    ticks: tuple[str, ...]

    def draw(self, pen: ImageDraw.ImageDraw, x: int, y: int, width: int, unit: int) -> int:
        places = np.rint(np.linspace(0, len(self.colours) - 1, width)).astype(int)
        for i, (red, green, blue) in enumerate(self.colours[places].tolist()):
            pen.line((x + i, y, x + i, y + unit), fill=(red, green, blue))
        pen.rectangle((x, y, x + width - 1, y + unit), outline=_MUTED)
        small = font(round(unit * 0.85))
        last = len(self.ticks) - 1
        for i, tick in enumerate(self.ticks):
            at = x + round(i * (width - 1) / last)
            pen.line((at, y + unit, at, y + unit + unit // 4), fill=_MUTED)
            anchor = "la" if i == 0 else "ra" if i == last else "ma"
            pen.text((at, y + round(unit * 1.3)), tick, fill=_INK, font=small, anchor=anchor)
        pen.text((x, y + round(unit * 2.5)), fit(self.label, small, width), fill=_MUTED, font=small)
        return round(unit * 4)


@dataclass(frozen=True, slots=True)
class _Key:
    colours: tuple[RGB, ...]
    label: str

    def draw(self, pen: ImageDraw.ImageDraw, x: int, y: int, width: int, unit: int) -> int:
        bold, small = font(unit, bold=True), font(round(unit * 0.85))
        side = min(width // len(self.colours), unit * 6)
        for count, colour in enumerate(self.colours):
            box = (x + count * side, y, x + (count + 1) * side - 1, y + round(unit * 1.6))
            pen.rectangle(box, fill=colour, outline=_MUTED)
            middle = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
            pen.text(middle, str(count), fill=text_on(colour), font=bold, anchor="mm")
        lines = wrap(self.label, small, width)
        for i, line in enumerate(lines):
            pen.text((x, y + round(unit * (2.1 + 1.2 * i))), line, fill=_MUTED, font=small)
        return round(unit * (2.5 + 1.2 * len(lines)))


@dataclass(frozen=True, slots=True)
class _OutlineText:
    outline: Outline
    text: str

    def draw(self, pen: ImageDraw.ImageDraw, x: int, y: int, width: int, unit: int) -> int:
        wide = round(unit * 3.6)
        high = round(unit * 1.9)
        face = font(round(unit * 0.95))
        lines = wrap(self.text, face, width - wide - unit)
        step = round(unit * 1.35)
        pen.rectangle((x, y, x + wide - 1, y + high - 1), fill=(150, 150, 150))
        draw_outline(pen, (x, y, x + wide, y + high), self.outline, max(unit // 6, 2), unit)
        top = y + max((high - step * len(lines)) // 2, 0)
        for i, line in enumerate(lines):
            pen.text((x + wide + unit, top + i * step), line, fill=_INK, font=face)
        return max(high, step * len(lines)) + round(unit * 0.5)


@dataclass(frozen=True, slots=True)
class _Note:
    text: str
    strong: bool

    def draw(self, pen: ImageDraw.ImageDraw, x: int, y: int, width: int, unit: int) -> int:
        face = font(round(unit * 0.95), bold=self.strong)
        step = round(unit * 1.35)
        lines = wrap(self.text, face, width)
        for i, line in enumerate(lines):
            pen.text((x, y + i * step), line, fill=_INK if self.strong else _MUTED, font=face)
        return step * len(lines) + round(unit * 0.5)
