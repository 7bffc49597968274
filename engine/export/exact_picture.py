"""Draw the exact cells: for every fill the nine values in colours and numbers, side by side on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from engine.drawing.cells import outline_of
from engine.drawing.colours import WHITE, signed_colours, signed_scale
from engine.drawing.lettering import fit, font
from engine.drawing.overlays import signed_over
from engine.explainers.registry import method_name
from engine.explanation.exact_words import (
    EXACT_MEANS,
    EXACT_TITLE,
    exact_labels,
    exact_lines,
    exact_notes,
    worth_words,
)
from engine.explanation.figures import lettered
from engine.explanation.words import INTENDED_USE
from engine.export.pictures import add_answer_notes, new_page, picture_size
from engine.results.exact_cells import FILL_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.drawing.colours import RGB
    from engine.explanation.explain import Explanation
    from engine.export.sheet import Sheet
    from engine.results.cells import Cell
    from engine.results.exact_cells import ExactCells, FillValues

_LONGEST_SIDE = 1_024
"""Of each picture: several lie side by side, and what counts on them is the nine numbers."""


def exact_picture(explanation: Explanation, exact: ExactCells) -> Sheet:
    """Draw the nine values under every fill over the grey view, all in one scale; the exact three are outlined.

    Outlines are dashed where a cell is not firm, that is, not among the exact three under every fill that matters.

    Args:
        explanation: what the cells lie on, and the maps that they judge.
        exact: its exact cells.
    """
    found = list(exact.fills.values())
    most = max(float(np.abs(one.shapley).max()) for one in found)
    colours = signed_colours(np.stack([one.shapley for one in found]))
    pictures = [
        _over(explanation, one, colours[9 * i : 9 * (i + 1)], exact_labels(exact, one)) for i, one in enumerate(found)
    ]
    page = new_page(
        explanation, _side_by_side(pictures, [f"hidden by {FILL_NAMES[one.fill]}" for one in found]), EXACT_TITLE
    )
    page.add_colours(signed_scale(), "in units of probability: below 0 a cell speaks against the class", _ticks(most))
    page.add_note(EXACT_MEANS)
    for line in exact_lines(explanation):
        page.add_note(line)
    page.add_outline(outline_of("1"), "one of the three cells with the highest values, which speaks for the class")
    if exact.firm is not None:
        page.add_outline(outline_of("2?"), "the same, but not under every way to hide cells: it is not firm")
    for method in explanation.maps:
        page.add_note(f"{method_name(method)}: {worth_words(explanation, method)}")
    add_answer_notes(page, explanation)
    for note in exact_notes(exact):
        page.add_note(note, strong=True)
    page.add_note(INTENDED_USE)
    return page.draw()


def _over(
    explanation: Explanation, found: FillValues, colours: Sequence[RGB], labels: Mapping[Cell, str]
) -> Image.Image:
    height, width = picture_size(explanation)
    shrink = min(_LONGEST_SIDE / max(height, width), 1.0)
    size = max(round(height * shrink), 9), max(round(width * shrink), 9)
    shape = next((saliency.values.shape for saliency in explanation.maps.values()), size)
    picture = signed_over(explanation.view, found.shapley, shape, size, colours=colours, labels=labels)
    return lettered(explanation, picture, numbered=True)


def _side_by_side(pictures: Sequence[Image.Image], titles: Sequence[str]) -> Image.Image:
    """Return pictures of one size beside each other, each below its title."""
    width, height = pictures[0].size
    letters = max(min(width // 20, 40), 14)
    gap, above = letters, 2 * letters
    whole = Image.new("RGB", (len(pictures) * (width + gap) - gap, above + height), WHITE)
    pen, face = ImageDraw.Draw(whole), font(letters)
    for i, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        left = i * (width + gap)
        pen.text((left, letters // 2), fit(title, face, width), fill=(20, 20, 20), font=face)
        whole.paste(picture, (left, above))
    return whole


def _ticks(most: float) -> tuple[str, ...]:
    return tuple(f"{part * most:+.3f}" if part else "0" for part in (-1.0, -0.5, 0.0, 0.5, 1.0))
