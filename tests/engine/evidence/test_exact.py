"""The exact cells, through the masked-forward loop, on networks whose answer is known by hand."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from factories import make_image
from networks import MeanOfOneChannel, classifier, request, small_cnn
from scipy.ndimage import gaussian_filter
from torch import nn

from engine.bundle.specs import ExplainSpec
from engine.errors import ExplanationError, Stopped
from engine.evidence.exact import exact_cells
from engine.evidence.fills import hidden_picture, inpaint_fill
from engine.explainers.settings import Settings
from engine.explanation.exact import explain_exact
from engine.explanation.explain import explain, explain_classes
from engine.images.image import MedicalImage
from engine.network.classifier import Classifier
from engine.progress import Progress
from engine.results.cells import cell_slices
from engine.results.exact_cells import COMBINATIONS, ExactCells
from engine.storage import places

Rule = Callable[[torch.Tensor], torch.Tensor]
WEIGHTS = torch.tensor([0.02, -0.1, 0.3, 0.0, 0.15, 0.04, -0.02, 0.2, 0.01])


class Game(nn.Module):
    """The probability is a rule of the nine cells' means in the first channel; the logit comes out."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.pool, self.rule = nn.AdaptiveAvgPool2d(3), rule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.logit(self.rule(self.pool(x[:, :1]).flatten(1)))[:, None]


RULES: dict[str, Rule] = {
    "linear": lambda s: 0.25 + s @ WEIGHTS,
    "product of two": lambda s: 0.1 + 0.8 * s[:, 0] * s[:, 4],
    "majority": lambda s: 0.1 + 0.8 * (s.sum(1) > 4.5).float(),
    "constant": lambda s: 0.7 + 0.0 * s[:, 0],
    "one cell": lambda s: 0.1 + 0.5 * s[:, 6],
}


def game(rule: Rule, **declared: object) -> Classifier:
    return classifier(Game(rule), size=(9, 9), activation="none", **declared)


def white(side: int = 9) -> MedicalImage:
    return make_image(height=side, width=side, pixels=np.full((side, side, 3), 255, np.float32))


def by_hand(rule: Rule) -> np.ndarray:
    shown = torch.tensor([[number >> i & 1 for i in range(9)] for number in range(COMBINATIONS)], dtype=torch.float64)
    return rule(shown.to(torch.float32)).double().numpy()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_networks_worked_out_by_hand(rule: Rule) -> None:
    found = exact_cells(request(game(rule), white(), target=1), ["mean"]).fills["mean"]
    expected = by_hand(rule)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    assert abs(found.shapley.sum() - (found.all_shown - found.none_shown)) < 1e-9
    if rule is RULES["linear"]:
        np.testing.assert_allclose(found.shapley.ravel(), WEIGHTS.numpy(), atol=1e-6)
        assert (found.top, found.supporting) == (((0, 2), (2, 1), (1, 1)), 6)
    if rule is RULES["constant"]:
        assert not found.matters
    if rule is RULES["one cell"]:
        assert sorted(found.kept_ranks) == [14.5] * 28 + [56.5] * 56


@pytest.mark.parametrize("fill", ["mean", "blur", "inpaint", "noise"])
def test_every_combination_is_passed_once_with_its_cells_hidden(fill: str) -> None:
    # A side that is no multiple of 3, and two channels that the first layers see together.
    size, model = (11, 14), classifier(small_cnn(3, size=8), size=(11, 14), temperature=2.0)
    asked = replace(request(model, make_image(height=11, width=14), target=2), seed=5)
    exact = exact_cells(asked, [fill])
    hidden, words = hidden_picture(asked, fill)
    images = []
    for number in range(COMBINATIONS):
        shown = hidden.clone()
        for i, (rows, columns) in enumerate(cell_slices(*size).values()):
            if number >> i & 1:
                shown[..., rows, columns] = asked.tensor[..., rows, columns]
        images.append(shown)
    with torch.inference_mode():
        expected = torch.softmax(model.network(torch.cat(images)).double() / 2.0, dim=1)[:, 2].numpy()
    np.testing.assert_allclose(exact.fills[fill].values, expected, atol=1e-6)
    assert exact.fills[fill].hidden == words
    assert (exact.passes, exact.parameters["precision"]) == (COMBINATIONS, "fp32")


