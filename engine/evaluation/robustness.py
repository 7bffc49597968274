"""What alterations of the images cost a network: the robustness table of a model's description.

    rows = robustness(predict, images, labels, COLOUR)
    print("\\n".join(table(rows, ("NO-IDC", "IDC"))))

Nothing here knows of torch: `predict` is any function from images to probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.alterations import Alteration
from engine.evaluation.scores import Scores, score

Predict = Callable[[Sequence[NDArray[np.uint8]]], NDArray[np.floating]]
"""From images, (H, W) or (H, W, C) `uint8` each, to probabilities (N, K), or (N,) of the second of two classes."""

UNALTERED = "as they are"


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of the same images after one alteration; `name` is `UNALTERED` for those of the images themselves."""

    name: str
    scores: Scores


def altered(images: Sequence[NDArray[np.uint8]], alteration: Alteration, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return the images after an alteration. Each draws from a generator of its own, whatever else is altered."""
    return [alteration.apply(image, np.random.default_rng([seed, row])) for row, image in enumerate(images)]


def robustness(
    predict: Predict,
    images: Sequence[NDArray[np.uint8]],
    labels: NDArray[np.integer],
    alterations: Sequence[Alteration],
    threshold: float | None = None,
    *,
    seed: int = 0,
    done: Callable[[Row], None] = lambda row: None,
) -> tuple[Row, ...]:
    """Score a network on images as they are and after each alteration.

    Args:
        predict: the network with its preprocessing; see `Predict`. It is called once for each row.
        images: (H, W) or (H, W, C) `uint8` each.
        labels: (N,) the true class of each, from 0.
        alterations: `COLOUR` or `GREY` of `engine.evaluation.alterations`, or others.
        threshold: see `engine.evaluation.scores.answers`.
        seed: of the noise.
        done: called with each row as soon as it is there.

    Returns:
        The unaltered images first, then the alterations in their order.
    """
    rows: list[Row] = []
    for alteration in (None, *alterations):
        shown = list(images) if alteration is None else altered(images, alteration, seed)
        name = UNALTERED if alteration is None else alteration.name
        rows.append(Row(name, score(labels, predict(shown), threshold)))
        done(rows[-1])
    return tuple(rows)


def table(rows: Sequence[Row], classes: Sequence[str]) -> list[str]:
    """Return the lines of the table: recall of each class, balanced accuracy, area; in brackets the change.

    Args:
        rows: as `robustness` returns them; the first is what the others are compared with.
        classes: their names, for the head.
    """
    columns = [*(f"recall {name}" for name in classes), "balanced acc.", "AUROC"]
    widths = [max(len(column), len("0.000 (-0.000)")) for column in columns]
    first = max(len(row.name) for row in rows)
    head = "  ".join(f"{column:<{width}}" for column, width in zip(columns, widths, strict=True))
    lines = [f"{'images':<{first}}  {head}".rstrip()]
    clean = _figures(rows[0])
    for row in rows:
        cells = [
            f"{value:.3f}" if row is rows[0] else f"{value:.3f} ({round(value - before, 3) + 0.0:+.3f})"  # no -0.000
            for value, before in zip(_figures(row), clean, strict=True)
        ]
        padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{row.name:<{first}}  {padded}".rstrip())
    return lines


def worst(rows: Sequence[Row]) -> Row:
    """Return the alteration that costs the most balanced accuracy."""
    return min(rows[1:], key=lambda row: row.scores.balanced_accuracy)


def _figures(row: Row) -> list[float]:
    scores = row.scores
    return [*(float(recall) for recall in scores.recall), scores.balanced_accuracy, scores.auroc]
