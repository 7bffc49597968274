"""Whether the peak of a map lies in an outline of the same image, which may have another size."""

from __future__ import annotations

import numpy as np

from engine.evaluation.pointing import centre_inside, peak_inside


def test_the_peak_is_carried_over_to_the_outline_of_another_size() -> None:
    outline = np.zeros((8, 12), bool)
    outline[4:6, 9:12] = True  # the last cell of the third row, of 4x4 cells
    values = np.zeros((4, 4))
    values[2, 3] = 1
    assert peak_inside(values, outline)
    assert peak_inside(np.kron(values, np.ones((16, 15))), outline), "an enlarged map"
    assert not peak_inside(values.T, outline)


def test_a_constant_map_hits_nothing_and_of_equal_peaks_the_first_counts() -> None:
    everything = np.ones((4, 4), bool)
    assert not peak_inside(np.ones((4, 4)), everything)
    values, right = np.zeros((4, 4)), np.zeros((4, 4), bool)
    values[1, 1:3] = 1
    right[:, 2:] = True
    assert not peak_inside(values, right)


def test_the_centre_is_inside_an_outline_that_holds_it() -> None:
    outline = np.zeros((10, 10), bool)
    outline[5, 5] = True
    assert centre_inside(outline)
    assert not centre_inside(~outline)