def test_what_hidden_cells_show() -> None:
    model = classifier(small_cnn(2), size=(24, 30))
    image = make_image(height=24, width=30)
    asked = request(model, image)
    fed = image.pixels.transpose(2, 0, 1) / 255.0

    mean, words = hidden_picture(asked, "mean")
    assert not mean.any()
    assert words == "0 after normalisation (the mean colour: RGB 0 0 0 of 255)"

    blurred = [gaussian_filter(channel.astype(np.float64), 30 / 12, mode="reflect") for channel in fed]
    np.testing.assert_allclose(hidden_picture(asked, "blur")[0][0].numpy(), blurred, atol=1e-6)

    noise = hidden_picture(asked, "noise")[0]
    colours = {tuple(colour) for colour in asked.tensor[0].flatten(1).T.tolist()}
    assert {tuple(colour) for colour in noise[0].flatten(1).T.tolist()} <= colours
    assert torch.equal(noise, hidden_picture(replace(asked), "noise")[0])
    assert not torch.equal(noise, hidden_picture(replace(asked, seed=2), "noise")[0])

    # A cell is continued from its surroundings alone: what the cell itself shows makes no difference.
    other = asked.tensor.clone()
    rows, columns = cell_slices(24, 30)[1, 1]
    other[..., rows, columns] = 0.5
    inpainted = inpaint_fill(asked.tensor)[..., rows, columns]
    assert torch.equal(inpaint_fill(other)[..., rows, columns], inpainted)
    assert not torch.equal(inpainted, asked.tensor[..., rows, columns])


def test_large_images_are_inpainted_smaller() -> None:
    ramp = torch.linspace(0.0, 1.0, 450)[None, None, None].expand(1, 1, 12, 450).contiguous()
    filled = inpaint_fill(ramp)
    assert filled.shape == ramp.shape
    np.testing.assert_allclose(filled[..., 20:430], ramp[..., 20:430], atol=0.01)  # a ramp continues as a ramp


def test_another_class_and_another_fill_pass_only_what_is_new() -> None:
    model = classifier(small_cnn(20), classes=tuple(f"c{i}" for i in range(20)))
    image = make_image(height=24, width=24)
    reports: list[Progress] = []
    mean = explain_exact(model, image, target="c3", fills=["mean"], progress=reports.append)
    assert (reports[-1].method, reports[-1].done, reports[-1].total) == ("exact", COMBINATIONS, COMBINATIONS)
    assert mean.parameters["passes_reused"] == 0
    both = explain_exact(model, image, target="c3", fills=["mean", "blur"])
    assert (both.passes, both.parameters["passes_reused"]) == (1023, COMBINATIONS)
    assert both.seconds > mean.seconds
    np.testing.assert_array_equal(both.fills["mean"].values, mean.fills["mean"].values)
    assert both.fills["mean"].all_shown == both.fills["blur"].all_shown
    other = explain_exact(model, image, target="c11")
    assert (other.passes, other.parameters["passes_reused"], other.target) == (1023, 1023, "c11")
    alone = explain_exact(classifier(small_cnn(20), classes=model.classes), image, target="c11")
    for fill in ("mean", "blur"):
        np.testing.assert_array_equal(alone.fills[fill].values, other.fills[fill].values)


def test_the_same_image_gives_the_same_values_and_no_global_random_state_is_touched() -> None:
    image = make_image(height=24, width=24)
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    settings = Settings(exact_fills=("mean", "noise"))
    model = classifier(small_cnn(2))
    first = explain_exact(model, image, settings)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    model.kept_for("another image")
    again = explain_exact(model, image, settings)
    assert again.parameters["passes_reused"] == 0
    # Nothing was measured for it: on the first image that would take longer than the passes.
    assert first.parameters["batch"] == 64
    assert not list(places.cache().glob("tuning/*"))
    for fill in ("mean", "noise"):
        np.testing.assert_array_equal(first.fills[fill].values, again.fills[fill].values)
    seeded = explain_exact(model, image, replace(settings, seed=1))
    assert not np.array_equal(seeded.fills["noise"].values, first.fills["noise"].values)


def test_a_stopped_run_keeps_whole_fills_and_goes_on_where_it_was() -> None:
    model, image, stop = classifier(small_cnn(2)), make_image(height=24, width=24), threading.Event()

    def until(passes: int) -> Callable[[Progress], None]:
        return lambda report: stop.set() if report.done >= passes else None

    with pytest.raises(Stopped):
        explain_exact(model, image, progress=until(100), stop=stop)
    stop.clear()
    first = explain_exact(model, image, progress=until(600), stop=stop)
    assert first.stopped
    assert list(first.fills) == ["mean"]
    assert first.passes == COMBINATIONS
    assert 100 <= first.parameters["passes_reused"] < COMBINATIONS
    stop.clear()
    both = explain_exact(model, image, stop=stop)
    assert not both.stopped
    assert both.parameters["passes_reused"] >= 600
    whole = explain_exact(classifier(small_cnn(2)), image)
    for fill in ("mean", "blur"):
        np.testing.assert_allclose(both.fills[fill].values, whole.fills[fill].values, atol=1e-7)


