"""The 3x3 grid on a picture: where its cells lie, and how their outlines, ranks and counts are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, ImageDraw

from engine.drawing.colours import BLACK, RGB, WHITE, text_on
from engine.drawing.lettering import font
from engine.results.cells import GRID, Cell, cell_edges

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, the last two exclusive."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A cell's outline, on the picture and in the legend.

    Attributes:
        label: the text in its corner.
        settled: solid if True, else dashed.
    """

    label: str
    settled: bool


def cell_boxes(shape: tuple[int, ...], size: tuple[int, int]) -> dict[Cell, Box]:
    """Return where the cells of a map lie on a picture.

    Args:
        shape: (H, W) of the map, whose pixels the statistics count.
        size: (width, height) of the picture, whose edges are the map's edges.

    Returns:
        (left, top, right, bottom) of every cell, the last two exclusive.
    """
    ys = [round(edge * size[1] / shape[0]) for edge in cell_edges(shape[0])]
    xs = [round(edge * size[0] / shape[1]) for edge in cell_edges(shape[1])]
    return {(r, c): (xs[c], ys[r], xs[c + 1], ys[r + 1]) for r in range(GRID) for c in range(GRID)}


def draw_outline(pen: ImageDraw.ImageDraw, box: Box, outline: Outline, stroke: int, unit: int) -> None:
    """Draw a cell's outline in `box` (left, top, right, bottom, the last two exclusive), its label in the upper left.

    It is white on black, so that it is visible on any picture; solid if the cell is settled, else dashed.
    """
    left, top, right, bottom = box
    right, bottom = max(right - 1, left), max(bottom - 1, top)
    stroke = max(min(stroke, (min(right - left, bottom - top) - 1) // 3), 1)
    pen.rectangle((left, top, right, bottom), outline=BLACK, width=3 * stroke)
    if min(right - left, bottom - top) < 2 * stroke:
        return  # the cell is a thin strip, with room only for its edge
    line = (left + stroke, top + stroke, right - stroke, bottom - stroke)
    if outline.settled:
        pen.rectangle(line, outline=WHITE, width=stroke)
    else:
        _dashed(pen, line, stroke)
    face = font(unit, bold=True)
    wide = round(face.getlength(outline.label)) + unit
    plate = (left, top, min(left + wide, right), min(top + round(unit * 1.5), bottom))
    ink, paper = (BLACK, WHITE) if outline.settled else (WHITE, BLACK)
    pen.rectangle(plate, fill=paper, outline=ink)
    pen.text(((plate[0] + plate[2]) // 2, (plate[1] + plate[3]) // 2), outline.label, fill=ink, font=face, anchor="mm")


def _dashed(pen: ImageDraw.ImageDraw, box: Box, stroke: int) -> None:
    left, top, right, bottom = box
    dash, gap = 4 * stroke, 3 * stroke
    for start in range(left, right + 1, dash + gap):
        end = min(start + dash - 1, right)
        pen.rectangle((start, top, end, top + stroke - 1), fill=WHITE)
        pen.rectangle((start, bottom - stroke + 1, end, bottom), fill=WHITE)
    for start in range(top, bottom + 1, dash + gap):
        end = min(start + dash - 1, bottom)
        pen.rectangle((left, start, left + stroke - 1, end), fill=WHITE)
        pen.rectangle((right - stroke + 1, start, right, end), fill=WHITE)


def draw_cells(picture: Image.Image, shape: tuple[int, ...], labels: Mapping[Cell, str]) -> None:
    """Draw the grid and an outline around every labelled cell on a picture.

    Args:
        picture: RGB; it is drawn on.
        shape: (H, W) of the map.
        labels: by cell; one with a `?` is not settled.
    """
    boxes = cell_boxes(shape, picture.size)
    pen = ImageDraw.Draw(picture)
    stroke, unit = stroke_of(picture), letters_of(picture)
    draw_grid(pen, boxes, picture.size, max(stroke // 3, 1))
    for cell, label in labels.items():
        draw_outline(pen, boxes[cell], outline_of(label), stroke, unit)


def outline_of(label: str) -> Outline:
    """Return the outline of a cell with this label."""
    return Outline(label, settled="?" not in label)


def stroke_of(picture: Image.Image) -> int:
    """Return the width of an outline's line, in pixels."""
    return max(min(picture.size) // 170, 2)


def letters_of(picture: Image.Image) -> int:
    """Return the height of the letters in a cell: a seventh of the cell, but not too small to read."""
    return min(max(min(picture.size) // 21, 15), 90)


def draw_grid(pen: ImageDraw.ImageDraw, boxes: dict[Cell, Box], size: tuple[int, int], stroke: int) -> None:
    """Draw lines between the cells: black with a white edge on either side, visible on any picture."""
    for i in range(1, GRID):
        x, y = boxes[0, i][0], boxes[i, 0][1]
        for colour, half in (((255, 255, 255), stroke), ((0, 0, 0), (stroke - 1) // 2)):
            pen.rectangle((x - half, 0, x + half - 1 + (half == 0), size[1]), fill=colour)
            pen.rectangle((0, y - half, size[0], y + half - 1 + (half == 0)), fill=colour)


def draw_count(pen: ImageDraw.ImageDraw, box: Box, count: str, colour: RGB) -> None:
    """Write a count in the middle of a cell, on a disc of the count's colour."""
    left, top, right, bottom = box
    side = min(right - left, bottom - top)
    x, y = (left + right) // 2, (top + bottom) // 2
    half = side // 5
    ink = text_on(colour)
    pen.ellipse((x - half, y - half, x + half, y + half), fill=colour, outline=ink, width=max(side // 80, 1))
    pen.text((x, y), count, fill=ink, font=font(max(side // 4, 8), bold=True), anchor="mm")


def draw_number(pen: ImageDraw.ImageDraw, box: Box, number: str, colour: RGB) -> None:
    """Write a number of several characters in the middle of a cell, on a plate of the cell's colour."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    face = font(max(min(height // 6, width // 5), 8), bold=True)
    x, y = (left + right) // 2, (top + bottom) // 2
    half, tall = round(face.getlength(number) / 2 + face.size / 2), round(0.8 * face.size)
    ink = text_on(colour)
    pen.rectangle((x - half, y - tall, x + half, y + tall), fill=colour, outline=ink, width=max(height // 80, 1))
    pen.text((x, y), number, fill=ink, font=face, anchor="mm")
