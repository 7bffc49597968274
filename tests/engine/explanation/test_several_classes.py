"""Several classes of one image share their passes, and each gets the very explanation that it would have alone."""

from __future__ import annotations

import numpy as np
import pytest
from factories import make_image
from networks import classifier, small_cnn

from engine import Explanation, Settings, explain, explain_classes
from engine.errors import ExplanationError, Stopped
from engine.network.classifier import Classifier
from engine.results.saliency import SaliencyMap

IMAGE = make_image(height=24, width=24)
SAMPLED = ("rise", "lime")


class Counted(Classifier):
    """A classifier that counts the images that LIME and RISE pass through it."""

    passed = 0

    def scores(self, network, *inputs):  # type: ignore[no-untyped-def]
        self.passed += len(inputs[0])
        return super().scores(network, *inputs)


def model(classes: int) -> Counted:
    made = classifier(small_cnn(classes))
    return Counted(made.bundle, small_cnn(classes), precision="fp32")


def settings(**more: object) -> Settings:
    return Settings(**{"samples": {"rise": 600, "lime": 600}, **more})  # type: ignore[arg-type]


def assert_equal(shared: Explanation, alone: Explanation) -> None:
    assert shared.target == alone.target
    assert list(shared.maps) == list(alone.maps)
    for method, saliency in shared.maps.items():
        other = alone.maps[method]
        np.testing.assert_array_equal(saliency.values, other.values)
        assert (saliency.samples, saliency.seed, saliency.warnings) == (other.samples, other.seed, other.warnings)
        assert (saliency.raw_min, saliency.raw_max) == (other.raw_min, other.raw_max)
        assert shared.statistics[method].ties == alone.statistics[method].ties
    np.testing.assert_array_equal(shared.consensus.counts, alone.consensus.counts)
    assert shared.settings.target == alone.settings.target


@pytest.mark.parametrize("classes", [3, 20], ids=["few", "more than are kept"])
@pytest.mark.parametrize("until", ["samples", "certain"])
def test_each_explanation_is_the_one_of_its_class_alone(classes: int, until: str) -> None:
    asked = ["class 2", "class 0", "class 1"]
    shared = explain_classes(model(classes), IMAGE, asked, settings(until=until))
    assert list(shared) == asked
    for target in asked:
        alone = explain(model(classes), IMAGE, settings(until=until, target=target))
        assert_equal(shared[target], alone)


@pytest.mark.parametrize("classes", [3, 20], ids=["few", "more than are kept"])
def test_masked_images_pass_only_once(classes: int) -> None:
    explain(model(classes), IMAGE, settings(methods=SAMPLED))  # measures the batch size, and stores it
    once, thrice = model(classes), model(classes)
    explain(once, IMAGE, settings(methods=SAMPLED, target="class 0"))
    shared = explain_classes(thrice, IMAGE, ["class 0", "class 1", "class 2"], settings(methods=SAMPLED))
    assert thrice.passed == once.passed
    for target, explanation in shared.items():
        reused = {saliency.parameters["passes_reused"] for saliency in explanation.maps.values()}
        assert reused == ({0} if target == "class 0" else {600})


def test_unknown_classes_and_none_at_all_are_refused_before_any_pass() -> None:
    network = model(3)
    for asked, words in ((["class 0", "dog"], "no class 'dog'"), ([], "no class to explain; choose some of class 0")):
        with pytest.raises(ExplanationError) as refused:
            explain_classes(network, IMAGE, asked, settings())
        assert words in refused.value.message


def test_a_class_named_twice_is_explained_once() -> None:
    maps: list[SaliencyMap] = []
    quick = settings(methods=("gradcam",))
    shared = explain_classes(model(3), IMAGE, ["class 1", "class 1"], quick, on_map=maps.append)
    assert list(shared) == ["class 1"]
    assert [saliency.target for saliency in maps] == ["class 1"]


class _StopAfter:
    def __init__(self) -> None:
        self.stopped = False

    def is_set(self) -> bool:
        return self.stopped


def test_what_is_explained_before_a_stop_is_kept() -> None:
    stop = _StopAfter()

    def stop_after_first(saliency: SaliencyMap) -> None:
        stop.stopped = saliency.target == "class 0"

    quick = settings(methods=("gradcam",))
    shared = explain_classes(model(3), IMAGE, ["class 0", "class 1"], quick, stop=stop, on_map=stop_after_first)
    assert list(shared) == ["class 0"]
    with pytest.raises(Stopped):
        explain_classes(model(3), IMAGE, ["class 1"], quick, stop=stop)
