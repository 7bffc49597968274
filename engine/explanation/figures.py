"""The pictures of an explanation with what stands beside each: what the network saw, maps, agreement, exact cells."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engine.drawing.cells import draw_cells
from engine.drawing.colormaps import DEFAULT_COLORMAP
from engine.drawing.colours import colormap, count_colours, signed_colours, signed_scale
from engine.drawing.edges import draw_edges
from engine.drawing.overlays import counts_over, map_over, signed_over
from engine.drawing.scaling import scale_pixels, true_size
from engine.explainers.registry import dependence_notes, method_name, silence_notes
from engine.explanation.evidence_words import evidence_notes
from engine.explanation.exact_words import (
    EXACT_MEANS,
    EXACT_TITLE,
    exact_labels,
    exact_lines,
    exact_notes,
    worth_words,
)
from engine.explanation.words import (
    cell_labels,
    cells_in_words,
    chance_words,
    counted_words,
    map_notes,
    view_words,
)
from engine.results.cells import CELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine.drawing.colours import RGB
    from engine.explanation.explain import Explanation

_BAR_HEIGHT = 8
_STEP_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """The colours of a picture and what they stand for.

    Attributes:
        picture: the colours from left to right.
        ticks: the numbers at equal distances below it.
        unit: what they count.
    """

    picture: Image.Image
    ticks: tuple[str, ...]
    unit: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture and what stands beside it.

    Attributes:
        title: what it is.
        picture: RGB or grey.
        spoken: what it shows, for people who do not see it.
        notes: sentences.
        strong: sentences that must not be overlooked.
        bar: its colours; None for a picture in its own.
    """

    title: str
    picture: Image.Image
    spoken: str
    notes: tuple[str, ...] = ()
    strong: tuple[str, ...] = ()
    bar: Bar | None = None


def figures_of(explanation: Explanation, size: tuple[int, int]) -> Iterator[Figure]:
    """Yield all pictures of an explanation.

    Args:
        explanation: what to draw.
        size: (height, width) of the pictures; see `figure_size`.
    """
    picture = lettered(explanation, Image.fromarray(scale_pixels(explanation.view, *size)))
    yield Figure(view_words(explanation), picture, explanation.image.public_name)
    for method in explanation.maps:
        yield _map(explanation, method, size)
    if explanation.maps:
        yield _agreement(explanation, size)
    yield from _exact(explanation, size)


def lettered(explanation: Explanation, picture: Image.Image, *, numbered: bool = False) -> Image.Image:
    """Write on a picture of the view where in the patient its edges lie, where the image's header says it.

    Not where a program's own function made the network's input: it may have turned or mirrored the image.

    Args:
        explanation: whose view it is.
        picture: RGB; it is drawn on.
        numbered: whether there is a number in the middle of every cell.

    Returns:
        The picture.
    """
    given, image = explanation.bundle.in_memory, explanation.image
    if given is None or given.preprocessing is None:
        draw_edges(picture, image.letters, image.side, numbered=numbered)
    return picture


def figure_size(view: NDArray[np.uint8], side: int, aspect: float = 1.0) -> tuple[int, int]:
    """Return the (height, width) of a picture whose longer side is about `side`: a whole multiple of a small view.

    Args:
        view: (h, w, C).
        side: in pixels.
        aspect: the height of one of the view's pixels divided by its width; the picture has the true shape.
    """
    height, width = true_size(view.shape[0], view.shape[1], aspect)
    longer = max(height, width)
    if longer <= side:
        factor = side // longer
        return max(height * factor, 9), max(width * factor, 9)
    return max(round(height * side / longer), 9), max(round(width * side / longer), 9)


def data_url(picture: Image.Image) -> str:
    """Return a picture as the address that a page has it by without loading anything: a PNG within the text."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def saliency_bar() -> Bar:
    """Return the colours of all maps."""
    picture = Image.fromarray(np.repeat(colormap(DEFAULT_COLORMAP)[None], _BAR_HEIGHT, axis=0))
    return Bar(picture, ("0", "0.5", "1"), "saliency, scaled: 0 the least salient pixel of this map, 1 the most")


def _map(explanation: Explanation, method: str, size: tuple[int, int]) -> Figure:
    saliency, statistics = explanation.maps[method], explanation.statistics[method]
    picture = map_over(explanation.view, saliency.values, size)
    draw_cells(picture, saliency.values.shape, cell_labels(statistics))
    lettered(explanation, picture)
    cells = cells_in_words(statistics)
    worth = (worth_words(explanation, method),) if explanation.exact is not None else ()
    notes = (cells, *worth, *evidence_notes(explanation, method))
    strong = tuple(map_notes(explanation, method))
    return Figure(method_name(method), picture, cells, notes, strong, saliency_bar())


def _agreement(explanation: Explanation, size: tuple[int, int]) -> Figure:
    consensus = explanation.consensus
    shape = next(iter(explanation.maps.values())).values.shape
    count = len(consensus.methods)
    picture = counts_over(
        explanation.view, consensus.counts, shape, size, methods=count, open_cells=consensus.unsettled
    )
    lettered(explanation, picture, numbered=True)
    rows = " / ".join(" ".join(str(int(number)) for number in row) for row in consensus.counts)
    counted = counted_words(explanation)
    sentence = f"{counted[0].upper()}{counted[1:]}."
    notes = (sentence, *chance_words(explanation), *silence_notes(explanation.maps, consensus.methods))
    steps = np.array(count_colours(max(count, 1)), dtype=np.uint8)
    colours = Image.fromarray(np.repeat(np.repeat(steps, _STEP_WIDTH, axis=0)[None], _BAR_HEIGHT, axis=0))
    bar = Bar(colours, tuple(str(number) for number in range(len(steps))), "methods that name the cell")
    return Figure("Agreement", picture, rows, notes, tuple(dependence_notes(explanation.maps)), bar)


def _exact(explanation: Explanation, size: tuple[int, int]) -> Iterator[Figure]:
    """Yield a figure for every fill of the exact cells, all in one scale of colours."""
    exact = explanation.exact
    if exact is None:
        return
    shape = next(iter(explanation.maps.values())).values.shape if explanation.maps else size
    found = list(exact.fills.values())
    values = np.stack([one.shapley for one in found])
    colours, most = signed_colours(values), float(np.abs(values).max())
    lines = list(exact_lines(explanation))
    for i, one in enumerate(found):
        of_cells: Sequence[RGB] = colours[len(CELLS) * i : len(CELLS) * (i + 1)]
        labels = exact_labels(exact, one)
        picture = signed_over(explanation.view, one.shapley, shape, size, colours=of_cells, labels=labels)
        lettered(explanation, picture, numbered=True)
        numbers = " / ".join(" ".join(f"{value:+.3f}" for value in row) for row in one.shapley)
        notes = (lines[i], lines[-1], EXACT_MEANS)
        bar = Bar(
            Image.fromarray(np.repeat(signed_scale()[None], _BAR_HEIGHT, axis=0)),
            (f"{-most:+.2f}", "0", f"{most:+.2f}"),
            "probability that the cell adds; below 0 it speaks against the class",
        )
        yield Figure(f"{EXACT_TITLE}: {one.fill}", picture, numbers, notes, tuple(exact_notes(exact)), bar)
