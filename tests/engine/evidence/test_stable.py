"""*Stable*: methods that draw samples know whether their cells are settled; the others are asked again under noise."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from factories import make_image, make_map
from networks import classifier, request, small_cnn

from engine.errors import Stopped
from engine.evidence.stable import ask_stable, grey_level, judge_settled
from engine.explainers.base import Request, scaled_map
from engine.explainers.gradcam import GradCam
from engine.results.cells import CELLS, cell_slices
from engine.results.evidence import Verdict
from engine.results.saliency import CellEstimate, SaliencyMap
from engine.results.statistics import grid_statistics

SIZE = 24


@pytest.mark.parametrize(
    ("means", "error", "verdict", "settled"),
    [
        ((9, 8, 7, 3, 3, 3, 3, 3, 3), 0.1, Verdict.YES, 3),
        ((9, 3, 3.1, 3.2, 3, 3, 3, 3, 3), 0.1, Verdict.UNKNOWN, 1),  # one cell decides, any other may be beside it
        (
            (5, 5.01, 5.02, 5.03, 1, 1, 1, 1, 1),
            0.1,
            Verdict.UNKNOWN,
            0,
        ),  # four that are equal, of which three are named
        ((5, 5.1, 5.2, 5.3, 5, 5, 5, 5, 5), 9.0, Verdict.NO, 0),
        ((5, 4.8, 4.6, 1, 1, 1, 1, 1, 1), 0.9, Verdict.UNKNOWN, 0),  # open at 99 %, but far more than chance
    ],
)
def test_sampled_maps_are_as_stable_as_their_cells_are_settled(
    means: tuple[float, ...], error: float, verdict: Verdict, settled: int
) -> None:
    values = np.zeros((SIZE, SIZE), dtype=np.float32)
    for mean, (rows, columns) in zip(means, cell_slices(SIZE, SIZE).values(), strict=True):
        values[rows, columns] = mean / 10
    estimate = CellEstimate(np.array(means, dtype=np.float64), np.eye(9) * error**2)
    saliency = replace(make_map("rise", values=values), cells=estimate)
    found = judge_settled(saliency, grid_statistics(saliency))
    assert found is not None
    assert (found.verdict, found.settled_cells, found.settled) == (verdict, settled, settled == 3)
    assert found.copies == 0


def test_a_method_that_draws_no_samples_is_not_settled_by_itself() -> None:
    made = make_map("gradcam")
    assert judge_settled(made, grid_statistics(made)) is None
    constant = make_map("gradcam", constant=True)
    assert judge_settled(constant, grid_statistics(constant)).verdict is Verdict.UNKNOWN


class Noted:
    """A method whose nine cells are those of `means`, plus `gain` times the noise that the input has got."""

    def __init__(self, original: torch.Tensor, means: np.ndarray, gain: float) -> None:
        self.original, self.means, self.gain = original, means, gain
        self.noise: list[np.ndarray] = []

    def __call__(self, asked: Request) -> SaliencyMap:
        noise = (asked.tensor - self.original)[0, 0].numpy()
        self.noise.append(noise)
        raw = np.zeros(asked.size)
        for mean, cell in zip(self.means, CELLS, strict=True):
            where = cell_slices(*asked.size)[cell]
            raw[where] = mean + self.gain * noise[where].mean()
        return scaled_map(raw, asked, method="gradcam", parameters={}, started=0.0)


@pytest.mark.parametrize(
    ("gain", "verdict", "same"), [(0.0, Verdict.YES, 1.0), (1e5, Verdict.NO, None), (4.5e3, Verdict.UNKNOWN, None)]
)
def test_other_maps_are_asked_again_under_noise_of_one_grey_level(
    gain: float, verdict: Verdict, same: float | None
) -> None:
    asked, reports = request(classifier(small_cnn(2)), seed=3), []
    method = Noted(asked.tensor, np.array([9, 8, 7, 3, 3, 3, 3, 3, 2.0]), gain)
    own = method(asked)
    found = ask_stable(replace(asked, progress=reports.append), own, method)
    assert (found.verdict, found.copies, found.settled) == (verdict, 16, None)
    noise = np.stack(method.noise[1:])
    assert noise.shape[0] == 16
    assert noise.std() == pytest.approx(1 / 255, rel=0.03)
    expected = [np.corrcoef(method.means, method.means + gain * cells(one))[0, 1] for one in noise]
    assert found.correlation == pytest.approx(np.mean(expected), abs=1e-6)
    if same is not None:
        assert found.same_three == same
    assert [report.done for report in reports] == list(range(1, 17))
    assert ask_stable(asked, own, method) == found


@pytest.mark.parametrize("alone", [False, True])
def test_the_copies_of_cams_are_passed_in_one_batch(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(small_cnn(3))
    asked = request(model)
    passed, logits = [], model.logits
    monkeypatch.setattr(model, "logits", lambda images: (passed.append(len(images)), logits(images))[1])
    model.one_at_a_time = alone  # of a network whose answers depend on the other images of a batch
    for key in ("gradcam", "gradcam++", "hirescam"):
        method = GradCam(key)
        own = method.explain(replace(asked, kept={}))
        apart = ask_stable(asked, own, method.explain)
        passed.clear()
        found = ask_stable(asked, own, method.explain, method.pass_together)
        assert passed == ([1] * 16 if alone else [16])
        assert (found.verdict, found.same_three) == (apart.verdict, apart.same_three)
        assert found.correlation == pytest.approx(apart.correlation, abs=1e-7)


def cells(values: np.ndarray) -> np.ndarray:
    return np.array([values[where].mean() for where in cell_slices(*values.shape).values()])


def test_one_grey_level_is_in_the_units_of_the_input() -> None:
    model = classifier(small_cnn(2))
    tensor = model.tensor(make_image(height=SIZE, width=SIZE))
    spec = replace(model.bundle.input, value_range=(-1.0, 1.0), std=(0.5, 0.25, 1.0))
    declared = SimpleNamespace(bundle=SimpleNamespace(input=spec), feeding=model.feeding)
    np.testing.assert_allclose(grey_level(declared, tensor).ravel(), [4 / 255, 8 / 255, 2 / 255], rtol=1e-6)
    # Of a function's input nobody knows how it was made.
    own = SimpleNamespace(bundle=SimpleNamespace(input=spec), feeding=object())
    assert float(grey_level(own, tensor * 7)) == pytest.approx(7 * float(tensor.max() - tensor.min()) / 255)


def test_a_stop_is_heeded() -> None:
    stop = threading.Event()
    stop.set()
    asked = request(classifier(small_cnn(2)))
    method = Noted(asked.tensor, np.arange(9.0), 0.0)
    with pytest.raises(Stopped):
        ask_stable(replace(asked, stop=stop), method(asked), method)
