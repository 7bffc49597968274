"""*Of this network*: weights are made random in a copy, and a map that does not notice is not of this network."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from factories import make_image
from networks import classifier, request, small_cnn
from torch import nn

from engine.acceleration.torch_private import hooks_of
from engine.errors import ExplanationError, Stopped
from engine.evidence.of_this_network import Figures, Measurement, inputs_of, judge_figures
from engine.evidence.random_weights import DEPTHS, layers_with_weights, randomised
from engine.explainers.base import Request, scaled_map
from engine.explainers.gradcam import GradCam
from engine.network.classifier import Classifier
from engine.progress import NeverStop, ProgressCallback, StopSignal, no_progress
from engine.results.certainty import reliability_of
from engine.results.evidence import Verdict
from engine.results.saliency import CellEstimate, SaliencyMap

SIZE = 24


class Normalised(nn.Module):
    """A convolution, batch normalisation, and a dense layer that is declared before them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.dense = nn.Linear(4, 2)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.register_parameter("unused", nn.Parameter(torch.ones(2, 2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


def state_of(model: Classifier) -> tuple[object, ...]:
    network = model.network
    return (
        {name: value.clone() for name, value in network.state_dict().items()},
        [module.training for module in network.modules()],
        [(value.requires_grad, value.grad) for value in network.parameters()],
        [list(hooks) for hooks in hooks_of(network)],
    )


def assert_same(before: tuple[object, ...], after: tuple[object, ...]) -> None:
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(value, after[0][name]) for name, value in before[0].items())
    assert before[1:] == after[1:]


@pytest.fixture
def model() -> Classifier:
    return classifier(Normalised())


@pytest.fixture
def inputs(model: Classifier) -> list[torch.Tensor]:
    return inputs_of(model, [model.tensor(make_image(height=SIZE, width=SIZE))])


def test_one_image_gives_four_inputs_by_mirroring_it(inputs: list[torch.Tensor]) -> None:
    one = inputs[0]
    assert torch.equal(inputs[1], one.flip(-1))
    assert torch.equal(inputs[2], one.flip(-2))
    assert torch.equal(inputs[3], one.flip(-1).flip(-2))
    many = [torch.full((1, 3, 4, 4), float(number)) for number in range(5)]
    assert [float(each.mean()) for each in inputs_of(classifier(small_cnn(2)), many)] == [0, 1, 2, 3]
    two = inputs_of(classifier(small_cnn(2)), many[:2])
    assert [float(each.mean()) for each in two] == [0, 1, 0, 1]


def test_layers_are_in_the_order_in_which_they_run(model: Classifier, inputs: list[torch.Tensor]) -> None:
    network = model.network
    # The network itself holds a matrix, too, and runs before its parts.
    assert layers_with_weights(model, inputs[0]) == [network, network.conv, network.dense]


@pytest.mark.parametrize(("depth", "changed"), zip(DEPTHS, (1, 2, 3), strict=True))
def test_so_many_layers_get_random_weights_of_the_same_size_in_a_copy(
    model: Classifier, inputs: list[torch.Tensor], depth: str, changed: int
) -> None:
    before = state_of(model)
    probabilities = model.diagnose(make_image(height=SIZE, width=SIZE)).probabilities
    made = randomised(model, depth, torch.cat(inputs), seed=5)
    assert_same(before, state_of(model))
    layers = [[("unused",), ("conv.weight", "conv.bias"), ("dense.weight", "dense.bias")][i] for i in (2, 1, 0)]
    new = {name for name, value in made.network.named_parameters() if not torch.equal(value, before[0][name])}
    assert new == {name for names in layers[:changed] for name in names}
    if depth == "all":
        old, drawn = before[0]["conv.weight"], made.network.conv.weight.detach()
        assert float(drawn.square().mean()) == pytest.approx(float(old.square().mean()), rel=0.4)
        assert float(drawn.mean()) == pytest.approx(0.0, abs=0.05)
    # The statistics are those of the inputs now: what batch normalisation gives has mean 0 and variance 1.
    with torch.no_grad():
        given = made.network.norm(made.network.conv(torch.cat(inputs)))
    np.testing.assert_allclose(given.mean((0, 2, 3)), 0.0, atol=1e-5)
    assert not any(module.training for module in made.network.modules())
    assert made.network.norm.momentum == model.network.norm.momentum
    again = randomised(model, depth, torch.cat(inputs), seed=5)
    assert all(torch.equal(a, b) for a, b in zip(made.network.parameters(), again.network.parameters(), strict=True))
    assert not np.array_equal(made.diagnose(make_image(height=SIZE, width=SIZE)).probabilities, probabilities)
    np.testing.assert_array_equal(model.diagnose(make_image(height=SIZE, width=SIZE)).probabilities, probabilities)


def test_a_network_without_weights_cannot_be_made_random() -> None:
    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x.mean((1, 2, 3)), -x.mean((1, 2, 3))], dim=1)

    asked = request(classifier(Mean(), classes=("a", "b")))
    with pytest.raises(ExplanationError, match="no layer with weights"):
        measure_method([asked], of_the_input, seed=1, stop=NeverStop())


