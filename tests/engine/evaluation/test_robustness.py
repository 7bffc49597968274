"""The robustness table: a network scored on images as they are and after each alteration."""

from __future__ import annotations

import numpy as np

from engine.evaluation.alterations import GREY, Alteration, brightness
from engine.evaluation.robustness import UNALTERED, altered, robustness, table, worst

DARKER = Alteration("half as bright", lambda image, rng: brightness(image, 0.5))
LEFT = Alteration("as it was", lambda image, rng: image)
IMAGES = [np.full((4, 4), value, np.uint8) for value in (40, 80, 120, 200)]
LABELS = np.array([0, 0, 1, 1])


def mean_brightness(images: list[np.ndarray]) -> np.ndarray:
    """A network that sees light: the probability of the second class is the mean value."""
    return np.array([image.mean() / 255 for image in images])


def test_rows_hold_the_scores_of_altered_images_and_the_table_tells_the_change() -> None:
    rows = robustness(mean_brightness, IMAGES, LABELS, (DARKER, LEFT), 0.4)
    assert [row.name for row in rows] == [UNALTERED, "half as bright", "as it was"]
    assert rows[0].scores.recall.tolist() == [1, 1]
    assert rows[1].scores.recall.tolist() == [1, 0], "100 of 255 is no longer enough"
    assert rows[1].scores.auroc == 1, "the order is as it was"
    assert worst(rows) is rows[1]
    lines = [line.split("  ") for line in table(rows, ("dark", "light"))]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines] == [
        ["recall", "balanced"],
        ["images", "dark", "light", "accuracy", "AUROC"],
        [UNALTERED, "1.000", "1.000", "1.000", "1.000"],
        ["half as bright", "+0.000", "-1.000", "-0.500", "+0.000"],
        ["as it was", "+0.000", "+0.000", "+0.000", "+0.000"],
    ]


def test_the_noise_of_an_image_depends_on_the_seed_and_its_place_alone() -> None:
    (noisy,) = (alteration for alteration in GREY if alteration.name == "noise, sd 0.02")
    first, again = altered(IMAGES, noisy), altered(IMAGES[:2], noisy)
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], altered(IMAGES, noisy, seed=1)[1])
    assert not np.array_equal(first[0].astype(int) - 40, first[1].astype(int) - 80), "each image has noise of its own"
