"""Draw the pictures that are written to files: overlay, cells, agreement, and the image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engine.drawing.cells import draw_cells, outline_of
from engine.drawing.colormaps import DEFAULT_COLORMAP
from engine.drawing.colours import count_colours
from engine.drawing.overlays import counts_over, map_over
from engine.drawing.scaling import LONGEST_SIDE, scale_pixels, true_size
from engine.explainers.registry import dependence_notes, method_name, silence_notes
from engine.explanation.figures import lettered
from engine.explanation.words import (
    INTENDED_USE,
    answer_notes,
    blank_words,
    cell_labels,
    chance_words,
    counted_words,
    forced_words,
    map_notes,
    target_words,
    uncertainties,
)
from engine.export.sheet import Page, Sheet
from engine.images.bits import shown_values
from engine.results.cells import CELL_NAMES, GRID

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.bundle.specs import InputSpec
    from engine.explanation.explain import Explanation
    from engine.images.image import MedicalImage

SHORTEST_SIDE = 512
"""Images are enlarged by a whole number until their shorter side has at least this many pixels."""

_NARROWEST = 3 * GRID
"""Every side has at least this many pixels, so that nine cells can be drawn."""


def original_picture(image: MedicalImage, spec: InputSpec) -> Image.Image:
    """Return the whole image at its own size, grey or RGB, 8 bits a channel; 16-bit values are divided by 257.

    Fewer significant bits are scaled likewise, as for the model that `spec` describes. Pixels that are not square are
    drawn longer in one direction, so that the picture has its true shape.
    """
    pixels = shown_values(image, spec)
    if (size := true_size(image.height, image.width, image.pixel_aspect)) != pixels.shape[:2]:
        pixels = scale_pixels(pixels, *size)
    return Image.fromarray(pixels[:, :, 0] if image.colour == "grey" else pixels)


def overlay_picture(explanation: Explanation, method: str) -> Sheet:
    """Draw a method's saliency map over the grey view, with a colour bar.

    Raises:
        KeyError: the explanation has no map of the method.
    """
    saliency = explanation.maps[method]
    picture = map_over(explanation.view, saliency.values, picture_size(explanation))
    page = new_page(explanation, lettered(explanation, picture), method_name(method))
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
    picture = Image.fromarray(scale_pixels(explanation.view, *picture_size(explanation)))
    labels = cell_labels(statistics)
    draw_cells(picture, saliency.values.shape, labels)
    page = new_page(explanation, lettered(explanation, picture), f"{method_name(method)}: cells")
    errors = saliency.cell_errors
    for cell, label in sorted(labels.items(), key=lambda item: (item[0] not in statistics.top, item[1])):
        error = "" if errors is None else f" ± {errors[cell]:.3f} (standard error)"
        text = f"{CELL_NAMES[cell]}: mean saliency {statistics.mean[cell]:.3f}{error}"
        page.add_outline(outline_of(label), text)
    if labels:
        page.add_note("Numbers are the ranks of the three cells with the highest mean saliency.")
    for sentence in (forced_words(statistics), blank_words(saliency)):
        if sentence:
            page.add_note(sentence)
    if statistics.ties:
        page.add_note("Dashed, with “?”: a cell whose place among the three is not settled.")
    _add_warnings(page, explanation, method)
    page.add_note(INTENDED_USE)
    return page.draw()


def agreement_picture(explanation: Explanation) -> Sheet:
    """Draw the view in grey, and on each cell the number of methods that have it among their three."""
    consensus = explanation.consensus
    methods = len(consensus.methods)
    size = picture_size(explanation)
    shape = next((saliency.values.shape for saliency in explanation.maps.values()), size)
    picture = counts_over(
        explanation.view, consensus.counts, shape, size, methods=methods, open_cells=consensus.unsettled
    )
    page = new_page(explanation, lettered(explanation, picture, numbered=True), "Agreement")
    counted = counted_words(explanation)
    if methods:
        page.add_key(count_colours(methods), counted)
    else:
        page.add_note(f"{counted[0].upper()}{counted[1:]}.", strong=True)
    for text in chance_words(explanation):
        page.add_note(text)
    add_answer_notes(page, explanation)
    for note in dependence_notes(explanation.maps):
        page.add_note(note, strong=True)
    for note in silence_notes(explanation.maps, consensus.methods):
        page.add_note(note)
    for method in consensus.methods:
        for text in uncertainties(explanation, method):
            page.add_note(f"{method_name(method)}: {text}")
        for text in explanation.maps[method].warnings:
            page.add_note(f"{method_name(method)}: {text}", strong=True)
    for method, reason in explanation.failures.items():
        page.add_note(f"{method_name(method)} gave no map: {reason}", strong=True)
    page.add_note(INTENDED_USE)
    return page.draw()


def picture_size(explanation: Explanation) -> tuple[int, int]:
    """Return the (height, width) in pixels at which to draw what lies on an explanation's view."""
    return enlarged_size(explanation.view, explanation.pixel_aspect)


def enlarged_size(view: NDArray[np.uint8], aspect: float = 1.0) -> tuple[int, int]:
    """Return the (height, width) in pixels at which to draw a view: its own if large enough, else a whole multiple.

    Args:
        view: (h, w, C).
        aspect: the height of one of its pixels divided by its width; the size has the true shape.
    """
    height, width = true_size(view.shape[0], view.shape[1], aspect)
    factor = -(-SHORTEST_SIDE // min(height, width))
    factor = max(min(factor, LONGEST_SIDE // max(height, width)), 1)
    return max(height * factor, _NARROWEST), max(width * factor, _NARROWEST)


def new_page(explanation: Explanation, picture: Image.Image, what: str) -> Page:
    """Return a page for a picture of an explanation, titled by what it shows."""
    bundle = explanation.bundle
    return Page(
        picture,
        f"{what} for {target_words(explanation)}",
        f"{explanation.image.public_name} · {bundle.task} / {bundle.name}",
    )


def add_answer_notes(page: Page, explanation: Explanation) -> None:
    """Add what must not be overlooked about the answer."""
    for text in answer_notes(explanation):  # a long title is cut, and does not say why the answer is undecided
        page.add_note(text, strong=True)


def _add_warnings(page: Page, explanation: Explanation, method: str) -> None:
    add_answer_notes(page, explanation)
    for text in map_notes(explanation, method):
        page.add_note(text, strong=True)