def of_the_input(asked: Request) -> SaliencyMap:
    """What many methods come down to: the image's own edges."""
    return scaled_map(asked.tensor[0].mean(0).double().numpy(), asked, method="x", parameters={}, started=0.0)


def by_the_weights(layer: str) -> Callable[[Request], SaliencyMap]:
    """A method whose nine cells are the first nine weights of a layer."""

    def explain(asked: Request) -> SaliencyMap:
        weights = dict(asked.classifier.network.named_parameters())[f"{layer}.weight"].detach().ravel()[:9]
        raw = np.kron(np.resize(weights.double().numpy(), (3, 3)), np.ones((8, 8)))
        return scaled_map(raw, asked, method="x", parameters={}, started=0.0)

    return explain


def measure_method(
    requests: list[Request],
    explain: Callable[[Request], SaliencyMap],
    *,
    seed: int,
    stop: StopSignal,
    progress: ProgressCallback = no_progress,
) -> Figures:
    return Measurement(requests, seed).run(explain, progress=progress, stop=stop)


def requests_for(model: Classifier, inputs: list[torch.Tensor]) -> list[Request]:
    return [Request(model, each, 0, seed=number) for number, each in enumerate(inputs)]


def test_maps_are_held_against_those_of_random_weights_and_nothing_is_left_changed(
    model: Classifier, inputs: list[torch.Tensor]
) -> None:
    before, reports = state_of(model), []
    asked = requests_for(model, inputs)
    figures = measure_method(asked, of_the_input, seed=1, progress=reports.append, stop=NeverStop())
    assert figures == Figures({"head": 1.0, "half": 1.0, "all": 1.0}, {"head": 3.0, "half": 3.0, "all": 3.0}, 4)
    assert judge_figures(figures).verdict is Verdict.NO
    assert [(report.done, report.total) for report in reports] == [(number, 16) for number in range(1, 17)]
    of_the_head = measure_method(asked, by_the_weights("dense"), seed=1, stop=NeverStop())
    of_the_filters = measure_method(asked, by_the_weights("conv"), seed=1, stop=NeverStop())
    assert of_the_filters.correlations["head"] == pytest.approx(1.0)
    assert abs(of_the_filters.correlations["half"]) < 1.0
    # The dense layer is random at every depth, with other numbers for other depths only by what is drawn before them.
    assert max(of_the_head.correlations.values()) < 1.0
    # Every image has weights of its own.
    drawn: set[float] = set()

    def noted(asked: Request) -> SaliencyMap:
        drawn.add(float(asked.classifier.network.dense.weight.detach()[0, 0]))
        return of_the_input(asked)

    measure_method(asked, noted, seed=1, stop=NeverStop())
    assert len(drawn) == 1 + 4 * len(DEPTHS)
    measure_method(asked, GradCam("gradcam", "conv").explain, seed=1, stop=NeverStop())
    assert_same(before, state_of(model))


def test_a_map_that_becomes_constant_has_changed_and_one_that_was_says_nothing(
    model: Classifier, inputs: list[torch.Tensor]
) -> None:
    def only_trained(asked: Request) -> SaliencyMap:
        trained = asked.classifier is model and asked.seed != 2
        return (
            of_the_input(asked)
            if trained
            else scaled_map(np.zeros(asked.size), asked, method="x", parameters={}, started=0.0)
        )

    figures = measure_method(requests_for(model, inputs), only_trained, seed=1, stop=NeverStop())
    assert figures == Figures(dict.fromkeys(DEPTHS, 0.0), dict.fromkeys(DEPTHS, 0.0), 3)
    with pytest.raises(ExplanationError, match="constant"):
        measure_method([Request(model, inputs[2], 0, seed=2)], only_trained, seed=1, stop=NeverStop())