def test_both_classes_of_one_logit_mirror_each_other() -> None:
    model = classifier(MeanOfOneChannel(scale=8.0, shift=-3.0), classes=("healthy", "ill"))
    image = make_image(height=24, width=24)
    ill, healthy = (explain_exact(model, image, target=name) for name in ("ill", "healthy"))
    assert healthy.parameters["passes_reused"] == 1023
    for fill in ("mean", "blur"):
        np.testing.assert_allclose(healthy.fills[fill].values, 1.0 - ill.fills[fill].values, atol=1e-12)
        np.testing.assert_allclose(healthy.fills[fill].shapley, -ill.fills[fill].shapley, atol=1e-12)
    diagnosis = model.diagnose(image)
    assert ill.fills["mean"].all_shown == pytest.approx(float(diagnosis.probabilities[1]), abs=1e-6)


class Traced(nn.Module):
    """Without a convolution, and its answer depends on a condition, so it is neither traced nor looked at by CAMs."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3 * 24 * 24, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return self.dense(x.flatten(1)) if float(x.mean()) > -1e9 else x.flatten(1)[:, :2]


def test_networks_that_no_cam_can_explain() -> None:
    torch.manual_seed(0)
    plain = Traced()
    image = make_image(height=24, width=24)
    for network in (plain, torch.jit.script(nn.Sequential(nn.Flatten(), plain.dense)).eval()):
        model = Classifier.from_module(network, size=24, device="cpu")
        explanation = explain(model, image, Settings(methods=("gradcam", "rise"), samples={"rise": 32}))
        assert set(explanation.maps) == {"rise"}
        assert explanation.exact is not None
        assert set(explanation.exact.fills) == {"mean", "blur"}


class Poisoned(nn.Module):
    """NaN once the middle of the image is hidden."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = x[:, :, 12, 12].sum(1)
        return self.conv(x).mean((2, 3)) / (seen != 0).float()[:, None].log().exp() + (0.0 / seen)[:, None]


def test_a_network_that_gives_nan_for_hidden_cells_keeps_its_maps() -> None:
    model, image = classifier(Poisoned()), make_image(height=24, width=24)
    with pytest.raises(ExplanationError, match="NaN"):
        explain_exact(model, image)
    explanation = explain(model, image, Settings(methods=("gradcam",)))
    assert set(explanation.maps) == {"gradcam"}
    assert explanation.exact is None
    assert "NaN" in explanation.exact_failure


def test_an_explanation_judges_its_maps_unless_that_is_declined() -> None:
    pixels = np.zeros((9, 9, 3), np.float32)
    pixels[3:6, 3:6] = 255
    image = make_image(height=9, width=9, pixels=pixels)
    model = classifier(MeanOfOneChannel(scale=20.0, shift=-1.0), size=(9, 9))
    settings = Settings(methods=("rise",), samples={"rise": 64}, target="positive")
    reports: list[Progress] = []
    explanation = explain(model, image, settings, progress=reports.append)
    assert list(dict.fromkeys(report.method for report in reports)) == ["rise", "exact"]
    exact = explanation.exact
    assert isinstance(exact, ExactCells)
    assert (exact.target, exact.fills["mean"].top[0], exact.fills["mean"].supporting) == ("positive", (1, 1), 1)
    assert exact.judge(explanation.statistics["rise"].top)["mean"].kept_rank == 14.5
    assert explanation.exact_failure == ""
    for other in (settings, replace(settings, exact_fills=())):
        declined = (
            model
            if other.exact_fills == ()
            else classifier(MeanOfOneChannel(scale=20.0, shift=-1.0), size=(9, 9), explain=ExplainSpec(exact_fills=()))
        )
        assert explain(declined, image, other).exact is None
    asked = explain(model, image, replace(settings, exact_fills=("noise",))).exact
    assert asked is not None
    assert list(asked.fills) == ["noise"]
    both = explain_classes(model, image, ["negative", "positive"], settings)
    for name, one in both.items():
        assert one.exact is not None
        assert one.exact.target == name
    np.testing.assert_array_equal(both["positive"].exact.fills["blur"].values, exact.fills["blur"].values)


def test_no_cell_matters_is_said() -> None:
    model = classifier(MeanOfOneChannel(scale=0.1))
    exact = explain_exact(model, make_image(height=24, width=24))
    assert exact.warning_codes == ("no-cell-matters", "no-cell-matters")
    assert exact.firm is None
    assert "With the mean colour in place of hidden cells" in exact.warnings[0]


@pytest.mark.parametrize("fills", [("mist",), ("mean", "mean"), "mean"])
def test_wrong_fills_are_refused_before_any_pass(fills: tuple[str, ...]) -> None:
    model, image = classifier(small_cnn(2)), make_image(height=24, width=24)
    with pytest.raises(ExplanationError, match="fills"):
        explain(model, image, Settings(exact_fills=fills))
    with pytest.raises(ExplanationError, match="fill"):
        explain_exact(model, image, fills=())
