"""Draw the pictures that are written to files: overlay, cells, agreement, and the image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from engine.drawing.colormaps import DEFAULT_COLORMAP
from engine.drawing.colours import RGB, backdrop, blend, colormap, count_colours, text_on, to_steps
from engine.drawing.lettering import font
from engine.drawing.scaling import scale_pixels, scale_steps
from engine.explainers.registry import dependence_notes, method_name
from engine.export.sheet import Outline, Page, Sheet, draw_outline
from engine.images.bits import shown_values
from engine.results.cells import CELL_NAMES, GRID, Cell, cell_edges
from engine.results.diagnosis import probability_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from engine.bundle.specs import InputSpec
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage

SHORTEST_SIDE = 512
"""Images are enlarged by a whole number until their shorter side has at least this many pixels."""

LONGEST_SIDE = 16_384
"""No side is enlarged beyond this: a strip of 1 x 20,000 pixels stays a strip."""

OPACITY = 0.55
"""Of the colours over the grey image."""
INTENDED_USE = "Research use only; not a medical device."

_NARROWEST = 3 * GRID
"""Every side has at least this many pixels, so that nine cells can be drawn."""


def original_picture(image: MedicalImage, spec: InputSpec) -> Image.Image:
    """Return the whole image at its own size, grey or RGB, 8 bits a channel; 16-bit values are divided by 257.

    Fewer significant bits are scaled likewise, as for the model that `spec` describes.
    """
    pixels = shown_values(image, spec)
    return Image.fromarray(pixels[:, :, 0] if image.colour == "grey" else pixels)


def overlay_picture(explanation: Explanation, method: str) -> Sheet:
    """Draw a method's saliency map over the grey view, with a colour bar.

    Raises:
        KeyError: the explanation has no map of the method.
    """
    saliency = explanation.maps[method]
    height, width = enlarged_size(explanation.view)
    heat = colormap(DEFAULT_COLORMAP)[scale_steps(to_steps(saliency.values), height, width)]
    picture = blend(backdrop(scale_pixels(explanation.view, height, width)), heat, OPACITY)
    page = _page(explanation, Image.fromarray(picture), method_name(method))
    page.add_colour_bar(
        DEFAULT_COLORMAP, "saliency (scaled): 0 the least salient pixel of this map, 1 the most salient"
    )
    _add_warnings(page, explanation, method)
    page.add_note(INTENDED_USE)
    return page.draw()


def cells_picture(explanation: Explanation, method: str) -> Sheet:
    """Draw the view in its own colours with the 3x3 grid and a method's three cells (paper, figure 8).

    Raises:
        KeyError: the explanation has no map of the method.
    """
    statistics = explanation.statistics[method]
    saliency = explanation.maps[method]
    picture = Image.fromarray(scale_pixels(explanation.view, *enlarged_size(explanation.view)))
    boxes = cell_boxes(saliency.values.shape, picture.size)
    pen = ImageDraw.Draw(picture)
    stroke, unit = _stroke(picture), _unit(picture)
    _draw_grid(pen, boxes, picture.size, max(stroke // 3, 1))
    marks = _outlines(statistics.top, statistics.ties)
    for cell, outline in marks.items():
        draw_outline(pen, boxes[cell], outline, stroke, unit)
    page = _page(explanation, picture, f"{method_name(method)}: cells")
    errors = saliency.cell_errors
    for cell, outline in sorted(marks.items(), key=lambda item: (item[0] not in statistics.top, item[1].label)):
        error = "" if errors is None else f" ± {errors[cell]:.3f} (standard error)"
        text = f"{CELL_NAMES[cell]}: mean saliency {statistics.mean[cell]:.3f}{error}"
        page.add_outline(outline, text)
    if marks:
        page.add_note("Numbers are the ranks of the three cells with the highest mean saliency.")
    if statistics.ties:
        page.add_note("Dashed, with “?”: a cell whose place among the three is not settled.")
    _add_warnings(page, explanation, method)
    page.add_note(INTENDED_USE)
    return page.draw()


def agreement_picture(explanation: Explanation) -> Sheet:
    """Draw the view in grey, and on each cell the number of methods that have it among their three."""
    consensus = explanation.consensus
    methods = len(consensus.methods)
    colours = count_colours(max(methods, 1))
    height, width = enlarged_size(explanation.view)
    shape = next((saliency.values.shape for saliency in explanation.maps.values()), (height, width))
    boxes = cell_boxes(shape, (width, height))
    planes = np.zeros((height, width, 3), dtype=np.uint8)
    for cell, (left, top, right, bottom) in boxes.items():
        planes[top:bottom, left:right] = colours[int(consensus.counts[cell])]
    mixed = blend(backdrop(scale_pixels(explanation.view, height, width)), planes, OPACITY)
    picture = Image.fromarray(mixed)
    pen = ImageDraw.Draw(picture)
    _draw_grid(pen, boxes, picture.size, max(_stroke(picture) // 2, 1))
    for cell, box in boxes.items():
        count = int(consensus.counts[cell])
        _draw_count(pen, box, f"{count}?" if cell in consensus.unsettled else str(count), colours[count])
    page = _page(explanation, picture, "Agreement")
    names = [method_name(method) for method in consensus.methods]
    if methods:
        page.add_key(colours, f"how many of {methods} maps have the cell among their three: {', '.join(names)}")
    else:
        page.add_note("No map could be made, so there is nothing to count.", strong=True)
    _add_answer_notes(page, explanation)
    for note in dependence_notes(consensus.methods):
        page.add_note(note, strong=True)
    for method, name_of_method in zip(consensus.methods, names, strict=True):
        for text in _uncertainties(explanation, method):
            page.add_note(f"{name_of_method}: {text}")
        for text in explanation.maps[method].warnings:
            page.add_note(f"{name_of_method}: {text}", strong=True)
    for method, reason in explanation.failures.items():
        page.add_note(f"{method_name(method)} gave no map: {reason}", strong=True)
    page.add_note(INTENDED_USE)
    return page.draw()


def enlarged_size(view: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the (height, width) in pixels at which to draw a view: its own if large enough, else a whole multiple."""
    height, width = view.shape[:2]
    factor = -(-SHORTEST_SIDE // min(height, width))
    factor = max(min(factor, LONGEST_SIDE // max(height, width)), 1)
    return max(height * factor, _NARROWEST), max(width * factor, _NARROWEST)


def cell_boxes(shape: tuple[int, ...], size: tuple[int, int]) -> dict[Cell, tuple[int, int, int, int]]:
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


def _page(explanation: Explanation, picture: Image.Image, what: str) -> Page:
    diagnosis = explanation.diagnosis
    probability = float(diagnosis.probabilities[diagnosis.classes.index(explanation.target)])
    target = f"{what} for “{explanation.target}”, probability {probability_text(probability, 3)}"
    if explanation.target != diagnosis.predicted:
        target += f" (predicted: “{diagnosis.predicted}”{', undecided' if diagnosis.undecided else ''})"
    elif diagnosis.undecided:
        target += ", undecided"
    bundle = explanation.bundle
    return Page(picture, target, f"{explanation.image.path.name} · {bundle.task} / {bundle.name}")


def _outlines(top: tuple[Cell, ...], ties: tuple[Cell, ...]) -> dict[Cell, Outline]:
    outlines = {cell: Outline("?", settled=False) for cell in ties if cell not in top}
    for rank, cell in enumerate(top, start=1):
        outlines[cell] = Outline(f"{rank}?", settled=False) if cell in ties else Outline(str(rank), settled=True)
    return outlines


def _add_answer_notes(page: Page, explanation: Explanation) -> None:
    diagnosis = explanation.diagnosis
    if diagnosis.undecided:  # a long title is cut, and does not say why
        page.add_note(f"Undecided: {diagnosis.why_undecided}.", strong=True)
    for text in diagnosis.warnings:
        page.add_note(text, strong=True)


def _add_warnings(page: Page, explanation: Explanation, method: str) -> None:
    _add_answer_notes(page, explanation)
    for text in _uncertainties(explanation, method):
        page.add_note(text, strong=True)
    for text in explanation.maps[method].warnings:
        page.add_note(text, strong=True)


def _uncertainties(explanation: Explanation, method: str) -> Iterable[str]:
    """Yield sentences about what is uncertain in a map."""
    saliency, statistics = explanation.maps[method], explanation.statistics[method]
    if saliency.constant:
        yield "Constant map: no cell is marked."
    if saliency.stopped:
        yield f"Stopped after {saliency.samples:,} samples."
    if statistics.ties:
        cells = ", ".join(CELL_NAMES[cell] for cell in statistics.ties)
        start = "At 99 % it is" if saliency.cells is not None else "Some cells are equal, so it is"
        yield f"{start} not settled which of these cells belong to the three: {cells}."


def _stroke(picture: Image.Image) -> int:
    return max(min(picture.size) // 170, 2)


def _unit(picture: Image.Image) -> int:
    """Return the height of the letters in a cell: a seventh of the cell, but not too small to read."""
    return min(max(min(picture.size) // 21, 15), 90)


def _draw_grid(
    pen: ImageDraw.ImageDraw, boxes: dict[Cell, tuple[int, int, int, int]], size: tuple[int, int], stroke: int
) -> None:
    """Draw lines between the cells: black with a white edge on either side, visible on any picture."""
    for i in range(1, GRID):
        x, y = boxes[0, i][0], boxes[i, 0][1]
        for colour, half in (((255, 255, 255), stroke), ((0, 0, 0), (stroke - 1) // 2)):
            pen.rectangle((x - half, 0, x + half - 1 + (half == 0), size[1]), fill=colour)
            pen.rectangle((0, y - half, size[0], y + half - 1 + (half == 0)), fill=colour)


def _draw_count(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], count: str, colour: RGB) -> None:
    left, top, right, bottom = box
    side = min(right - left, bottom - top)
    x, y = (left + right) // 2, (top + bottom) // 2
    half = side // 5
    ink = text_on(colour)
    pen.ellipse((x - half, y - half, x + half, y + half), fill=colour, outline=ink, width=max(side // 80, 1))
    pen.text((x, y), count, fill=ink, font=font(max(side // 4, 8), bold=True), anchor="mm")
