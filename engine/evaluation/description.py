"""What a training script writes for people: `description.txt`, the picture `description.png`, and `[performance]`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bundle.model_bundle import SETTINGS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDTH = 108
_INDENT = "  "
_VERBATIM = "\t"
_PERFORMANCE = "[performance]"


def verbatim(line: str) -> str:
    """Mark a line that must not be wrapped, such as one of a table, for `lay_out`."""
    return f"{_VERBATIM}{line}"


def lay_out(sections: Sequence[Sequence[str]]) -> str:
    """Return sections as text: the first of each is its heading; the others are indented, and wrapped if not verbatim.

    Args:
        sections: heading, then paragraphs and lines marked by `verbatim`.
    """
    return "\n\n".join("\n".join([head, *map(_laid_out, rest)]) for head, *rest in sections) + "\n"


def draw_confusion(confusion: NDArray[np.float64], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix in per cent of each true class, with digits that survive 60x60 pixels.

    Args:
        confusion: (K, K) counts; rows are the truth. Each class has images.
        classes: K names; their initials stand at the rows and columns.
        path: of the PNG.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt  # late: a second of import

    percent = 100 * confusion / confusion.sum(axis=1, keepdims=True)
    size = len(classes) + 1
    figure = plt.figure(figsize=(4.8, 4.8), dpi=100, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size), ylim=(size, 0))
    axes.axis("off")
    for row, name in enumerate(classes):
        initial = name[0].upper()
        axes.text(0.5, row + 1.5, initial, ha="center", va="center", fontsize=52, weight="bold", color="#444444")
        axes.text(row + 1.5, 0.5, initial, ha="center", va="center", fontsize=52, weight="bold", color="#444444")
        for column in range(len(classes)):
            value = percent[row, column]
            colour = plt.get_cmap("Blues")(value / 100)
            axes.add_patch(plt.Rectangle((column + 1, row + 1), 1, 1, facecolor=colour, edgecolor="w"))
            ink = "white" if value > 50 else "black"
            text = f"{value:.0f}"
            points = 58 if len(text) < 3 else 38
            axes.text(column + 1.5, row + 1.5, text, ha="center", va="center", size=points, weight="bold", color=ink)
    axes.text(0.5, 0.5, "predicted →\n\ntrue ↓", ha="center", va="center", fontsize=12, color="#444444")
    figure.savefig(path)
    plt.close(figure)


def write_performance(folder: Path, lines: Sequence[str]) -> None:
    """Write `[performance]` of a folder's `model.toml` anew.

    It is the last section but the self-test, which is dropped: write that afterwards.

    Args:
        folder: the model folder.
        lines: of the section, such as `ScoresByPatient.performance` returns them.
    """
    path = folder / SETTINGS
    above, _, _ = path.read_text(encoding="utf-8").partition(_PERFORMANCE)
    path.write_text("\n".join([above + _PERFORMANCE, *lines]) + "\n", encoding="utf-8")


def _laid_out(text: str) -> str:
    if text.startswith(_VERBATIM):
        return f"{_INDENT}{text.removeprefix(_VERBATIM)}".rstrip()
    return textwrap.fill(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