def test_depths_at_which_a_method_cannot_work_are_left_out(model: Classifier, inputs: list[torch.Tensor]) -> None:
    def only_with_these_filters(asked: Request) -> SaliencyMap:
        if not torch.equal(asked.classifier.network.conv.weight, model.network.conv.weight):
            raise ExplanationError("its formula does not hold")
        return of_the_input(asked)

    figures = measure_method(requests_for(model, inputs), only_with_these_filters, seed=1, stop=NeverStop())
    assert figures.correlations == {"head": 1.0}


def test_a_stop_is_heeded_and_a_stopped_map_is_none(model: Classifier, inputs: list[torch.Tensor]) -> None:
    stop, made = threading.Event(), []

    def explain(asked: Request) -> SaliencyMap:
        made.append(asked)
        if len(made) == 6:
            stop.set()
        return of_the_input(asked)

    measurement = Measurement(requests_for(model, inputs), 1)
    with pytest.raises(Stopped):
        measurement.run(explain, stop=stop)
    assert len(made) == 6
    # It goes on with the image at which it was stopped, and finds the same.
    figures = measurement.run(explain, stop=NeverStop())
    assert len(made) == 6 + 3 * 4
    assert figures == measure_method(requests_for(model, inputs), of_the_input, seed=1, stop=NeverStop())


@pytest.mark.parametrize(
    ("head", "half", "whole", "more", "verdict"),
    [
        (0.1, -0.3, 0.2, {}, Verdict.YES),
        (0.1, 0.3, 0.9, {}, Verdict.NO),
        (0.1, 0.9, 0.2, {}, Verdict.NO),
        (0.9, 0.3, 0.2, {}, Verdict.UNKNOWN),  # Grad-CAM++ on many networks
        (0.1, 0.6, 0.2, {}, Verdict.UNKNOWN),
        (0.1, 0.1, 0.1, {"reliability": 0.2}, Verdict.UNKNOWN),
        (0.1, 0.1, 0.9, {"reliability": 0.2}, Verdict.NO),  # chance makes no two maps alike
        (0.1, 0.1, 0.9, {"images": 1}, Verdict.UNKNOWN),
    ],
)
def test_the_verdict_follows_from_the_figures(
    head: float, half: float, whole: float, more: dict[str, float], verdict: Verdict
) -> None:
    figures = Figures({"head": head, "half": half, "all": whole}, dict.fromkeys(DEPTHS, 1.0), **{"images": 4, **more})
    assert judge_figures(figures).verdict is verdict


def test_the_reliability_of_cells_is_the_share_that_is_not_chance() -> None:
    means = np.array([4.0, 0, 0, 0, 0, 0, 0, 0, 0])  # sum of squares about the mean: 16 - 16 / 9
    spread = 16 * 8 / 9
    sampled = of_cells(means, np.eye(9) * 0.5)  # centred, eight ninths of nine times .5
    assert reliability_of(sampled) == pytest.approx(1 - 4 / spread)
    assert reliability_of(of_cells(means, np.full((9, 9), 7.0))) == pytest.approx(1.0)  # what all have in common
    assert reliability_of(of_cells(means, np.eye(9) * 50)) == 0.0
    assert reliability_of(of_cells(means * 0, np.eye(9))) == 0.0


def of_cells(means: np.ndarray, covariance: np.ndarray) -> SaliencyMap:
    return SaliencyMap("rise", "a", np.zeros((3, 3), np.float32), 0.0, 1.0, cells=CellEstimate(means, covariance))


def test_a_network_that_has_moved_gets_the_image_where_it_is(model: Classifier, inputs: list[torch.Tensor]) -> None:
    measurement = Measurement([Request(model, inputs[0], 0, seed=1)], 0)
    model.device = "meta"  # as for want of memory: to another device than the request's
    seen: list[str] = []

    def explain(asked: Request) -> SaliencyMap:
        seen.append(asked.tensor.device.type)
        raise Stopped("enough")

    with pytest.raises(Stopped):
        measurement.run(explain, stop=NeverStop())
    assert seen == ["meta"]
