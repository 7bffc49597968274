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
) -> tuple[Row, ...]:
    """Score a network on images as they are and after each alteration.

    Args:
        predict: the network with its preprocessing; see `Predict`. It is called once for each row.
        images: (H, W) or (H, W, C) `uint8` each.
        labels: (N,) the true class of each, from 0.
        alterations: `COLOUR` or `GREY` of `engine.evaluation.alterations`, or others.
        threshold: see `engine.evaluation.scores.answers`.
        seed: of the noise.

    Returns:
        The unaltered images first, then the alterations in their order.
    """
    rows: list[Row] = []
    for alteration in (None, *alterations):
        shown = list(images) if alteration is None else altered(images, alteration, seed)
        name = UNALTERED if alteration is None else alteration.name
        rows.append(Row(name, score(labels, predict(shown), threshold)))
    return tuple(rows)


def table(rows: Sequence[Row], classes: Sequence[str]) -> list[str]:
    """Return the lines of the table: recall of each class, balanced accuracy and area; after the first row the changes.

    Args:
        rows: as `robustness` returns them; the first is what the others are compared with.
        classes: their names, for the head.
    """
    columns = [*classes, "accuracy", "AUROC"]
    widths = [max(len(column), len("+0.000")) for column in columns]
    first = max(len(row.name) for row in rows)

    def line(name: str, cells: Sequence[str]) -> str:
        padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        return f"{name:<{first}}  {padded}".rstrip()

    clean = _figures(rows[0])
    changes = [
        # Rounded before the sign is written, so that no change is not -0.000.
        [f"{round(value - before, 3) + 0.0:+.3f}" for value, before in zip(_figures(row), clean, strict=True)]
        for row in rows[1:]
    ]
    return [
        line("", ["recall", *[""] * (len(classes) - 1), "balanced", ""]),
        line("images", columns),
        line(rows[0].name, [f"{value:.3f}" for value in clean]),
        *(line(row.name, change) for row, change in zip(rows[1:], changes, strict=True)),
    ]


def worst(rows: Sequence[Row]) -> Row:
    """Return the alteration that costs the most balanced accuracy."""
    return min(rows[1:], key=lambda row: row.scores.balanced_accuracy)


def _figures(row: Row) -> list[float]:
    scores = row.scores
    return [*(float(recall) for recall in scores.recall), scores.balanced_accuracy, scores.auroc]
