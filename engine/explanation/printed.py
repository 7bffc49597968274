"""An explanation as text: with pictures on a terminal, and with the numbers of all cells everywhere."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO

import numpy as np

from engine.drawing.cells import cell_boxes
from engine.drawing.colours import OPACITY, WHITE
from engine.drawing.half_blocks import (
    Colours,
    Labels,
    brightness,
    half_block_lines,
    terminal_colours,
    weight_lines,
)
from engine.drawing.overlays import counts_tint, map_over
from engine.drawing.scaling import scale_pixels, true_size
from engine.explainers.registry import dependence_notes, method_name, silence_notes
from engine.explanation.evidence_words import evidence_notes
from engine.explanation.exact_words import EXACT_TITLE, exact_lines, exact_notes, worth_words
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
    view_words,
)
from engine.results.cells import CELLS, GRID, Cell
from engine.results.diagnosis import probability_text
from engine.text import safe_text, shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from engine.explanation.explain import Explanation

_USUAL = 80
_NARROWEST, _WIDEST = 24, 40
"""Columns of a picture: three numbers with their ranks need the fewer."""

_HIGHEST = 24
"""Rows of a picture at most; one of a tall image is narrower instead."""

_STEPS = 7
"""Between the darkest and the brightest colour of a map, where there are 256 colours: each of them looks different."""

_GAP = 2


@dataclass(frozen=True, slots=True)
class _Block:
    """A picture with its title and the numbers of its cells; blocks stand side by side.

    Attributes:
        title: safe, short enough.
        picture: its lines, with escape codes.
        across: how many columns these take on the screen.
        numbers: lines of plain text.
    """

    title: str
    picture: Sequence[str]
    across: int
    numbers: Sequence[str]


def print_explanation(explanation: Explanation, file: TextIO, width: int | None) -> None:
    """Print an explanation; see `Explanation.show`."""
    colours = terminal_colours(file, os.environ)
    columns = max(width if width is not None else _columns(file), _NARROWEST)
    text = "\n".join(explanation_lines(explanation, colours, columns)) + "\n"
    encoding = file.encoding or "utf-8"
    file.write(text.encode(encoding, "backslashreplace").decode(encoding))


def explanation_lines(explanation: Explanation, colours: Colours | None, width: int) -> Iterator[str]:
    """Yield the lines of an explanation.

    Args:
        explanation: what to print.
        colours: of the terminal; None for text without pictures.
        width: columns.
    """
    diagnosis, bundle = explanation.diagnosis, explanation.bundle
    probability = probability_text(float(diagnosis.probabilities[diagnosis.index]), 3)
    yield from _wrapped(f"{diagnosis.predicted} {probability}, confidence {diagnosis.standing}", width)
    yield from _wrapped(f"Explained: {target_words(explanation)}", width)
    yield from _wrapped(f"{explanation.image.public_name}, {bundle.task} / {bundle.name}", width)
    for note in answer_notes(explanation):
        yield from _wrapped(f"! {note}", width)
    across = max((width + _GAP) // (_NARROWEST + _GAP), 1)
    each = min((width - _GAP * (across - 1)) // across, _WIDEST)
    blocks = list(_blocks(explanation, colours, each))
    for start in range(0, len(blocks), across):
        yield ""
        yield from _side_by_side(blocks[start : start + across], each)
    yield ""
    yield from _wrapped(f"Agreement: {counted_words(explanation)}.", width)
    for sentence in chance_words(explanation):
        yield from _wrapped(sentence, width)
    yield from _wrapped(
        "Numbers: the cells' mean saliency and the ranks of the three highest; ? is not settled.", width
    )
    yield from _exact(explanation, width)
    for note in dependence_notes(explanation.maps):
        yield from _wrapped(f"! {note}", width)
    for note in silence_notes(explanation.maps, explanation.consensus.methods):
        yield from _wrapped(note, width)
    for method in explanation.maps:
        for line in evidence_notes(explanation, method):
            yield from _wrapped(f"{method_name(method)}: {line}", width)
        for sentence in (forced_words(explanation.statistics[method]), blank_words(explanation.maps[method])):
            if sentence:
                yield from _wrapped(f"{method_name(method)}: {sentence}", width)
        for note in map_notes(explanation, method):
            yield from _wrapped(f"! {method_name(method)}: {note}", width)
    for method, reason in explanation.failures.items():
        yield from _wrapped(f"! {method_name(method)} gave no map: {reason}", width)
    for sentence in explanation.assumed:
        yield from _wrapped(sentence, width)
    yield from _wrapped(INTENDED_USE, width)


def _exact(explanation: Explanation, width: int) -> Iterator[str]:
    """Yield what the exact cells say of the image, as numbers and words, and of every map."""
    for line in exact_lines(explanation):
        yield from _wrapped(f"{EXACT_TITLE}. {line}", width)
    if explanation.exact is None:
        return
    for fill, found in explanation.exact.fills.items():
        numbers = _numbers({cell: f"{found.shapley[cell]:+.3f}" for cell in CELLS})
        yield from (f"  {title:<6}{row}".rstrip() for title, row in zip((fill, "", ""), numbers, strict=True))
    for method in explanation.maps:
        yield from _wrapped(f"{method_name(method)}: {worth_words(explanation, method)}", width)
    for note in exact_notes(explanation.exact):
        yield from _wrapped(f"! {note}", width)


def _blocks(explanation: Explanation, colours: Colours | None, width: int) -> Iterator[_Block]:
    view, consensus = explanation.view, explanation.consensus
    shape = next(iter(explanation.maps.values())).values.shape
    rows, columns = _size(view, width, explanation.pixel_aspect)
    paper = _Paper(colours, rows, columns, shape)
    if colours is not None:
        seen = paper.picture(partial(scale_pixels, view, *paper.fine), brightness(view), {}, outlined=False)
        yield _Block(_title(view_words(explanation), width), seen, columns, ())
    for method, saliency in explanation.maps.items():
        statistics = explanation.statistics[method]
        labels = cell_labels(statistics)
        overlay = partial(map_over, view, paper.steps(saliency.values), paper.fine, opacity=paper.opacity)
        picture = paper.picture(overlay, saliency.values, labels, outlined=True)
        means = {cell: f"{statistics.mean[cell]:.2f} {labels.get(cell, '')}" for cell in CELLS}
        yield _Block(_title(method_name(method), width), picture, columns, _numbers(means))
    methods = max(len(consensus.methods), 1)
    counts = {cell: f"{consensus.counts[cell]}{'?' if cell in consensus.unsettled else ''}" for cell in CELLS}
    tint = partial(counts_tint, view, consensus.counts, shape, paper.fine, methods=methods, opacity=paper.opacity)
    picture = paper.picture(tint, consensus.counts / methods, counts, outlined=False)
    yield _Block(_title("Agreement", width), picture, columns, _numbers(counts))


@dataclass(frozen=True, slots=True)
class _Paper:
    """What pictures are drawn on: the terminal's colours, the rows and columns of a picture, a map's (H, W)."""

    colours: Colours | None
    rows: int
    columns: int
    shape: tuple[int, ...]

    @property
    def fine(self) -> tuple[int, int]:
        """(height, width) in pixels: two in each character."""
        return 2 * self.rows, self.columns

    @property
    def opacity(self) -> float:
        """Of a map: few colours are too few for what lies below it."""
        return OPACITY if self.colours == "true" else 1.0

    def steps(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return a map's values in [0, 1], in as many steps as the terminal has colours for."""
        return values if self.colours == "true" else np.rint(values * _STEPS) / _STEPS

    def picture(
        self,
        coloured: Callable[[], NDArray[np.uint8] | Image.Image],
        weights: NDArray[np.floating],
        labels: Mapping[Cell, str],
        *,
        outlined: bool,
    ) -> list[str]:
        """Return the lines of a picture; none where there is no terminal.

        Args:
            coloured: draws it, `fine` pixels in RGB.
            weights: in [0, 1], for a terminal without colours.
            labels: text on cells.
            outlined: whether these have an outline.
        """
        if self.colours is None:
            return []
        places = self._places(labels)
        if self.colours == "none":
            return weight_lines(weights, (self.rows, self.columns), places)
        pixels = np.array(coloured())
        for cell in labels if outlined else ():
            self._outline(pixels, cell, 2 if "?" in labels[cell] else 1)
        return half_block_lines(pixels, self.colours, places)

    def _places(self, labels: Mapping[Cell, str]) -> Labels:
        """Return the labels by the (row, column) of their first character, in the middle of their cells."""
        boxes = cell_boxes(self.shape, (self.columns, self.rows))
        return {
            ((top + bottom) // 2, max((left + right - len(label)) // 2, left)): label
            for cell, label in labels.items()
            for left, top, right, bottom in (boxes[cell],)
        }

    def _outline(self, pixels: NDArray[np.uint8], cell: Cell, step: int) -> None:
        """Draw a cell's outline, of every `step`th pixel."""
        left, top, right, bottom = cell_boxes(self.shape, (self.columns, 2 * self.rows))[cell]
        for row in (top, bottom - 1):
            pixels[row, left:right:step] = WHITE
        for column in (left, right - 1):
            pixels[top:bottom:step, column] = WHITE


def _size(view: NDArray[np.uint8], width: int, aspect: float) -> tuple[int, int]:
    """Return the (rows, columns) of pictures in their true shape; a character is about twice as high as wide."""
    height, wide = true_size(view.shape[0], view.shape[1], aspect)
    rows = max(round(width * height / wide / 2), GRID)
    if rows > _HIGHEST:
        rows, width = _HIGHEST, max(round(2 * _HIGHEST * wide / height), 2 * GRID)
    return rows, width


def _numbers(said: Mapping[Cell, str]) -> list[str]:
    """Return what is said of the cells as three lines."""
    return ["".join(f"{said[row, column]:<8}" for column in range(GRID)).rstrip() for row in range(GRID)]


def _title(text: str, width: int) -> str:
    return shorten(safe_text(text), width)


def _side_by_side(blocks: Sequence[_Block], width: int) -> Iterator[str]:
    yield (" " * _GAP).join(f"{block.title:<{width}}" for block in blocks).rstrip()
    for lines in zip_longest(*(block.picture for block in blocks), fillvalue=""):
        padded = (
            line + " " * (width - (block.across if line else 0)) for line, block in zip(lines, blocks, strict=True)
        )
        yield (" " * _GAP).join(padded).rstrip()
    for lines in zip_longest(*(block.numbers for block in blocks), fillvalue=""):
        yield (" " * _GAP).join(f"{line:<{width}}" for line in lines).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    later = "  " if text.startswith("! ") else ""
    return textwrap.wrap(safe_text(text), width, subsequent_indent=later) or [""]


def _columns(file: TextIO) -> int:
    try:
        return os.get_terminal_size(file.fileno()).columns or _USUAL
    except (OSError, ValueError):  # a stream without a descriptor, or with one that is no terminal's
        return _USUAL
