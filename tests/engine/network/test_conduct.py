"""A network whose answers depend on its batch or on earlier images is found when it is loaded."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from factories import make_image
from networks import classifier, request, small_cnn
from torch import nn
from torch.nn import functional

from engine.errors import BundleError
from engine.evidence.fidelity import fidelity_curve
from engine.explainers.rise import Rise
from engine.explainers.settings import Settings
from engine.explanation.explain import explain, explain_method
from engine.network.classifier import Classifier


class Body(nn.Module):
    """A small network whose parts a test replaces."""

    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 3)
        self.norm = norm or nn.Identity()

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.norm(self.conv(x))).mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


class TrainedInForward(Body):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm2d(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.norm.train()
        return super().forward(x)


class LessTheMean(Body):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.features(x)
        return self.head(found - 0.5 * found.mean(0))


class ByTheLargest(Body):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x / x.abs().max())


class AttendsAcrossTheBatch(Body):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.attention = nn.MultiheadAttention(6, 2)  # batch_first is missing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.features(x)[:, None]
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0][:, 0])


class BranchesOnTheBatch(Body):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (2.0 if float(x.mean()) > 0.1 else 1.0)


DEPENDENT = {
    "batch statistics": lambda: Body(nn.BatchNorm2d(6, track_running_stats=False)),
    "training mode": TrainedInForward,
    "the mean": LessTheMean,
    "the largest": ByTheLargest,
    "attention": AttendsAcrossTheBatch,
    "a branch": BranchesOnTheBatch,
}


@pytest.mark.parametrize("kind", DEPENDENT)
def test_a_network_whose_answers_depend_on_the_batch_is_passed_image_by_image(kind: str) -> None:
    network, image = DEPENDENT[kind](), make_image(height=24, width=24)
    model = classifier(network)
    assert model.one_at_a_time
    assert "batch-dependent" in model.diagnose(image).warning_codes
    made = request(model, image)
    saliency = Rise(samples=40).explain(made)
    assert saliency.parameters["batch"] == 1
    # A batch is passed image by image by whoever passes it, a plug-in for example.
    images = torch.cat([made.tensor, -made.tensor, made.tensor * 5 + 1])
    singles = torch.cat([model.logits(each[None]) for each in images])
    assert torch.equal(model.logits(images), singles)
    assert torch.equal(model.logits(images, fast=True), singles)


def test_every_map_and_curve_of_such_a_network_says_so() -> None:
    model, image = classifier(LessTheMean()), make_image(height=24, width=24)
    made = explain(model, image, Settings(samples={"lime": 100, "rise": 100}))
    assert len(made.maps) == 5
    for saliency in made.maps.values():
        assert saliency.warning_codes[0] == "batch-dependent"
        assert "depends on the other images in its batch" in saliency.warnings[0]
    curve = fidelity_curve(model, image, made.maps["gradcam"], "deletion", step=200)
    assert curve.warnings[0].startswith("The network's answer for an image depends")


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(6), nn.InstanceNorm2d(6), nn.GroupNorm(2, 6), nn.LocalResponseNorm(3), nn.Dropout()]
)
def test_a_network_that_judges_each_image_by_itself_is_passed_in_batches(norm: nn.Module) -> None:
    model, image = classifier(Body(norm)), make_image(height=24, width=24)
    assert not model.one_at_a_time
    assert model.diagnose(image).warnings == ()
    saliency = explain_method(model, image, "rise", Settings(samples={"rise": 100}))
    assert saliency.parameters["batch"] > 1
    assert not {"batch-dependent", "self-changing"}.intersection(saliency.warning_codes)


def test_a_network_that_takes_no_batch_is_passed_image_by_image() -> None:
    class OneRow(Body):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.features(x).view(1, 6))

    model, image = classifier(OneRow()), make_image(height=24, width=24)
    diagnosis = model.diagnose(image)
    assert model.one_at_a_time
    assert diagnosis.warning_codes == ("batch-dependent",)
    assert "takes only one image at a time" in diagnosis.warnings[0]
    assert explain_method(model, image, "rise", Settings(samples={"rise": 100})).samples == 100


def test_a_network_that_ends_the_program_for_a_batch_is_passed_image_by_image() -> None:
    class Exits(Body):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if len(x) == 1 else sys.exit(3)

    assert classifier(Exits()).one_at_a_time


def test_a_network_that_ends_the_program_for_any_input_is_refused() -> None:
    class Exits(Body):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            sys.exit("a wrong size")

    with pytest.raises(BundleError, match=r"does not take a 24x24 input of 3 channels \(a wrong size\)"):
        classifier(Exits())


def test_an_infinite_answer_for_one_image_hides_no_dependence_on_the_batch() -> None:
    class Overflows(LessTheMean):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            strong = x.std((1, 2, 3), keepdim=True).flatten(1) > 5
            return super().forward(x).masked_fill(strong, torch.inf)

    assert classifier(Overflows()).one_at_a_time


def test_a_network_that_takes_only_batches_is_refused_for_that_reason() -> None:
    class Normalised(Body):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.BatchNorm1d(6, track_running_stats=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.last.train()
            return self.head(self.last(self.features(x)))

    with pytest.raises(BundleError, match="keeps no statistics of its training") as raised:
        classifier(Normalised())
    assert raised.value.code == "batch-dependent"


def test_a_network_that_remembers_earlier_images_is_refused() -> None:
    class Remembers(Body):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.features(x)
            self.seen.lerp_(found.mean(0).detach(), 0.1)
            return self.head(found - self.seen)

    class RemembersElsewhere(Body):
        last = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found = self.features(x)
            before, self.last = self.last, found.mean(0)
            return self.head(found if before is None else found + before)

    with pytest.raises(
        BundleError, match="depends on the images it was shown before: each pass changes seen"
    ) as raised:
        classifier(Remembers())
    assert raised.value.code == "self-changing"
    with pytest.raises(BundleError, match="a different answer each time"):
        classifier(RemembersElsewhere())


def test_buffers_that_passes_change_are_restored_before_each_pass() -> None:
    class Tires(Body):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("passes", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.passes.add_(1)
            return self.head(self.features(x)) * (1.0 if self.passes < 40 else 0.0)

    model, image = classifier(Tires()), make_image(height=24, width=24)
    answers = {model.diagnose(image).probabilities.tobytes() for _ in range(60)}
    assert len(answers) == 1
    assert model.diagnose(image).warning_codes == ("self-changing",)
    assert explain_method(model, image, "gradcam", Settings()).warning_codes[0] == "self-changing"


def test_a_network_that_changes_its_input_in_place_is_not_mistaken() -> None:
    class InPlace(Body):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.mul_(0.5))

    model = classifier(InPlace())
    assert not model.one_at_a_time
    assert model.diagnose(make_image(height=24, width=24)).warnings == ()


def test_passing_alone_changes_nothing_for_a_sound_network() -> None:
    sound = classifier(small_cnn(3))
    alone = classifier(small_cnn(3))
    alone.one_at_a_time = True
    made = [Rise(samples=50).explain(request(model)).values for model in (sound, alone)]
    assert np.allclose(*made, atol=1e-4)


def test_the_engines_own_warnings_all_have_a_code() -> None:
    """Warnings as plain text get the code `other`; only a plug-in's may."""

    class Faint(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_cnn(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.softmax(1e-3 * self.body(x) + torch.tensor([60.0, 0.0, 0.0]), dim=1)

    class Against(Body):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([-self.features(x).sum(1, keepdim=True) * 50, torch.zeros(len(x), 1)], dim=1)

    codes: set[str] = set()
    models: list[Classifier] = [classifier(Faint()), classifier(Against()), classifier(LessTheMean())]
    for model in models:
        image = make_image(height=24, width=24)
        codes.update(model.diagnose(image).warning_codes)
        for target in (0, 1):
            settings = Settings(samples={"lime": 100, "rise": 100}, target=model.classes[target])
            for method in ("lime", "rise", "gradcam", "hirescam"):
                codes.update(explain_method(model, image, method, settings).warning_codes)
    assert {"activation", "rounded", "batch-dependent", "constant", "absence"} <= codes
    assert "other" not in codes
