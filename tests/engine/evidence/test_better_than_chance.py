"""*Better than chance*: random maps are as smooth as the map, and the curves of all are measured in one loop."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from factories import make_image, make_map
from networks import MeanOfOneChannel, classifier, request

from engine.errors import Stopped
from engine.evidence.better_than_chance import ask_better_than_chance, judge_curves
from engine.evidence.chance_maps import centre_blob, random_maps
from engine.evidence.fidelity import fidelity_curve
from engine.results.evidence import Curves, Verdict
from engine.results.saliency import SaliencyMap

SIZE = 24


def map_of(values: np.ndarray) -> SaliencyMap:
    scaled = ((values - values.min()) / np.ptp(values)).astype(np.float32)
    return make_map("rise", values=scaled, target="positive", height=SIZE, width=SIZE)


def test_random_maps_have_the_spectrum_of_the_map_and_other_places() -> None:
    values = centre_blob(20, 31)
    made = random_maps(values, 3, seed=5)
    assert made.shape == (3, 20, 31)
    expected = np.abs(np.fft.fft2(values))
    for one in made:
        np.testing.assert_allclose(np.abs(np.fft.fft2(one)), expected, atol=1e-9 * expected.max())
        assert one.mean() == pytest.approx(values.mean())
        assert one.std() == pytest.approx(values.std())
    assert abs(np.corrcoef(made.reshape(3, -1))[0, 1]) < 0.9
    assert np.array_equal(made, random_maps(values, 3, seed=5))
    assert not np.array_equal(made, random_maps(values, 3, seed=6))


def test_the_blob_is_highest_in_the_middle_and_symmetric() -> None:
    blob = centre_blob(5, 8)
    np.testing.assert_allclose(blob, blob[::-1, ::-1])
    assert np.unravel_index(blob.argmax(), blob.shape) in ((2, 3), (2, 4))
    # One standard deviation, a quarter of the side, from the middle it has exp(-1/2) of the peak.
    assert blob[2, 5] / centre_blob(5, 8000)[2].max() == pytest.approx(np.exp(-0.5 * (1.5 / 2) ** 2), rel=1e-6)


def test_a_map_of_what_the_network_looks_at_is_better_and_its_opposite_is_not() -> None:
    image = make_image(height=SIZE, width=SIZE)
    asked = request(classifier(MeanOfOneChannel(scale=40.0, shift=-15.0)), image, target=1)
    channel, reports = image.pixels[..., 0] / 255.0, []
    good = ask_better_than_chance(replace(asked, progress=reports.append), map_of(channel))
    assert good.verdict is Verdict.YES
    assert good.why == "it beats 16 of 16 random maps; by chance 8"
    assert good.deletion.area < good.deletion.random_areas.min()
    assert good.insertion.area > good.insertion.random_areas.max()
    assert good.deletion.random.shape == (16, 33)
    assert [(report.method, report.total) for report in (reports[0], reports[-1])] == [("better_than_chance", 1120)] * 2
    assert reports[-1].done == 1120
    # The map's own curve is the one that is measured for it alone, and the same comes again.
    alone = fidelity_curve(asked.classifier, image, map_of(channel), "insertion", step=18)
    np.testing.assert_allclose(good.insertion.probabilities, alone.probabilities, atol=1e-7)
    assert good.insertion.area == pytest.approx(alone.area)
    again = ask_better_than_chance(asked, map_of(channel))
    assert np.array_equal(again.deletion.random, good.deletion.random)
    assert ask_better_than_chance(asked, map_of(-channel)).verdict is Verdict.NO


def curves(kind: str, own: float, random: list[float], centre: float) -> Curves:
    none = np.zeros(0)
    return Curves(kind, none, none, none, none, own, np.array(random), centre)


@pytest.mark.parametrize(
    ("beaten", "centre", "verdict"),
    [
        (16, 0.1, Verdict.YES),
        (15, 0.1, Verdict.YES),
        (14, 0.1, Verdict.UNKNOWN),
        (8, 0.1, Verdict.UNKNOWN),
        (7, 0.1, Verdict.NO),
        (16, 0.9, Verdict.UNKNOWN),  # a blob in the centre is better still
    ],
)
def test_the_verdict_follows_from_how_many_are_beaten(beaten: int, centre: float, verdict: Verdict) -> None:
    random = [0.2] * beaten + [0.8] * (16 - beaten)
    found = judge_curves(curves("deletion", 0.3, [0.3] * 16, 0.3), curves("insertion", 0.8 - 1e-9, random, centre))
    assert found.verdict is verdict


def test_areas_that_hardly_differ_say_nothing() -> None:
    found = judge_curves(curves("deletion", 0.5, [0.5] * 16, 0.5), curves("insertion", 0.519, [0.5] * 16, 0.5))
    assert found.verdict is Verdict.UNKNOWN


def test_a_constant_map_cannot_be_judged_and_a_stop_is_heeded() -> None:
    asked = request(classifier(MeanOfOneChannel()), target=1)
    constant = ask_better_than_chance(asked, make_map("rise", constant=True, height=SIZE, width=SIZE))
    assert (constant.verdict, constant.deletion) == (Verdict.UNKNOWN, None)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        ask_better_than_chance(replace(asked, stop=stop), map_of(np.add.outer(np.arange(24.0), np.arange(24.0))))
